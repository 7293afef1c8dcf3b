//! The `[sampler]` table: unchecked values as they stand in a file, and `build` to the checked sampler. One file a kind.

mod adaptive_sde;
mod check;
mod clip;
mod ddim;
mod deis;
mod dpm_solver;
mod heun;
mod ipndm;
mod langevin;
mod ode;
mod pc;
mod sigma;
mod stochastic;
mod tables;
mod unipc;

pub use adaptive_sde::AdaptiveSdeConfig;
pub(crate) use check::{check_rounding, limits_within, refuse_in};
pub use clip::ClipConfig;
pub use ddim::DdimConfig;
pub use deis::DeisConfig;
pub use dpm_solver::{DpmMode, DpmSolverConfig};
pub use heun::HeunConfig;
pub use ipndm::IpndmConfig;
pub use langevin::LangevinConfig;
pub use ode::{OdeConfig, OdeMethod};
pub use pc::{CorrectorKind, PcConfig, PredictorKind};
use sde_core::{ConfigError, Sde};
pub use sigma::{Dpm2Config, EulerConfig, LmsConfig};
pub use stochastic::{
    Dpm2AncestralConfig, Dpmpp2mSdeConfig, Dpmpp2sAncestralConfig, Dpmpp3mSdeConfig, DpmppSdeConfig,
    EulerAncestralConfig,
};
pub use unipc::UnipcConfig;

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
        /// Algorithm 2 of Karras et al. (2022), see [`heun`](crate::sigma::heun).
        Heun(HeunConfig) = "heun",
        /// DDIM, see [`Ddim`](crate::exponential::Ddim).
        Ddim(DdimConfig) = "ddim",
        /// DPM-Solver and DPM-Solver++, see [`exponential`](crate::exponential).
        DpmSolver(DpmSolverConfig) = "dpm-solver",
        /// Annealed Langevin dynamics, see [`PredictorCorrector`](crate::sampler::PredictorCorrector).
        Langevin(LangevinConfig) = "langevin",
        /// Euler's method in the noise level, see [`euler`](crate::sigma::euler).
        Euler(EulerConfig) = "euler",
        /// The midpoint method in the noise level, see [`dpm2`](crate::sigma::dpm2).
        Dpm2(Dpm2Config) = "dpm-2",
        /// Linear multistep in the noise level, see [`lms`](crate::sigma::lms).
        Lms(LmsConfig) = "lms",
        /// Diffusion exponential integrator, see [`deis`](crate::exponential::deis).
        Deis(DeisConfig) = "deis",
        /// Improved pseudo numerical method, see [`ipndm`](crate::exponential::ipndm).
        Ipndm(IpndmConfig) = "ipndm",
        /// Unified predictor-corrector, see [`Unipc`](crate::exponential::Unipc).
        Unipc(UnipcConfig) = "unipc",
        /// Ancestral sampling by Euler steps, see [`EulerAncestral`](crate::stochastic::EulerAncestral).
        EulerAncestral(EulerAncestralConfig) = "euler-ancestral",
        /// Ancestral sampling by midpoint steps, see [`Dpm2Ancestral`](crate::stochastic::Dpm2Ancestral).
        Dpm2Ancestral(Dpm2AncestralConfig) = "dpm-2-ancestral",
        /// DPM-Solver++(2S), ancestral, see [`Dpmpp2sAncestral`](crate::stochastic::Dpmpp2sAncestral).
        Dpmpp2sAncestral(Dpmpp2sAncestralConfig) = "dpmpp-2s-ancestral",
        /// DPM-Solver++ for the SDE, singlestep, see [`DpmppSde`](crate::stochastic::DpmppSde).
        DpmppSde(DpmppSdeConfig) = "dpmpp-sde",
        /// DPM-Solver++(2M) for the SDE, see [`Dpmpp2mSde`](crate::stochastic::Dpmpp2mSde).
        Dpmpp2mSde(Dpmpp2mSdeConfig) = "dpmpp-2m-sde",
        /// DPM-Solver++(3M) for the SDE, see [`Dpmpp3mSde`](crate::stochastic::Dpmpp3mSde).
        Dpmpp3mSde(Dpmpp3mSdeConfig) = "dpmpp-3m-sde",
        /// The reverse SDE with steps by tolerance, see [`AdaptiveSde`](crate::stochastic::AdaptiveSde).
        AdaptiveSde(AdaptiveSdeConfig) = "adaptive-sde",
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
