//! `kind = "ddim"`.

use sde_core::Sde;

use super::check::{refuse, usual_lambda_grid};
use super::tables::table;
use crate::exponential::Ddim;
use crate::{Sampler, SolveError, State};

table! {
    /// Table of `kind = "ddim"`: 20 steps by default.
    DdimConfig {
        /// Stochasticity, in [0, 1]; 0, the probability flow. At 1 the ancestral step.
        eta: f64 = 0.0,
    }
}

impl DdimConfig {
    pub(super) fn build<S: State>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
        let common = self.common();
        let grid = common.true_grid("ddim", sde, usual_lambda_grid(sde, common.ends(sde)), 20)?;
        if !(0.0..=1.0).contains(&self.eta) {
            let reason = "must lie in [0, 1]: 0 is the probability flow, 1 the ancestral step";
            return Err(refuse("eta", self.eta, reason));
        }
        Ok(Box::new(Ddim {
            name: "ddim",
            eta: self.eta,
            grid,
            final_step: common.ending(),
        }))
    }
}
