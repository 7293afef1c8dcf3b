//! Weights of the denoising score-matching loss.

use std::sync::Arc;

use crate::error::positive;
use crate::{ConfigError, Sde};

/// Which error the loss weighs evenly. Each kind is stated as the factor `w(t)` of `|| std score_model + z
/// ||^2`, the squared error of the predicted noise; `sigma = std / mean_coef`, `snr = 1 / sigma^2`. An error
/// of the denoised data is `sigma` times that of the noise, one of the score `1 / std` times.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)
)]
pub enum WeightingConfig {
    /// `w = 1`: the score error times `std^2` (Song and Ermon 2019, arXiv:1907.05600; "simple" in Ho et al.
    /// 2020).
    Sigma2 {},
    /// `w = g^2 / std^2`: a bound on the likelihood (Song et al. 2021, arXiv:2101.09258, theorem 1). With
    /// times drawn uniformly its variance is very large: draw them by importance.
    Likelihood {},
    /// `w = 1 / std^2`: all score errors alike.
    Uniform {},
    /// `w = sigma^2`: all errors of the denoised data alike.
    X0 {},
    /// `w = (sigma^2 + sigma_data^2) / sigma_data^2`, that is `(sigma^2 + sigma_data^2) / (sigma
    /// sigma_data)^2` on the denoised data (Karras et al. 2022, arXiv:2206.00364, table 1).
    Edm {
        /// Standard deviation of the data; that of the SDE where it states one, else 0.5.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        sigma_data: Option<f64>,
    },
    /// `snr` on the denoised data, which is `w = 1`: the same as `sigma2`, under the name of the
    /// parametrisation by data.
    Snr {},
    /// `max(snr, 1)` on the denoised data: `w = max(1, sigma^2)` (Salimans and Ho 2022, arXiv:2202.00512).
    TruncatedSnr {},
    /// `min(snr, gamma)` on the denoised data: `w = min(1, gamma sigma^2)` (Hang et al. 2023,
    /// arXiv:2303.09556).
    MinSnr {
        /// Cap of the signal-to-noise ratio, > 0; 5.
        #[cfg_attr(feature = "serde", serde(default = "five"))]
        gamma: f64,
    },
    /// `snr gamma / (snr + gamma)` on the denoised data: `w = gamma sigma^2 / (1 + gamma sigma^2)` (Crowson
    /// et al. 2024, arXiv:2401.11605, section 4.3 with gamma = 4).
    SoftMinSnr {
        /// Level at which the weight saturates, > 0; 4.
        #[cfg_attr(feature = "serde", serde(default = "four"))]
        gamma: f64,
    },
}

#[cfg(feature = "serde")]
fn five() -> f64 {
    5.0
}

#[cfg(feature = "serde")]
fn four() -> f64 {
    4.0
}

impl Default for WeightingConfig {
    fn default() -> Self {
        Self::Sigma2 {}
    }
}

impl WeightingConfig {
    /// The checked weighting on `sde`.
    ///
    /// # Errors
    /// [`ConfigError`] at `loss.weighting.sigma_data` or `loss.weighting.gamma`.
    pub fn build(&self, sde: Arc<dyn Sde>) -> Result<Weighting, ConfigError> {
        let kind = match *self {
            Self::Sigma2 {} | Self::Snr {} => Kind::One,
            Self::Likelihood {} => Kind::Likelihood,
            Self::Uniform {} => Kind::Score,
            Self::X0 {} => Kind::Denoised,
            Self::Edm { sigma_data } => {
                let sigma_data = sigma_data.or(sde.sigma_data()).unwrap_or(0.5);
                Kind::Edm(positive("loss.weighting.sigma_data", sigma_data)?)
            }
            Self::TruncatedSnr {} => Kind::Truncated,
            Self::MinSnr { gamma } => Kind::Min(positive("loss.weighting.gamma", gamma)?),
            Self::SoftMinSnr { gamma } => Kind::SoftMin(positive("loss.weighting.gamma", gamma)?),
        };
        Ok(Weighting { sde, kind })
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    One,
    Likelihood,
    Score,
    Denoised,
    Edm(f64),
    Truncated,
    Min(f64),
    SoftMin(f64),
}

/// A checked weighting on an SDE.
#[derive(Debug, Clone)]
pub struct Weighting {
    sde: Arc<dyn Sde>,
    kind: Kind,
}

impl Weighting {
    /// `w(t)`, the factor of the squared error of the predicted noise at `t > 0`; see [`WeightingConfig`].
    pub fn weight(&self, t: f64) -> f64 {
        let sigma_sq = || {
            let sigma = self.sde.sigma(t);
            sigma * sigma
        };
        match self.kind {
            Kind::One => 1.0,
            Kind::Likelihood => {
                let std = self.sde.marginal(t).std;
                self.sde.diffusion_sq(t) / (std * std)
            }
            Kind::Score => {
                let std = self.sde.marginal(t).std;
                1.0 / (std * std)
            }
            Kind::Denoised => sigma_sq(),
            Kind::Edm(sigma_data) => 1.0 + sigma_sq() / (sigma_data * sigma_data),
            Kind::Truncated => sigma_sq().max(1.0),
            Kind::Min(gamma) => (gamma * sigma_sq()).min(1.0),
            Kind::SoftMin(gamma) => {
                let scaled = gamma * sigma_sq();
                scaled / (1.0 + scaled)
            }
        }
    }
}
