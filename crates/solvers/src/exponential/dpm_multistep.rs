use std::{iter, mem};

use sde_core::grid::Grid;
use sde_core::{Sde, Span};
use serde::{Deserialize, Serialize};

use super::Prediction;
use crate::sampler::level::Level;
use crate::sampler::march::{self, Frame, GridSteps};
use crate::sampler::{Final, Job, MethodInfo, Sampler, SolveStats};
use crate::{Coef, Observer, SolveError, State};

/// The weight of the second difference in the multistep method of order 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Curvature {
    /// As in the authors' code and its descendants: half of what the Taylor expansion asks for, which leaves order 2 with a small
    /// constant.
    #[default]
    Published,
    /// The whole Taylor term: order 3.
    Full,
}

/// DPM-Solver and DPM-Solver++ as multistep methods: the prediction under the integral is the polynomial through its last values.
///
/// With `P_0, P_1, P_2` the predictions at the last three levels, the newest first, `h` this step and `h_0, h_1` those before it in
/// `lambda`, `r_0 = h_0/h`, `r_1 = h_1/h`, and the divided differences `d_0 = (P_0 - P_1)/r_0`, `d_1 = (P_1 - P_2)/r_1`, `d = (d_0 -
/// d_1)/(r_0 + r_1)`:
///
/// ```text
/// order 1:  state x + first P_0
/// order 2:  state x + first (P_0 + d_0/2)
/// order 3:  state x + first P_0 + second (d_0 + r_0 d) + third c d
/// ```
///
/// with the factors of the exact step. Source: Lu et al. 2022, arXiv:2211.01095, algorithm 2 (`2M`), and the authors' code for the noise
/// prediction and for order 3. The second derivative of the polynomial is `2 d`; that code, diffusers and k-diffusion take `c = 1`, with
/// which the method has order 2, measured and by expansion. [`Curvature`] chooses; published is the default.
///
/// The first steps have the order that their history allows, so that `steps` must be at least the order. With
/// `lower_order_final` and fewer than 10 steps, as published, the last step has order 1 and the one before it at most 2. A step to a
/// level without noise is of order 1, in closed form.
///
/// One evaluation a step. Memory: six states (order 2) or seven.
#[derive(Debug, Clone)]
pub struct DpmMultistep {
    prediction: Prediction,
    order: u8,
    curvature: Curvature,
    grid: Grid,
    final_step: Final,
    /// One entry a span.
    steps: Vec<Step>,
}

/// What depends on the grid alone.
#[derive(Debug, Clone)]
struct Step {
    /// Factors of state and score that make the prediction.
    prediction: (f64, f64),
    /// Predictions that the step combines.
    order: usize,
    state: f64,
    /// Of what is kept: predictions of the data, or scores; the newest first.
    kept: [f64; 3],
}

/// The choices that a [`DpmMultistep`] is made of.
pub(crate) struct MultistepOptions {
    pub prediction: Prediction,
    /// 2 or 3.
    pub order: u8,
    pub curvature: Curvature,
    pub lower_order_final: bool,
    pub final_step: Final,
}

impl DpmMultistep {
    /// Grids with fewer steps end with lower orders.
    const FEW_STEPS: usize = 10;

    pub(crate) fn new(sde: &dyn Sde, grid: Grid, options: &MultistepOptions) -> Self {
        let levels: Vec<Level> = grid.times().iter().map(|t| Level::at(sde, *t)).collect();
        let steps = (0..grid.steps())
            .map(|step| options.step(step, &levels))
            .collect();
        Self {
            prediction: options.prediction,
            order: options.order,
            curvature: options.curvature,
            grid,
            final_step: options.final_step,
            steps,
        }
    }
}

impl MultistepOptions {
    fn step(&self, step: usize, levels: &[Level]) -> Step {
        let (known, to) = (&levels[..=step], &levels[step + 1]);
        let newest_first = known.iter().rev();
        let order = self.order_of(step, levels.len() - 1, to);
        let (state, mut kept) = self.factors(order, known, to);
        if self.prediction == Prediction::Noise {
            for (factor, level) in kept.iter_mut().zip(newest_first) {
                *factor *= self.prediction.of_score(level).1;
            }
        }
        Step {
            prediction: self.prediction.of_score(&known[step]),
            order: usize::from(order),
            state,
            kept,
        }
    }

