use std::mem;

use super::{AncestralLevels, SigmaStep, Steps, Stochasticity};
use crate::{Coef, MethodInfo, SolveError, State};

/// DPM-Solver++ for the diffusion SDE, singlestep: a stochastic stage to the level `lambda + r h`, then the step with the posterior
/// mean `(1 - 1/(2r)) D(x~) + D(u)/(2r)`; both go down to [`AncestralLevels::down`] of their own level and up again by noise.
///
/// Two evaluations and two draws a step, six states. Order 2 for `eta = 0`, weak order 1 with noise. The stage's noise is the path's
/// increment over `[sigma, sigma_s]`, that of the step over `[sigma, sigma_to]`, both divided by their standard deviations, with a
/// Brownian path in the variable `sigma` as in the published code: the second contains the first, their correlation is
/// `sqrt((sigma - sigma_s)/(sigma - sigma_to))`. Preset noise gives the stage slice `2 k` and the step slice `2 k + 1`, as they are.
/// Sources: k-diffusion, `sample_dpmpp_sde`; Lu et al. 2022, arXiv:2211.01095, sections 5 and 6.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DpmppSde {
    /// Noise removed and added again.
    pub noise: Stochasticity,
    /// Where the stage lies in the step, in `lambda`; in (0, 1].
    pub r: f64,
}

impl Steps for DpmppSde {
    const DRAWS: u32 = 2;
    const STATES: usize = 2;

    fn info(&self) -> MethodInfo {
        MethodInfo {
            name: "dpmpp-sde",
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
        let (from, to, eta) = (step.from, step.to, self.noise.eta);
        let share = 1.0 / (2.0 * self.r);
        let stage = step.level((-from.lambda - self.r * (to.lambda - from.lambda)).exp());
        step.evaluate(x)?;
        if step.noisy {
            step.draw_noise()?;
        }
        let levels = AncestralLevels::new(from.sigma, stage.sigma, eta);
        let pull = (1.0 - levels.down / from.sigma) * from.sigma * from.sigma * from.mean_coef;
        let added = self.noise.s_noise * levels.up;
        let w = &mut *step.w;
        let terms = [
            (Coef::All(stage.mean_coef / from.mean_coef), &*x),
            (Coef::All(stage.mean_coef * pull), &w.score),
            (Coef::All(stage.mean_coef * added), &w.noise),
        ];
        w.next.lincomb(&terms[..2 + usize::from(step.noisy)]);
        // The part of the step's posterior mean that is the first one; nothing of it for r = 1/2.
        let [mean, _] = &mut *step.own else {
            unreachable!("two states of its own")
        };
        if share != 1.0 {
            let var = from.std * from.std / from.mean_coef;
            mean.lincomb(&[(Coef::All(1.0 / from.mean_coef), &*x), (Coef::All(var), &w.score)]);
        }
        step.evaluate_between(stage)?;
        if step.noisy {
            let overlap = (from.sigma - stage.sigma) / (from.sigma - to.sigma);
            step.extend_noise(overlap.clamp(0.0, 1.0).sqrt(), 1)?;
        }
        let levels = AncestralLevels::new(from.sigma, to.sigma, eta);
        let kept = levels.down / from.sigma;
        let towards = to.mean_coef * (1.0 - kept);
        let (w, own) = (&mut *step.w, &mut *step.own);
        let [mean, out] = own else {
            unreachable!("two states of its own")
        };
        let second = share * towards;
        let terms = [
            (Coef::All(to.mean_coef / from.mean_coef * kept), &*x),
            (Coef::All(second / stage.mean_coef), &w.next),
            (
                Coef::All(second * stage.mean_coef * stage.sigma * stage.sigma),
                &w.score,
            ),
            (Coef::All(to.mean_coef * self.noise.s_noise * levels.up), &w.noise),
        ];
        out.lincomb(&terms[..3 + usize::from(step.noisy)]);
        if share != 1.0 {
            out.axpy(Coef::All((1.0 - share) * towards), mean);
        }
        mem::swap(x, out);
        Ok(())
    }
}
