//! The variance-exploding SDE.

use super::{AncestralStep, EulerStep, Marginal, Sde, Span, TimeDomain, check_domain};
use crate::ConfigError;
use crate::error::positive;
use crate::num::{Number, each, exp_pair};

/// Which perturbation kernel the variance-exploding SDE is used with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
pub enum VeKernel {
    /// `std = sigma(t)`: the data count as blurred by `sigma_min` already. What published checkpoints use.
    #[default]
    Song,
    /// `std^2 = sigma(t)^2 - sigma_min^2`: the SDE's own kernel from `t = 0`.
    Exact,
}

/// The variance-exploding SDE `dx = sigma(t) sqrt(2 ln(sigma_max / sigma_min)) dw`, `sigma(t) = sigma_min
/// (sigma_max / sigma_min)^t` (Song et al. 2021, arXiv:2011.13456, equation 9 and appendix C).
///
/// The two kernels ([`VeKernel`]) differ by a factor of 77 at `t = 1e-5` and of 1.0001 at `t = 0.5`; losses,
/// samplers and likelihoods all take the one of this object. The prior is `N(0, sigma_max^2 I)`. The
/// discretisations are those of SMLD: the variance of a step is `sigma(from)^2 - sigma(to)^2`, with no noise
/// left at `to <= 0`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ve {
    sigma_min: f64,
    sigma_max: f64,
    log_ratio: f64,
    kernel: VeKernel,
    domain: TimeDomain,
}

impl Ve {
    /// Times used when nothing else is said: prior at 1, everything else down to 1e-5.
    pub const DOMAIN: TimeDomain = TimeDomain {
        t_end: 1.0,
        train_eps: 1e-5,
        sample_eps: 1e-5,
        likelihood_eps: 1e-5,
    };

    /// Noise levels at `t = 0` and `t = 1` in data units, `0 < sigma_min < sigma_max`; Song et al. take 0.01
    /// and, for CIFAR-10 in `[0, 1]`, 50: about the largest distance between two data points.
    ///
    /// # Errors
    /// [`ConfigError`] at `sde.sigma_min`, `sde.sigma_max` or one of the times.
    pub fn new(
        sigma_min: f64,
        sigma_max: f64,
        kernel: VeKernel,
        domain: TimeDomain,
    ) -> Result<Self, ConfigError> {
        check_sigmas(sigma_min, sigma_max)?;
        check_domain(&domain)?;
        let ve = Self {
            sigma_min,
            sigma_max,
            log_ratio: (sigma_max / sigma_min).ln(),
            kernel,
            domain,
        };
        let most = ve.noise_level(domain.t_end);
        if most > 1e100 {
            let reason = format!("the noise level there is {most:e}, it must be at most 1e100; usual is 1");
            return Err(ConfigError::new("sde.t_end", domain.t_end, reason));
        }
        Ok(ve)
    }

    /// The kernel in use.
    pub fn kernel(&self) -> VeKernel {
        self.kernel
    }

    /// Noise level at `t = 0`, data units.
    pub fn sigma_min(&self) -> f64 {
        self.sigma_min
    }

    /// Noise level at `t = 1`, data units.
    pub fn sigma_max(&self) -> f64 {
        self.sigma_max
    }

    /// `sigma(t)`, whatever the kernel.
    pub fn noise_level(&self, t: f64) -> f64 {
        self.sigma_min * (t * self.log_ratio).exp()
    }

    /// Variance added between `to` and `from`; the whole kernel where `to` is at or below 0.
    fn added_var(&self, from: f64, to: f64) -> f64 {
        if to <= 0.0 {
            let std = self.marginal(from).std;
            return std * std;
        }
        let sigma = self.noise_level(to);
        sigma * sigma * (2.0 * self.log_ratio * (from - to)).exp_m1()
    }
}

/// `0 < sigma_min < sigma_max`, both with squares in range.
pub(super) fn check_sigmas(sigma_min: f64, sigma_max: f64) -> Result<(), ConfigError> {
    for (key, sigma) in [("sde.sigma_min", sigma_min), ("sde.sigma_max", sigma_max)] {
        positive(key, sigma)?;
        if !(1e-100..=1e100).contains(&sigma) {
            return Err(ConfigError::new(
                key,
                sigma,
                "must lie between 1e-100 and 1e100, so that its square does not overflow",
            ));
        }
    }
    if sigma_min >= sigma_max {
        return Err(ConfigError::new(
            "sde.sigma_min",
            sigma_min,
            format!("must be below sde.sigma_max = {sigma_max}"),
        ));
    }
    Ok(())
}

