//! `kind = "heun"`.

use sde_core::Sde;

use super::sigma::{SIGMA_GRID, churn};
use super::tables::table;
use crate::sigma::{OneStep, Rule};
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
        Ok(Box::new(OneStep {
            rule: Rule::Heun,
            grid: common.true_grid("heun", sde, SIGMA_GRID, 40)?,
            churn: churn(self.s_churn, self.s_min, self.s_max, self.s_noise)?,
            final_step: common.ending(),
        }))
    }
}
