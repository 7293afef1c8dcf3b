//! The sub-variance-preserving SDE.

use std::sync::Arc;

use super::vp;
use super::{Marginal, Sde, TimeDomain, check_domain, check_terminal};
use crate::ConfigError;
use crate::num::{Pair, asinh_half_exp, each_pair, exp_pair, ln_2sinh};
use crate::schedule::{Linear, Schedule};

/// The sub-variance-preserving SDE `dx = -beta/2 x dt + sqrt(beta (1 - e^{-2B})) dw` (Song et al. 2021,
/// arXiv:2011.13456, equation 13): `mean_coef = exp(-B/2)` as for VP, `std = 1 - exp(-B)` (no root: appendix
/// B, equation 29).
///
/// `sigma = 2 sinh(B/2)`, so `lambda = -ln(2 sinh(B/2))` with the inverse `B = 2 asinh(e^{-lambda}/2)`. Over
/// a span with `D = B(from) - B(to)`, the variance added is exactly `(1 - e^{-D}) (1 - e^{-(B(from) +
/// B(to))})`.
#[derive(Debug, Clone)]
pub struct SubVp {
    schedule: Arc<dyn Schedule>,
    domain: TimeDomain,
}

impl SubVp {
    /// Times used when nothing else is said, as for VP.
    pub const DOMAIN: TimeDomain = super::Vp::DOMAIN;

    /// A subVP SDE over any schedule. The schedule's laws are checked numerically first.
    ///
    /// # Errors
    /// As [`super::Vp::new`].
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

    /// The linear schedule on the usual times.
    ///
    /// # Errors
    /// As [`Linear::new`] and [`SubVp::new`].
    pub fn linear(beta_min: f64, beta_max: f64) -> Result<Self, ConfigError> {
        Self::trusted(Arc::new(Linear::new(beta_min, beta_max)?), Self::DOMAIN)
    }

    /// The schedule `beta`.
    pub fn schedule(&self) -> &dyn Schedule {
        &*self.schedule
    }
}

impl Sde for SubVp {
    fn drift_coef(&self, t: f64) -> f64 {
        -0.5 * self.schedule.rate(t)
    }

    fn diffusion_sq(&self, t: f64) -> f64 {
        self.schedule.rate(t) * -(-2.0 * self.schedule.integral(t)).exp_m1()
    }

    fn marginal(&self, t: f64) -> Marginal {
        let integral = self.schedule.integral(t);
        Marginal {
            mean_coef: (-0.5 * integral).exp(),
            std: -(-integral).exp_m1(),
        }
    }

    fn rates(&self, times: &[f64], drift_coef: &mut [f64], diffusion_sq: &mut [f64]) {
        self.schedule.rates(times, drift_coef);
        self.schedule.integrals(times, diffusion_sq);
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
        -ln_2sinh(0.5 * self.schedule.integral(t))
    }

    fn time_at_lambda(&self, lambda: f64) -> f64 {
        self.schedule.time_at(2.0 * asinh_half_exp(-lambda))
    }

    fn sigma(&self, t: f64) -> f64 {
        2.0 * (0.5 * self.schedule.integral(t)).sinh()
    }

    fn time_at_sigma(&self, sigma: f64) -> f64 {
        self.schedule.time_at(2.0 * (0.5 * sigma).asinh())
    }

    fn transition(&self, from: f64, to: f64) -> Marginal {
        let increment = self.schedule.increment(to, from);
        let sum = self.schedule.integral(from) + self.schedule.integral(to);
        Marginal {
            mean_coef: (-0.5 * increment).exp(),
            std: ((-increment).exp_m1() * (-sum).exp_m1()).sqrt(),
        }
    }
}

/// `(beta, B)` to `(-beta/2, beta (1 - e^{-2B}))`.
struct Rates;

impl Pair for Rates {
    #[inline(always)]
    fn at(&self, rate: f64, integral: f64) -> (f64, f64) {
        (-0.5 * rate, rate * -exp_pair(-2.0 * integral).1)
    }
}

/// `(B, _)` to `(mean_coef, std^2)`: `std` is the variance that VP has.
struct Kernels;

impl Pair for Kernels {
    #[inline(always)]
    fn at(&self, integral: f64, unused: f64) -> (f64, f64) {
        let (mean_coef, std) = vp::Kernels.at(integral, unused);
        (mean_coef, std * std)
    }
}
