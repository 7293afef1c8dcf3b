//! The density at the end of the integration.

use std::f64::consts::TAU;

use sde_core::{Marginal, NoisedMixture, Sde};

use crate::{SolveError, State};

/// The density that closes a likelihood at the SDE's `t_end`.
pub trait TerminalDensity<S: State> {
    /// `out[row] <- ln p(x[row])`, nats.
    ///
    /// # Errors
    /// [`SolveError::Shape`] for rows of another length than the density's.
    fn log_density_rows(&self, x: &S, out: &mut [f64]) -> Result<(), SolveError>;
}

/// `N(0, std^2 I)`: `ln p(x) = -d ln(2 pi std^2)/2 - |x|^2/(2 std^2)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GaussianPrior {
    /// Standard deviation, data units.
    pub std: f64,
}

impl GaussianPrior {
    /// The SDE's own prior, from which samplers start.
    pub fn of(sde: &dyn Sde) -> Self {
        Self { std: sde.prior_std() }
    }

    /// `-E ln p(y)` for `y ~ N(mean_coef x, std^2 I)`, from `|x|^2`: `d ln(2 pi prior_std^2)/2 + (mean_coef^2 |x|^2 + d std^2)/(2
    /// prior_std^2)`.
    pub(super) fn cross_entropy(&self, dim: usize, kernel: Marginal, square: f64) -> f64 {
        let (dim, var) = (dim as f64, self.std * self.std);
        let second = kernel.mean_coef.powi(2) * square + dim * kernel.std.powi(2);
        0.5 * (dim * (TAU * var).ln() + second / var)
    }
}

impl<S: State> TerminalDensity<S> for GaussianPrior {
    fn log_density_rows(&self, x: &S, out: &mut [f64]) -> Result<(), SolveError> {
        let (dim, var) = (x.row_len() as f64, self.std * self.std);
        x.dot_rows(x, out);
        for value in out {
            *value = -0.5 * (dim * (TAU * var).ln() + *value / var);
        }
        Ok(())
    }
}

/// The exact density of noised data: build it at the kernel of `t_end`, `mixture.noised(sde.marginal(t_end))`.
impl<S: State> TerminalDensity<S> for NoisedMixture {
    fn log_density_rows(&self, x: &S, out: &mut [f64]) -> Result<(), SolveError> {
        if x.row_len() != self.dim() {
            return Err(SolveError::Shape {
                what: "rows given to the terminal density",
                got: format!("[{}]", x.row_len()),
                need: format!("[{}], the mixture's dimension", self.dim()),
            });
        }
        x.read_rows(&mut |row, values| out[row] = self.log_density(values));
        Ok(())
    }
}

/// A density given as a function of one row, `f(x) = ln p(x)`.
#[derive(Debug, Clone, Copy)]
pub struct RowDensity<F>(
    /// The function.
    pub F,
);

impl<S: State, F: Fn(&[f64]) -> f64> TerminalDensity<S> for RowDensity<F> {
    fn log_density_rows(&self, x: &S, out: &mut [f64]) -> Result<(), SolveError> {
        x.read_rows(&mut |row, values| out[row] = (self.0)(values));
        Ok(())
    }
}
