use sde_core::{Sde, Span};

use super::{AffineStep, Predictor, predictor_draw};
use crate::sampler::{Scratch, StepCtx};
use crate::{MethodInfo, SolveError, State};

/// Euler-Maruyama on the reverse SDE,
/// `x' = x - a x gap + (1 + eta^2)/2 g^2 score gap + eta g sqrt(gap) z`, coefficients at the time of `x`.
///
/// Weak order 1, and strong order 1 as well, since the noise is additive. One evaluation a step. `eta = 0` is Euler's
/// method for the probability flow. Source: Song et al. 2021, arXiv:2011.13456, appendix G.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EulerMaruyama {
    /// Stochasticity, from 0 (probability flow) over 1 (reverse SDE) upwards.
    pub eta: f64,
}

impl EulerMaruyama {
    /// The step's coefficients.
    pub fn coefs(&self, sde: &dyn Sde, span: Span) -> AffineStep {
        let noise_var = sde.diffusion_sq(span.from) * span.gap;
        AffineStep {
            state: 1.0 - sde.drift_coef(span.from) * span.gap,
            score: 0.5 * (1.0 + self.eta * self.eta) * noise_var,
            noise: self.eta * noise_var.sqrt(),
        }
    }
}

impl<S: State> Predictor<S> for EulerMaruyama {
    fn info(&self) -> MethodInfo {
        MethodInfo {
            name: "euler-maruyama",
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
