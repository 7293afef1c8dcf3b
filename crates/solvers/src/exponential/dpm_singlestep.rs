use std::mem;

use sde_core::grid::Grid;
use sde_core::{Sde, Span};

use super::Prediction;
use crate::sampler::level::Level;
use crate::sampler::march::{self, Frame, GridSteps};
use crate::sampler::{Final, Job, MethodInfo, Sampler, SolveStats};
use crate::{Coef, Observer, SolveError, State};

/// Order of a singlestep method that has stages: what it approximates the prediction by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StagedOrder {
    /// DPM-Solver-2: a stage at `r_1 = 1/2` of the step in `lambda`.
    Two,
    /// DPM-Solver-3: stages at `r_1 = 1/3` and `r_2 = 2/3`.
    Three,
}

impl StagedOrder {
    /// Where the stages lie, as shares of the step in `lambda`; order 2 has the first only.
    pub(super) fn stages(self) -> [f64; 2] {
        match self {
            Self::Two => [1.0 / 2.0, 1.0],
            Self::Three => [1.0 / 3.0, 2.0 / 3.0],
        }
    }

    pub(super) fn number(self) -> u8 {
        match self {
            Self::Two => 2,
            Self::Three => 3,
        }
    }
}

/// The factors of one stage, or of the end of a step: of the state and score at the start of the step, and of the state and score
/// at an earlier stage.
pub(super) type Factors = [f64; 4];

/// The formulas of a singlestep method.
#[derive(Debug, Clone, Copy)]
pub(super) struct Formulas {
    pub prediction: Prediction,
}

impl Formulas {
    /// The prediction held constant over the step: DPM-Solver-1.
    pub fn first(self, from: &Level, to: &Level) -> Factors {
        self.with(from, to, None)
    }

    /// DPM-Solver-2 with a stage at the share `r` of the step: `first (P_0 + (P_1 - P_0)/(2 r))`.
    pub fn second(self, from: &Level, stage: &Level, r: f64, to: &Level) -> Factors {
        let first = self.prediction.span(from, to).first;
        self.with(from, to, Some((stage, first / (2.0 * r))))
    }

    /// The last stage of DPM-Solver-3, and its end: `first P_0 + second (P_1 - P_0)/r`, where the stage lies at the share `r` of
    /// this span.
    pub fn slope(self, from: &Level, stage: &Level, r: f64, to: &Level) -> Factors {
        let second = self.prediction.span(from, to).second();
        self.with(from, to, Some((stage, second / r)))
    }

    /// `state x + first P_0 + weight (P_1 - P_0)` in terms of states and scores.
    fn with(self, from: &Level, to: &Level, other: Option<(&Level, f64)>) -> Factors {
        let span = self.prediction.span(from, to);
        let (start_state, start_score) = self.prediction.of_score(from);
        let (weight, (state, score)) = match other {
            None => (0.0, (0.0, 0.0)),
            Some((stage, weight)) => (weight, self.prediction.of_score(stage)),
        };
        let own = span.first - weight;
        [
            span.state + own * start_state,
            own * start_score,
            weight * state,
            weight * score,
        ]
    }
}

/// DPM-Solver-2 and -3, and their forms for the predicted data: one-step methods with `order` evaluations a step.
///
/// Source: Lu et al. 2022, arXiv:2206.00927, algorithms 1 and 2, and arXiv:2211.01095, algorithm 1 (`2S`), with `r_1 = 1/2` or `r_1 = 1/3`,
/// `r_2 = 2/3`, in the form that the authors' code calls `solver_type = "dpmsolver"`. The third order over predicted
/// data stands in that code alone.
///
/// Each interval of the grid is one step of the full order, as in the authors' `singlestep_fixed`: their `steps` are evaluations,
/// `order` times those here, and on the `log-snr` grid both are the same points. With `lower_order_final` the last step has order 1,
/// and the one before it at most 2: the list of their DPM-Solver-fast for `3 (N - 1)` evaluations, or `2 N - 1` at order 2. A
/// step to a level without noise is of order 1, in closed form, exact where the predicted data are constant.
///
/// Stages lie inside their interval. Order 2 or 3; `order` evaluations a step. Memory: six states.
#[derive(Debug, Clone)]
pub struct DpmSingleStep {
    pub(crate) prediction: Prediction,
    pub(crate) order: StagedOrder,
    pub(crate) lower_order_final: bool,
    pub(crate) grid: Grid,
    pub(crate) final_step: Final,
}

impl DpmSingleStep {
    /// Order of step number `step`, which ends at `to`.
    fn order_of(&self, step: usize, to: &Level) -> u8 {
        if to.std == 0.0 {
            return 1;
        }
        let left = if self.lower_order_final {
            self.grid.steps() - step
        } else {
            usize::MAX
        };
        self.order.number().min(left.min(3) as u8)
    }
}

