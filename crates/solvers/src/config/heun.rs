//! `kind = "heun"`.

use sde_core::Sde;
use sde_core::grid::GridConfig;

use super::check::refuse;
use super::tables::table;
use crate::sampler::{Churn, Heun};
use crate::{Sampler, SolveError, State};

table! {
    /// Table of `kind = "heun"`: 40 steps by default.
    HeunConfig {
        /// Amount of noise added and removed over all steps, >= 0; 0.
        s_churn: f64 = 0.0,
        /// Noise level below which none is added; 0.
        s_min: f64 = 0.0,
        /// Noise level above which none is added; infinity.
        s_max: f64 = f64::INFINITY,
        /// Factor of the added noise, >= 0; 1.
        s_noise: f64 = 1.0,
    }
}

impl HeunConfig {
    pub(super) fn build<S: State>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
        let common = self.common();
        let grid = common.true_grid("heun", sde, GridConfig::Karras { rho: 7.0 }, 40)?;
        for (key, value) in [
            ("s_churn", self.s_churn),
            ("s_min", self.s_min),
            ("s_noise", self.s_noise),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(refuse(key, value, "must be a finite number >= 0"));
            }
        }
        if self.s_max.is_nan() || self.s_max < self.s_min {
            return Err(refuse(
                "s_max",
                self.s_max,
                format!("must not lie below s_min = {}", self.s_min),
            ));
        }
        let churn = Churn {
            amount: self.s_churn,
            min: self.s_min,
            max: self.s_max,
            noise: self.s_noise,
        };
        Ok(Box::new(Heun {
            grid,
            churn,
            final_step: common.ending(),
        }))
    }
}
