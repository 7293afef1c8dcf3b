//! How training draws its times.

use std::sync::Arc;

use crate::error::{finite, positive};
use crate::{ConfigError, Sde, normal};

/// The density of training times on `[train_eps, t_end]`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)
)]
pub enum TimeDensityConfig {
    /// Uniform in `t`.
    Uniform {},
    /// `p(t) ~ g^2 / std^2`, importance sampling for the likelihood weighting (Song et al. 2021,
    /// arXiv:2101.09258, section 4.3). The loss stays the one defined over uniform times:
    /// [`TimeDensity::correction`] divides by `p`.
    Importance {},
    /// `ln sigma ~ N(mean, std^2)`, `sigma = std / mean_coef`, cut off at the ends (Karras et al. 2022,
    /// arXiv:2206.00364, table 1). Part of the loss: no correction.
    LogNormal {
        /// Mean of `ln sigma`; -1.2.
        #[cfg_attr(feature = "serde", serde(default = "edm_mean"))]
        mean: f64,
        /// Standard deviation of `ln sigma`, > 0; 1.2.
        #[cfg_attr(feature = "serde", serde(default = "edm_std"))]
        std: f64,
    },
    /// `ln sigma` uniform. Part of the loss: no correction.
    LogUniform {},
}

#[cfg(feature = "serde")]
fn edm_mean() -> f64 {
    -1.2
}

#[cfg(feature = "serde")]
fn edm_std() -> f64 {
    1.2
}

impl Default for TimeDensityConfig {
    fn default() -> Self {
        Self::Uniform {}
    }
}

impl TimeDensityConfig {
    /// The checked density over the training times of `sde`.
    ///
    /// # Errors
    /// [`ConfigError`] at `loss.time.mean` or `loss.time.std`, also where no mass is left between the SDE's
    /// ends.
    pub fn build(&self, sde: Arc<dyn Sde>) -> Result<TimeDensity, ConfigError> {
        let domain = sde.domain();
        let (low, high) = (-sde.lambda(domain.train_eps), -sde.lambda(domain.t_end));
        let kind = match *self {
            Self::Uniform {} => Kind::Uniform,
            Self::Importance {} => Kind::LogSigma { corrected: true },
            Self::LogUniform {} => Kind::LogSigma { corrected: false },
            Self::LogNormal { mean, std } => {
                finite("loss.time.mean", mean)?;
                positive("loss.time.std", std)?;
                let (mut from, mut to) = ((low - mean) / std, (high - mean) / std);
                // work in the lower tail, where the distribution function keeps its digits
                let flipped = from > 0.0;
                if flipped {
                    (from, to) = (-to, -from);
                }
                let (below, mass) = (normal::cdf(from), normal::cdf(to) - normal::cdf(from));
                if mass.is_nan() || mass <= 1e-100 {
                    return Err(ConfigError::new(
                        "loss.time.mean",
                        mean,
                        format!(
                            "with std {std} hardly any ln sigma lies between {low:.3} and {high:.3}, the SDE's range"
                        ),
                    ));
                }
                Kind::LogNormal {
                    mean,
                    std,
                    below,
                    mass,
                    flipped,
                }
            }
        };
        Ok(TimeDensity { sde, kind, low, high })
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Uniform,
    LogSigma {
        corrected: bool,
    },
    LogNormal {
        mean: f64,
        std: f64,
        below: f64,
        mass: f64,
        flipped: bool,
    },
}

/// A checked density of training times.
///
/// For every linear SDE `-2 lambda` has the derivative `g^2 / std^2`. So the cumulative importance weight is
/// the log noise-to-signal ratio itself, times drawn by importance are uniform in `lambda`, and the inverse
/// is [`Sde::time_at_lambda`], a closed form for the SDEs of this crate.
#[derive(Debug, Clone)]
pub struct TimeDensity {
    sde: Arc<dyn Sde>,
    kind: Kind,
    /// `ln sigma` at `train_eps` and at `t_end`.
    low: f64,
    high: f64,
}

impl TimeDensity {
    /// The quantile function: `u = 0` is `train_eps`, `u = 1` is `t_end`. A `u` outside is taken at the
    /// nearest end.
    pub fn time_at(&self, u: f64) -> f64 {
        let domain = self.sde.domain();
        if u <= 0.0 {
            return domain.train_eps;
        }
        if u >= 1.0 {
            return domain.t_end;
        }
        let t = match self.kind {
            Kind::Uniform => domain.train_eps + u * (domain.t_end - domain.train_eps),
            Kind::LogSigma { .. } => self.sde.time_at_lambda(-(self.low + u * (self.high - self.low))),
            Kind::LogNormal {
                mean,
                std,
                below,
                mass,
                flipped,
            } => {
                let z = if flipped {
                    -normal::quantile(below + (1.0 - u) * mass)
                } else {
                    normal::quantile(below + u * mass)
                };
                self.sde.time_at_lambda(-(mean + std * z))
            }
        };
        t.clamp(domain.train_eps, domain.t_end)
    }

