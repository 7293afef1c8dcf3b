//! What the methods that combine past noise predictions share: the history and the step.

use std::mem;

use sde_core::grid::Grid;
use sde_core::{Sde, Span};

use crate::observe::NanGuard;
use crate::sampler::level::Level;
use crate::sampler::march::{GridMethod, march};
use crate::sampler::{CountedScore, Final, Job, MethodInfo, Sampler, Scratch, SolveStats};
use crate::{Coef, Observer, SolveError, State};

/// Most predictions that a step combines.
pub(crate) const MOST: usize = 4;

/// The factors of the noise predictions in one step, the newest first: `x~' = x~ + sum_j w_j eps_j`.
pub(crate) type Weights = [f64; MOST];

/// Linear multistep method on the noise prediction `eps = -std score`: `x~' = x~ + sum_j w_j eps_j` over the newest `order`
/// predictions, with `x~ = x/mean_coef`. The weights are those of [`lms`](super::lms), [`deis`](crate::exponential::deis) or
/// [`ipndm`](crate::exponential::ipndm).
///
/// One evaluation a step. Step `i`, counted from 1, has the order `min(i, order)`: the first steps are of lower order, and so are all
/// of a run with fewer steps than `order`. Memory: `order + 3` states.
#[derive(Debug, Clone)]
pub struct Multistep {
    pub(crate) name: &'static str,
    /// Most predictions that a step combines.
    pub(crate) order: usize,
    /// Order of convergence on any smooth grid with short first steps.
    pub(crate) convergence: usize,
    pub(crate) grid: Grid,
    /// One entry a span.
    pub(crate) weights: Vec<Weights>,
    /// The method's own step from the end of the grid to `sigma = 0`, which then takes the place of [`Final::Tweedie`].
    pub(crate) to_zero: Option<Weights>,
    pub(crate) final_step: Final,
}

impl Multistep {
    /// The weights of every step of a grid by `rule`, which gets the levels from the start to the end of the step, at most
    /// `order + 1` of them, the newest last.
    pub(crate) fn weights_by(
        sde: &dyn Sde,
        grid: &Grid,
        order: usize,
        mut rule: impl FnMut(&[Level]) -> Weights,
    ) -> Vec<Weights> {
        let levels: Vec<Level> = grid.times().iter().map(|t| Level::at(sde, *t)).collect();
        (1..levels.len())
            .map(|to| rule(&levels[to.saturating_sub(order)..=to]))
            .collect()
    }
}

/// The polynomial that is 1 at the point number `j`, counted from the last, and 0 at the others, taken at `at`.
pub(crate) fn lagrange(points: &[f64], j: usize, at: f64) -> f64 {
    let own = points.len() - 1 - j;
    let others = points.iter().enumerate().filter(|(k, _)| *k != own);
    others
        .map(|(_, point)| (at - point) / (points[own] - point))
        .product()
}

/// One run.
struct Run<'a, S: State> {
    method: &'a Multistep,
    job: &'a Job<'a, S>,
    score: &'a CountedScore<'a, S>,
    /// Scores of the last steps and the `std` of their times, the newest first.
    scores: Vec<S>,
    stds: Weights,
    scratch: Scratch<S>,
    guard: NanGuard,
}

impl<S: State> Run<'_, S> {
    /// Evaluates at `from` and moves `x` to a level with `mean_coef`, with the first `known` scores.
    fn advance(
        &mut self,
        from: Level,
        mean_coef: f64,
        weights: &Weights,
        known: usize,
        x: &mut S,
    ) -> Result<(), SolveError> {
        self.scores.rotate_right(1);
        self.stds.rotate_right(1);
        self.score.evaluate(x, Coef::All(from.t), &mut self.scores[0])?;
        self.stds[0] = from.std;
        let next = &mut self.scratch.next;
        let mut terms = [(Coef::All(mean_coef / from.mean_coef), &*x); MOST + 1];
        for (j, score) in self.scores[..known].iter().enumerate() {
            terms[j + 1] = (Coef::All(-mean_coef * weights[j] * self.stds[j]), score);
        }
        next.lincomb(&terms[..=known]);
        mem::swap(x, next);
        Ok(())
    }

    fn known(&self, step: usize) -> usize {
        (step + 1).min(self.method.order)
    }
}

impl<S: State> GridMethod<S> for Run<'_, S> {
    fn step(&mut self, step: usize, span: Span, x: &mut S) -> Result<(), SolveError> {
        let from = Level::at(self.job.sde, span.from);
        let mean_coef = self.job.sde.marginal(span.to).mean_coef;
        let known = self.known(step);
        self.advance(from, mean_coef, &self.method.weights[step], known, x)?;
        self.guard
            .check(x, Some(&self.scores[0]), span.from, span.to, step as u64)
    }

    fn finish(&mut self, t: f64, step: usize, x: &mut S) -> Result<(), SolveError> {
        let (job, end) = (self.job, self.method.final_step);
        let Some(weights) = self.method.to_zero.as_ref().filter(|_| end == Final::Tweedie) else {
            return end.apply(
                job.sde,
                self.score,
                self.guard,
                t,
                step as u64,
                x,
                &mut self.scratch,
            );
        };
        let known = self.known(step);
        self.advance(Level::at(job.sde, t), 1.0, weights, known, x)?;
        self.guard.check(x, Some(&self.scores[0]), t, t, step as u64)
    }
}

impl<S: State> Sampler<S> for Multistep {
    fn info(&self) -> MethodInfo {
        MethodInfo {
            name: self.name,
            order: self.convergence as f64,
            evaluations: 1,
            stochastic: false,
            couples_rows: false,
        }
    }

    fn t_start(&self) -> f64 {
        self.grid.start()
    }

    fn run(&self, job: &Job<S>, x: &mut S, observer: &mut dyn Observer<S>) -> Result<SolveStats, SolveError> {
        let score = CountedScore::new(job.score);
        let run = Run {
            method: self,
            job,
            score: &score,
            scores: (0..self.order).map(|_| x.zeros_like()).collect(),
            stds: [0.0; MOST],
            scratch: Scratch::new(x),
            guard: NanGuard::new(job.first_row),
        };
        march(&self.grid, job, &score, run, x, observer)
    }
}
