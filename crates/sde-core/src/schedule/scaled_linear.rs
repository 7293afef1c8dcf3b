//! A rate whose root is linear.

use super::{Linear, Schedule};
use crate::ConfigError;

/// `beta(t) = (s + t d)^2` with `s = sqrt(beta_min)` and `d = sqrt(beta_max) - s` (Rombach et al. 2022,
/// arXiv:2112.10752, in their code; `scaled_linear` in diffusers), so that `B(t) = t (s^2 + s d t + d^2 t^2 / 3)`.
///
/// With `u = s + t d`, `u^3 = s^3 + 3 d B`; the inverse is taken as `t = 3 B / (u^2 + u s + s^2)`, which does not
/// cancel at small `B`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScaledLinear {
    start: f64,
    slope: f64,
}

impl ScaledLinear {
    /// Rates at `t = 0` and `t = 1`, per unit of time; `0 <= beta_min <= beta_max`, `beta_max > 0`.
    ///
    /// # Errors
    /// [`ConfigError`] at `sde.beta_min` or `sde.beta_max`.
    pub fn new(beta_min: f64, beta_max: f64) -> Result<Self, ConfigError> {
        Linear::new(beta_min, beta_max)?;
        let start = beta_min.sqrt();
        Ok(Self {
            start,
            slope: beta_max.sqrt() - start,
        })
    }
}

impl Schedule for ScaledLinear {
    fn rate(&self, t: f64) -> f64 {
        let root = self.start + t * self.slope;
        root * root
    }

    fn integral(&self, t: f64) -> f64 {
        let (s, end) = (self.start, t * self.slope);
        t * (s * s + end * (s + end / 3.0))
    }

    fn time_at(&self, integral: f64) -> f64 {
        if integral == 0.0 {
            return 0.0;
        }
        let s = self.start;
        let u = (s * s * s + 3.0 * self.slope * integral).cbrt();
        3.0 * integral / (u * u + u * s + s * s)
    }

    fn increment(&self, from: f64, to: f64) -> f64 {
        let (a, b) = (self.start + from * self.slope, self.start + to * self.slope);
        (to - from) * (a * a + a * b + b * b) / 3.0
    }
}
