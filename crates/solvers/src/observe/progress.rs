use std::ops::ControlFlow;

use super::{Observer, StepInfo};
use crate::{SolveStats, State};

/// Calls a closure every so many steps and after the last one: what it prints, and where, is the caller's business.
#[derive(Debug)]
pub struct Progress<F> {
    every: u64,
    report: F,
    last: Option<StepInfo>,
    reported: Option<u64>,
}

impl<F: FnMut(&StepInfo)> Progress<F> {
    /// Reports each `every`-th step; 0 counts as 1.
    pub fn new(every: u64, report: F) -> Self {
        Self {
            every: every.max(1),
            report,
            last: None,
            reported: None,
        }
    }
}

impl<S: State, F: FnMut(&StepInfo)> Observer<S> for Progress<F> {
    fn step(&mut self, info: &StepInfo, _x: &S) -> ControlFlow<()> {
        if (info.step + 1).is_multiple_of(self.every) {
            (self.report)(info);
            self.reported = Some(info.step);
        }
        self.last = Some(*info);
        ControlFlow::Continue(())
    }

    fn end(&mut self, _stats: &SolveStats, _x: &S) {
        if let Some(last) = self.last.filter(|last| self.reported != Some(last.step)) {
            (self.report)(&last);
        }
    }
}
