use sde_core::Sde;

use super::measurement::Measurement;
use super::work::{Pool, refuse_value};
use crate::{Coef, ScoreFn, ScoreVjp, SolveError, State};

/// Pseudoinverse guidance: `score + grad_x ln N(y; A x0(x), spread A A^T + noise_std^2 I)`, `x0(x)` the estimate of the clean data
/// (Tweedie) and `spread = data_std^2 sigma^2/(data_std^2 + sigma^2)` its variance in each direction at the noise level `sigma =
/// std/mean_coef`.
///
/// Exact for Gaussian data `N(mean, data_std^2 I)`, any linear measurement and any noise, 0 included; an approximation otherwise. (The paper
/// takes `data_std = 1`; its algorithm multiplies the gradient by a further weight, here 1.)
///
/// One score and one vector-Jacobian product; three states. Source: Song, Vahdat, Mardani and Kautz 2023, Pseudoinverse-guided diffusion
/// models for inverse problems, ICLR, equations 6 to 8.
#[derive(Debug)]
pub struct Pseudoinverse<'a, S, F> {
    score: F,
    sde: &'a dyn Sde,
    measurement: Measurement,
    data_std: f64,
    pool: Pool<S>,
}

impl<'a, S: State, F> Pseudoinverse<'a, S, F> {
    /// `score` under `sde`, guided by a measurement; `data_std` is the standard deviation of the data in one coordinate.
    ///
    /// # Errors
    /// [`SolveError::Config`] at `guide.data_std` where it is not above 0.
    pub fn new(
        score: F,
        sde: &'a dyn Sde,
        measurement: Measurement,
        data_std: f64,
    ) -> Result<Self, SolveError> {
        if !(data_std.is_finite() && data_std > 0.0) {
            return Err(refuse_value("data_std", data_std, "must be a finite number > 0"));
        }
        Ok(Self {
            score,
            sde,
            measurement,
            data_std,
            pool: Pool::new(3),
        })
    }
}

impl<S: State, F: ScoreVjp<S>> ScoreFn<S> for Pseudoinverse<'_, S, F> {
    fn score(&self, x: &S, t: Coef, out: &mut S) -> Result<(), SolveError> {
        let spread = |sigma: f64| {
            // data_std * sin of the angle between: no overflow for large noise.
            let share = (sigma / self.data_std.hypot(sigma)).min(1.0);
            (self.data_std * share).powi(2)
        };
        self.measurement
            .guided(&self.score, self.sde, spread, 1.0, (x, t), out, &self.pool)
    }

    /// The measurement is the same for all rows.
    fn takes_any_rows(&self) -> bool {
        self.score.takes_any_rows()
    }
}
