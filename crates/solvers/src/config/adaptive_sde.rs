//! `kind = "adaptive-sde"`.

use sde_core::Sde;

use super::check::{adaptive_ends, check_limits, refuse};
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
        let (t_start, t_end) = adaptive_ends(&common, sde)?;
        let limits = Limits {
            tolerance: Tolerance {
                atol: self.atol,
                rtol: self.rtol,
            },
            max_steps: self.max_steps,
            min_step: self.min_step,
        };
        let limits = check_limits::<S>(limits, ("time to cover", t_start - t_end))?;
        if !(self.eta.is_finite() && self.eta >= 0.0) {
            return Err(refuse("eta", self.eta, "must be a finite number >= 0"));
        }
        if !(self.safety > 0.0 && self.safety <= 1.0) {
            let reason = "must lie above 0 and not above 1; 0.9 is usual";
            return Err(refuse("safety", self.safety, reason));
        }
        Ok(Box::new(AdaptiveSde {
            eta: self.eta,
            safety: self.safety,
            t_start,
            t_end,
            limits,
            final_step: common.ending(),
        }))
    }
}
