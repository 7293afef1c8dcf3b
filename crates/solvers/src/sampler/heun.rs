use std::mem;

use sde_core::Span;
use sde_core::grid::Grid;

use super::level::Level;
use super::march::{GridMethod, march};
use super::{CountedScore, Final, Job, MethodInfo, Sampler, Scratch, SolveStats};
use crate::observe::NanGuard;
use crate::{Coef, Draw, Observer, Purpose, SolveError, State};

/// The stochasticity of Karras et al. (2022): noise is added and removed again where the noise level lies in `[min, max]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Churn {
    /// `S_churn`: amount over all steps; 0 is the deterministic method.
    pub amount: f64,
    /// `S_min`, noise level (`std/mean_coef`).
    pub min: f64,
    /// `S_max`, noise level.
    pub max: f64,
    /// `S_noise`: factor of the standard deviation of the added noise.
    pub noise: f64,
}

impl Churn {
    /// `gamma = min(S_churn/N, sqrt(2) - 1)` inside the interval, 0 outside.
    fn gamma(&self, sigma: f64, steps: usize) -> f64 {
        if sigma < self.min || sigma > self.max {
            return 0.0;
        }
        (self.amount / steps as f64).min(std::f64::consts::SQRT_2 - 1.0)
    }
}

/// Heun's method for `dx~/dsigma = (x~ - D(x~; sigma))/sigma` in the variables `x~ = x/mean_coef`, `sigma = std/mean_coef`, with churn.
///
/// Source: Karras et al. 2022, arXiv:2206.00364, algorithm 2. Works for every linear SDE: the state stays `x`, the steps carry
/// the factors of `mean_coef`. Order 2, two evaluations a step; the final Tweedie step is the paper's Euler step to
/// `sigma = 0`, churned like every other, and `N` counts it. Churn may evaluate the score above the start time. With
/// `amount > 0` noise is drawn for every step, also where `gamma = 0`; with `amount = 0` never. Memory: four states.
#[derive(Debug, Clone)]
pub struct Heun {
    pub(crate) grid: Grid,
    pub(crate) churn: Churn,
    pub(crate) final_step: Final,
}

impl Heun {
    /// Adds the churn noise of a step; returns the level of the state afterwards.
    fn add_noise<S: State>(
        &self,
        job: &Job<S>,
        level: Level,
        step: usize,
        x: &mut S,
        w: &mut Scratch<S>,
    ) -> Result<Level, SolveError> {
        if self.churn.amount == 0.0 {
            return Ok(level);
        }
        job.noise.normal(
            Draw {
                step: step as u32,
                purpose: Purpose::Predictor,
            },
            &mut w.noise,
        )?;
        let steps = self.grid.spans().len() + usize::from(self.final_step == Final::Tweedie);
        let gamma = self.churn.gamma(level.sigma, steps);
        if gamma == 0.0 {
            return Ok(level);
        }
        let raised = Level::at_sigma(job.sde, level.sigma * (1.0 + gamma));
        let added = (raised.sigma * raised.sigma - level.sigma * level.sigma)
            .max(0.0)
            .sqrt()
            * self.churn.noise;
        w.next.lincomb(&[
            (Coef::All(raised.mean_coef / level.mean_coef), &*x),
            (Coef::All(raised.mean_coef * added), &w.noise),
        ]);
        mem::swap(x, &mut w.next);
        Ok(raised)
    }

    /// One step of Heun's method from `from` to `to`, or of Euler's where `to` has no noise.
    fn step<S: State>(
        score: &CountedScore<S>,
        from: Level,
        to: Level,
        x: &mut S,
        w: &mut Scratch<S>,
    ) -> Result<(), SolveError> {
        let scale = to.mean_coef / from.mean_coef;
        let drop = from.sigma - to.sigma;
        score.evaluate(x, Coef::All(from.t), &mut w.score)?;
        let slope = drop * from.sigma * from.mean_coef * to.mean_coef;
        w.next
            .lincomb(&[(Coef::All(scale), &*x), (Coef::All(slope), &w.score)]);
        if to.sigma == 0.0 {
            mem::swap(x, &mut w.next);
            return Ok(());
        }
        score.evaluate(&w.next, Coef::All(to.t), &mut w.score)?;
        let slope = 0.5 * drop * to.sigma * to.mean_coef * to.mean_coef;
        w.noise.lincomb(&[
            (Coef::All(0.5 * scale), &*x),
            (Coef::All(0.5), &w.next),
            (Coef::All(slope), &w.score),
        ]);
        mem::swap(x, &mut w.noise);
        Ok(())
    }
}

/// One run.
struct Run<'a, S: State> {
    method: &'a Heun,
    job: &'a Job<'a, S>,
    score: &'a CountedScore<'a, S>,
    scratch: Scratch<S>,
    guard: NanGuard,
    /// The level of the state.
    level: Level,
}

impl<S: State> GridMethod<S> for Run<'_, S> {
    fn step(&mut self, step: usize, span: Span, x: &mut S) -> Result<(), SolveError> {
        let (to, w) = (Level::at(self.job.sde, span.to), &mut self.scratch);
        let from = self.method.add_noise(self.job, self.level, step, x, w)?;
        Heun::step(self.score, from, to, x, w)?;
        if x.first_non_finite_row().is_some() {
            // The Euler point tells which of the two evaluations went wrong.
            let t = if to.sigma == 0.0 || w.next.first_non_finite_row().is_some() {
                from.t
            } else {
                to.t
            };
            self.guard.check(x, Some(&w.score), t, to.t, step as u64)?;
        }
        self.level = to;
        Ok(())
    }

    fn finish(&mut self, _t: f64, step: usize, x: &mut S) -> Result<(), SolveError> {
        let (end, w) = (self.method.final_step, &mut self.scratch);
        if end != Final::Tweedie {
            return Ok(());
        }
        let from = self.method.add_noise(self.job, self.level, step, x, w)?;
        end.apply(self.job.sde, self.score, self.guard, from.t, step as u64, x, w)
    }
}

impl<S: State> Sampler<S> for Heun {
    fn info(&self) -> MethodInfo {
        MethodInfo {
            name: "heun",
            order: if self.churn.amount > 0.0 { 1.0 } else { 2.0 },
            evaluations: 2,
            stochastic: self.churn.amount > 0.0,
            couples_rows: false,
        }
    }

    fn t_start(&self) -> f64 {
        self.grid.times()[0]
    }

    fn run(&self, job: &Job<S>, x: &mut S, observer: &mut dyn Observer<S>) -> Result<SolveStats, SolveError> {
        let score = CountedScore::new(job.score);
        let run = Run {
            method: self,
            job,
            score: &score,
            scratch: Scratch::new(x),
            guard: NanGuard::new(job.first_row),
            level: Level::at(job.sde, self.grid.start()),
        };
        march(&self.grid, job, &score, run, x, observer)
    }
}
