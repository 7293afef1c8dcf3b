//! Correctors: Langevin steps `x' = x + step score + sqrt(2 step) z` that move a batch towards `p_t` without changing
//! the time. A corrector always receives the time of the `x` that it gets.

mod annealed_langevin;
mod batch_langevin;
mod langevin;

use std::fmt::Debug;

pub use annealed_langevin::AnnealedLangevin;
pub use batch_langevin::BatchLangevin;
pub use langevin::Langevin;
use sde_core::{Sde, Span};

use crate::sampler::{Scratch, StepCtx};
use crate::{Draw, MethodInfo, Purpose, SolveError, State};

/// A method that brings a batch closer to the marginal of its own time.
pub trait Corrector<S: State>: Send + Sync + Debug {
    /// Facts about the method.
    fn info(&self) -> MethodInfo;

    /// One corrector step at time `t`, the time of `x`. `step_ratio` is [`step_ratio`] of the grid at this time; `draw` the
    /// address of the noise.
    ///
    /// # Errors
    /// Those of the score function and of the noise.
    fn step(
        &self,
        ctx: &StepCtx<S>,
        t: f64,
        step_ratio: f64,
        draw: Draw,
        x: &mut S,
        w: &mut Scratch<S>,
    ) -> Result<(), SolveError>;
}

/// The factor that Song et al. (2021, algorithm 5) call `alpha_i`, which is `1 - beta_i` of the chain: taken from the step that
/// the grid really makes, `mean_coef(from)^2 / mean_coef(to)^2`. One wherever the mean is not scaled (VE, EDM).
pub fn step_ratio(sde: &dyn Sde, span: Span) -> f64 {
    let ratio = sde.marginal(span.from).mean_coef / sde.marginal(span.to).mean_coef;
    ratio * ratio
}

/// Step size of the sigma rule, `2 step_ratio (snr std(t))^2` in squared data units. On `N(0, std^2)` the step's stationary
/// variance is `std^2 / (1 - snr^2 step_ratio)`.
pub fn sigma_rule(sde: &dyn Sde, t: f64, snr: f64, step_ratio: f64) -> f64 {
    let scaled = snr * sde.marginal(t).std;
    2.0 * step_ratio * scaled * scaled
}

/// The address of the noise of the `inner`-th corrector step at grid point `step`, of `per_point`.
pub(crate) fn corrector_draw(step: u32, per_point: u32, inner: u32) -> Draw {
    Draw {
        step: step * per_point + inner,
        purpose: Purpose::Corrector,
    }
}
