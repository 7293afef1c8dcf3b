use sde_core::Span;
use sde_core::grid::Grid;

use super::march::{GridMethod, march};
use super::{CountedScore, Final, Job, MethodInfo, Sampler, Scratch, SolveStats, StopReason};
use crate::flow::Flow;
use crate::observe::NanGuard;
use crate::rk::adaptive::{Limits, integrate_saving};
use crate::rk::engine::{Stages, step};
use crate::rk::tableau::Tableau;
use crate::{Observer, SolveError, State, StepInfo};

/// The probability flow by an explicit Runge-Kutta method on a grid.
///
/// Evaluations: `steps` times those of a step ([`Tableau::evaluations`]), and one for the final Tweedie step. Memory: two states and
/// one an evaluation, so eight at most.
/// Sources: [`Flow`] and the tableaus.
#[derive(Debug, Clone)]
pub struct FixedOde {
    pub(crate) tableau: &'static Tableau,
    pub(crate) grid: Grid,
    pub(crate) final_step: Final,
}

impl<S: State> Sampler<S> for FixedOde {
    fn info(&self) -> MethodInfo {
        info(self.tableau)
    }

    fn t_start(&self) -> f64 {
        self.grid.times()[0]
    }

    fn run(&self, job: &Job<S>, x: &mut S, observer: &mut dyn Observer<S>) -> Result<SolveStats, SolveError> {
        let score = CountedScore::new(job.score);
        let run = Run {
            method: self,
            job,
            score: &score,
            flow: Flow::new(job.sde, &score),
            stages: Stages::new(self.tableau, x),
        };
        march(&self.grid, job, &score, run, x, observer)
    }
}

/// One run on a grid.
struct Run<'a, S: State> {
    method: &'a FixedOde,
    job: &'a Job<'a, S>,
    score: &'a CountedScore<'a, S>,
    flow: Flow<'a, S>,
    stages: Stages<S>,
}

impl<S: State> GridMethod<S> for Run<'_, S> {
    fn step(&mut self, number: usize, span: Span, x: &mut S) -> Result<(), SolveError> {
        let (tableau, w) = (self.method.tableau, &mut self.stages);
        step(tableau, &mut self.flow, span.from, span.to, x, w)?;
        if x.first_non_finite_row().is_none() {
            return Ok(());
        }
        // The first slope that is not finite tells which evaluation went wrong.
        let bad = w
            .slopes
            .iter()
            .position(|slope| slope.first_non_finite_row().is_some());
        let t = bad.map_or(span.to, |stage| {
            span.from + tableau.c[stage] * (span.to - span.from)
        });
        let slope = bad.map(|stage| &w.slopes[stage]);
        NanGuard::new(self.job.first_row).check(x, slope, t, span.to, number as u64)
    }

    fn finish(&mut self, t: f64, step: usize, x: &mut S) -> Result<(), SolveError> {
        // Their memory goes to the states of the last act.
        self.stages.slopes.clear();
        finish(self.method.final_step, self.job, self.score, t, step as u64, x)
    }
}

/// The probability flow by an embedded Runge-Kutta pair in `t`, one step size per row.
///
/// Evaluations and memory: [`crate::rk::adaptive::integrate`]; one evaluation more for the final Tweedie step. Observers see a round
/// of attempts as a step; rows then stand at different times. With `save_at` they see the state at the times given instead, all
/// rows at one time: [`integrate_saving`].
#[derive(Debug, Clone)]
pub struct AdaptiveOde {
    pub(crate) tableau: &'static Tableau,
    pub(crate) t_start: f64,
    pub(crate) t_end: f64,
    pub(crate) limits: Limits,
    pub(crate) save_at: Vec<f64>,
    pub(crate) final_step: Final,
}

impl<S: State> Sampler<S> for AdaptiveOde {
    fn info(&self) -> MethodInfo {
        info(self.tableau)
    }

    fn t_start(&self) -> f64 {
        self.t_start
    }

    fn run(&self, job: &Job<S>, x: &mut S, observer: &mut dyn Observer<S>) -> Result<SolveStats, SolveError> {
        let score = CountedScore::new(job.score);
        let mut flow = Flow::new(job.sde, &score);
        let start = StepInfo {
            step: 0,
            steps: None,
            t: self.t_start,
            nfe: 0,
            first_row: job.first_row,
        };
        observer.start(&start, x);
        let (from, to) = (self.t_start, self.t_end);
        let mut shown = from;
        let solved = integrate_saving(
            self.tableau,
            &mut flow,
            (from, to),
            self.limits,
            job.first_row,
            x,
            &self.save_at,
            &mut |info, x| {
                shown = info.t;
                observer.step(info, x)
            },
        )?;
        let before = score.nfe();
        if solved.stop == StopReason::Finished {
            finish(self.final_step, job, &score, to, solved.steps, x)?;
        }
        let after = score.nfe() - before;
        let stats = SolveStats {
            nfe: solved.nfe + after,
            steps: solved.steps,
            rejected: solved.rejected,
            row_evaluations: solved.row_evaluations + after * x.rows() as u64,
            stop: solved.stop,
            t: match solved.stop {
                StopReason::Finished => to,
                StopReason::Stopped => shown,
            },
        };
        observer.end(&stats, x);
        Ok(stats)
    }
}

fn info(tableau: &Tableau) -> MethodInfo {
    MethodInfo {
        name: tableau.name,
        order: f64::from(tableau.order),
        evaluations: tableau.evaluations() as u32,
        stochastic: false,
        couples_rows: false,
    }
}

/// The end of a deterministic run: its mean is the state itself.
fn finish<S: State>(
    end: Final,
    job: &Job<S>,
    score: &CountedScore<S>,
    t: f64,
    step: u64,
    x: &mut S,
) -> Result<(), SolveError> {
    if end != Final::Tweedie {
        return Ok(());
    }
    let mut w = Scratch::new(x);
    end.apply(job.sde, score, NanGuard::new(job.first_row), t, step, x, &mut w)
}
