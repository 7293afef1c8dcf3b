use super::{SigmaStep, Steps, Stochasticity, difference_weights};
use crate::{MethodInfo, SolveError, State};

/// DPM-Solver++(3M) for the diffusion SDE: as [`Dpmpp2mSde`](super::Dpmpp2mSde), with the second divided difference of the posterior
/// means as well. With `H = (1 + eta) h`, `a = h_1/h`, `b = h_2/h` for the spans of the two steps before,
/// `d_0 = (D - D_1)/a`, `d_1 = (D_1 - D_2)/b`, `d_2 = (d_0 - d_1)/(a + b)`:
/// `x~' = (sigma_to/sigma) e^{-eta h} x~ + (1 - e^{-H}) D + p (d_0 + a d_2) - q d_2 + s_noise sigma_to sqrt(1 - e^{-2 eta h}) z`
/// with `p = 1 - (1 - e^{-H})/H`, `q = p/H - 1/2`.
///
/// One evaluation and one draw a step, seven states; the first step has no differences, the second only the first. Order 2 for
/// `eta = 0`, since the published weight of the second difference is half that of the expansion (see
/// [`Curvature`](crate::exponential::Curvature)); weak order 1 with noise. Sources: k-diffusion, `sample_dpmpp_3m_sde`; Lu et al. 2022, arXiv:2211.01095, section 6.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dpmpp3mSde {
    /// Noise of the SDE.
    pub noise: Stochasticity,
}

/// Factors of `D`, `D_1` and `D_2` in a step of this span, after steps of those.
fn mean_weights(h: f64, both: f64, before: [Option<f64>; 2]) -> [f64; 3] {
    let towards = -(-both).exp_m1();
    let (p, q) = difference_weights(both);
    match before {
        [None, _] => [towards, 0.0, 0.0],
        [Some(one), None] => {
            let first = p * h / one;
            [towards + first, -first, 0.0]
        }
        [Some(one), Some(two)] => {
            let (a, b) = (one / h, two / h);
            let second = (p * a - q) / (a + b);
            let (first, next) = ((p + second) / a, second / b);
            [towards + first, -first - next, next]
        }
    }
}

impl Steps for Dpmpp3mSde {
    const STATES: usize = 3;

    fn info(&self) -> MethodInfo {
        MethodInfo {
            name: "dpmpp-3m-sde",
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
        let weights = mean_weights(h, (1.0 + eta) * h, step.spans_before);
        step.exponential(self.noise, weights, x)
    }
}
