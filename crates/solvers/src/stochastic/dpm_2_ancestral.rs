use std::mem;

use super::{AncestralLevels, SigmaStep, Steps, Stochasticity};
use crate::{Coef, MethodInfo, SolveError, State};

/// The midpoint method in `sigma`, with the midpoint half-way in `ln sigma`, down to [`AncestralLevels::down`], then noise up to the
/// next level.
///
/// Two evaluations and one draw a step, five states. Order 2 for `eta = 0`, where it is DPM-2 for the probability flow; weak order 1
/// with noise. Where `eta` is so large that `down = 0` there is no midpoint: the step goes to the posterior mean, with one
/// evaluation, and adds its noise (the published code leaves the noise out there). Source: k-diffusion, `sample_dpm_2_ancestral`;
/// Karras et al. 2022, arXiv:2206.00364, and Lu et al. 2022, arXiv:2206.00927, algorithm 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dpm2Ancestral {
    /// Noise removed and added again.
    pub noise: Stochasticity,
}

impl Steps for Dpm2Ancestral {
    const STATES: usize = 1;

    fn info(&self) -> MethodInfo {
        MethodInfo {
            name: "dpm-2-ancestral",
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
        let mut at = from;
        if levels.down > 0.0 {
            at = step.level((from.sigma * levels.down).sqrt());
            let slope = at.mean_coef * from.mean_coef * from.sigma * (from.sigma - at.sigma);
            let scale = Coef::All(at.mean_coef / from.mean_coef);
            let w = &mut *step.w;
            w.next.lincomb(&[(scale, &*x), (Coef::All(slope), &w.score)]);
            step.evaluate_between(at)?;
        }
        if step.noisy {
            step.draw_noise()?;
        }
        let slope = to.mean_coef * at.mean_coef * at.sigma * (from.sigma - levels.down);
        let w = &mut *step.w;
        let terms = [
            (Coef::All(to.mean_coef / from.mean_coef), &*x),
            (Coef::All(slope), &w.score),
            (Coef::All(to.mean_coef * self.noise.s_noise * levels.up), &w.noise),
        ];
        step.own[0].lincomb(&terms[..2 + usize::from(step.noisy)]);
        mem::swap(x, &mut step.own[0]);
        Ok(())
    }
}
