//! Watching a run: progress, trajectories, early stop.

mod chain;
mod early_stop;
mod nan_guard;
mod progress;
mod trajectory;

pub use chain::Chain;
pub use early_stop::{EarlyStop, StopFlag};
pub use nan_guard::NanGuard;
pub use progress::Progress;
pub use trajectory::Trajectory;

use std::ops::ControlFlow;

use crate::{SolveError, SolveStats, State};

/// Where a run stands after a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepInfo {
    /// Number of the step just done, from 0.
    pub step: u64,
    /// Number of steps in all, where the method knows it beforehand.
    pub steps: Option<u64>,
    /// Time of the state (for adaptive methods: the largest over the rows).
    pub t: f64,
    /// Network evaluations so far.
    pub nfe: u64,
    /// First row of this chunk in the whole batch.
    pub first_row: u64,
}

/// Called by samplers at the start, after each step and at the end. Observers change the state in [`Observer::adjust`] only.
pub trait Observer<S: State> {
    /// The state before the first step.
    fn start(&mut self, _info: &StepInfo, _x: &S) {}

    /// The state after a step, before [`Observer::step`] sees it, free to be changed: for conditions on the data. Samplers whose rows
    /// stand at times of their own (adaptive ones, `steps` is `None` in the information they give) do not call it.
    ///
    /// # Errors
    /// They end the run.
    fn adjust(&mut self, _info: &StepInfo, _x: &mut S) -> Result<(), SolveError> {
        Ok(())
    }

    /// The state after a step; `Break` ends the run there, which is a stop reason and no error.
    fn step(&mut self, _info: &StepInfo, _x: &S) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// The final state.
    fn end(&mut self, _stats: &SolveStats, _x: &S) {}
}

/// Watches nothing.
impl<S: State> Observer<S> for () {}
