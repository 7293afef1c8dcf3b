use std::ops::ControlFlow;

use super::{Observer, StepInfo};
use crate::{SolveStats, State};

/// Keeps copies of the state: at the start, after every `every`-th step and at the end (after the final act). Memory: one state a
/// copy.
#[derive(Debug, Clone)]
pub struct Trajectory<S> {
    every: u64,
    times: Vec<f64>,
    states: Vec<S>,
}

impl<S: State> Trajectory<S> {
    /// Keeps each `every`-th step; 0 counts as 1.
    pub fn new(every: u64) -> Self {
        Self {
            every: every.max(1),
            times: Vec::new(),
            states: Vec::new(),
        }
    }

    /// The times of the states (for adaptive methods the largest over the rows); the last one is [`SolveStats::t`].
    pub fn times(&self) -> &[f64] {
        &self.times
    }

    /// The states, from the start on.
    pub fn states(&self) -> &[S] {
        &self.states
    }

    fn keep(&mut self, t: f64, x: &S) {
        self.times.push(t);
        self.states.push(x.clone());
    }
}

impl<S: State> Observer<S> for Trajectory<S> {
    fn start(&mut self, info: &StepInfo, x: &S) {
        self.keep(info.t, x);
    }

    fn step(&mut self, info: &StepInfo, x: &S) -> ControlFlow<()> {
        if (info.step + 1).is_multiple_of(self.every) {
            self.keep(info.t, x);
        }
        ControlFlow::Continue(())
    }

    fn end(&mut self, stats: &SolveStats, x: &S) {
        self.keep(stats.t, x);
    }
}
