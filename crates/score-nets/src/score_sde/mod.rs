//! The networks of Song et al. 2021 (Score-Based Generative Modeling through Stochastic Differential Equations,
//! arXiv:2011.13456, appendices C and H) as their public code `score_sde_pytorch` builds them: NCSN++ and DDPM++, which
//! are one class with two settings, and the plain DDPM network.
//!
//! The names and the order of the tensors are those of that code's state dictionaries (`all_modules.3.Conv_0.weight`), so
//! that its checkpoints load by name, and its averaged weights, which are an unnamed list, by position.
//!
//! From configuration to network: [`NcsnppConfig`] or [`DdpmConfig`] -> a plan (every check, no libtorch) -> layers.

mod attention;
mod block;
mod check;
mod config;
mod embedding;
mod file;
mod fir;
mod net;
mod nin;
mod plan;
mod process;
mod resample;

pub use config::{
    Combination, DdpmConfig, EmbeddingType, NcsnppConfig, Nonlinearity, Progressive, ProgressiveInput,
    ResblockType,
};
pub(crate) use config::{deserialize_ddpmpp, deserialize_ncsnpp};
pub use file::{ModelConfigFile, SdeKind};
pub use fir::Fir;
pub use net::ScoreSdeNet;
pub(crate) use plan::Plan;
pub use process::ModelProcess;
