//! The mathematics of score-based generative models (Song et al. 2021, arXiv:2011.13456) in pure `f64`:
//! no tensors, no arrays, no random numbers, no dependencies but an optional `serde`.
//!
//! Time runs from 0 (data) to `t_end` (noise). Every formula of the workspace stands here, once.

pub mod sde;

pub use sde::{AncestralStep, EulerStep, Marginal, Sde, Span, TimeDomain};
