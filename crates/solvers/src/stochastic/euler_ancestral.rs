use std::mem;

use super::{AncestralLevels, SigmaStep, Steps, Stochasticity};
use crate::{Coef, MethodInfo, SolveError, State};

/// Euler's method in `sigma` down to [`AncestralLevels::down`], then noise up to the next level:
/// `x~' = x~ + (x~ - D)/sigma (down - sigma) + s_noise up z`.
///
/// Order 1, one evaluation and one draw a step, four states. `eta = 0` is Euler's method for the probability flow. Source:
/// k-diffusion, `sample_euler_ancestral`; the step is DDIM's with `eta` (Song et al. 2021, arXiv:2010.02502, equation 12).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EulerAncestral {
    /// Noise removed and added again.
    pub noise: Stochasticity,
}

impl Steps for EulerAncestral {
    fn info(&self) -> MethodInfo {
        MethodInfo {
            name: "euler-ancestral",
            order: 1.0,
            evaluations: 1,
            stochastic: self.is_stochastic(),
            couples_rows: false,
        }
    }

    fn is_stochastic(&self) -> bool {
        self.noise.is_on()
    }

    fn step<S: State>(&self, step: &mut SigmaStep<'_, S>, x: &mut S) -> Result<(), SolveError> {
        let (from, to) = (step.from, step.to);
        let levels = AncestralLevels::new(from.sigma, to.sigma, self.noise.eta);
        step.evaluate(x)?;
        if step.noisy {
            step.draw_noise()?;
        }
        let slope = to.mean_coef * from.mean_coef * from.sigma * (from.sigma - levels.down);
        let w = &mut *step.w;
        let terms = [
            (Coef::All(to.mean_coef / from.mean_coef), &*x),
            (Coef::All(slope), &w.score),
            (Coef::All(to.mean_coef * self.noise.s_noise * levels.up), &w.noise),
        ];
        w.next.lincomb(&terms[..2 + usize::from(step.noisy)]);
        mem::swap(x, &mut w.next);
        Ok(())
    }
}
