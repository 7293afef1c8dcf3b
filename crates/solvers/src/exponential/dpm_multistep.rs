use std::mem;

use sde_core::Span;
use sde_core::grid::Grid;
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
    pub(crate) prediction: Prediction,
    /// 2 or 3.
    pub(crate) order: u8,
    pub(crate) curvature: Curvature,
    pub(crate) lower_order_final: bool,
    pub(crate) grid: Grid,
    pub(crate) final_step: Final,
}

impl DpmMultistep {
    /// Grids with fewer steps end with lower orders.
    const FEW_STEPS: usize = 10;

    /// Order of step number `step`, which ends at `to`.
    fn order_of(&self, step: usize, to: &Level) -> u8 {
        if to.std == 0.0 {
            return 1;
        }
        let steps = self.grid.steps();
        let left = if self.lower_order_final && steps < Self::FEW_STEPS {
            steps - step
        } else {
            usize::MAX
        };
        self.order.min((step + 1).min(left).min(3) as u8)
    }

    /// Factors of the state and of the predictions at `levels`, the newest first.
    fn factors(&self, order: u8, levels: &[Level], to: &Level) -> (f64, [f64; 3]) {
        let span = self.prediction.span(&levels[0], to);
        let step_before = |k: usize| (levels[k].lambda - levels[k + 1].lambda) / span.h;
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

/// What a run knows of its steps before.
pub(crate) struct History<S> {
    /// The last levels, the newest first.
    levels: Vec<Level>,
    /// What was predicted there: the data, or for the noise the score.
    predictions: Vec<S>,
}

impl<S: State> GridSteps<S> for DpmMultistep {
    type Memory = History<S>;

    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn final_step(&self) -> Final {
        self.final_step
    }

    fn memory(&self, job: &Job<S>, x: &S) -> History<S> {
        let history = usize::from(self.order);
        History {
            levels: vec![Level::at(job.sde, self.grid.start()); history],
            predictions: (0..history).map(|_| x.zeros_like()).collect(),
        }
    }

    fn step(
        &self,
        frame: &mut Frame<S>,
        History { levels, predictions }: &mut History<S>,
        step: usize,
        span: Span,
        x: &mut S,
    ) -> Result<(), SolveError> {
        let (sde, w) = (frame.job.sde, &mut frame.scratch);
        let (from, to) = (Level::at(sde, span.from), Level::at(sde, span.to));
        levels.rotate_right(1);
        predictions.rotate_right(1);
        levels[0] = from;
        let newest = &mut predictions[0];
        match self.prediction {
            Prediction::Noise => frame.score.evaluate(x, Coef::All(from.t), newest)?,
            Prediction::Data => {
                frame.score.evaluate(x, Coef::All(from.t), &mut w.score)?;
                let (state, score) = self.prediction.of_score(&from);
                newest.lincomb(&[(Coef::All(state), &*x), (Coef::All(score), &w.score)]);
            }
        }
        let order = self.order_of(step, &to);
        let (state, factors) = self.factors(order, levels, &to);
        let mut terms = [(Coef::All(state), &*x); 4];
        let known = predictions.iter().zip(&*levels).zip(factors);
        for (term, ((prediction, level), factor)) in terms[1..].iter_mut().zip(known) {
            let unit = match self.prediction {
                Prediction::Noise => self.prediction.of_score(level).1,
                Prediction::Data => 1.0,
            };
            *term = (Coef::All(factor * unit), prediction);
        }
        w.next.lincomb(&terms[..=usize::from(order)]);
        mem::swap(x, &mut w.next);
        let score = match self.prediction {
            Prediction::Noise => &predictions[0],
            Prediction::Data => &w.score,
        };
        frame.guard.check(x, Some(score), from.t, to.t, step as u64)
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
