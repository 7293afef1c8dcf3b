//! What the one-step methods of Karras et al. (2022) share: churn before each step, and the final step to `sigma = 0`.

use sde_core::grid::Grid;
use sde_core::{Sde, Span};

use super::{Churn, dpm2, euler, heun};
use crate::sampler::level::Level;
use crate::sampler::march::{self, Frame, GridSteps};
use crate::sampler::{CountedScore, Final, Job, MethodInfo, Sampler, Scratch, SolveStats};
use crate::{Coef, Observer, SolveError, State};

/// Which step is made after the noise was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// [`euler`].
    Euler,
    /// [`heun`].
    Heun,
    /// [`dpm2`].
    Dpm2,
}

/// Algorithm 2 of Karras et al. (2022) with the step of a [`Rule`]: churn, then one step of the probability flow in `sigma`.
///
/// The final Tweedie step is the paper's Euler step to `sigma = 0`, churned like every other, and `N` counts it. Churn may
/// evaluate the score above the start time. With `amount > 0` one normal is drawn for every step, in order, also where
/// `gamma = 0`; with `amount = 0` none. Memory: four states.
#[derive(Debug, Clone)]
pub struct OneStep {
    pub(crate) rule: Rule,
    pub(crate) grid: Grid,
    pub(crate) churn: Churn,
    pub(crate) final_step: Final,
}

/// What a step works with besides the states.
pub(super) struct StepArgs<'a, S: State> {
    pub sde: &'a dyn Sde,
    pub score: &'a CountedScore<'a, S>,
    /// The level of the state.
    pub from: Level,
    /// The level to reach.
    pub to: Level,
}

impl<S: State> StepArgs<'_, S> {
    /// `out <- x` moved from `from` to `to` along `score`, the score at `from`: Euler's step.
    pub fn euler(&self, to: Level, x: &S, score: &S, out: &mut S) {
        let Level { sigma, mean_coef, .. } = self.from;
        let slope = (sigma - to.sigma) * sigma * mean_coef * to.mean_coef;
        out.lincomb(&[
            (Coef::All(to.mean_coef / mean_coef), x),
            (Coef::All(slope), score),
        ]);
    }
}

impl Rule {
    /// Moves `x` and returns the time of the last evaluation, whose point is left in `w.next`.
    fn step<S: State>(self, args: &StepArgs<S>, x: &mut S, w: &mut Scratch<S>) -> Result<f64, SolveError> {
        match self {
            Rule::Euler => euler::step(args, x, w),
            Rule::Heun => heun::step(args, x, w),
            Rule::Dpm2 => dpm2::step(args, x, w),
        }
    }
}

/// What a run carries.
pub(crate) struct Progress {
    /// The level of the state.
    level: Level,
    /// Whether a step to `sigma = 0` follows the grid.
    to_zero: bool,
}

impl OneStep {
    fn churned<S: State>(
        &self,
        frame: &mut Frame<S>,
        progress: &Progress,
        step: usize,
        x: &mut S,
    ) -> Result<Level, SolveError> {
        let count = (step, self.grid.steps() + usize::from(progress.to_zero));
        let w = &mut frame.scratch;
        self.churn.add_noise(frame.job, progress.level, count, x, w)
    }
}

impl<S: State> GridSteps<S> for OneStep {
    type Memory = Progress;

    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn final_step(&self) -> Final {
        self.final_step
    }

    fn memory(&self, job: &Job<S>, _: &S) -> Progress {
        let noisy_end = job.sde.marginal(self.grid.end()).std > 0.0;
        Progress {
            level: Level::at(job.sde, self.grid.start()),
            to_zero: noisy_end && self.final_step == Final::Tweedie,
        }
    }

    fn step(
        &self,
        frame: &mut Frame<S>,
        progress: &mut Progress,
        step: usize,
        span: Span,
        x: &mut S,
    ) -> Result<(), SolveError> {
        let args = StepArgs {
            sde: frame.job.sde,
            score: frame.score,
            from: self.churned(frame, progress, step, x)?,
            to: Level::at(frame.job.sde, span.to),
        };
        let w = &mut frame.scratch;
        let last = self.rule.step(&args, x, w)?;
        if x.first_non_finite_row().is_some() {
            // The point of the last evaluation tells whether an earlier one went wrong.
            let bad_point = w.next.first_non_finite_row().is_some();
            let t = if bad_point { args.from.t } else { last };
            frame.check(x, t, span.to, step)?;
        }
        progress.level = args.to;
        Ok(())
    }

    fn finish(
        &self,
        frame: &mut Frame<S>,
        progress: &mut Progress,
        _t: f64,
        step: usize,
        x: &mut S,
    ) -> Result<(), SolveError> {
        let from = if progress.to_zero {
            self.churned(frame, progress, step, x)?
        } else {
            progress.level
        };
        frame.end(self.final_step, from.t, step, x)
    }
}

impl<S: State> Sampler<S> for OneStep {
    fn info(&self) -> MethodInfo {
        let (name, order, evaluations) = match self.rule {
            Rule::Euler => ("euler", 1.0, 1),
            Rule::Heun => ("heun", 2.0, 2),
            Rule::Dpm2 => ("dpm-2", 2.0, 2),
        };
        let stochastic = self.churn.amount > 0.0;
        MethodInfo {
            name,
            order: if stochastic { 1.0 } else { order },
            evaluations,
            stochastic,
            couples_rows: false,
        }
    }

    fn t_start(&self) -> f64 {
        self.grid.start()
    }

    fn run(&self, job: &Job<S>, x: &mut S, observer: &mut dyn Observer<S>) -> Result<SolveStats, SolveError> {
        march::run(self, job, x, observer)
    }
}
