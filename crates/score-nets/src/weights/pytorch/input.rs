//! The bytes of a pickle, with a known end.

use std::io::Read;

use super::fault::Stop;
use super::heap::Heap;

/// Bytes with a known end.
pub(super) struct Input<'r> {
    source: &'r mut dyn Read,
    at: u64,
    end: u64,
}

impl<'r> Input<'r> {
    /// `length` bytes, of which the first is number `at`.
    pub fn new(source: &'r mut dyn Read, at: u64, length: u64) -> Self {
        Input {
            source,
            at,
            end: at.saturating_add(length),
        }
    }

    /// Number of the next byte.
    pub fn at(&self) -> u64 {
        self.at
    }

    fn fill(&mut self, out: &mut [u8]) -> Result<(), Stop> {
        self.check(out.len() as u64)?;
        self.source.read_exact(out).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                Stop::broken("the file ends here, in the middle of a pickle")
            }
            _ => Stop::Io(error),
        })?;
        self.at += out.len() as u64;
        Ok(())
    }

    /// Refuses a length that reaches beyond the end.
    fn check(&self, length: u64) -> Result<(), Stop> {
        if length <= self.end - self.at {
            return Ok(());
        }
        Err(Stop::broken(match self.end - self.at {
            0 => "the file ends here, in the middle of a pickle".to_string(),
            left => format!("needs {length} bytes where {left} are left"),
        }))
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub fn byte(&mut self) -> Result<u8, Stop> {
        Ok(self.array::<1>()?[0])
    }

    pub fn bytes(&mut self, length: u64, heap: &mut Heap) -> Result<Vec<u8>, Stop> {
        self.check(length)?;
        heap.charge(length)?;
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| Stop::broken("too long"))?];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// A line, without its end. Names are short.
    pub fn line(&mut self) -> Result<String, Stop> {
        let mut line = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => return String::from_utf8(line).map_err(|_| Stop::broken("a name is not UTF-8")),
                _ if line.len() >= 1024 => return Err(Stop::broken("a name has more than 1024 bytes")),
                byte => line.push(byte),
            }
        }
    }
}
