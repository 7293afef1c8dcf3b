//! The variance-preserving SDE.

use std::sync::Arc;

use super::{AncestralStep, EulerStep, Marginal, Sde, Span, TimeDomain, check_domain, check_terminal};
use crate::ConfigError;
use crate::num::{Pair, each_pair, exp_pair, ln_expm1, softplus};
use crate::schedule::{Cosine, Linear, Schedule};

/// The variance-preserving SDE `dx = -beta(t)/2 x dt + sqrt(beta(t)) dw` (Song et al. 2021, arXiv:2011.13456,
/// equation 11): `mean_coef = exp(-B/2)`, `std^2 = 1 - exp(-B)`, `B` the integral of `beta`.
///
/// `sigma^2 = e^B - 1`, so `lambda = -ln(e^B - 1)/2` with the inverse `B = ln(1 + e^{-2 lambda})`. The prior
/// is `N(0, I)`. Its [`Sde::discretize`] and [`Sde::ancestral`] are those of DDPM with `beta_i = beta(from)
/// gap`.
#[derive(Debug, Clone)]
pub struct Vp {
    schedule: Arc<dyn Schedule>,
    domain: TimeDomain,
}

impl Vp {
    /// Times used when nothing else is said: prior at 1, sampling stops at 1e-3, training and likelihood at
    /// 1e-5.
    pub const DOMAIN: TimeDomain = TimeDomain {
        t_end: 1.0,
        train_eps: 1e-5,
        sample_eps: 1e-3,
        likelihood_eps: 1e-5,
    };

    /// A VP SDE over any schedule. The schedule's laws are checked numerically first.
    ///
    /// # Errors
    /// [`ConfigError`] where the schedule breaks a law ([`crate::schedule::check`]), the times are out of
    /// order, or more signal than `lambda(t_end) = -3` is left at the end.
    pub fn new(schedule: Arc<dyn Schedule>, domain: TimeDomain) -> Result<Self, ConfigError> {
        check_domain(&domain)?;
        crate::schedule::check(&*schedule, domain.t_end)?;
        Self::trusted(schedule, domain)
    }

    /// As `new`, over a schedule of this crate, whose laws are tested.
    pub(crate) fn trusted(schedule: Arc<dyn Schedule>, domain: TimeDomain) -> Result<Self, ConfigError> {
        check_domain(&domain)?;
        let sde = Self { schedule, domain };
        check_terminal(&sde)?;
        Ok(sde)
    }

    /// The linear schedule on the usual times; Song et al. take `beta_min = 0.1`, `beta_max = 20`.
    ///
    /// # Errors
    /// As [`Linear::new`] and [`Vp::new`].
    pub fn linear(beta_min: f64, beta_max: f64) -> Result<Self, ConfigError> {
        Self::trusted(Arc::new(Linear::new(beta_min, beta_max)?), Self::DOMAIN)
    }

    /// The cosine schedule with the usual offset and cap on the usual times.
    ///
    /// # Errors
    /// None in practice; the type is that of the other constructors.
    pub fn cosine() -> Result<Self, ConfigError> {
        Self::new(
            Arc::new(Cosine::new(Cosine::OFFSET, Cosine::LAMBDA_MIN)?),
            Self::DOMAIN,
        )
    }

    /// The schedule `beta`.
    pub fn schedule(&self) -> &dyn Schedule {
        &*self.schedule
    }
}

impl Sde for Vp {
    fn drift_coef(&self, t: f64) -> f64 {
        -0.5 * self.schedule.rate(t)
    }

    fn diffusion_sq(&self, t: f64) -> f64 {
        self.schedule.rate(t)
    }

    fn marginal(&self, t: f64) -> Marginal {
        let integral = self.schedule.integral(t);
        Marginal {
            mean_coef: (-0.5 * integral).exp(),
            std: (-(-integral).exp_m1()).sqrt(),
        }
    }

    fn rates(&self, times: &[f64], drift_coef: &mut [f64], diffusion_sq: &mut [f64]) {
        self.schedule.rates(times, diffusion_sq);
        each_pair(&Rates, drift_coef, diffusion_sq);
    }

    fn marginals(&self, times: &[f64], mean_coef: &mut [f64], var: &mut [f64]) {
        self.schedule.integrals(times, mean_coef);
        each_pair(&Kernels, mean_coef, var);
    }

    fn domain(&self) -> TimeDomain {
        self.domain
    }

    fn prior_std(&self) -> f64 {
        1.0
    }

    fn lambda(&self, t: f64) -> f64 {
        -0.5 * ln_expm1(self.schedule.integral(t))
    }

    fn time_at_lambda(&self, lambda: f64) -> f64 {
        self.schedule.time_at(softplus(-2.0 * lambda))
    }

    fn sigma(&self, t: f64) -> f64 {
        self.schedule.integral(t).exp_m1().sqrt()
    }

    fn time_at_sigma(&self, sigma: f64) -> f64 {
        self.schedule.time_at((sigma * sigma).ln_1p())
    }

    fn transition(&self, from: f64, to: f64) -> Marginal {
        let integral = self.schedule.increment(to, from);
        Marginal {
            mean_coef: (-0.5 * integral).exp(),
            std: (-(-integral).exp_m1()).sqrt(),
        }
    }

    /// `(sqrt(1 - beta_i) - 1) x` and `beta_i` (Song et al. 2021, appendix E).
    fn discretize(&self, span: Span) -> EulerStep {
        let beta = self.schedule.rate(span.from) * span.gap;
        EulerStep {
            drift: -beta / (1.0 + (1.0 - beta).sqrt()),
            noise_var: beta,
        }
    }

    /// `(x + beta_i score) / sqrt(1 - beta_i) + sqrt(beta_i) z` (Song et al. 2021, appendix F).
    fn ancestral(&self, span: Span) -> AncestralStep {
        let beta = self.schedule.rate(span.from) * span.gap;
        let root = (1.0 - beta).sqrt();
        AncestralStep {
            state_coef: 1.0 / root,
            score_coef: beta / root,
            std: beta.sqrt(),
        }
    }

    fn check_span(&self, span: Span) -> Result<(), ConfigError> {
        let beta = self.schedule.rate(span.from) * span.gap;
        if beta < 1.0 {
            return Ok(());
        }
        Err(ConfigError::new(
            "sampler.steps",
            format!("a step of {}", span.gap),
            format!(
                "beta(t) dt = {beta} at t = {} must stay below 1 for this method; take more steps or euler-maruyama",
                span.from
            ),
        ))
    }
}

/// `(_, beta)` to `(-beta/2, beta)`.
struct Rates;

impl Pair for Rates {
    #[inline(always)]
    fn at(&self, _: f64, rate: f64) -> (f64, f64) {
        (-0.5 * rate, rate)
    }
}

/// `(B, _)` to `(mean_coef, std^2)`: with `u = e^{-B/2} - 1` they are `1 + u` and `-u (2 + u)`, one exponential.
pub(super) struct Kernels;

impl Pair for Kernels {
    #[inline(always)]
    fn at(&self, integral: f64, _: f64) -> (f64, f64) {
        let (mean_coef, u) = exp_pair(-0.5 * integral);
        (mean_coef, -u * (2.0 + u))
    }
}
