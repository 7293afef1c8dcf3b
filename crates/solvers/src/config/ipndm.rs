//! `kind = "ipndm"`.

use sde_core::Sde;

use super::check::{order_within, usual_lambda_grid};
use super::tables::table;
use crate::sigma::Multistep;
use crate::{Sampler, SolveError, State};

table! {
    /// Table of `kind = "ipndm"`: 20 steps by default.
    IpndmConfig {
        /// Noise predictions that a step combines, 1 to 4; 4, or as many as there are steps.
        #[serde(skip_serializing_if = "Option::is_none")]
        order: Option<usize> = None,
    }
}

impl IpndmConfig {
    pub(super) fn build<S: State>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
        let common = self.common();
        let usual = usual_lambda_grid(sde, common.ends(sde));
        let grid = common.true_grid("ipndm", sde, usual, 20)?;
        let order = order_within(self.order, 4, 4, grid.steps())?;
        Ok(Box::new(Multistep::ipndm(sde, grid, order, common.ending())))
    }
}
