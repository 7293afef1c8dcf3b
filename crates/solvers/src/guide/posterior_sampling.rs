use sde_core::Sde;

use super::measurement::Measurement;
use super::work::{Pool, refuse_value};
use crate::{Coef, ScoreFn, ScoreVjp, SolveError, State};

/// Diffusion posterior sampling: `score + scale grad_x ln N(y; A x0(x), noise_std^2 I)`, `x0(x)` the estimate of the clean data
/// (Tweedie).
///
/// Not exact: the spread of the data around their estimate is left out, so that the gradient is too large by `1 + spread/noise_std^2`
/// (for orthonormal measurements of Gaussian data with that spread): one coordinate of `N(0.2, 0.6^2)` measured as 0.9 with noise 0.3
/// comes out 1.24 standard deviations too far, with a tenth of the posterior's variance. It is also stiff for small `noise_std`: explicit methods
/// need steps with `g(t)^2 gap` well below `noise_std^2`. A scale below 1 answers both, by hand. The published algorithm, which
/// divides the correction by the size of the residual, is [`PosteriorStep`](super::PosteriorStep).
///
/// One score and one vector-Jacobian product; three states. Source: Chung et al. 2023, arXiv:2209.14687, equation 11 and theorem 1.
#[derive(Debug)]
pub struct PosteriorSampling<'a, S, F> {
    score: F,
    sde: &'a dyn Sde,
    measurement: Measurement,
    scale: f64,
    pool: Pool<S>,
}

impl<'a, S: State, F> PosteriorSampling<'a, S, F> {
    /// `score` under `sde`, guided by a measurement with noise.
    ///
    /// # Errors
    /// [`SolveError::Config`] at `guide.noise_std` where it is 0 and at `guide.scale` where it is not finite.
    pub fn new(score: F, sde: &'a dyn Sde, measurement: Measurement, scale: f64) -> Result<Self, SolveError> {
        if measurement.noise_std() == 0.0 {
            let reason = "must be above 0 here; pseudoinverse guidance takes measurements without noise";
            return Err(refuse_value("noise_std", 0.0, reason));
        }
        if !scale.is_finite() {
            return Err(refuse_value("scale", scale, "must be a finite number"));
        }
        Ok(Self {
            score,
            sde,
            measurement,
            scale,
            pool: Pool::new(3),
        })
    }
}

impl<S: State, F: ScoreVjp<S>> ScoreFn<S> for PosteriorSampling<'_, S, F> {
    fn score(&self, x: &S, t: Coef, out: &mut S) -> Result<(), SolveError> {
        let no_spread = |_| 0.0;
        self.measurement.guided(
            &self.score,
            self.sde,
            no_spread,
            self.scale,
            (x, t),
            out,
            &self.pool,
        )
    }

    /// The measurement is the same for all rows.
    fn takes_any_rows(&self) -> bool {
        self.score.takes_any_rows()
    }
}
