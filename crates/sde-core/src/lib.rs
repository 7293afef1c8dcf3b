//! The mathematics of score-based generative models (Song et al. 2021, arXiv:2011.13456) in pure `f64`:
//! no tensors, no arrays, no random numbers, no dependencies but an optional `serde`.
//!
//! Time runs from 0 (data) to `t_end` (noise). Every formula of the workspace stands here, once.

pub mod config;
pub mod discrete;
pub mod error;
pub mod grid;
mod normal;
mod num;
pub mod oracle;
pub mod precond;
pub mod schedule;
pub mod sde;
pub mod time_density;
pub mod weighting;

pub use config::SdeConfig;
pub use error::ConfigError;
pub use grid::{Grid, GridConfig};
pub use oracle::{Gaussian, Mixture, MixtureConfig, NoisedMixture};
pub use precond::{NetCoefs, Precond, PrecondConfig};
pub use sde::{AncestralStep, EulerStep, Marginal, Sde, Span, TimeDomain};
pub use time_density::{TimeDensity, TimeDensityConfig};
pub use weighting::{Weighting, WeightingConfig};
