//! `kind = "langevin"`.

use sde_core::Sde;

use super::check::{check_corrector_steps, check_end, check_snr, usual_sde_grid};
use super::tables::table;
use crate::correct::AnnealedLangevin;
use crate::sampler::PredictorCorrector;
use crate::{Sampler, SolveError, State};

table! {
    /// Table of `kind = "langevin"`: 100 levels by default.
    LangevinConfig {
        /// Size of a step, in (0, 1); 0.16.
        snr: f64 = 0.16,
        /// Langevin steps at each level; 5.
        corrector_steps: u32 = 5,
    }
}

impl LangevinConfig {
    pub(super) fn build<S: State + 'static>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
        let common = self.common();
        let grid = common.true_grid("langevin", sde, usual_sde_grid(sde, common.ends(sde)), 100)?;
        check_end(sde, grid.end())?;
        check_snr(self.snr)?;
        check_corrector_steps(self.corrector_steps, grid.steps() + 1)?;
        Ok(Box::new(PredictorCorrector {
            name: "langevin",
            predictor: None,
            corrector: Some(Box::new(AnnealedLangevin { snr: self.snr })),
            corrector_steps: self.corrector_steps,
            grid,
            final_step: common.ending(),
        }))
    }
}
