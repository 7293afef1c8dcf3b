//! Stochastic samplers in the noise level `sigma = std/mean_coef`, as k-diffusion publishes them, and the adaptive solver for the
//! reverse SDE.
//!
//! The methods on a grid move `x~ = x/mean_coef` from one noise level to the next with the posterior mean
//! `D(x~) = x~ + sigma^2 mean_coef score`, and work for every linear SDE; the state stays `x`. A step down to `sigma = 0` returns
//! `D` for every one of them, which is the final Tweedie step.
//!
//! Noise: a step draws one batch of normals ([`DpmppSde`]: two), and none where `eta = 0` or `s_noise = 0`, where the step goes down
//! to `sigma = 0`, and in the last step of a run with `final = "mean"`.

mod adaptive;
mod dpm_2_ancestral;
mod dpmpp_2m_sde;
mod dpmpp_2s_ancestral;
mod dpmpp_3m_sde;
mod dpmpp_sde;
mod euler_ancestral;
mod run;

pub use adaptive::AdaptiveSde;
pub use dpm_2_ancestral::Dpm2Ancestral;
pub use dpmpp_2m_sde::{Dpmpp2mSde, SecondOrder};
pub use dpmpp_2s_ancestral::Dpmpp2sAncestral;
pub use dpmpp_3m_sde::Dpmpp3mSde;
pub use dpmpp_sde::DpmppSde;
pub use euler_ancestral::EulerAncestral;
pub use run::OnGrid;
pub(crate) use run::{SigmaStep, Steps};

use crate::exponential::phi::z_phi;

/// How much noise a method removes and adds again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stochasticity {
    /// 0 is deterministic, 1 the reverse SDE.
    pub eta: f64,
    /// Factor of the standard deviation of the added noise.
    pub s_noise: f64,
}

impl Stochasticity {
    /// Whether any noise is added.
    fn is_on(self) -> bool {
        self.eta > 0.0 && self.s_noise > 0.0
    }
}

/// The ancestral step in `sigma`: down to `down`, then up to `to` by noise of standard deviation `up`, `down^2 + up^2 = to^2`
/// (Song et al. 2021, arXiv:2010.02502, equation 16, in the variable `sigma`; `eta = 1` is the posterior's variance).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AncestralLevels {
    /// The level to which the deterministic part goes.
    pub down: f64,
    /// Standard deviation of the noise added then, in units of `x/mean_coef`.
    pub up: f64,
}

impl AncestralLevels {
    /// From `from` to `to <= from`. Where `eta` asks for more noise than the level has, `up = to`.
    pub fn new(from: f64, to: f64, eta: f64) -> Self {
        let ratio = to / from;
        // down^2/to^2 = 1 - eta^2 (1 - ratio^2), without cancellation for eta = 1.
        let kept = (1.0 - eta) * (1.0 + eta) + eta * eta * ratio * ratio;
        let up = to.min(eta * to * ((1.0 - ratio) * (1.0 + ratio)).max(0.0).sqrt());
        Self {
            down: to * kept.max(0.0).sqrt(),
            up,
        }
    }
}

/// Weights of the first and second divided difference of the posterior means in exponential multistep methods, over a span `h` of
/// the exponent: `1 - (1 - e^{-h})/h`, and that over `h` minus a half.
fn difference_weights(h: f64) -> (f64, f64) {
    (-z_phi(2, -h), z_phi(3, -h))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_add_up_and_stay_in_order() {
        for (from, to) in [(80.0, 57.0), (1.0, 1.0 - 1e-9), (0.3, 0.002), (2.0, 0.0)] {
            for eta in [0.0, 0.3, 1.0, 2.5] {
                let levels = AncestralLevels::new(from, to, eta);
                assert!((levels.up.hypot(levels.down) - to).abs() <= 1e-15 * to);
                assert!((0.0..=to).contains(&levels.up) && (0.0..=to).contains(&levels.down));
            }
            // The posterior of a state at level `to`, given one at level `from` and the clean data.
            let levels = AncestralLevels::new(from, to, 1.0);
            assert!((levels.down - to * to / from).abs() <= 1e-14 * to);
            assert_eq!(
                AncestralLevels::new(from, to, 0.0),
                AncestralLevels { down: to, up: 0.0 }
            );
        }
    }
}
