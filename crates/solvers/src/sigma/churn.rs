use std::mem;

use crate::sampler::level::Level;
use crate::sampler::{Job, Scratch};
use crate::{Coef, Draw, Purpose, SolveError, State};

/// The stochasticity of Karras et al. (2022): noise is added and removed again where the noise level lies in `[min, max]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Churn {
    /// `S_churn`: amount over all steps; 0 is the deterministic method.
    pub amount: f64,
    /// `S_min`, noise level (`std/mean_coef`).
    pub min: f64,
    /// `S_max`, noise level.
    pub max: f64,
    /// `S_noise`: factor of the standard deviation of the added noise.
    pub noise: f64,
}

impl Churn {
    /// `gamma = min(S_churn/N, sqrt(2) - 1)` inside the interval, 0 outside. The ends belong to it, also for a `sigma` that went
    /// through the SDE's time and came back with other last digits.
    fn gamma(&self, sigma: f64, steps: usize) -> f64 {
        const SLACK: f64 = 1e-12;
        if sigma < self.min * (1.0 - SLACK) || sigma > self.max * (1.0 + SLACK) {
            return 0.0;
        }
        (self.amount / steps as f64).min(std::f64::consts::SQRT_2 - 1.0)
    }

    /// Adds the noise of step number `step` of `steps` to the state at `level`; returns the level of the state afterwards. The
    /// number of draws does not depend on the interval.
    pub(super) fn add_noise<S: State>(
        &self,
        job: &Job<S>,
        level: Level,
        (step, steps): (usize, usize),
        x: &mut S,
        w: &mut Scratch<S>,
    ) -> Result<Level, SolveError> {
        if self.amount == 0.0 {
            return Ok(level);
        }
        job.noise.normal(
            Draw {
                step: step as u32,
                purpose: Purpose::Predictor,
            },
            &mut w.noise,
        )?;
        let gamma = self.gamma(level.sigma, steps);
        if gamma == 0.0 {
            return Ok(level);
        }
        let raised = Level::at_sigma(job.sde, level.sigma * (1.0 + gamma));
        let added = (raised.sigma * raised.sigma - level.sigma * level.sigma)
            .max(0.0)
            .sqrt()
            * self.noise;
        w.next.lincomb(&[
            (Coef::All(raised.mean_coef / level.mean_coef), &*x),
            (Coef::All(raised.mean_coef * added), &w.noise),
        ]);
        mem::swap(x, &mut w.next);
        Ok(raised)
    }
}
