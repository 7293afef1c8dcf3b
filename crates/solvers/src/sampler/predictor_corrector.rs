use sde_core::grid::Grid;

use super::finish::tweedie;
use super::{CountedScore, Final, Job, MethodInfo, Sampler, Scratch, SolveStats, StepCtx, StopReason};
use crate::correct::{Corrector, corrector_draw, step_ratio};
use crate::observe::NanGuard;
use crate::predict::Predictor;
use crate::{Observer, SolveError, State, StepInfo};

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
        run: &mut Run<S>,
        point: usize,
        t: f64,
        ratio: f64,
        last: bool,
        x: &mut S,
    ) -> Result<(), SolveError> {
        let Some(corrector) = &self.corrector else {
            return Ok(());
        };
        for inner in 0..self.corrector_steps {
            let mut ctx = StepCtx::new(run.job, run.score, point as u32);
            ctx.mean_only = last && inner + 1 == self.corrector_steps && self.final_step == Final::Mean;
            let draw = corrector_draw(point as u32, self.corrector_steps, inner);
            corrector.step(&ctx, t, ratio, draw, x, &mut run.scratch)?;
            run.guard.check(x, Some(&run.scratch.score), t, t, point as u64)?;
        }
        Ok(())
    }
}

/// The parts of one run.
struct Run<'a, S: State> {
    job: &'a Job<'a, S>,
    score: &'a CountedScore<'a, S>,
    scratch: Scratch<S>,
    guard: NanGuard,
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
        let spans = self.grid.spans();
        let score = CountedScore::new(job.score);
        let guard = NanGuard::new(job.first_row);
        let mut run = Run {
            job,
            score: &score,
            scratch: Scratch::new(x),
            guard,
        };
        run.guard.check(x, None, self.t_start(), self.t_start(), 0)?;
        let mut info = StepInfo {
            step: 0,
            steps: Some(spans.len() as u64),
            t: self.t_start(),
            nfe: 0,
            first_row: job.first_row,
        };
        observer.start(&info, x);
        let mut stop = StopReason::Finished;
        for (step, &span) in spans.iter().enumerate() {
            let ratio = step_ratio(job.sde, span);
            self.correct(&mut run, step, span.from, ratio, false, x)?;
            if let Some(predictor) = &self.predictor {
                let mut ctx = StepCtx::new(job, &score, step as u32);
                ctx.mean_only = step + 1 == spans.len() && self.final_step == Final::Mean;
                predictor.step(&ctx, span, x, &mut run.scratch)?;
                run.guard
                    .check(x, Some(&run.scratch.score), span.from, span.to, step as u64)?;
            } else if step + 1 == spans.len() {
                self.correct(&mut run, step + 1, span.to, ratio, true, x)?;
            }
            info = StepInfo {
                step: step as u64,
                t: span.to,
                nfe: score.nfe(),
                ..info
            };
            if observer.step(&info, x).is_break() {
                stop = StopReason::Stopped;
                break;
            }
        }
        if stop == StopReason::Finished && self.final_step == Final::Tweedie {
            tweedie(job.sde, &score, info.t, x, &mut run.scratch)?;
            run.guard
                .check(x, Some(&run.scratch.score), info.t, info.t, info.step + 1)?;
        }
        let stats = SolveStats {
            nfe: score.nfe(),
            steps: info.step + 1,
            rejected: 0,
            row_evaluations: score.nfe() * x.rows() as u64,
            stop,
        };
        observer.end(&stats, x);
        Ok(stats)
    }
}
