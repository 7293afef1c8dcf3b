use std::fmt;
use std::ops::ControlFlow;

use super::{Observer, StepInfo};
use crate::{SolveError, SolveStats, State};

/// Several observers in order. All see every step; the run stops where any of them asks for it.
pub struct Chain<'a, S: State>(pub Vec<&'a mut dyn Observer<S>>);

impl<S: State> fmt::Debug for Chain<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Chain of {}", self.0.len())
    }
}

impl<S: State> Observer<S> for Chain<'_, S> {
    fn start(&mut self, info: &StepInfo, x: &S) {
        for observer in &mut self.0 {
            observer.start(info, x);
        }
    }

    fn adjust(&mut self, info: &StepInfo, x: &mut S) -> Result<(), SolveError> {
        self.0
            .iter_mut()
            .try_for_each(|observer| observer.adjust(info, x))
    }

    fn step(&mut self, info: &StepInfo, x: &S) -> ControlFlow<()> {
        let mut flow = ControlFlow::Continue(());
        for observer in &mut self.0 {
            if observer.step(info, x).is_break() {
                flow = ControlFlow::Break(());
            }
        }
        flow
    }

    fn end(&mut self, stats: &SolveStats, x: &S) {
        for observer in &mut self.0 {
            observer.end(stats, x);
        }
    }
}
