//! Exponential integrators of the probability flow in `lambda = ln(mean_coef/std)`: the linear part of the flow is solved exactly,
//! and what is approximated is the model's prediction alone.
//!
//! With the predicted noise `eps = -std score` or the predicted data `x0 = (x + std^2 score)/mean_coef`, the flow from one noise
//! level to another is
//!
//! ```text
//! x_to = (mean_coef_to/mean_coef_from) x - std_to       int e^{ lambda_to - lambda } eps(lambda) d lambda
//! x_to = (std_to/std_from) x             + mean_coef_to int e^{-(lambda_to - lambda)} x0(lambda) d lambda
//! ```
//!
//! (Lu et al. 2022, arXiv:2206.00927, proposition 3.1, and arXiv:2211.01095, proposition 4.1.) Only levels enter, so that one
//! formula serves every linear SDE. [`DpmSingleStep`], [`DpmMultistep`] and [`DpmAdaptive`] differ in how they approximate the
//! prediction under the integral; [`Unipc`] corrects its steps with the prediction at their ends; [`Ddim`] holds it constant and can add noise; [`deis`] and [`ipndm`] extrapolate the noise in other
//! variables.

mod ddim;
pub mod deis;
mod dpm_adaptive;
mod dpm_multistep;
mod dpm_singlestep;
pub mod ipndm;
pub(crate) mod phi;
mod span;
mod unipc;

pub use ddim::Ddim;
pub use dpm_adaptive::DpmAdaptive;
pub(crate) use dpm_multistep::MultistepOptions;
pub use dpm_multistep::{Curvature, DpmMultistep};
pub use dpm_singlestep::DpmSingleStep;
pub(crate) use dpm_singlestep::StagedOrder;
pub use span::Prediction;
pub use unipc::{Unipc, UnipcVariant};
