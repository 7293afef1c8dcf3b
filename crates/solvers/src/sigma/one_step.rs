//! What the one-step methods of Karras et al. (2022) share: churn before each step, and the final step to `sigma = 0`.

use sde_core::grid::Grid;
use sde_core::{Sde, Span};

use super::{Churn, dpm2, euler, heun};
use crate::observe::NanGuard;
use crate::sampler::level::Level;
use crate::sampler::march::{GridMethod, march};
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

/// One run.
struct Run<'a, S: State> {
    method: &'a OneStep,
    job: &'a Job<'a, S>,
    score: &'a CountedScore<'a, S>,
    scratch: Scratch<S>,
    guard: NanGuard,
    /// The level of the state.
    level: Level,
    /// Whether a step to `sigma = 0` follows the grid.
    to_zero: bool,
}

impl<S: State> Run<'_, S> {
    fn churn(&mut self, step: usize, x: &mut S) -> Result<Level, SolveError> {
        let steps = self.method.grid.steps() + usize::from(self.to_zero);
        let count = (step, steps);
        (self.method.churn).add_noise(self.job, self.level, count, x, &mut self.scratch)
    }
}

impl<S: State> GridMethod<S> for Run<'_, S> {
    fn step(&mut self, step: usize, span: Span, x: &mut S) -> Result<(), SolveError> {
        let args = StepArgs {
            sde: self.job.sde,
            score: self.score,
            from: self.churn(step, x)?,
            to: Level::at(self.job.sde, span.to),
        };
        let w = &mut self.scratch;
        let last = self.method.rule.step(&args, x, w)?;
        if x.first_non_finite_row().is_some() {
            // The point of the last evaluation tells whether an earlier one went wrong.
            let bad_point = w.next.first_non_finite_row().is_some();
            let t = if bad_point { args.from.t } else { last };
            self.guard.check(x, Some(&w.score), t, span.to, step as u64)?;
        }
        self.level = args.to;
        Ok(())
    }

    fn finish(&mut self, _t: f64, step: usize, x: &mut S) -> Result<(), SolveError> {
        let from = if self.to_zero {
            self.churn(step, x)?
        } else {
            self.level
        };
        let (end, w) = (self.method.final_step, &mut self.scratch);
        end.apply(self.job.sde, self.score, self.guard, from.t, step as u64, x, w)
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
        let score = CountedScore::new(job.score);
        let noisy_end = job.sde.marginal(self.grid.end()).std > 0.0;
        let run = Run {
            method: self,
            job,
            score: &score,
            scratch: Scratch::new(x),
            guard: NanGuard::new(job.first_row),
            level: Level::at(job.sde, self.grid.start()),
            to_zero: noisy_end && self.final_step == Final::Tweedie,
        };
        march(&self.grid, job, &score, run, x, observer)
    }
}
