//! Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", section 3.3):
//! a bijection of 128-bit counters, chosen by a 64-bit key, that passes as random. Nothing is carried from one
//! block to the next.

/// Multipliers of the two halves.
const MULTIPLIER: [u64; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// Weyl increments of the key: the golden ratio and sqrt(3) - 1.
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const LOW: u64 = 0xFFFF_FFFF;

/// Round keys of a 64-bit seed (low word first).
pub(crate) type Keys = [[u64; 2]; 10];

/// The ten round keys.
pub(crate) fn keys(seed: u64) -> Keys {
    let mut key = [seed as u32, (seed >> 32) as u32];
    let mut out = [[0; 2]; 10];
    for round in &mut out {
        *round = [u64::from(key[0]), u64::from(key[1])];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    out
}

/// Four random words (each in the low half of its `u64`; the high halves are unspecified) for a counter of four
/// words (low halves count). Words stay in 64-bit lanes so that the widening product needs no shuffle in SIMD.
#[inline(always)]
pub(crate) fn wide_rounds(keys: &Keys, counter: [u64; 4]) -> [u64; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    for key in keys {
        let p0 = (c0 & LOW) * MULTIPLIER[0];
        let p1 = (c2 & LOW) * MULTIPLIER[1];
        c0 = (p1 >> 32) ^ c1 ^ key[0];
        c2 = (p0 >> 32) ^ c3 ^ key[1];
        c1 = p1;
        c3 = p0;
    }
    [c0, c1, c2, c3]
}

/// One block: four random words for a counter of four words and a key of two, least significant word first.
pub fn philox4x32_10(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let keys = keys(u64::from(key[0]) | u64::from(key[1]) << 32);
    wide_rounds(&keys, counter.map(u64::from)).map(|word| word as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers published with Random123.
    #[test]
    fn known_answers() {
        for (counter, key, words) in [
            (
                [0; 4],
                [0; 2],
                [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
            ),
            (
                [u32::MAX; 4],
                [u32::MAX; 2],
                [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
            ),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ] {
            assert_eq!(philox4x32_10(counter, key), words);
        }
    }
}
