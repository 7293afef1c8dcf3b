//! The model card: everything that must be known to use a network's weights, as one TOML text.
//!
//! A model folder holds `net.safetensors` and, beside it, `model.toml`:
//!
//! ```toml
//! format = 1
//! name = "ddpmpp_vp"
//! licence = "not stated"
//!
//! [origin]
//! source = "score-sde"
//! file = "ddpmpp_vp.pth"
//! weights = "ema"
//!
//! [data]                      # model value = (raw value - shift) factor
//! shape = [3, 32, 32]
//! shift = 127.5
//! factor = 0.00784313725490196
//! range = [0.0, 255.0]
//! levels = 256
//!
//! [sde]
//! kind = "vp"
//!
//! [precond]
//! kind = "eps"
//! time_input = "scaled"
//!
//! [net]
//! kind = "ddpmpp"
//! ```
//!
//! The tables `[sde]`, `[precond]` and `[net]` are those of a run's configuration; `[precond]` says what the network's
//! output means and which time it is told.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sde_core::config::{ScheduleKind, SdeConfig};
use sde_core::discrete::Ddpm;
use sde_core::precond::PrecondConfig;
use sde_core::sde::Vp;
use sde_core::{ConfigError, Precond, Sde, TimeDomain};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::weights::WeightsError;
use crate::{NetConfig, NetError};

/// What is known about a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelCard {
    /// Version of this format, [`ModelCard::FORMAT`].
    pub format: u32,
    /// Name of the model.
    pub name: String,
    /// Under which terms the weights may be used, in words.
    pub licence: String,
    /// Betas of a DDPM ladder that no schedule says, least noise first. `[sde]` is then `kind = "vp"` and may say its times and, as
    /// `rungs`, their number; the SDE has the kernel of rung `i` at `t = (i + 1) / rungs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub betas: Option<Vec<f64>>,
    /// Where the weights came from.
    pub origin: Origin,
    /// The data that the model was trained on.
    pub data: DataCard,
    /// The forward process.
    pub sde: SdeConfig,
    /// What the network predicts and which time it is told.
    pub precond: PrecondConfig,
    /// The network.
    pub net: NetConfig,
}

/// `[origin]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Which program's files they were.
    pub source: OriginKind,
    /// Name of the file or folder.
    pub file: String,
    /// Which weights.
    pub weights: WeightsKind,
    /// Optimiser steps that they have behind them, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
}

/// Programs whose files become models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OriginKind {
    /// A run of this program.
    Run,
    /// A checkpoint of score_sde (Song et al. 2021, arXiv:2011.13456).
    ScoreSde,
    /// A folder of the package diffusers.
    Diffusers,
    /// Something else.
    Other,
}

/// Which of a checkpoint's weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightsKind {
    /// Their exponential moving average.
    Ema,
    /// As the optimiser left them.
    Raw,
    /// The file does not say.
    Unknown,
}

/// `[data]`: the shape of a row, and `model = (raw - shift) factor`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataCard {
    /// `[channels, height, width]`, `[channels, length]` or `[dim]`.
    pub shape: Vec<i64>,
    /// Raw value that becomes 0.
    pub shift: f64,
    /// Model units a raw unit, not 0.
    pub factor: f64,
    /// Raw values between which the data lie: black and white of images.
    pub range: [f64; 2],
    /// Number of levels of quantised data (images).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub levels: Option<u32>,
}

impl DataCard {
    /// Images of 256 levels, scaled to `[-1, 1]`.
    pub fn symmetric_bytes(shape: &[i64]) -> Self {
        DataCard {
            shape: shape.to_vec(),
            shift: 127.5,
            factor: 1.0 / 127.5,
            range: [0.0, 255.0],
            levels: Some(256),
        }
    }

    /// Images of 256 levels, scaled to `[0, 1]`.
    pub fn unit_bytes(shape: &[i64]) -> Self {
        DataCard {
            shift: 0.0,
            factor: 1.0 / 255.0,
            ..Self::symmetric_bytes(shape)
        }
    }
}

/// What is wrong with a model card or a model folder. Every variant names the file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CardError {
    /// The file could not be read or written.
    #[error("{}: {what}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The text is no TOML, or has an unknown, missing or mistyped key.
    #[error("{}:{line}: {reason}", file.display())]
    Text {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
    /// A value is refused.
    #[error("{}: {key} = {value}: {reason}", file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// Dotted key.
        key: String,
        /// The value.
        value: String,
        /// Why it is refused and what would do.
        reason: String,
    },
    /// The network cannot be built.
    #[error("{}: {source}", file.display())]
    Net {
        /// The file.
        file: PathBuf,
        /// Why.
        source: NetError,
    },
    /// The weights are refused.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

impl ModelCard {
    /// Version of the format.
    pub const FORMAT: u32 = 1;

    /// The card as TOML. [`ModelCard::from_toml`] gives the same card back.
    ///
    /// # Errors
    /// [`CardError::Text`] naming `file` for a value that TOML cannot hold.
    pub fn to_toml(&self, file: &Path) -> Result<String, CardError> {
        toml::to_string(self).map_err(|e| CardError::Text {
            file: file.into(),
            line: 1,
            reason: one_line(&e.to_string()),
        })
    }

