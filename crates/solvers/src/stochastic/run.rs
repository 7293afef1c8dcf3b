//! What the methods of this family on a grid share: the loop, the noise, and the states of a run.

use std::fmt::Debug;
use std::mem;

use sde_core::Span;
use sde_core::grid::Grid;

use super::Stochasticity;
use crate::observe::NanGuard;
use crate::sampler::level::Level;
use crate::sampler::march::{self, Frame, GridSteps};
use crate::sampler::{CountedScore, Final, Job, MethodInfo, Sampler, Scratch, SolveStats};
use crate::{Coef, Draw, Observer, Purpose, SolveError, State};

/// Terms of a step of [`SigmaStep::exponential`] besides the state and its mean: two means before and the noise.
const MOST_TERMS: usize = 3;

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

    /// The step of the exponential multistep methods, with one evaluation and one draw: with the posterior mean `D` of this step and
    /// `D_k` of those before, and `h` the span in `lambda`,
    /// `x~' = (sigma_to/sigma) e^{-eta h} x~ + sum_k weights[k] D_k + s_noise sigma_to sqrt(1 - e^{-2 eta h}) z`.
    pub fn exponential<const N: usize>(
        &mut self,
        noise: Stochasticity,
        weights: [f64; N],
        x: &mut S,
    ) -> Result<(), SolveError> {
        let (from, to, eta) = (self.from, self.to, noise.eta);
        let h = to.lambda - from.lambda;
        self.evaluate(x)?;
        if self.noisy {
            self.draw_noise()?;
        }
        let w = &mut *self.w;
        let (newest, older) = self.own.split_first_mut().expect("a state for the mean");
        let mut rest = [(0.0, &w.noise); MOST_TERMS];
        for (term, (weight, mean)) in rest.iter_mut().zip(weights[1..].iter().zip(&*older)) {
            *term = (to.mean_coef * weight, mean);
        }
        rest[N - 1] = (
            noise.s_noise * to.std * (-(-2.0 * eta * h).exp_m1()).sqrt(),
            &w.noise,
        );
        let mean = [(1.0 / from.mean_coef, &*x), (from.std * from.sigma, &w.score)];
        let factors = [to.std / from.std * (-eta * h).exp(), to.mean_coef * weights[0]];
        let rest = &rest[..N - 1 + usize::from(self.noisy)];
        w.next.lincomb_through(newest, mean, factors, rest);
        mem::swap(x, &mut w.next);
        Ok(())
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

/// What a run carries.
pub(crate) struct Progress<S> {
    own: Vec<S>,
    spans_before: [Option<f64>; 2],
    level: Level,
}

impl<S: State, M: Steps> GridSteps<S> for OnGrid<M> {
    type Memory = Progress<S>;

    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn final_step(&self) -> Final {
        self.final_step
    }

    fn memory(&self, job: &Job<S>, x: &S) -> Progress<S> {
        Progress {
            own: (0..M::STATES).map(|_| x.zeros_like()).collect(),
            spans_before: [None; 2],
            level: Level::at(job.sde, self.grid.start()),
        }
    }

    fn step(
        &self,
        frame: &mut Frame<S>,
        progress: &mut Progress<S>,
        number: usize,
        span: Span,
        x: &mut S,
    ) -> Result<(), SolveError> {
        let (from, to) = (progress.level, Level::at(frame.job.sde, span.to));
        let method = &self.method;
        let without = self.final_step == Final::Mean && number + 1 == self.grid.steps();
        progress.own.rotate_right(usize::from(M::STATES > 0));
        let mut step = SigmaStep {
            from,
            to,
            noisy: method.is_stochastic() && !without,
            spans_before: progress.spans_before,
            w: &mut frame.scratch,
            own: &mut progress.own,
            job: frame.job,
            score_fn: frame.score,
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
        progress.spans_before = [Some(to.lambda - from.lambda), progress.spans_before[0]];
        progress.level = to;
        frame.check(x, scored_at, to.t, number)
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
        march::run(self, job, x, observer)
    }
}
