//! Methods in the noise level: Karras et al. (2022) and the k-diffusion code.
//!
//! In the variables `x~ = x/mean_coef` and `sigma = std/mean_coef` the probability flow of every linear SDE is
//! `dx~/dsigma = (x~ - D(x~; sigma))/sigma`, with `D` the posterior mean of the data (Karras et al. 2022, arXiv:2206.00364,
//! equation 1 with `s = 1`). The right-hand side is the predicted noise, `-std score`. The state stays `x`; the steps carry the
//! factors of `mean_coef`.
//!
//! [`OneStep`] runs [`euler`], [`heun`] and [`dpm2`], each with [`Churn`]; [`Multistep`] runs [`lms`] and the methods of
//! [`exponential`](crate::exponential) that combine past noise predictions.

mod churn;
pub mod dpm2;
pub mod euler;
pub mod heun;
pub mod lms;
mod multistep;
mod one_step;

pub use churn::Churn;
pub use multistep::Multistep;
pub(crate) use multistep::{Weights, lagrange};
pub use one_step::{OneStep, Rule};
