//! Exponential integrators of the probability flow in `lambda = ln(mean_coef/std)`.

pub mod deis;
pub mod ipndm;
