//! The loop over a grid that all samplers with given steps share.

use sde_core::Span;
use sde_core::grid::Grid;

use super::{CountedScore, Final, Job, Scratch, SolveStats, StopReason};
use crate::observe::NanGuard;
use crate::{Observer, SolveError, State, StepInfo};

/// What a run on a grid does; [`march`] does the rest.
pub(crate) trait GridMethod<S: State> {
    /// Moves `x` over `span` and checks it.
    ///
    /// # Errors
    /// Those of score function and noise, and [`SolveError::NonFinite`].
    fn step(&mut self, step: usize, span: Span, x: &mut S) -> Result<(), SolveError>;

    /// The last act, at the end time `t`, as step number `step`. Not reached where an observer stops the run.
    ///
    /// # Errors
    /// As [`GridMethod::step`].
    fn finish(&mut self, t: f64, step: usize, x: &mut S) -> Result<(), SolveError>;
}

/// Takes `x` over the spans of `grid`, shows every step to the observer, and counts.
///
/// # Errors
/// Those of the method and of the observer; [`SolveError::NonFinite`] for an `x` that starts so.
pub(crate) fn march<S: State, M: GridMethod<S>>(
    grid: &Grid,
    job: &Job<S>,
    score: &CountedScore<S>,
    mut method: M,
    x: &mut S,
    observer: &mut dyn Observer<S>,
) -> Result<SolveStats, SolveError> {
    let (spans, start) = (grid.spans(), grid.start());
    NanGuard::new(job.first_row).check(x, None, start, start, 0)?;
    let mut info = StepInfo {
        step: 0,
        steps: Some(spans.len() as u64),
        t: start,
        nfe: 0,
        first_row: job.first_row,
    };
    observer.start(&info, x);
    let mut stop = StopReason::Finished;
    for (step, &span) in spans.iter().enumerate() {
        method.step(step, span, x)?;
        info = StepInfo {
            step: step as u64,
            t: span.to,
            nfe: score.nfe(),
            ..info
        };
        observer.adjust(&info, x)?;
        if observer.step(&info, x).is_break() {
            stop = StopReason::Stopped;
            break;
        }
    }
    if stop == StopReason::Finished {
        method.finish(info.t, spans.len(), x)?;
    }
    let stats = SolveStats {
        nfe: score.nfe(),
        steps: info.step + 1,
        rejected: 0,
        row_evaluations: score.nfe() * x.rows() as u64,
        stop,
        t: info.t,
    };
    observer.end(&stats, x);
    Ok(stats)
}

/// What every run of a [`GridSteps`] has.
pub(crate) struct Frame<'a, S: State> {
    pub job: &'a Job<'a, S>,
    pub score: &'a CountedScore<'a, S>,
    pub scratch: Scratch<S>,
    pub guard: NanGuard,
}

impl<S: State> Frame<'_, S> {
    /// The last act at time `t`, as step number `step`.
    ///
    /// # Errors
    /// Those of the score function, and [`SolveError::NonFinite`].
    pub fn end(&mut self, act: Final, t: f64, step: usize, x: &mut S) -> Result<(), SolveError> {
        let w = &mut self.scratch;
        act.apply(self.job.sde, self.score, self.guard, t, step as u64, x, w)
    }

    /// Checks `x` after a step from `from` to `to` whose score is the one in `scratch`.
    ///
    /// # Errors
    /// [`SolveError::NonFinite`].
    pub fn check(&self, x: &S, from: f64, to: f64, step: usize) -> Result<(), SolveError> {
        self.guard
            .check(x, Some(&self.scratch.score), from, to, step as u64)
    }
}

/// A method with given steps that ends as [`Final`] says.
pub(crate) trait GridSteps<S: State> {
    /// What a run carries from step to step besides `x` and the states of [`Scratch`].
    type Memory;

    /// The grid.
    fn grid(&self) -> &Grid;

    /// The last act.
    fn final_step(&self) -> Final;

    /// The memory at the start of a run.
    fn memory(&self, job: &Job<S>, x: &S) -> Self::Memory;

    /// As [`GridMethod::step`].
    ///
    /// # Errors
    /// As there.
    fn step(
        &self,
        frame: &mut Frame<S>,
        memory: &mut Self::Memory,
        step: usize,
        span: Span,
        x: &mut S,
    ) -> Result<(), SolveError>;

    /// As [`GridMethod::finish`].
    ///
    /// # Errors
    /// As there.
    fn finish(
        &self,
        frame: &mut Frame<S>,
        _memory: &mut Self::Memory,
        t: f64,
        step: usize,
        x: &mut S,
    ) -> Result<(), SolveError> {
        frame.end(self.final_step(), t, step, x)
    }
}

/// Runs a method on its grid.
///
/// # Errors
/// As [`march`].
pub(crate) fn run<S: State, M: GridSteps<S>>(
    method: &M,
    job: &Job<S>,
    x: &mut S,
    observer: &mut dyn Observer<S>,
) -> Result<SolveStats, SolveError> {
    let score = CountedScore::new(job.score);
    let run = Run {
        method,
        memory: method.memory(job, x),
        frame: Frame {
            job,
            score: &score,
            scratch: Scratch::new(x),
            guard: NanGuard::new(job.first_row),
        },
    };
    march(method.grid(), job, &score, run, x, observer)
}

/// One run.
struct Run<'a, S: State, M: GridSteps<S>> {
    method: &'a M,
    frame: Frame<'a, S>,
    memory: M::Memory,
}

impl<S: State, M: GridSteps<S>> GridMethod<S> for Run<'_, S, M> {
    fn step(&mut self, step: usize, span: Span, x: &mut S) -> Result<(), SolveError> {
        self.method.step(&mut self.frame, &mut self.memory, step, span, x)
    }

    fn finish(&mut self, t: f64, step: usize, x: &mut S) -> Result<(), SolveError> {
        self.method.finish(&mut self.frame, &mut self.memory, t, step, x)
    }
}
