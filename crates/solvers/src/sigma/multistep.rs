//! What the methods that combine past noise predictions share: the history and the step.

use std::mem;

use sde_core::grid::Grid;
use sde_core::{Sde, Span};

use crate::sampler::level::Level;
use crate::sampler::march::{self, Frame, GridSteps};
use crate::sampler::{Final, Job, MethodInfo, Sampler, SolveStats};
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
    /// Predictions that step number `step` combines.
    fn known(&self, step: usize) -> usize {
        (step + 1).min(self.order)
    }

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

/// What a run knows of its steps before.
pub(crate) struct History<S> {
    /// Scores of the last steps and the `std` of their times, the newest first.
    scores: Vec<S>,
    stds: Weights,
}

impl<S: State> History<S> {
    /// Evaluates at `from` and moves `x` to a level with `mean_coef`, with the first `known` scores.
    fn advance(
        &mut self,
        frame: &mut Frame<S>,
        from: Level,
        mean_coef: f64,
        weights: &Weights,
        known: usize,
        x: &mut S,
    ) -> Result<(), SolveError> {
        self.scores.rotate_right(1);
        self.stds.rotate_right(1);
        frame.score.evaluate(x, Coef::All(from.t), &mut self.scores[0])?;
        self.stds[0] = from.std;
        let next = &mut frame.scratch.next;
        let mut terms = [(Coef::All(mean_coef / from.mean_coef), &*x); MOST + 1];
        for (j, score) in self.scores[..known].iter().enumerate() {
            terms[j + 1] = (Coef::All(-mean_coef * weights[j] * self.stds[j]), score);
        }
        next.lincomb(&terms[..=known]);
        mem::swap(x, next);
        Ok(())
    }
}

impl<S: State> GridSteps<S> for Multistep {
    type Memory = History<S>;

    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn final_step(&self) -> Final {
        self.final_step
    }

    fn memory(&self, _: &Job<S>, x: &S) -> History<S> {
        History {
            scores: (0..self.order).map(|_| x.zeros_like()).collect(),
            stds: [0.0; MOST],
        }
    }

    fn step(
        &self,
        frame: &mut Frame<S>,
        history: &mut History<S>,
        step: usize,
        span: Span,
        x: &mut S,
    ) -> Result<(), SolveError> {
        let from = Level::at(frame.job.sde, span.from);
        let mean_coef = frame.job.sde.marginal(span.to).mean_coef;
        let known = self.known(step);
        history.advance(frame, from, mean_coef, &self.weights[step], known, x)?;
        let score = Some(&history.scores[0]);
        frame.guard.check(x, score, span.from, span.to, step as u64)
    }

    fn finish(
        &self,
        frame: &mut Frame<S>,
        history: &mut History<S>,
        t: f64,
        step: usize,
        x: &mut S,
    ) -> Result<(), SolveError> {
        let end = self.final_step;
        let Some(weights) = self.to_zero.as_ref().filter(|_| end == Final::Tweedie) else {
            return frame.end(end, t, step, x);
        };
        let from = Level::at(frame.job.sde, t);
        history.advance(frame, from, 1.0, weights, self.known(step), x)?;
        frame.guard.check(x, Some(&history.scores[0]), t, t, step as u64)
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
        march::run(self, job, x, observer)
    }
}
