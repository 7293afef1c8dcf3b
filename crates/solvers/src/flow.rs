//! The probability flow: the ordinary differential equation with the marginals of the SDE.

use sde_core::Sde;

use crate::rk::Rhs;
use crate::sampler::CountedScore;
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
                dx.scale(Coef::All(-0.5 * self.sde.diffusion_sq(t)));
                let drift = self.sde.drift_coef(t);
                if drift != 0.0 {
                    dx.axpy(Coef::All(drift), x);
                }
            }
            Coef::PerRow(times) => {
                self.drift.clear();
                self.drift.extend(times.iter().map(|t| self.sde.drift_coef(*t)));
                self.score_coef.clear();
                self.score_coef
                    .extend(times.iter().map(|t| -0.5 * self.sde.diffusion_sq(*t)));
                dx.scale(Coef::PerRow(&self.score_coef));
                if self.drift.iter().any(|drift| *drift != 0.0) {
                    dx.axpy(Coef::PerRow(&self.drift), x);
                }
            }
        }
        Ok(())
    }
}