    /// Order of step number `step` of `steps`, which ends at `to`.
    fn order_of(&self, step: usize, steps: usize, to: &Level) -> u8 {
        if to.std == 0.0 {
            return 1;
        }
        let left = if self.lower_order_final && steps < DpmMultistep::FEW_STEPS {
            steps - step
        } else {
            usize::MAX
        };
        self.order.min((step + 1).min(left).min(3) as u8)
    }

    /// Factors of the state and of the predictions at the `known` levels, the newest first; `known` has the newest last.
    fn factors(&self, order: u8, known: &[Level], to: &Level) -> (f64, [f64; 3]) {
        let level = |back: usize| &known[known.len() - 1 - back];
        let span = self.prediction.span(level(0), to);
        let step_before = |k: usize| (level(k).lambda - level(k + 1).lambda) / span.h;
        let predictions = match order {
            1 => [span.first, 0.0, 0.0],
            2 => {
                let slope = 0.5 * span.first / step_before(0);
                [span.first + slope, -slope, 0.0]
            }
            _ => {
                let (r0, r1) = (step_before(0), step_before(1));
                let second = span.second();
                let third = match self.curvature {
                    Curvature::Published => span.third(),
                    Curvature::Full => 2.0 * span.third(),
                };
                let curvature = (second * r0 + third) / (r0 + r1);
                let (newer, older) = ((second + curvature) / r0, curvature / r1);
                [span.first + newer, -newer - older, older]
            }
        };
        (span.state, predictions)
    }
}

impl<S: State> GridSteps<S> for DpmMultistep {
    /// What was predicted at the last levels, the newest first: the data, or for the noise the scores.
    type Memory = Vec<S>;

    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn final_step(&self) -> Final {
        self.final_step
    }

    fn memory(&self, _: &Job<S>, x: &S) -> Vec<S> {
        (0..self.order).map(|_| x.zeros_like()).collect()
    }

    fn step(
        &self,
        frame: &mut Frame<S>,
        kept: &mut Vec<S>,
        step: usize,
        span: Span,
        x: &mut S,
    ) -> Result<(), SolveError> {
        let (w, plan) = (&mut frame.scratch, &self.steps[step]);
        kept.rotate_right(1);
        let (newest, older) = kept.split_first_mut().expect("room for a prediction");
        let at = Coef::All(span.from);
        let score = match self.prediction {
            Prediction::Noise => {
                frame.score.evaluate(x, at, newest)?;
                let mut terms = [(Coef::All(plan.state), &*x); 4];
                let kept = iter::once(&*newest).chain(&*older);
                for (term, (factor, score)) in terms[1..].iter_mut().zip(plan.kept.iter().zip(kept)) {
                    *term = (Coef::All(*factor), score);
                }
                w.next.lincomb(&terms[..=plan.order]);
                &*newest
            }
            Prediction::Data => {
                frame.score.evaluate(x, at, &mut w.score)?;
                let (state, score) = plan.prediction;
                let mut rest = [(0.0, &w.score); 2];
                for (term, (factor, data)) in rest.iter_mut().zip(plan.kept[1..].iter().zip(&*older)) {
                    *term = (*factor, data);
                }
                let factors = [plan.state, plan.kept[0]];
                let data = [(state, &*x), (score, &w.score)];
                w.next
                    .lincomb_through(newest, data, factors, &rest[..plan.order - 1]);
                &w.score
            }
        };
        mem::swap(x, &mut w.next);
        frame.guard.check(x, Some(score), span.from, span.to, step as u64)
    }
}

impl<S: State> Sampler<S> for DpmMultistep {
    fn info(&self) -> MethodInfo {
        let order = match self.curvature {
            Curvature::Published => self.order.min(2),
            Curvature::Full => self.order,
        };
        MethodInfo {
            name: "dpm-solver",
            order: f64::from(order),
            evaluations: 1,
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
