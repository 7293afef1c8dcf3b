use sde_core::{Sde, Span};

use super::{AffineStep, Predictor, predictor_draw};
use crate::sampler::{Scratch, StepCtx};
use crate::{MethodInfo, SolveError, State};

/// Ancestral sampling, the reverse Markov chain of DDPM (VP) and SMLD (VE), with coefficients from
/// [`Sde::ancestral`]: for VP `x' = (x + beta score)/sqrt(1 - beta) + sqrt(beta) z`.
///
/// Weak order 1, one evaluation a step. Sources: Ho et al. 2020, arXiv:2006.11239, algorithm 2; Song et al. 2021,
/// arXiv:2011.13456, appendix F. There is no `eta`: the chain's noise is part of its definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ancestral;

impl Ancestral {
    /// The step's coefficients; not finite where the chain has no such step (VP with `beta gap >= 1`).
    pub fn coefs(&self, sde: &dyn Sde, span: Span) -> AffineStep {
        let step = sde.ancestral(span);
        AffineStep {
            state: step.state_coef,
            score: step.score_coef,
            noise: step.std,
        }
    }
}

impl<S: State> Predictor<S> for Ancestral {
    fn info(&self) -> MethodInfo {
        MethodInfo {
            name: "ancestral",
            order: 1.0,
            evaluations: 1,
            stochastic: true,
            couples_rows: false,
        }
    }

    fn step(&self, ctx: &StepCtx<S>, span: Span, x: &mut S, w: &mut Scratch<S>) -> Result<(), SolveError> {
        self.coefs(ctx.sde, span)
            .apply(ctx, span.from, predictor_draw(ctx.step), x, w)
    }
}
