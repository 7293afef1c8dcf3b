//! The SDE of Karras et al.: time is the noise level.

use super::{AncestralStep, EulerStep, Marginal, Sde, Span, TimeDomain, check_domain};
use crate::ConfigError;
use crate::error::positive;

/// `dx = sqrt(2 t) dw`, so that `mean_coef = 1` and `std = t` (Karras et al. 2022, arXiv:2206.00364, table 1,
/// last column: `sigma(t) = t`, `s(t) = 1`).
///
/// The prior at `t_end = sigma_max` is `N(0, sigma_max^2 I)`; all three lower ends are `sigma_min` unless
/// given. `sigma_data` is the standard deviation of the data, which preconditioning reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edm {
    sigma_data: f64,
    domain: TimeDomain,
}

impl Edm {
    /// Noise levels and spread of the data, in data units; Karras et al. take 0.002, 80 and 0.5.
    ///
    /// # Errors
    /// [`ConfigError`] at `sde.sigma_min`, `sde.sigma_max` or `sde.sigma_data`.
    pub fn new(sigma_min: f64, sigma_max: f64, sigma_data: f64) -> Result<Self, ConfigError> {
        super::ve::check_sigmas(sigma_min, sigma_max)?;
        Self::with_domain(
            TimeDomain {
                t_end: sigma_max,
                train_eps: sigma_min,
                sample_eps: sigma_min,
                likelihood_eps: sigma_min,
            },
            sigma_data,
        )
    }

    /// The same with all times (= noise levels) given.
    ///
    /// # Errors
    /// [`ConfigError`] at one of the times or `sde.sigma_data`.
    pub fn with_domain(domain: TimeDomain, sigma_data: f64) -> Result<Self, ConfigError> {
        check_domain(&domain)?;
        positive("sde.sigma_data", sigma_data)?;
        Ok(Self { sigma_data, domain })
    }
}

impl Sde for Edm {
    fn drift_coef(&self, _t: f64) -> f64 {
        0.0
    }

    fn diffusion_sq(&self, t: f64) -> f64 {
        2.0 * t
    }

    fn marginal(&self, t: f64) -> Marginal {
        Marginal {
            mean_coef: 1.0,
            std: t,
        }
    }

    fn domain(&self) -> TimeDomain {
        self.domain
    }

    fn prior_std(&self) -> f64 {
        self.domain.t_end
    }

    fn lambda(&self, t: f64) -> f64 {
        -t.ln()
    }

    fn time_at_lambda(&self, lambda: f64) -> f64 {
        (-lambda).exp()
    }

    fn sigma(&self, t: f64) -> f64 {
        t
    }

    fn time_at_sigma(&self, sigma: f64) -> f64 {
        sigma
    }

    fn sigma_data(&self) -> Option<f64> {
        Some(self.sigma_data)
    }

    fn transition(&self, from: f64, to: f64) -> Marginal {
        Marginal {
            mean_coef: 1.0,
            std: ((from - to) * (from + to)).sqrt(),
        }
    }

    /// No drift and `from^2 - to^2`.
    fn discretize(&self, span: Span) -> EulerStep {
        EulerStep {
            drift: 0.0,
            noise_var: (span.from - span.to) * (span.from + span.to),
        }
    }

    fn ancestral(&self, span: Span) -> AncestralStep {
        let added_var = (span.from - span.to) * (span.from + span.to);
        super::additive_ancestral(span.from, span.to, added_var)
    }
}
