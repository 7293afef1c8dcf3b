//! `kind = "pc"`.

use sde_core::Sde;
use serde::{Deserialize, Serialize};

use super::check::{
    check_corrector_steps, check_discretization, check_end, check_snr, refuse, usual_sde_grid,
};
use super::tables::table;
use crate::correct::{AnnealedLangevin, BatchLangevin, Corrector, Langevin};
use crate::predict::{Ancestral, EulerMaruyama, Predictor, ReverseDiffusion};
use crate::sampler::PredictorCorrector;
use crate::{Sampler, SolveError, State};

/// Predictor of `kind = "pc"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PredictorKind {
    /// [`EulerMaruyama`].
    #[default]
    EulerMaruyama,
    /// [`ReverseDiffusion`].
    ReverseDiffusion,
    /// [`Ancestral`].
    Ancestral,
    /// Correctors only.
    None,
}

/// Corrector of `kind = "pc"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CorrectorKind {
    /// Predictor only.
    #[default]
    None,
    /// [`Langevin`], the sigma rule.
    Langevin,
    /// [`BatchLangevin`], the published rule, which couples the rows.
    BatchLangevin,
    /// [`AnnealedLangevin`].
    Ald,
}

table! {
    /// Table of `kind = "pc"`: 500 steps by default.
    PcConfig {
        /// The predictor; `euler-maruyama`.
        predictor: PredictorKind = PredictorKind::default(),
        /// The corrector; `none`.
        corrector: CorrectorKind = CorrectorKind::default(),
        /// Size of a corrector step, in (0, 1); 0.16.
        snr: f64 = 0.16,
        /// Corrector steps at each grid time; 1.
        corrector_steps: u32 = 1,
        /// Stochasticity of the reverse SDE, >= 0; 1. At 0 the probability flow.
        eta: f64 = 1.0,
    }
}

impl PcConfig {
    pub(super) fn build<S: State + 'static>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
        let common = self.common();
        let grid = common.grid(sde, usual_sde_grid(sde, common.ends(sde)), 500)?;
        if !(self.eta.is_finite() && self.eta >= 0.0) {
            return Err(refuse("eta", self.eta, "must be a finite number >= 0"));
        }
        let eta = self.eta;
        let predictor: Option<Box<dyn Predictor<S>>> = match self.predictor {
            PredictorKind::EulerMaruyama => Some(Box::new(EulerMaruyama { eta })),
            PredictorKind::ReverseDiffusion => Some(Box::new(ReverseDiffusion { eta })),
            PredictorKind::Ancestral => Some(Box::new(Ancestral)),
            PredictorKind::None => None,
        };
        match self.predictor {
            PredictorKind::Ancestral | PredictorKind::None if eta != 1.0 => {
                let reason = "only predictors euler-maruyama and reverse-diffusion have this knob";
                return Err(refuse("eta", eta, reason));
            }
            PredictorKind::Ancestral => grid.check_spans(sde)?,
            PredictorKind::ReverseDiffusion => check_discretization(sde, &grid)?,
            PredictorKind::None if self.corrector == CorrectorKind::None => {
                return Err(refuse(
                    "predictor",
                    "none",
                    "without a corrector nothing would move the samples",
                ));
            }
            PredictorKind::None => check_end(sde, grid.end())?,
            PredictorKind::EulerMaruyama => {}
        }
        check_corrector_steps(self.corrector_steps, grid.steps() + 1)?;
        let snr = self.snr;
        let corrector: Option<Box<dyn Corrector<S>>> = match self.corrector {
            CorrectorKind::None => None,
            CorrectorKind::Langevin => Some(Box::new(Langevin { snr })),
            CorrectorKind::BatchLangevin => Some(Box::new(BatchLangevin { snr })),
            CorrectorKind::Ald => Some(Box::new(AnnealedLangevin { snr })),
        };
        if corrector.is_some() {
            check_snr(snr)?;
        }
        Ok(Box::new(PredictorCorrector {
            name: "pc",
            predictor,
            corrector,
            corrector_steps: self.corrector_steps,
            grid,
            final_step: common.ending(),
        }))
    }
}
