//! `kind = "deis"`.

use sde_core::Sde;

use super::check::{order_within, usual_lambda_grid};
use super::tables::table;
use crate::sigma::Multistep;
use crate::{Sampler, SolveError, State};

table! {
    /// Table of `kind = "deis"`: 20 steps by default.
    DeisConfig {
        /// Noise predictions that a step combines, 1 to 4; 3, or as many as there are steps.
        #[serde(skip_serializing_if = "Option::is_none")]
        order: Option<usize> = None,
    }
}

impl DeisConfig {
    pub(super) fn build<S: State>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
        let common = self.common();
        let usual = usual_lambda_grid(sde, common.ends(sde));
        let grid = common.true_grid("deis", sde, usual, 20)?;
        let order = order_within(self.order, 3, 4, grid.steps())?;
        Ok(Box::new(Multistep::deis(sde, grid, order, common.ending())))
    }
}
