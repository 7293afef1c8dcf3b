//! `kind = "unipc"`.

use sde_core::Sde;

use super::check::{order_within, usual_lambda_grid};
use super::tables::table;
use crate::exponential::{Unipc, UnipcVariant};
use crate::{Sampler, SolveError, State};

table! {
    /// Table of `kind = "unipc"`: 20 steps by default.
    UnipcConfig {
        /// Order of the predictor, 1 to 3; 3, or as many as there are steps.
        #[serde(skip_serializing_if = "Option::is_none")]
        order: Option<usize> = None,
        /// The function `B(h)`; `bh2`.
        variant: UnipcVariant = UnipcVariant::default(),
    }
}

impl UnipcConfig {
    pub(super) fn build<S: State>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
        let common = self.common();
        let usual = usual_lambda_grid(sde, common.ends(sde));
        let grid = common.true_grid("unipc", sde, usual, 20)?;
        let order = order_within(self.order, 3, 3, grid.steps())?;
        Ok(Box::new(Unipc {
            order,
            variant: self.variant,
            grid,
            final_step: common.ending(),
        }))
    }
}
