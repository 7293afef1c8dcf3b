//! Philox as a generator for the `rand` crate's distributions and shuffles.

use std::convert::Infallible;

use rand::TryRng;

use super::philox::philox4x32_10;

/// A stream of random words that starts at an address: (seed, stream). Streams of one seed never overlap, nor do
/// they meet the blocks of addressed normals and uniforms. Value-stable: the words never change between versions.
///
/// ```
/// use rand::Rng;
/// let mut rng = solvers::noise::PhiloxRng::new(7, 0);
/// let first = rng.next_u64();
/// assert_eq!(first, solvers::noise::PhiloxRng::new(7, 0).next_u64());
/// assert_ne!(first, solvers::noise::PhiloxRng::new(7, 1).next_u64());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhiloxRng {
    key: [u32; 2],
    stream: u64,
    block: u64,
    words: [u32; 4],
    used: usize,
}

impl PhiloxRng {
    /// The start of stream `stream` of `seed`, for example one stream an epoch.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self {
            key: [seed as u32, (seed >> 32) as u32],
            stream,
            block: 0,
            words: [0; 4],
            used: 4,
        }
    }

    fn next_word(&mut self) -> u32 {
        if self.used == 4 {
            // Low byte 0xff of the last word: no purpose of addressed noise has it. 2^56 blocks a stream.
            let last = 0xFF | ((self.block >> 32) as u32) << 8;
            let counter = [
                self.block as u32,
                self.stream as u32,
                (self.stream >> 32) as u32,
                last,
            ];
            self.words = philox4x32_10(counter, self.key);
            self.block += 1;
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }
}

impl TryRng for PhiloxRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.next_word())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let low = u64::from(self.next_word());
        Ok(low | u64::from(self.next_word()) << 32)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for chunk in out.chunks_mut(4) {
            chunk.copy_from_slice(&self.next_word().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}
