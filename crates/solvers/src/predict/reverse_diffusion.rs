use sde_core::{Sde, Span};

use super::{AffineStep, Predictor, predictor_draw};
use crate::sampler::{Scratch, StepCtx};
use crate::{MethodInfo, SolveError, State};

/// The reversal of the SDE's own forward discretisation `x_from = (1 + f) x_to + G z`,
/// `x' = x - f x + (1 + eta^2)/2 G^2 score + eta G z`, with `f` and `G` from [`Sde::discretize`].
///
/// Weak order 1, one evaluation a step. Source: Song et al. 2021, arXiv:2011.13456, equation 46 and appendix E.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReverseDiffusion {
    /// Stochasticity, from 0 (probability flow) over 1 (reverse SDE) upwards.
    pub eta: f64,
}

impl ReverseDiffusion {
    /// The step's coefficients; not finite where the forward chain has no such step.
    pub fn coefs(&self, sde: &dyn Sde, span: Span) -> AffineStep {
        let forward = sde.discretize(span);
        AffineStep {
            state: 1.0 - forward.drift,
            score: 0.5 * (1.0 + self.eta * self.eta) * forward.noise_var,
            noise: self.eta * forward.noise_var.sqrt(),
        }
    }
}

impl<S: State> Predictor<S> for ReverseDiffusion {
    fn info(&self) -> MethodInfo {
        MethodInfo {
            name: "reverse-diffusion",
            order: 1.0,
            evaluations: 1,
            stochastic: self.eta > 0.0,
            couples_rows: false,
        }
    }

    fn step(&self, ctx: &StepCtx<S>, span: Span, x: &mut S, w: &mut Scratch<S>) -> Result<(), SolveError> {
        self.coefs(ctx.sde, span)
            .apply(ctx, span.from, predictor_draw(ctx.step), x, w)
    }
}
