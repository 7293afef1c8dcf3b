use std::mem;

use super::{AncestralLevels, SigmaStep, Steps, Stochasticity};
use crate::{Coef, MethodInfo, SolveError, State};

/// DPM-Solver++(2S) down to [`AncestralLevels::down`], then noise up to the next level. With `h` the span in `lambda` down to there
/// and the point half-way:
/// `u = (sigma_s/sigma) x~ + (1 - e^{-h/2}) D(x~)`, `x~' = (down/sigma) x~ + (1 - e^{-h}) D(u) + s_noise up z`.
///
/// Two evaluations and one draw a step, five states. Order 2 for `eta = 0`, weak order 1 with noise. Where `eta` is so large that
/// `down = 0`, the step goes to the posterior mean with one evaluation. Sources: Lu et al. 2022, arXiv:2211.01095, algorithm 1 with
/// `r = 1/2`; k-diffusion, `sample_dpmpp_2s_ancestral`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dpmpp2sAncestral {
    /// Noise removed and added again.
    pub noise: Stochasticity,
}

impl Steps for Dpmpp2sAncestral {
    const STATES: usize = 1;

    fn info(&self) -> MethodInfo {
        MethodInfo {
            name: "dpmpp-2s-ancestral",
            order: if self.is_stochastic() { 1.0 } else { 2.0 },
            evaluations: 2,
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
        // The state at which the posterior mean is taken, and its level.
        let mut at = from;
        step.w.next.copy_from(x);
        if levels.down > 0.0 {
            at = step.level((from.sigma * levels.down).sqrt());
            let kept = at.sigma / from.sigma;
            let pull = at.mean_coef * from.mean_coef * from.sigma * from.sigma * (1.0 - kept);
            let scale = Coef::All(at.mean_coef / from.mean_coef);
            let w = &mut *step.w;
            w.next.lincomb(&[(scale, &*x), (Coef::All(pull), &w.score)]);
            step.evaluate_between(at)?;
        }
        if step.noisy {
            step.draw_noise()?;
        }
        let kept = levels.down / from.sigma;
        let towards = to.mean_coef * (1.0 - kept);
        let w = &mut *step.w;
        let terms = [
            (Coef::All(to.mean_coef / from.mean_coef * kept), &*x),
            (Coef::All(towards / at.mean_coef), &w.next),
            (Coef::All(towards * at.mean_coef * at.sigma * at.sigma), &w.score),
            (Coef::All(to.mean_coef * self.noise.s_noise * levels.up), &w.noise),
        ];
        step.own[0].lincomb(&terms[..3 + usize::from(step.noisy)]);
        mem::swap(x, &mut step.own[0]);
        Ok(())
    }
}
