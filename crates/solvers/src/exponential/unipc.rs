//! UniPC: a multistep predictor and a corrector that share their evaluations.

use std::mem;

use sde_core::Span;
use sde_core::grid::Grid;
use serde::{Deserialize, Serialize};

use super::Prediction;
use super::phi::z_phi;
use crate::sampler::level::Level;
use crate::sampler::march::{self, Frame, GridSteps};
use crate::sampler::{Final, Job, MethodInfo, Sampler, SolveStats};
use crate::{Coef, Observer, SolveError, State};

/// Highest order.
const MOST: usize = 3;

/// The function `B(h)` of UniPC. The weights solve linear systems in which it cancels; it is seen only where the published code
/// takes 1/2 for the solution: in the predictor of order 2 and the corrector of order 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnipcVariant {
    /// `B(h) = h`.
    Bh1,
    /// `B(h) = e^h - 1`.
    #[default]
    Bh2,
}

/// UniPC for the predicted data, with its corrector.
///
/// Over a step of length `h` in `lambda`, with the newest prediction `m_0` and others `m_k` at the distances `r_k h`,
///
/// ```text
/// x_to = (std_to/std_from) x + mean_coef_to ((1 - e^{-h}) m_0 - sum_k w_k (m_k - m_0)/r_k),
/// sum_k w_k r_k^{i-1} = i! z phi_{i+1}(z),  z = -h,  i = 1, 2, ...
/// ```
///
/// The predictor takes the `p - 1` predictions before `m_0`; the corrector takes the one at the predicted state (`r = 1`) as well and
/// makes the step anew from `x`. That prediction is the `m_0` of the next step: no evaluation is repeated.
///
/// Source: Zhao et al. 2023, arXiv:2302.04867, section 3 in its form for the predicted data, with the orders of the authors' code:
/// 1, 2, ... in the first steps, ..., 2, 1 in the last ones, and no corrector in the very last. A run with fewer steps than `order` has
/// the order of its number of steps, where that code refuses.
///
/// Order `order + 1` between the first and the last steps (their corollary 3.2); in the limit of short steps the last one rules, whose
/// error is small because the predicted data hardly change there. One evaluation a step. The last step goes down to no noise in
/// closed form. Memory: `order + 5` states, at most 8.
#[derive(Debug, Clone)]
pub struct Unipc {
    pub(crate) order: usize,
    pub(crate) variant: UnipcVariant,
    pub(crate) grid: Grid,
    pub(crate) final_step: Final,
}

impl Unipc {
    /// Order of the step number `step`, from 0.
    fn order_at(&self, step: usize) -> usize {
        let left = self.grid.steps() - step;
        let order = self.order.min(self.grid.steps());
        if step + 1 < order {
            step + 1
        } else {
            order.min(left)
        }
    }

    /// `w_k / r_k` for predictions at the distances `ratios`, in units of the step of length `h`. A single one has the weight 1/2, as
    /// in the authors' code, in place of the solution.
    fn weights(&self, h: f64, ratios: &[f64]) -> [f64; MOST] {
        let z = -h;
        if let [ratio] = ratios {
            let b = match self.variant {
                UnipcVariant::Bh1 => z,
                UnipcVariant::Bh2 => z.exp_m1(),
            };
            return [0.5 * b / ratio, 0.0, 0.0];
        }
        let moments = [z_phi(2, z), 2.0 * z_phi(3, z), 6.0 * z_phi(4, z)];
        std::array::from_fn(|k| match ratios.get(k) {
            Some(own) => moment(ratios, k, &moments) / own,
            None => 0.0,
        })
    }
}

/// The solution number `k` of `sum_k w_k r_k^i = moments[i]`: the moment of the Lagrange polynomial through the `r_k`.
fn moment(ratios: &[f64], k: usize, moments: &[f64; MOST]) -> f64 {
    let mut polynomial = [1.0, 0.0, 0.0];
    for (_, other) in ratios.iter().enumerate().filter(|(j, _)| *j != k) {
        for i in (0..MOST).rev() {
            let lower = if i > 0 { polynomial[i - 1] } else { 0.0 };
            polynomial[i] = (lower - other * polynomial[i]) / (ratios[k] - other);
        }
    }
    polynomial.iter().zip(moments).map(|(c, m)| c * m).sum()
}

/// Predicted data and their `lambda`, the newest first.
pub(crate) struct History<S> {
    predictions: Vec<S>,
    lambdas: [f64; MOST + 1],
}

impl<S: State> History<S> {
    /// Puts the prediction from state and score at `level` in front.
    fn push(&mut self, level: &Level, x: &S, score: &S) {
        self.predictions.rotate_right(1);
        self.lambdas.rotate_right(1);
        let (state, of_score) = Prediction::Data.of_score(level);
        self.predictions[0].lincomb(&[(Coef::All(state), x), (Coef::All(of_score), score)]);
        self.lambdas[0] = level.lambda;
    }

    /// `out <-` the step from `x` with prediction number `newest` as `m_0` and `others` beside it.
    fn step(
        &self,
        method: &Unipc,
        (from, to): (&Level, &Level),
        newest: usize,
        others: &[usize],
        x: &S,
        out: &mut S,
    ) {
        let exact = Prediction::Data.span(from, to);
        let mut ratios = [0.0; MOST];
        for (ratio, other) in ratios.iter_mut().zip(others) {
            *ratio = (self.lambdas[*other] - self.lambdas[newest]) / exact.h;
        }
        let weights = method.weights(exact.h, &ratios[..others.len()]);
        let mut terms = [(Coef::All(exact.state), x); MOST + 2];
        let mut own = exact.first;
        for ((term, weight), other) in terms[2..].iter_mut().zip(weights).zip(others) {
            let change = to.mean_coef * weight;
            own += change;
            *term = (Coef::All(-change), &self.predictions[*other]);
        }
        terms[1] = (Coef::All(own), &self.predictions[newest]);
        out.lincomb(&terms[..others.len() + 2]);
    }
}

impl<S: State> GridSteps<S> for Unipc {
    type Memory = History<S>;

    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn final_step(&self) -> Final {
        self.final_step
    }

    fn memory(&self, _: &Job<S>, x: &S) -> History<S> {
        History {
            predictions: (0..=self.order).map(|_| x.zeros_like()).collect(),
            lambdas: [0.0; MOST + 1],
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
        let (sde, w) = (frame.job.sde, &mut frame.scratch);
        let (from, to) = (Level::at(sde, span.from), Level::at(sde, span.to));
        if step == 0 {
            frame.score.evaluate(x, Coef::All(from.t), &mut w.score)?;
            history.push(&from, x, &w.score);
            let first = &history.predictions[0];
            frame.guard.check(first, Some(&w.score), from.t, from.t, 0)?;
        }
        let order = self.order_at(step);
        let levels = (&from, &to);
        history.step(self, levels, 0, &[1, 2][..order - 1], x, &mut w.next);
        if step + 1 == self.grid.steps() {
            mem::swap(x, &mut w.next);
            return frame.guard.check(x, None, to.t, to.t, step as u64);
        }
        frame.score.evaluate(&w.next, Coef::All(to.t), &mut w.score)?;
        history.push(&to, &w.next, &w.score);
        history.step(self, levels, 1, &[0, 2, 3][..order], x, &mut w.noise);
        mem::swap(x, &mut w.noise);
        frame.guard.check(x, Some(&w.score), to.t, to.t, step as u64)
    }
}

impl<S: State> Sampler<S> for Unipc {
    fn info(&self) -> MethodInfo {
        MethodInfo {
            name: "unipc",
            order: self.order as f64 + 1.0,
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
