//! What the ranks of a run agree on between steps.

use super::Trainer;
use super::hook::StepMetrics;
use crate::TrainError;
use crate::config::Budget;
use crate::dist::{self, Comm};

/// What should happen before the next step: what one rank wants, or what all have agreed on.
///
/// A message of its own after every step would wait for whichever rank is late once more, so the wishes of several ranks go with the
/// numbers of the next step: they come true one step later than those of a rank that is alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Wishes {
    /// Done part of the budget; agreed on, by the clock of rank 0.
    pub(super) fraction: f64,
    /// A signal asks for the end.
    pub(super) stop: bool,
    /// A hook does.
    pub(super) end: bool,
    pub(super) save: bool,
    pub(super) sample: bool,
}

impl Wishes {
    /// Numbers whose sums over the ranks say what all have agreed on.
    fn numbers(self, comm: &dyn Comm) -> [f64; 5] {
        let fraction = if dist::leads(comm) { self.fraction } else { 0.0 };
        let [stop, end, save, sample] =
            [self.stop, self.end, self.save, self.sample].map(|wished| f64::from(u8::from(wished)));
        [fraction, stop, end, save, sample]
    }

    fn of_sums([fraction, stop, end, save, sample]: [f64; 5]) -> Self {
        Self {
            fraction,
            stop: stop > 0.0,
            end: end > 0.0,
            save: save > 0.0,
            sample: sample > 0.0,
        }
    }

    /// What all want now, by a message.
    pub(super) fn agree(self, trainer: &Trainer) -> Result<Self, TrainError> {
        dist::sums(trainer.comm(), self.numbers(trainer.comm())).map(Self::of_sums)
    }

    /// A step, and what all wanted before it.
    pub(super) fn step(
        self,
        trainer: &mut Trainer,
        fraction: f64,
    ) -> Result<(StepMetrics, Self), TrainError> {
        let mut numbers = self.numbers(trainer.comm());
        let metrics = trainer.step_with(fraction, &mut numbers)?;
        Ok((metrics, Self::of_sums(numbers)))
    }

    /// What holds after a step: these wishes of a rank that is alone, else what all wanted before the step. The done part of a budget
    /// that is counted, not clocked, every rank knows itself.
    pub(super) fn after(self, trainer: &Trainer, before: Self) -> Self {
        if dist::alone(trainer.comm()) {
            return self;
        }
        match trainer.config().train.budget() {
            Budget::Seconds(_) => before,
            Budget::Images(_) | Budget::Steps(_) => Self {
                fraction: self.fraction,
                ..before
            },
        }
    }
}
