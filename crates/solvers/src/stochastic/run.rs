//! What the methods of this family on a grid share: the loop, the noise, and the states of a run.

use std::fmt::Debug;
use std::mem;

use sde_core::Span;
use sde_core::grid::Grid;

use crate::observe::NanGuard;
use crate::sampler::level::Level;
use crate::sampler::march::{GridMethod, march};
use crate::sampler::{CountedScore, Final, Job, MethodInfo, Sampler, Scratch, SolveStats};
use crate::{Coef, Draw, Observer, Purpose, SolveError, State};

/// A method of this family: a step from one noise level to the next.
pub(crate) trait Steps: Debug + Send + Sync {
    /// Batches of normals that a step draws.
    const DRAWS: u32 = 1;

    /// States that a step needs besides those of [`Scratch`]. The first ones may carry values to the next steps: before each step
    /// they move back by one, the last one to the front.
    const STATES: usize = 0;

    /// Facts about the method.
    fn info(&self) -> MethodInfo;

    /// Whether any noise is added.
    fn is_stochastic(&self) -> bool;

    /// Moves `x` from one level to the next, where some noise is left.
    ///
    /// # Errors
    /// Those of score function and noise, and [`SolveError::NonFinite`] for a state in between.
    fn step<S: State>(&self, step: &mut SigmaStep<'_, S>, x: &mut S) -> Result<(), SolveError>;
}

/// One step of a run: its levels, and what it works with.
pub(crate) struct SigmaStep<'a, S: State> {
    pub from: Level,
    pub to: Level,
    /// Whether noise is added in this step.
    pub noisy: bool,
    /// Spans in `lambda` of the steps before, the newest first.
    pub spans_before: [Option<f64>; 2],
    /// Score, normals and the next state.
    pub w: &'a mut Scratch<S>,
    /// The method's own states, see [`Steps::STATES`].
    pub own: &'a mut [S],
    job: &'a Job<'a, S>,
    score_fn: &'a CountedScore<'a, S>,
    number: usize,
    /// The address of the next batch of normals.
    next_draw: u32,
    /// Time at which the last score was evaluated.
    scored_at: f64,
}

impl<S: State> SigmaStep<'_, S> {
    /// `score <- score(x, from)`.
    pub fn evaluate(&mut self, x: &S) -> Result<(), SolveError> {
        self.scored_at = self.from.t;
        let t = Coef::All(self.from.t);
        self.score_fn.evaluate(x, t, &mut self.w.score)
    }

    /// `score <- score(next, level)`, where `next` is a state in between. It has to be finite, so that the evaluation that went wrong
    /// is the one named.
    pub fn evaluate_between(&mut self, level: Level) -> Result<(), SolveError> {
        let (guard, score) = (NanGuard::new(self.job.first_row), Some(&self.w.score));
        guard.check(&self.w.next, score, self.from.t, level.t, self.number as u64)?;
        self.scored_at = level.t;
        self.score_fn
            .evaluate(&self.w.next, Coef::All(level.t), &mut self.w.score)
    }

    /// The level with noise `sigma`.
    pub fn level(&self, sigma: f64) -> Level {
        Level::at_sigma(self.job.sde, sigma)
    }

    /// `noise <- z`, the normalised increment of the path over the step or its first part.
    pub fn draw_noise(&mut self) -> Result<(), SolveError> {
        let draw = self.draw();
        self.job.noise.normal(draw, &mut self.w.noise)
    }

    /// `noise` becomes the normalised increment over a longer interval with the same start, `correlation` that of the two.
    pub fn extend_noise(&mut self, correlation: f64, spare: usize) -> Result<(), SolveError> {
        let draw = self.draw();
        let (noise, spare) = (&mut self.w.noise, &mut self.own[spare]);
        self.job.noise.extend(draw, correlation, noise, spare)
    }

    fn draw(&mut self) -> Draw {
        self.next_draw += 1;
        Draw {
            step: self.next_draw - 1,
            purpose: Purpose::Predictor,
        }
    }
}

/// A method of this family on its grid.
#[derive(Debug, Clone)]
pub struct OnGrid<M> {
    pub(crate) method: M,
    pub(crate) grid: Grid,
    pub(crate) final_step: Final,
}

/// One run.
struct Run<'a, S: State, M> {
    sampler: &'a OnGrid<M>,
    job: &'a Job<'a, S>,
    score: &'a CountedScore<'a, S>,
    scratch: Scratch<S>,
    own: Vec<S>,
    spans_before: [Option<f64>; 2],
    level: Level,
}

impl<S: State, M: Steps> GridMethod<S> for Run<'_, S, M> {
    fn step(&mut self, number: usize, span: Span, x: &mut S) -> Result<(), SolveError> {
        let (from, to) = (self.level, Level::at(self.job.sde, span.to));
        let OnGrid {
            method,
            grid,
            final_step,
        } = self.sampler;
        let without = *final_step == Final::Mean && number + 1 == grid.steps();
        self.own.rotate_right(usize::from(M::STATES > 0));
        let mut step = SigmaStep {
            from,
            to,
            noisy: method.is_stochastic() && !without,
            spans_before: self.spans_before,
            w: &mut self.scratch,
            own: &mut self.own,
            job: self.job,
            score_fn: self.score,
            number,
            next_draw: number as u32 * M::DRAWS,
            scored_at: from.t,
        };
        if to.sigma == 0.0 {
            step.evaluate(x)?;
            let (scale, var) = (to.mean_coef / from.mean_coef, from.std * from.std);
            let w = &mut *step.w;
            w.next
                .lincomb(&[(Coef::All(scale), &*x), (Coef::All(scale * var), &w.score)]);
            mem::swap(x, &mut w.next);
        } else {
            method.step(&mut step, x)?;
        }
        let scored_at = step.scored_at;
        self.spans_before = [Some(to.lambda - from.lambda), self.spans_before[0]];
        self.level = to;
        let guard = NanGuard::new(self.job.first_row);
        guard.check(x, Some(&self.scratch.score), scored_at, to.t, number as u64)
    }

    fn finish(&mut self, t: f64, step: usize, x: &mut S) -> Result<(), SolveError> {
        let (guard, w) = (NanGuard::new(self.job.first_row), &mut self.scratch);
        let end = self.sampler.final_step;
        end.apply(self.job.sde, self.score, guard, t, step as u64, x, w)
    }
}

impl<S: State, M: Steps> Sampler<S> for OnGrid<M> {
    fn info(&self) -> MethodInfo {
        self.method.info()
    }

    fn t_start(&self) -> f64 {
        self.grid.start()
    }

    fn run(&self, job: &Job<S>, x: &mut S, observer: &mut dyn Observer<S>) -> Result<SolveStats, SolveError> {
        let score = CountedScore::new(job.score);
        let run = Run {
            sampler: self,
            job,
            score: &score,
            scratch: Scratch::new(x),
            own: (0..M::STATES).map(|_| x.zeros_like()).collect(),
            spans_before: [None; 2],
            level: Level::at(job.sde, self.grid.start()),
        };
        march(&self.grid, job, &score, run, x, observer)
    }
}
