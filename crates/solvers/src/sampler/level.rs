//! The noise level of a grid point, as the methods in `sigma` and `lambda` see it.

use sde_core::Sde;

/// What methods in the variables `x~ = x/mean_coef`, `sigma = std/mean_coef`, `lambda = -ln sigma` ask of a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Level {
    /// Time.
    pub t: f64,
    /// Mean coefficient of the kernel.
    pub mean_coef: f64,
    /// Standard deviation of the kernel.
    pub std: f64,
    /// `std/mean_coef`.
    pub sigma: f64,
    /// `ln(mean_coef/std)`; infinite where there is no noise.
    pub lambda: f64,
}

impl Level {
    /// The level at time `t`.
    pub fn at(sde: &dyn Sde, t: f64) -> Self {
        let kernel = sde.marginal(t);
        Self {
            t,
            mean_coef: kernel.mean_coef,
            std: kernel.std,
            sigma: kernel.std / kernel.mean_coef,
            lambda: sde.lambda(t),
        }
    }

    /// The level with noise `sigma`.
    pub fn at_sigma(sde: &dyn Sde, sigma: f64) -> Self {
        Self::at(sde, sde.time_at_sigma(sigma))
    }

    /// The level with `ln(mean_coef/std) = lambda`.
    pub fn at_lambda(sde: &dyn Sde, lambda: f64) -> Self {
        Self::at(sde, sde.time_at_lambda(lambda))
    }
}
