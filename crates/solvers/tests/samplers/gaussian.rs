//! Data of one Gaussian, the same in each coordinate.

use std::sync::Arc;

use sde_core::{Marginal, Sde};
use solvers::{Coef, ScoreFn, SolveError, State};

use crate::common::Batch;

/// The score of data `N(mean, var)` in each coordinate.
pub struct GaussianScore {
    pub sde: Arc<dyn Sde>,
    pub mean: f64,
    pub var: f64,
}

impl GaussianScore {
    /// Mean and standard deviation of `p_t`.
    pub fn noised(&self, t: f64) -> (f64, f64) {
        let Marginal { mean_coef, std } = self.sde.marginal(t);
        (
            mean_coef * self.mean,
            (mean_coef * mean_coef * self.var + std * std).sqrt(),
        )
    }
}

impl ScoreFn<Batch> for GaussianScore {
    fn score(&self, x: &Batch, t: Coef, out: &mut Batch) -> Result<(), SolveError> {
        for d in 0..x.row_len() {
            for (row, (out, x)) in out.plane_mut(d).iter_mut().zip(x.plane(d)).enumerate() {
                let (mean, std) = self.noised(t.at(row));
                *out = -(x - mean) / (std * std);
            }
        }
        Ok(())
    }
}
