//! Predictors: one step of the reverse SDE `dx = [a x - (1 + eta^2)/2 g^2 score] dt + eta g dw`, backwards in time
//! (Song et al. 2021, arXiv:2011.13456, equations 6 and 13; the family with `eta` has the same marginals for every
//! `eta >= 0`: `eta = 1` is the reverse SDE, `eta = 0` the probability flow).

mod ancestral;
mod euler_maruyama;
mod reverse_diffusion;

use std::fmt::Debug;
use std::mem;

pub use ancestral::Ancestral;
pub use euler_maruyama::EulerMaruyama;
pub use reverse_diffusion::ReverseDiffusion;
use sde_core::Span;

use crate::sampler::{Scratch, StepCtx};
use crate::{Coef, Draw, MethodInfo, Purpose, SolveError, State};

/// A method that takes a batch from one grid time to the next.
pub trait Predictor<S: State>: Send + Sync + Debug {
    /// Facts about the method.
    fn info(&self) -> MethodInfo;

    /// Moves `x` over `span` in place. Where `ctx.mean_only`, no noise is drawn and the mean is returned.
    ///
    /// # Errors
    /// Those of the score function and of the noise.
    fn step(&self, ctx: &StepCtx<S>, span: Span, x: &mut S, w: &mut Scratch<S>) -> Result<(), SolveError>;
}

/// One step that is affine in state, score and noise: `x' = state x + score s(x, t) + noise z`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AffineStep {
    /// Factor of the state.
    pub state: f64,
    /// Factor of the score, squared data units.
    pub score: f64,
    /// Standard deviation of the fresh noise.
    pub noise: f64,
}

impl AffineStep {
    /// Evaluates the score at `t` and applies the step: one evaluation, one fused pass. The noise is not drawn where its
    /// factor is zero.
    pub(crate) fn apply<S: State>(
        self,
        ctx: &StepCtx<S>,
        t: f64,
        draw: Draw,
        x: &mut S,
        w: &mut Scratch<S>,
    ) -> Result<(), SolveError> {
        ctx.score.evaluate(x, Coef::All(t), &mut w.score)?;
        let (state, score) = ((Coef::All(self.state), &*x), (Coef::All(self.score), &w.score));
        if self.noise == 0.0 || ctx.mean_only {
            w.next.lincomb(&[state, score]);
        } else {
            ctx.noise.normal(draw, &mut w.noise)?;
            w.next.lincomb(&[state, score, (Coef::All(self.noise), &w.noise)]);
        }
        mem::swap(x, &mut w.next);
        Ok(())
    }
}

/// The address of a predictor's noise.
fn predictor_draw(step: u32) -> Draw {
    Draw {
        step,
        purpose: Purpose::Predictor,
    }
}