/// A stage of a run.
pub(crate) struct Stage<S> {
    state: S,
    score: S,
}

impl<S: State> Stage<S> {
    /// `next <-` the state that these factors make; then it is the stage at `level`, with its score.
    fn make(
        &mut self,
        frame: &mut Frame<S>,
        factors: Factors,
        level: &Level,
        x: &S,
    ) -> Result<(), SolveError> {
        let w = &mut frame.scratch;
        combine(&mut w.next, factors, [x, &w.score, &self.state, &self.score]);
        mem::swap(&mut self.state, &mut w.next);
        frame
            .score
            .evaluate(&self.state, Coef::All(level.t), &mut self.score)
    }

    /// Whose fault it is that `x` is not finite: the first evaluation whose argument was finite and whose score is not.
    fn check(
        &self,
        frame: &Frame<S>,
        (from, stages, to): (&Level, &[Level], &Level),
        step: usize,
        x: &S,
    ) -> Result<(), SolveError> {
        if x.first_non_finite_row().is_none() {
            return Ok(());
        }
        let (start, late) = (&frame.scratch.score, &self.score);
        let (score, t) = match stages {
            [] => (start, from.t),
            _ if start.first_non_finite_row().is_some() => (start, from.t),
            [one, _] if self.state.first_non_finite_row().is_some() => (late, one.t),
            [.., last] => (late, last.t),
        };
        frame.guard.check(x, Some(score), t, to.t, step as u64)
    }
}

/// `out <- sum_j factors_j states_j`, over the factors that are not zero.
fn combine<S: State>(out: &mut S, factors: Factors, states: [&S; 4]) {
    let mut terms = [(Coef::All(0.0), states[0]); 4];
    let mut used = 0;
    for (factor, state) in factors
        .into_iter()
        .zip(states)
        .filter(|(factor, _)| *factor != 0.0)
    {
        terms[used] = (Coef::All(factor), state);
        used += 1;
    }
    out.lincomb(&terms[..used]);
}

impl<S: State> GridSteps<S> for DpmSingleStep {
    type Memory = Stage<S>;

    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn final_step(&self) -> Final {
        self.final_step
    }

    fn memory(&self, _: &Job<S>, x: &S) -> Stage<S> {
        Stage {
            state: x.zeros_like(),
            score: x.zeros_like(),
        }
    }

    fn step(
        &self,
        frame: &mut Frame<S>,
        stage: &mut Stage<S>,
        step: usize,
        span: Span,
        x: &mut S,
    ) -> Result<(), SolveError> {
        let sde: &dyn Sde = frame.job.sde;
        let formulas = Formulas {
            prediction: self.prediction,
        };
        let (from, to) = (Level::at(sde, span.from), Level::at(sde, span.to));
        let inside = |r: f64| Level::at_lambda(sde, from.lambda + r * (to.lambda - from.lambda));
        frame
            .score
            .evaluate(x, Coef::All(from.t), &mut frame.scratch.score)?;
        let (mut levels, mut used) = ([from; 2], 0);
        let end = match self.order_of(step, &to) {
            1 => formulas.first(&from, &to),
            2 => {
                let [r, _] = StagedOrder::Two.stages();
                levels[0] = inside(r);
                used = 1;
                stage.make(frame, formulas.first(&from, &levels[0]), &levels[0], x)?;
                formulas.second(&from, &levels[0], r, &to)
            }
            _ => {
                let [r1, r2] = StagedOrder::Three.stages();
                levels = [inside(r1), inside(r2)];
                used = 2;
                let [one, two] = &levels;
                stage.make(frame, formulas.first(&from, one), one, x)?;
                stage.make(frame, formulas.slope(&from, one, r1 / r2, two), two, x)?;
                formulas.slope(&from, two, r2, &to)
            }
        };
        let w = &mut frame.scratch;
        combine(&mut w.next, end, [x, &w.score, &stage.state, &stage.score]);
        mem::swap(x, &mut w.next);
        stage.check(frame, (&from, &levels[..used], &to), step, x)
    }
}

impl<S: State> Sampler<S> for DpmSingleStep {
    fn info(&self) -> MethodInfo {
        MethodInfo {
            name: "dpm-solver",
            order: f64::from(self.order.number()),
            evaluations: u32::from(self.order.number()),
            stochastic: false,
            couples_rows: false,
        }
    }

    fn t_start(&self) -> f64 {
        self.grid.times()[0]
    }

    fn run(&self, job: &Job<S>, x: &mut S, observer: &mut dyn Observer<S>) -> Result<SolveStats, SolveError> {
        march::run(self, job, x, observer)
    }
}
