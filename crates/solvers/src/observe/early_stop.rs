use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Observer, StepInfo};
use crate::State;

/// Stops the run after the first step for which the closure says so. The state then is that of the step, without the final
/// act.
#[derive(Debug)]
pub struct EarlyStop<F>(pub F);

impl<S: State, F: FnMut(&StepInfo, &S) -> bool> Observer<S> for EarlyStop<F> {
    fn step(&mut self, info: &StepInfo, x: &S) -> ControlFlow<()> {
        if (self.0)(info, x) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// Stops the run once a flag is set elsewhere, for example by a signal handler or another thread.
#[derive(Debug, Clone, Copy)]
pub struct StopFlag<'a>(pub &'a AtomicBool);

impl<S: State> Observer<S> for StopFlag<'_> {
    fn step(&mut self, _info: &StepInfo, _x: &S) -> ControlFlow<()> {
        if self.0.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}
