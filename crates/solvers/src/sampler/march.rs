//! The loop over a grid that all samplers with given steps share.

use sde_core::Span;
use sde_core::grid::Grid;

use super::{CountedScore, Job, SolveStats, StopReason};
use crate::observe::NanGuard;
use crate::{Observer, SolveError, State, StepInfo};

/// What a method does on its grid; [`march`] does the rest.
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
    };
    observer.end(&stats, x);
    Ok(stats)
}
