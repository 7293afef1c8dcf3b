//! The probability flow: the ordinary differential equation with the marginals of the SDE.

use sde_core::Sde;

use crate::rk::Rhs;
use crate::sampler::CountedScore;
use crate::simd::{self, Kernel};
use crate::{Coef, SolveError, State};

/// `dx/dt = a(t) x - g(t)^2 score(x, t)/2` (Song et al. 2021, arXiv:2011.13456, equation 13).
pub struct Flow<'a, S: State> {
    sde: &'a dyn Sde,
    score: &'a CountedScore<'a, S>,
    drift: Vec<f64>,
    score_coef: Vec<f64>,
}

impl<'a, S: State> Flow<'a, S> {
    /// The flow of a model under its SDE.
    pub fn new(sde: &'a dyn Sde, score: &'a CountedScore<'a, S>) -> Self {
        Self {
            sde,
            score,
            drift: Vec::new(),
            score_coef: Vec::new(),
        }
    }
}

impl<S: State> Rhs<S> for Flow<'_, S> {
    fn eval(&mut self, x: &S, t: Coef, dx: &mut S) -> Result<(), SolveError> {
        self.score.evaluate(x, t, dx)?;
        match t {
            Coef::All(t) => {
                let (drift, score_coef) = (self.sde.drift_coef(t), -0.5 * self.sde.diffusion_sq(t));
                if drift == 0.0 {
                    dx.scale(Coef::All(score_coef));
                } else {
                    dx.accumulate(Coef::All(score_coef), &[(Coef::All(drift), x)]);
                }
            }
            Coef::PerRow(times) => {
                self.drift.resize(times.len(), 0.0);
                self.score_coef.resize(times.len(), 0.0);
                self.sde.rates(times, &mut self.drift, &mut self.score_coef);
                let has_drift = simd::dispatch(Halve(&self.drift, &mut self.score_coef));
                if has_drift {
                    dx.accumulate(Coef::PerRow(&self.score_coef), &[(Coef::PerRow(&self.drift), x)]);
                } else {
                    dx.scale(Coef::PerRow(&self.score_coef));
                }
            }
        }
        Ok(())
    }

    fn takes_any_rows(&self) -> bool {
        self.score.takes_any_rows()
    }
}

/// `g^2` to `-g^2/2`, and whether any drift is not zero.
struct Halve<'a>(&'a [f64], &'a mut [f64]);

impl Kernel for Halve<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<S: pulp::Simd>(self, _: S) -> bool {
        let mut has_drift = false;
        for (drift, coef) in self.0.iter().zip(self.1) {
            has_drift |= *drift != 0.0;
            *coef *= -0.5;
        }
        has_drift
    }
}
