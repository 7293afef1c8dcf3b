//! `kind = "euler"`, `"dpm-2"` and `"lms"`, the methods of k-diffusion in the noise level.

use sde_core::Sde;
use sde_core::grid::GridConfig;

use super::check::{order_within, refuse};
use super::tables::table;
use crate::sigma::{Churn, Multistep, OneStep, Rule};
use crate::{Sampler, SolveError, State};

table! {
    /// Table of `kind = "euler"`: 40 steps by default.
    EulerConfig {
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

table! {
    /// Table of `kind = "dpm-2"`: 40 steps by default.
    Dpm2Config {
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

table! {
    /// Table of `kind = "lms"`: 40 steps by default.
    LmsConfig {
        /// Noise predictions that a step combines, 1 to 4; 4, or as many as there are steps.
        #[serde(skip_serializing_if = "Option::is_none")]
        order: Option<usize> = None,
    }
}

/// The grid of the methods in the noise level, as in k-diffusion's examples.
pub(super) const SIGMA_GRID: GridConfig = GridConfig::Karras { rho: 7.0 };

/// The churn of a table's four keys, checked.
pub(super) fn churn(s_churn: f64, s_min: f64, s_max: f64, s_noise: f64) -> Result<Churn, SolveError> {
    for (key, value) in [("s_churn", s_churn), ("s_min", s_min), ("s_noise", s_noise)] {
        if !(value.is_finite() && value >= 0.0) {
            return Err(refuse(key, value, "must be a finite number >= 0"));
        }
    }
    if s_max.is_nan() || s_max < s_min {
        let reason = format!("must not lie below s_min = {s_min}");
        return Err(refuse("s_max", s_max, reason));
    }
    Ok(Churn {
        amount: s_churn,
        min: s_min,
        max: s_max,
        noise: s_noise,
    })
}

impl EulerConfig {
    pub(super) fn build<S: State>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
        let common = self.common();
        Ok(Box::new(OneStep {
            rule: Rule::Euler,
            grid: common.true_grid("euler", sde, SIGMA_GRID, 40)?,
            churn: churn(self.s_churn, self.s_min, self.s_max, self.s_noise)?,
            final_step: common.ending(),
        }))
    }
}

impl Dpm2Config {
    pub(super) fn build<S: State>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
        let common = self.common();
        Ok(Box::new(OneStep {
            rule: Rule::Dpm2,
            grid: common.true_grid("dpm-2", sde, SIGMA_GRID, 40)?,
            churn: churn(self.s_churn, self.s_min, self.s_max, self.s_noise)?,
            final_step: common.ending(),
        }))
    }
}

impl LmsConfig {
    pub(super) fn build<S: State>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
        let common = self.common();
        let grid = common.true_grid("lms", sde, SIGMA_GRID, 40)?;
        let order = order_within(self.order, 4, 4, grid.steps())?;
        Ok(Box::new(Multistep::lms(sde, grid, order, common.ending())))
    }
}
