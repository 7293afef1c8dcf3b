//! Data distributions whose noised score, density and posterior are known exactly: what samplers, losses and
//! likelihoods are tested against.

mod cholesky;
mod config;
mod gaussian;
mod mixture;
mod noised;
mod posterior;

pub use config::MixtureConfig;
pub use gaussian::Gaussian;
pub use mixture::Mixture;
pub use noised::{NoisedComponent, NoisedMixture};
