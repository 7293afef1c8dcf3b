//! Code of a library user that runs between steps.

use crate::checkpoint::RunState;

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepMetrics {
    /// Mean loss of the batch; not finite if the step was skipped.
    pub loss: f64,
    /// 2-norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Learning rate of the step.
    pub lr: f64,
    /// Decay of the average at the step.
    pub ema_decay: f64,
    /// Whether the weights stayed as they were, since loss or gradient was not finite.
    pub skipped: bool,
}

/// What a hook wants to happen before the next step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Action {
    /// Go on.
    #[default]
    None,
    /// Write a checkpoint.
    Save,
    /// Draw a grid of samples.
    Sample,
    /// Save and end the training as if its budget were spent.
    Stop,
}

/// Called after every step. Hooks see the run and never change it.
pub trait Hook {
    /// `state` is that after the step.
    fn after_step(&mut self, state: &RunState, metrics: &StepMetrics) -> Action;
}

impl<F: FnMut(&RunState, &StepMetrics) -> Action> Hook for F {
    fn after_step(&mut self, state: &RunState, metrics: &StepMetrics) -> Action {
        self(state, metrics)
    }
}
