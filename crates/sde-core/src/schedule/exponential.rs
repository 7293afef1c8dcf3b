//! A geometric rate.

use super::Schedule;
use crate::ConfigError;
use crate::error::positive;

/// `beta(t) = beta_min (beta_max / beta_min)^t`, so that `B(t) = beta_min (e^{kt} - 1) / k` with
/// `k = ln(beta_max / beta_min)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exponential {
    beta_min: f64,
    growth: f64,
}

impl Exponential {
    /// Rates at `t = 0` and `t = 1`, per unit of time; `0 < beta_min < beta_max`.
    ///
    /// # Errors
    /// [`ConfigError`] at `sde.beta_min` or `sde.beta_max`.
    pub fn new(beta_min: f64, beta_max: f64) -> Result<Self, ConfigError> {
        positive("sde.beta_min", beta_min)?;
        positive("sde.beta_max", beta_max)?;
        if beta_min >= beta_max {
            return Err(ConfigError::new(
                "sde.beta_min",
                beta_min,
                format!(
                    "must be below sde.beta_max = {beta_max} on the exponential schedule; a constant rate is linear"
                ),
            ));
        }
        Ok(Self {
            beta_min,
            growth: (beta_max / beta_min).ln(),
        })
    }
}

impl Schedule for Exponential {
    fn rate(&self, t: f64) -> f64 {
        self.beta_min * (self.growth * t).exp()
    }

    fn integral(&self, t: f64) -> f64 {
        self.beta_min * (self.growth * t).exp_m1() / self.growth
    }

    fn time_at(&self, integral: f64) -> f64 {
        (integral * self.growth / self.beta_min).ln_1p() / self.growth
    }

    fn increment(&self, from: f64, to: f64) -> f64 {
        self.rate(from) * (self.growth * (to - from)).exp_m1() / self.growth
    }
}
