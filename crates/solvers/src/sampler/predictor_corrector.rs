use sde_core::Span;
use sde_core::grid::Grid;

use super::march::{self, Frame, GridSteps};
use super::{Final, Job, MethodInfo, Sampler, SolveStats, StepCtx};
use crate::correct::{Corrector, corrector_draw, step_ratio};
use crate::predict::Predictor;
use crate::{Observer, SolveError, State};

/// Predictor-corrector sampling: at each grid time `corrector_steps` corrector steps, then one predictor step to the next time
/// (Song et al. 2021, arXiv:2011.13456, algorithm 1, in the order of the published code). The corrector always gets the time
/// of the current `x`.
///
/// Without a predictor the time is lowered and the state left as it is; the corrector then also runs at the end time, so that
/// `steps + 1` levels are visited: annealed Langevin dynamics (Song and Ermon 2019, arXiv:1907.05600, algorithm 1).
///
/// Evaluations: `steps (1 + corrector_steps)`, and one for the final Tweedie step. Memory: four states.
#[derive(Debug)]
pub struct PredictorCorrector<S: State> {
    pub(crate) name: &'static str,
    pub(crate) predictor: Option<Box<dyn Predictor<S>>>,
    pub(crate) corrector: Option<Box<dyn Corrector<S>>>,
    pub(crate) corrector_steps: u32,
    pub(crate) grid: Grid,
    pub(crate) final_step: Final,
}

impl<S: State> PredictorCorrector<S> {
    /// The correctors at one grid point. `last` is set at the point after which nothing else follows.
    fn correct(
        &self,
        frame: &mut Frame<S>,
        point: usize,
        t: f64,
        ratio: f64,
        last: bool,
        x: &mut S,
    ) -> Result<(), SolveError> {
        let Some(corrector) = &self.corrector else {
            return Ok(());
        };
        let repeats = self.corrector_steps;
        for inner in 0..repeats {
            let mut ctx = StepCtx::new(frame.job, frame.score, point as u32);
            ctx.mean_only = last && inner + 1 == repeats && self.final_step == Final::Mean;
            let draw = corrector_draw(point as u32, repeats, inner);
            corrector.step(&ctx, t, ratio, draw, x, &mut frame.scratch)?;
            frame.check(x, t, t, point)?;
        }
        Ok(())
    }
}

impl<S: State> GridSteps<S> for PredictorCorrector<S> {
    type Memory = ();

    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn final_step(&self) -> Final {
        self.final_step
    }

    fn memory(&self, _: &Job<S>, _: &S) {}

    fn step(
        &self,
        frame: &mut Frame<S>,
        _: &mut (),
        step: usize,
        span: Span,
        x: &mut S,
    ) -> Result<(), SolveError> {
        let ratio = step_ratio(frame.job.sde, span);
        self.correct(frame, step, span.from, ratio, false, x)?;
        let last = step + 1 == self.grid.steps();
        if let Some(predictor) = &self.predictor {
            let mut ctx = StepCtx::new(frame.job, frame.score, step as u32);
            ctx.mean_only = last && self.final_step == Final::Mean;
            predictor.step(&ctx, span, x, &mut frame.scratch)?;
            frame.check(x, span.from, span.to, step)?;
        } else if last {
            self.correct(frame, step + 1, span.to, ratio, true, x)?;
        }
        Ok(())
    }
}

impl<S: State> Sampler<S> for PredictorCorrector<S> {
    fn info(&self) -> MethodInfo {
        let predictor = self.predictor.as_ref().map(|method| method.info());
        let corrector = self.corrector.as_ref().map(|method| method.info());
        let corrected = corrector.map_or(0, |info| info.evaluations) * self.corrector_steps;
        MethodInfo {
            name: self.name,
            order: predictor.or(corrector).map_or(1.0, |info| info.order),
            evaluations: predictor.map_or(0, |info| info.evaluations) + corrected,
            stochastic: predictor.is_some_and(|i| i.stochastic) || corrector.is_some_and(|i| i.stochastic),
            couples_rows: predictor.is_some_and(|i| i.couples_rows)
                || corrector.is_some_and(|i| i.couples_rows),
        }
    }

    fn t_start(&self) -> f64 {
        self.grid.times()[0]
    }

    fn run(&self, job: &Job<S>, x: &mut S, observer: &mut dyn Observer<S>) -> Result<SolveStats, SolveError> {
        march::run(self, job, x, observer)
    }
}
