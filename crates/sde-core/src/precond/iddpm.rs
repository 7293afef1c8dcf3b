//! The noise ladder of improved DDPM as Karras et al. state it.

/// Noise levels `u_0 > ... > u_M = 0` with `u_{j-1}^2 = (u_j^2 + 1) / max(abar_{j-1} / abar_j, C_1) - 1`,
/// `abar_j = sin^2(pi/2 j / (M (C_2 + 1)))`, `M = 1000`, `C_1 = 0.001`, `C_2 = 0.008` (Karras et al. 2022,
/// arXiv:2206.00364, table 1).
#[derive(Debug, Clone, PartialEq)]
pub struct IddpmLadder {
    levels: Vec<f64>,
}

impl IddpmLadder {
    /// The ladder with the published constants.
    pub fn new() -> Self {
        const M: usize = 1000;
        let root = |j: usize| (std::f64::consts::FRAC_PI_2 * j as f64 / (M as f64 * 1.008)).sin();
        let mut levels = vec![0.0_f64; M + 1];
        for j in (1..=M).rev() {
            let ratio = (root(j - 1) / root(j)).powi(2).max(0.001);
            // (u^2 + 1) / ratio - 1, without the difference of near-equal numbers
            levels[j - 1] = ((levels[j] * levels[j] + (1.0 - ratio)) / ratio).sqrt();
        }
        Self { levels }
    }

    /// `u_0` to `u_M`, descending.
    pub fn levels(&self) -> &[f64] {
        &self.levels
    }

    /// `M - 1 - j` for the level `u_j` nearest to `sigma`, the time input of the network; -1 for `sigma`
    /// nearest to 0.
    pub fn label(&self, sigma: f64) -> f64 {
        let above = self.levels.partition_point(|u| *u > sigma);
        let j = if above == 0 {
            0
        } else if above == self.levels.len() || self.levels[above - 1] - sigma <= sigma - self.levels[above] {
            above - 1
        } else {
            above
        };
        self.levels.len() as f64 - 2.0 - j as f64
    }
}

impl Default for IddpmLadder {
    fn default() -> Self {
        Self::new()
    }
}