    /// Reads and checks a card; `file` names the text in errors.
    ///
    /// # Errors
    /// [`CardError::Text`] for an unknown, missing or mistyped key; as [`ModelCard::check`].
    pub fn from_toml(text: &str, file: &Path) -> Result<Self, CardError> {
        let card: ModelCard = toml::from_str(text).map_err(|e| {
            let at = e.span().map_or(0, |span| span.start).min(text.len());
            CardError::Text {
                file: file.into(),
                line: text.as_bytes()[..at].iter().filter(|&&b| b == b'\n').count() + 1,
                reason: one_line(e.message()),
            }
        })?;
        card.check(file)?;
        Ok(card)
    }

    /// Checks every value: the tables build, the network fits the shape. Allocates no parameters.
    ///
    /// # Errors
    /// [`CardError::Value`] or [`CardError::Net`] naming `file`.
    pub fn check(&self, file: &Path) -> Result<(), CardError> {
        let refuse = |key: &str, value: String, reason: &str| {
            Err(CardError::Value {
                file: file.into(),
                key: key.into(),
                value,
                reason: reason.into(),
            })
        };
        if self.format != Self::FORMAT {
            let reason = "this program reads format 1";
            return refuse("format", self.format.to_string(), reason);
        }
        let data = &self.data;
        let values = data
            .shape
            .iter()
            .try_fold(1_i64, |count, &n| count.checked_mul(n));
        if data.shape.is_empty() || data.shape.iter().any(|&n| n < 1) || values.is_none_or(|n| n > 1 << 40) {
            let reason = "need one to three positive sizes, [channels, height, width] for images";
            return refuse("data.shape", format!("{:?}", data.shape), reason);
        }
        if !data.shift.is_finite() {
            return refuse("data.shift", data.shift.to_string(), "need a finite number");
        }
        if !data.factor.is_normal() {
            return refuse(
                "data.factor",
                data.factor.to_string(),
                "need a finite number that is not 0",
            );
        }
        let [low, high] = data.range;
        if !(low < high && low.is_finite() && high.is_finite()) {
            return refuse(
                "data.range",
                format!("{:?}", data.range),
                "need two finite numbers, the smaller first",
            );
        }
        if data.levels.is_some_and(|levels| levels < 2) {
            return refuse("data.levels", "1 or 0".into(), "need 2 or more, or no such key");
        }
        self.process(file)?;
        let count = self.net.param_count(&data.shape);
        count.map(drop).map_err(|source| CardError::Net {
            file: file.into(),
            source,
        })
    }

    /// The SDE, and the preconditioning on it.
    ///
    /// # Errors
    /// [`CardError::Value`] with the dotted key, naming `file`.
    pub fn process(&self, file: &Path) -> Result<(Arc<dyn Sde>, Precond), CardError> {
        let refuse = |e: ConfigError| CardError::Value {
            file: file.into(),
            key: e.key,
            value: e.value,
            reason: e.reason,
        };
        let sde = match &self.betas {
            None => self.sde.build().map_err(refuse)?,
            Some(betas) => ladder(&self.sde, betas).map_err(refuse)?,
        };
        let precond = self.precond.build(Arc::clone(&sde)).map_err(refuse)?;
        Ok((sde, precond))
    }
}

/// The VP SDE of a ladder of given betas.
fn ladder(sde: &SdeConfig, betas: &[f64]) -> Result<Arc<dyn Sde>, ConfigError> {
    let refuse =
        |key: &str, value: &dyn std::fmt::Display, reason: &str| Err(ConfigError::new(key, value, reason));
    let SdeConfig::Vp(given) = sde else {
        return refuse(
            "betas",
            &format!("{} of them", betas.len()),
            "a ladder needs sde.kind = \"vp\"",
        );
    };
    let rates = [
        ("sde.beta_min", given.beta_min),
        ("sde.beta_max", given.beta_max),
        ("sde.cosine_offset", given.cosine_offset),
        ("sde.lambda_min", given.lambda_min),
    ];
    if let Some((key, Some(value))) = rates.iter().find(|(_, value)| value.is_some()) {
        return refuse(key, value, "betas say the ladder: remove it");
    }
    if given.schedule != ScheduleKind::Linear {
        return refuse("sde.schedule", &"another", "betas say the ladder: remove it");
    }
    let rungs = given.rungs.unwrap_or(betas.len());
    if rungs != betas.len() || rungs < 2 {
        let reason = format!("need two betas or more, as many as sde.rungs: {}", betas.len());
        return refuse("sde.rungs", &rungs, &reason);
    }
    let steps = Ddpm::from_betas(betas.to_vec())?.to_schedule();
    let lowest = 1.0 / rungs as f64;
    let domain = TimeDomain {
        t_end: given.t_end.unwrap_or(1.0),
        train_eps: given.train_eps.unwrap_or(lowest),
        sample_eps: given.sample_eps.unwrap_or(lowest),
        likelihood_eps: given.likelihood_eps.unwrap_or(lowest),
    };
    Ok(Arc::new(Vp::new(Arc::new(steps), domain)?))
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}
