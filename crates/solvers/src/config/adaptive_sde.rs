//! `kind = "adaptive-sde"`.

use sde_core::Sde;
use sde_core::grid::GridConfig;

use super::check::{SMALLEST_TOLERANCE, check_end, refuse};
use super::tables::table;
use crate::rk::adaptive::Limits;
use crate::stochastic::AdaptiveSde;
use crate::{Sampler, SolveError, State, Tolerance};

table! {
    /// Table of `kind = "adaptive-sde"`, which has no `steps` and no `grid`.
    AdaptiveSdeConfig {
        /// Relative tolerance of a step; 0.01.
        rtol: f64 = 0.01,
        /// Absolute tolerance of a step, data units; 0.0078, a grey level of images in [-1, 1].
        atol: f64 = 0.0078,
        /// Stochasticity of the reverse SDE, >= 0; 1. At 0 the probability flow.
        eta: f64 = 1.0,
        /// Factor between the step that should just be accepted and the one tried, in (0, 1]; 0.9.
        safety: f64 = 0.9,
        /// Most attempted steps of a row; 10000.
        max_steps: u64 = 10_000,
        /// Smallest step in `t` that may be asked for; 0 (2^-30 of the time to cover is always the limit).
        min_step: f64 = 0.0,
    }
}

impl AdaptiveSdeConfig {
    pub(super) fn build<S: State>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
        let common = self.common();
        if let Some(steps) = self.steps {
            let reason =
                "adaptive-sde chooses its steps by rtol and atol; remove this key or take another kind";
            return Err(refuse("steps", steps, reason));
        }
        if common.grid.is_some() {
            return Err(refuse(
                "grid",
                "given",
                "adaptive-sde chooses its own times; remove this table",
            ));
        }
        let (t_start, t_end) = common.ends(sde);
        // One span: only its ends are wanted, with their checks.
        GridConfig::Uniform {}.build(sde, 1, t_start, t_end)?;
        check_end(sde, t_end)?;
        for (key, value) in [("rtol", self.rtol), ("atol", self.atol)] {
            if !(value.is_finite() && value >= SMALLEST_TOLERANCE) {
                let reason =
                    format!("must be a finite number >= {SMALLEST_TOLERANCE:e}, what rounding allows");
                return Err(refuse(key, value, reason));
            }
        }
        if !(self.eta.is_finite() && self.eta >= 0.0) {
            return Err(refuse("eta", self.eta, "must be a finite number >= 0"));
        }
        if !(self.safety > 0.0 && self.safety <= 1.0) {
            let reason = "must lie above 0 and not above 1; 0.9 is usual";
            return Err(refuse("safety", self.safety, reason));
        }
        if self.max_steps == 0 {
            return Err(refuse("max_steps", self.max_steps, "must be at least 1"));
        }
        if !(self.min_step >= 0.0 && self.min_step < t_start - t_end) {
            let reason = format!("must be >= 0 and below the time to cover, {}", t_start - t_end);
            return Err(refuse("min_step", self.min_step, reason));
        }
        Ok(Box::new(AdaptiveSde {
            eta: self.eta,
            safety: self.safety,
            t_start,
            t_end,
            limits: Limits {
                tolerance: Tolerance {
                    atol: self.atol,
                    rtol: self.rtol,
                },
                max_steps: self.max_steps,
                min_step: self.min_step,
            },
            final_step: common.ending(),
        }))
    }
}
