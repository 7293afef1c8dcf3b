use super::{Corrector, sigma_rule};
use crate::predict::AffineStep;
use crate::sampler::{Scratch, StepCtx};
use crate::{Draw, MethodInfo, SolveError, State};

/// Langevin corrector with the step from the noise level, `2 step_ratio (snr std(t))^2` ([`sigma_rule`]).
///
/// Song et al. (2021, arXiv:2011.13456, algorithms 4 and 5) take the ratio of the norms of noise and score over the mini-batch;
/// the score's norm is about `sqrt(d)/std`, so that this rule is theirs in expectation, but no row depends on another. One
/// evaluation a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Langevin {
    /// Signal-to-noise ratio of a step, dimensionless; 0.16 in the literature.
    pub snr: f64,
}

impl<S: State> Corrector<S> for Langevin {
    fn info(&self) -> MethodInfo {
        MethodInfo {
            name: "langevin",
            order: 1.0,
            evaluations: 1,
            stochastic: true,
            couples_rows: false,
        }
    }

    fn step(
        &self,
        ctx: &StepCtx<S>,
        t: f64,
        step_ratio: f64,
        draw: Draw,
        x: &mut S,
        w: &mut Scratch<S>,
    ) -> Result<(), SolveError> {
        let step = sigma_rule(ctx.sde, t, self.snr, step_ratio);
        AffineStep {
            state: 1.0,
            score: step,
            noise: (2.0 * step).sqrt(),
        }
        .apply(ctx, t, draw, x, w)
    }
}
