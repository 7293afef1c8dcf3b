//! The linear rate of DDPM in continuous time.

use super::Schedule;
use crate::ConfigError;
use crate::error::{not_negative, positive};

/// `beta(t) = beta_min + t (beta_max - beta_min)` (Song et al. 2021, arXiv:2011.13456, equation 32), so that
/// `B(t) = beta_min t + (beta_max - beta_min) t^2 / 2`.
///
/// The inverse is taken in its rationalised form `t = 2 B / (beta_min + sqrt(beta_min^2 + 2 B (beta_max -
/// beta_min)))`, which does not cancel at small `B`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Linear {
    beta_min: f64,
    beta_max: f64,
}

impl Linear {
    /// Rates at `t = 0` and `t = 1`, per unit of time; `0 <= beta_min <= beta_max`, `beta_max > 0`.
    ///
    /// # Errors
    /// [`ConfigError`] at `sde.beta_min` or `sde.beta_max`.
    pub fn new(beta_min: f64, beta_max: f64) -> Result<Self, ConfigError> {
        not_negative("sde.beta_min", beta_min)?;
        positive("sde.beta_max", beta_max)?;
        if beta_min > beta_max {
            return Err(ConfigError::new(
                "sde.beta_min",
                beta_min,
                format!("must not be above sde.beta_max = {beta_max}"),
            ));
        }
        Ok(Self { beta_min, beta_max })
    }

    /// Rate at `t = 0`.
    pub fn beta_min(&self) -> f64 {
        self.beta_min
    }

    /// Rate at `t = 1`.
    pub fn beta_max(&self) -> f64 {
        self.beta_max
    }
}

impl Schedule for Linear {
    #[inline(always)]
    fn rate(&self, t: f64) -> f64 {
        self.beta_min + t * (self.beta_max - self.beta_min)
    }

    #[inline(always)]
    fn integral(&self, t: f64) -> f64 {
        t * (self.beta_min + 0.5 * t * (self.beta_max - self.beta_min))
    }

    fn time_at(&self, integral: f64) -> f64 {
        if integral == 0.0 {
            return 0.0;
        }
        let slope = self.beta_max - self.beta_min;
        2.0 * integral / (self.beta_min + (self.beta_min * self.beta_min + 2.0 * integral * slope).sqrt())
    }

    fn increment(&self, from: f64, to: f64) -> f64 {
        (to - from) * (self.beta_min + 0.5 * (from + to) * (self.beta_max - self.beta_min))
    }
}
