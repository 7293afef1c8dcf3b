//! `kind = "deis"`.

use sde_core::Sde;

use super::check::{check_order, usual_lambda_grid};
use super::tables::table;
use crate::sigma::Multistep;
use crate::{Sampler, SolveError, State};

table! {
    /// Table of `kind = "deis"`: 20 steps by default.
    DeisConfig {
        /// Noise predictions that a step combines, 1 to 4; 3.
        order: usize = 3,
    }
}

impl DeisConfig {
    pub(super) fn build<S: State>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
        let common = self.common();
        let usual = usual_lambda_grid(sde, common.ends(sde));
        let grid = common.true_grid("deis", sde, usual, 20)?;
        check_order(self.order, 4)?;
        Ok(Box::new(Multistep::deis(sde, grid, self.order, common.ending())))
    }
}
