//! The mathematics of score-based generative models (Song et al. 2021, arXiv:2011.13456) in pure `f64`: no
//! tensors, no arrays, no random numbers, no dependencies but an optional `serde` and, for many times at once, an optional
//! `pulp` (feature `simd`: the same bits, faster).
//!
//! Time runs from 0 (data) to `t_end` (noise). Every formula of the workspace stands here, once.
//!
//! A noise schedule for a model of one's own needs this crate alone:
//!
//! ```
//! use sde_core::sde::Vp;
//! use sde_core::{GridConfig, Sde};
//!
//! # fn main() -> Result<(), sde_core::ConfigError> {
//! let sde = Vp::linear(0.1, 20.0)?;
//!
//! // a training pair: x = mean_coef x0 + std z, target z
//! let at = sde.marginal(0.5);
//! assert!((at.mean_coef.powi(2) + at.std.powi(2) - 1.0).abs() < 1e-15);
//!
//! // the time at which the noise is as strong as the signal
//! let t = sde.time_at_sigma(1.0);
//! assert!(sde.lambda(t).abs() < 1e-14);
//!
//! // twenty steps, evenly spaced in log signal-to-noise ratio, from the prior to the data
//! let domain = sde.domain();
//! let grid = GridConfig::LogSnr {}.build(&sde, 20, domain.t_end, domain.sample_eps)?;
//! assert_eq!((grid.start(), grid.end(), grid.steps()), (1.0, 1e-3, 20));
//! # Ok(())
//! # }
//! ```
//!
//! Configuration tables ([`SdeConfig`] and its siblings) are plain data that serde reads; their `build`
//! checks them and names the key that is wrong. Where a test shows a claim, `docs/CONVENTIONS.md` names it.

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

/// Compiles and runs the Rust code in the front door of the repository.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
