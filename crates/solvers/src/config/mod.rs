//! The `[sampler]` table: unchecked values as they stand in a file, and `build` to the checked sampler. One file a kind.

mod check;
mod clip;
mod heun;
mod langevin;
mod ode;
mod pc;
mod tables;

pub use clip::ClipConfig;
pub use heun::HeunConfig;
pub use langevin::LangevinConfig;
pub use ode::{OdeConfig, OdeMethod};
pub use pc::{CorrectorKind, PcConfig, PredictorKind};
use sde_core::{ConfigError, Sde};

use crate::{Sampler, SolveError, State};

tables::kinds! {
    /// The `[sampler]` table. `kind` names the method; every kind takes `steps` (intervals of the grid), `t_start` and `t_end`
    /// (default: the SDE's own), `final`, `clip_x0` and `grid`.
    SamplerConfig {
        /// Predictor-corrector, see [`PredictorCorrector`](crate::sampler::PredictorCorrector).
        Pc(PcConfig) = "pc",
        /// Probability flow by a Runge-Kutta method, see [`FixedOde`](crate::sampler::FixedOde) and
        /// [`AdaptiveOde`](crate::sampler::AdaptiveOde).
        Ode(OdeConfig) = "ode",
        /// Algorithm 2 of Karras et al. (2022), see [`Heun`](crate::sampler::Heun).
        Heun(HeunConfig) = "heun",
        /// Annealed Langevin dynamics, see [`PredictorCorrector`](crate::sampler::PredictorCorrector).
        Langevin(LangevinConfig) = "langevin",
    }
}

impl Default for SamplerConfig {
    fn default() -> Self {
        PcConfig::default().into()
    }
}

impl From<ConfigError> for SolveError {
    fn from(error: ConfigError) -> Self {
        Self::Config {
            key: error.key,
            value: error.value,
            reason: error.reason,
        }
    }
}
