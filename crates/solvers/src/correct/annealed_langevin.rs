use super::{Corrector, Langevin};
use crate::sampler::{Scratch, StepCtx};
use crate::{Draw, MethodInfo, SolveError, State};

/// The corrector named `ald`: annealed Langevin dynamics with step `2 step_ratio (snr std(t))^2` at each noise level.
///
/// Source: Song and Ermon 2019, arXiv:1907.05600, algorithm 1, where the step goes with the squared noise level; the scale by
/// `snr` as in the code of Song et al. 2021. The published step is the sigma rule, so that it does what [`Langevin`] does, which
/// here has that rule by default; the name stays for configurations that ask for it. One evaluation a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnnealedLangevin {
    /// Signal-to-noise ratio of a step, dimensionless.
    pub snr: f64,
}

impl<S: State> Corrector<S> for AnnealedLangevin {
    fn info(&self) -> MethodInfo {
        MethodInfo {
            name: "ald",
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
        Langevin { snr: self.snr }.step(ctx, t, step_ratio, draw, x, w)
    }
}
