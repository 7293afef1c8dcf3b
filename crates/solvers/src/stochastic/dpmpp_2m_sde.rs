use serde::{Deserialize, Serialize};

use super::{SigmaStep, Steps, Stochasticity};
use crate::{MethodInfo, SolveError, State};

/// Weight of the difference of two posterior means in [`Dpmpp2mSde`], with `H = (1 + eta) h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecondOrder {
    /// `(1 - e^{-H})/2`.
    #[default]
    Midpoint,
    /// `1 - (1 - e^{-H})/H`.
    Heun,
}

/// DPM-Solver++(2M) for the diffusion SDE. With `h` the span in `lambda`, `H = (1 + eta) h`, `D_1` the posterior mean of the step
/// before and `r` its span over this one:
/// `x~' = (sigma_to/sigma) e^{-eta h} x~ + (1 - e^{-H}) D + weight (D - D_1)/r + s_noise sigma_to sqrt(1 - e^{-2 eta h}) z`.
///
/// One evaluation and one draw a step, six states; the first step has no `D_1`. Order 2 for `eta = 0`, where it is DPM-Solver++(2M)
/// up to the weight, weak order 1 with noise, exact in the linear part for every `eta`. Sources: Lu et al. 2022, arXiv:2211.01095,
/// section 6; k-diffusion, `sample_dpmpp_2m_sde`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dpmpp2mSde {
    /// Noise of the SDE.
    pub noise: Stochasticity,
    /// The weight of the difference.
    pub solver: SecondOrder,
}

impl Steps for Dpmpp2mSde {
    const STATES: usize = 2;

    fn info(&self) -> MethodInfo {
        MethodInfo {
            name: "dpmpp-2m-sde",
            order: if self.is_stochastic() { 1.0 } else { 2.0 },
            evaluations: 1,
            stochastic: self.is_stochastic(),
            couples_rows: false,
        }
    }

    fn is_stochastic(&self) -> bool {
        self.noise.is_on()
    }

    fn step<S: State>(&self, step: &mut SigmaStep<'_, S>, x: &mut S) -> Result<(), SolveError> {
        let (h, eta) = (step.to.lambda - step.from.lambda, self.noise.eta);
        let both = (1.0 + eta) * h;
        let towards = -(-both).exp_m1();
        let weight = match self.solver {
            SecondOrder::Midpoint => 0.5 * towards,
            SecondOrder::Heun => super::difference_weights(both).0,
        };
        let difference = step.spans_before[0].map_or(0.0, |before| weight * h / before);
        step.exponential(self.noise, [towards + difference, -difference], x)
    }
}
