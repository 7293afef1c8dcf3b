//! Additive noise with a schedule of the user's own.

use std::sync::Arc;

use super::{AncestralStep, EulerStep, Marginal, Sde, Span, TimeDomain, check_domain};
use crate::ConfigError;
use crate::error::not_negative;
use crate::schedule::Schedule;

/// `dx = sqrt(r(t)) dw`, so that `mean_coef = 1` and `std^2 = initial_var + R(t)`: the variance-exploding SDE
/// for any `sigma(t)^2 = initial_var + R(t)`. `initial_var = 0` is the SDE's own kernel; a positive one
/// counts the data as blurred already, as the `song` kernel does. The prior is `N(0, std(t_end)^2 I)`.
#[derive(Debug, Clone)]
pub struct Additive {
    schedule: Arc<dyn Schedule>,
    initial_var: f64,
    domain: TimeDomain,
}

impl Additive {
    /// Additive noise over any schedule of variance per unit of time. The schedule's laws are checked
    /// numerically first.
    ///
    /// # Errors
    /// [`ConfigError`] where the schedule breaks a law ([`crate::schedule::check`]), the times are out of
    /// order or `initial_var` is negative or not finite.
    pub fn new(
        schedule: Arc<dyn Schedule>,
        initial_var: f64,
        domain: TimeDomain,
    ) -> Result<Self, ConfigError> {
        check_domain(&domain)?;
        not_negative("sde.initial_var", initial_var)?;
        crate::schedule::check(&*schedule, domain.t_end)?;
        Ok(Self {
            schedule,
            initial_var,
            domain,
        })
    }

    fn var(&self, t: f64) -> f64 {
        self.initial_var + self.schedule.integral(t)
    }

    fn added_var(&self, from: f64, to: f64) -> f64 {
        if to <= 0.0 {
            self.var(from)
        } else {
            self.schedule.increment(to, from)
        }
    }
}

impl Sde for Additive {
    fn drift_coef(&self, _t: f64) -> f64 {
        0.0
    }

    fn diffusion_sq(&self, t: f64) -> f64 {
        self.schedule.rate(t)
    }

    fn marginal(&self, t: f64) -> Marginal {
        Marginal {
            mean_coef: 1.0,
            std: self.var(t).sqrt(),
        }
    }

    fn rates(&self, times: &[f64], drift_coef: &mut [f64], diffusion_sq: &mut [f64]) {
        drift_coef.fill(0.0);
        self.schedule.rates(times, diffusion_sq);
    }

    fn marginals(&self, times: &[f64], mean_coef: &mut [f64], var: &mut [f64]) {
        mean_coef.fill(1.0);
        self.schedule.integrals(times, var);
        var.iter_mut().for_each(|var| *var += self.initial_var);
    }

    fn domain(&self) -> TimeDomain {
        self.domain
    }

    fn prior_std(&self) -> f64 {
        self.var(self.domain.t_end).sqrt()
    }

    fn lambda(&self, t: f64) -> f64 {
        -0.5 * self.var(t).ln()
    }

    fn time_at_lambda(&self, lambda: f64) -> f64 {
        self.schedule.time_at((-2.0 * lambda).exp() - self.initial_var)
    }

    fn sigma(&self, t: f64) -> f64 {
        self.var(t).sqrt()
    }

    fn time_at_sigma(&self, sigma: f64) -> f64 {
        self.schedule.time_at(sigma * sigma - self.initial_var)
    }

    fn transition(&self, from: f64, to: f64) -> Marginal {
        Marginal {
            mean_coef: 1.0,
            std: self.added_var(from, to).sqrt(),
        }
    }

    /// No drift and `std(from)^2 - std(to)^2`, with no noise left at `to <= 0`.
    fn discretize(&self, span: Span) -> EulerStep {
        EulerStep {
            drift: 0.0,
            noise_var: self.added_var(span.from, span.to),
        }
    }

    fn ancestral(&self, span: Span) -> AncestralStep {
        let next = if span.to <= 0.0 {
            0.0
        } else {
            self.var(span.to).sqrt()
        };
        super::additive_ancestral(
            self.var(span.from).sqrt(),
            next,
            self.added_var(span.from, span.to),
        )
    }
}
