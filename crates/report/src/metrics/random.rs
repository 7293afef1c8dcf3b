//! Random numbers that repeat on every machine: SplitMix64 (G. L. Steele, D. Lea and C. H. Flood, Fast
//! splittable pseudorandom number generators, 2014, figure 17).

/// A generator, one for each (seed, purpose).
pub(super) struct Random(u64);

/// What numbers are drawn for; purposes have unrelated streams.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    SampleOrder = 1,
    DataOrder,
    HeldOutOrder,
    Directions,
    Classifier,
}

impl Random {
    pub fn new(seed: u64, purpose: Purpose) -> Self {
        let mut start = Self(seed);
        let mixed = start.next();
        Self(mixed ^ (purpose as u64).wrapping_mul(0xd1b5_4a32_d192_ed03))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A whole number below `end`, by the high half of a product; its bias, `end / 2^64`, is nothing.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    /// The numbers 0 to n - 1 in random order (Fisher and Yates).
    pub fn order(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for last in (1..n).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }

    /// A number of the open interval (0, 1).
    pub fn uniform(&mut self) -> f64 {
        ((self.next() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }

    /// A normal number (G. E. P. Box and M. E. Muller 1958; the second of each pair is not used).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}