impl Sde for Ve {
    fn drift_coef(&self, _t: f64) -> f64 {
        0.0
    }

    fn diffusion_sq(&self, t: f64) -> f64 {
        let sigma = self.noise_level(t);
        2.0 * self.log_ratio * sigma * sigma
    }

    fn marginal(&self, t: f64) -> Marginal {
        let std = match self.kernel {
            VeKernel::Song => self.noise_level(t),
            VeKernel::Exact => self.sigma_min * (2.0 * t * self.log_ratio).exp_m1().max(0.0).sqrt(),
        };
        Marginal { mean_coef: 1.0, std }
    }

    fn rates(&self, times: &[f64], drift_coef: &mut [f64], diffusion_sq: &mut [f64]) {
        drift_coef.fill(0.0);
        let rate = 2.0 * self.log_ratio;
        let scale = rate * self.sigma_min * self.sigma_min;
        each(&Growth::<false> { rate, scale }, times, diffusion_sq);
    }

    fn marginals(&self, times: &[f64], mean_coef: &mut [f64], var: &mut [f64]) {
        mean_coef.fill(1.0);
        let (rate, scale) = (2.0 * self.log_ratio, self.sigma_min * self.sigma_min);
        match self.kernel {
            VeKernel::Song => each(&Growth::<false> { rate, scale }, times, var),
            VeKernel::Exact => each(&Growth::<true> { rate, scale }, times, var),
        }
    }

    fn domain(&self) -> TimeDomain {
        self.domain
    }

    fn prior_std(&self) -> f64 {
        if self.domain.t_end == 1.0 {
            self.sigma_max
        } else {
            self.noise_level(self.domain.t_end)
        }
    }

    fn lambda(&self, t: f64) -> f64 {
        match self.kernel {
            VeKernel::Song => -(self.sigma_min.ln() + t * self.log_ratio),
            VeKernel::Exact => -self.marginal(t).std.ln(),
        }
    }

    fn time_at_lambda(&self, lambda: f64) -> f64 {
        match self.kernel {
            VeKernel::Song => (-lambda - self.sigma_min.ln()) / self.log_ratio,
            VeKernel::Exact => self.time_at_sigma((-lambda).exp()),
        }
    }

    fn sigma(&self, t: f64) -> f64 {
        self.marginal(t).std
    }

    fn time_at_sigma(&self, sigma: f64) -> f64 {
        let ratio = sigma / self.sigma_min;
        match self.kernel {
            VeKernel::Song => ratio.ln() / self.log_ratio,
            VeKernel::Exact => 0.5 * (ratio * ratio).ln_1p() / self.log_ratio,
        }
    }

    fn transition(&self, from: f64, to: f64) -> Marginal {
        Marginal {
            mean_coef: 1.0,
            std: self.added_var(from, to).sqrt(),
        }
    }

    /// No drift and `sigma(from)^2 - sigma(to)^2` (Song et al. 2021, appendix E).
    fn discretize(&self, span: Span) -> EulerStep {
        EulerStep {
            drift: 0.0,
            noise_var: self.added_var(span.from, span.to),
        }
    }

    /// The SMLD posterior step (Song et al. 2021, appendix F).
    fn ancestral(&self, span: Span) -> AncestralStep {
        let next = if span.to <= 0.0 {
            0.0
        } else {
            self.marginal(span.to).std
        };
        super::additive_ancestral(
            self.marginal(span.from).std,
            next,
            self.added_var(span.from, span.to),
        )
    }
}

/// `scale e^{rate t}`, or `scale (e^{rate t} - 1)`.
struct Growth<const LESS_ONE: bool> {
    rate: f64,
    scale: f64,
}

impl<const LESS_ONE: bool> Number for Growth<LESS_ONE> {
    #[inline(always)]
    fn at(&self, t: f64) -> f64 {
        let (exp, less_one) = exp_pair(self.rate * t);
        self.scale * if LESS_ONE { less_one.max(0.0) } else { exp }
    }
}