    /// `p(t)`, per unit of time; 0 outside the training times.
    pub fn density(&self, t: f64) -> f64 {
        let domain = self.sde.domain();
        if !(t >= domain.train_eps && t <= domain.t_end) {
            return 0.0;
        }
        // derivative of ln sigma
        let slope = || {
            let std = self.sde.marginal(t).std;
            0.5 * self.sde.diffusion_sq(t) / (std * std)
        };
        match self.kind {
            Kind::Uniform => 1.0 / (domain.t_end - domain.train_eps),
            Kind::LogSigma { .. } => slope() / (self.high - self.low),
            Kind::LogNormal { mean, std, mass, .. } => {
                let z = (-self.sde.lambda(t) - mean) / std;
                slope() * (-0.5 * z * z).exp() / (std::f64::consts::TAU.sqrt() * std * mass)
            }
        }
    }

    /// The factor that makes a loss drawn from this density an unbiased estimate of the loss over uniform
    /// times: the uniform density over `p(t)` for `importance`, and 1 for the others, where the density is
    /// part of the loss.
    pub fn correction(&self, t: f64) -> f64 {
        match self.kind {
            Kind::LogSigma { corrected: true } => self.likelihood_ratio(t),
            _ => 1.0,
        }
    }

    /// The uniform density over `p(t)`, whatever the kind.
    pub fn likelihood_ratio(&self, t: f64) -> f64 {
        let domain = self.sde.domain();
        1.0 / ((domain.t_end - domain.train_eps) * self.density(t))
    }

    /// The integral of `g^2 / std^2` over the training times: 23.8645 for VP with the usual rates, 37.6789
    /// for subVP.
    pub fn importance_mass(&self) -> f64 {
        2.0 * (self.high - self.low)
    }
}

/// The `i`-th of `n` low-discrepancy uniforms from a single one: `frac(u0 + i/n)` (Kingma et al. 2021,
/// arXiv:2107.00630, appendix I.1). Each is uniform for a uniform `u0`, and every interval `[k/n, (k+1)/n)`
/// holds one. Always below 1; 0 for `n = 0`.
pub fn stratified(u0: f64, i: usize, n: usize) -> f64 {
    if n == 0 {
        return 0.0;
    }
    let u = u0 + (i % n) as f64 / n as f64;
    let u = u - u.floor();
    if u < 1.0 { u } else { 0.0 }
}

/// The `n`-th point of the additive recurrence `frac(u0 + n/phi)` with the golden ratio `phi`: of all such sequences the one whose
/// points lie most evenly, for every number of them (Kuipers and Niederreiter 1974, chapter 2, section 3). Each point is uniform
/// for a uniform `u0`, and any `m` points in a row leave no gap longer than `2/m`. In whole numbers, so that no digit is lost
/// however large `n` is. In [0, 1).
pub fn golden(u0: f64, n: u64) -> f64 {
    // 2^64/phi, rounded to odd
    let turn = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let u = u0 + (turn >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0);
    let u = u - u.floor();
    if u < 1.0 { u } else { 0.0 }
}
