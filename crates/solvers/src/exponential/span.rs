//! The exact part of a step, and the factors of what stands for the prediction in it.

use serde::{Deserialize, Serialize};

use super::phi::z_phi;
use crate::sampler::level::Level;

/// What a method approximates under the integral.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Prediction {
    /// The noise `-std score`: DPM-Solver.
    #[serde(rename = "dpmsolver")]
    Noise,
    /// The data `(x + std^2 score)/mean_coef`: DPM-Solver++.
    #[serde(rename = "dpmsolver++")]
    Data,
}

impl Prediction {
    /// Factors of state and score that make the prediction at a level.
    pub(super) fn of_score(self, level: &Level) -> (f64, f64) {
        match self {
            Self::Noise => (0.0, -level.std),
            Self::Data => (1.0 / level.mean_coef, level.std * level.std / level.mean_coef),
        }
    }

    /// The exact part of the step from one level to another of less noise.
    pub(super) fn span(self, from: &Level, to: &Level) -> ExactSpan {
        let h = to.lambda - from.lambda;
        // 1 - e^{-h}: the share of the noise that the step takes away.
        let removed = -(-h).exp_m1();
        match self {
            Self::Noise => {
                let state = to.mean_coef / from.mean_coef;
                ExactSpan {
                    h,
                    state,
                    first: -state * from.std * removed,
                    model: -to.std,
                    exponent: h,
                }
            }
            Self::Data => ExactSpan {
                h,
                state: to.std / from.std,
                first: to.mean_coef * removed,
                model: -to.mean_coef,
                exponent: -h,
            },
        }
    }
}

/// `x_to = state x + first P + second P' + third P''` for a prediction that is a polynomial of second degree in `s = (lambda -
/// lambda_from)/h`, with its value and derivatives in `s` at the start. Exact for either kind of prediction, since the two
/// integrals are one in `exponent`, `+h` for the noise and `-h` for the data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ExactSpan {
    /// Length of the step in `lambda`; infinite where no noise is left.
    pub h: f64,
    /// Factor of the state.
    pub state: f64,
    /// Factor of a constant prediction; finite also where no noise is left.
    pub first: f64,
    model: f64,
    exponent: f64,
}

impl ExactSpan {
    /// Factor of the slope of the prediction.
    pub fn second(&self) -> f64 {
        self.model * z_phi(2, self.exponent)
    }

    /// Factor of the second derivative of the prediction.
    pub fn third(&self) -> f64 {
        self.model * z_phi(3, self.exponent)
    }
}
