//! The `[precond]` table.

use std::sync::Arc;

use super::{IddpmLadder, InputScaling, Precond, Target, TimeInput};
use crate::schedule::Linear;
use crate::{ConfigError, Sde};

/// `time_input` of the `[precond]` table, see [`TimeInput`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
pub enum TimeInputKind {
    /// `999 t / t_end`.
    Scaled,
    /// `ln(sigma) / 4`.
    LogSigmaQuarter,
    /// `ln(sigma / 2)`.
    LogSigmaHalved,
    /// `sigma`.
    Sigma,
    /// `2 lambda`.
    LogSnr,
    /// `t / t_end (1000 - 1)`, the labels of DDPM with a thousand times.
    Label,
    /// `1000 t / t_end - 1`, the labels of a ladder whose rung `i` stands for `t = (i + 1) / 1000`.
    IntervalLabel,
    /// `(1 - t / t_end) (1000 - 1)`, rounded: labels that count from the largest noise.
    DescendingLabel,
}

impl TimeInputKind {
    /// The time input; `count` is the number of labels of the kinds that have labels.
    fn build(self, count: usize) -> TimeInput {
        match self {
            TimeInputKind::Scaled => TimeInput::Scaled,
            TimeInputKind::LogSigmaQuarter => TimeInput::LogSigmaQuarter,
            TimeInputKind::LogSigmaHalved => TimeInput::LogSigmaHalved,
            TimeInputKind::Sigma => TimeInput::Sigma,
            TimeInputKind::LogSnr => TimeInput::LogSnr,
            TimeInputKind::Label => TimeInput::Label { count },
            TimeInputKind::IntervalLabel => TimeInput::IntervalLabel { count },
            TimeInputKind::DescendingLabel => TimeInput::DescendingLabel { count },
        }
    }
}

/// Number of labels where none is given.
const LABELS: usize = 1000;

/// The `[precond]` table: what the network predicts and how its input is scaled.
///
/// `sigma_data`, the standard deviation of the data, is that of the SDE where it states one (EDM), else 1 for
/// `score`, `eps`, `x0` and `v`, and 0.5 for `edm`. Without a `time_input`, `edm` takes `log-sigma-quarter`
/// and the others take `scaled`, except on an SDE whose upper half of the time axis covers less than a tenth
/// of its log signal-to-noise range (EDM with its usual limits), where they too take `log-sigma-quarter`.
///
/// `raw-score` and `raw-eps` are for networks of other programs: the state enters them as it is, and `labels` is the
/// number of labels of a `time_input` that has labels, 1000 if absent.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)
)]
pub enum PrecondConfig {
    /// [`Target::Score`].
    Score {
        /// Standard deviation of the data.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        sigma_data: Option<f64>,
        /// The network's time input.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        time_input: Option<TimeInputKind>,
    },
    /// [`Target::Eps`].
    Eps {
        /// Standard deviation of the data.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        sigma_data: Option<f64>,
        /// The network's time input.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        time_input: Option<TimeInputKind>,
    },
    /// [`Target::Denoised`].
    X0 {
        /// Standard deviation of the data.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        sigma_data: Option<f64>,
        /// The network's time input.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        time_input: Option<TimeInputKind>,
    },
    /// [`Target::Velocity`].
    V {
        /// Standard deviation of the data.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        sigma_data: Option<f64>,
        /// The network's time input.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        time_input: Option<TimeInputKind>,
    },
    /// [`Target::Edm`].
    Edm {
        /// Standard deviation of the data.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        sigma_data: Option<f64>,
        /// The network's time input.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        time_input: Option<TimeInputKind>,
    },
    /// The VP row of Karras et al. (2022, table 1): predicts the noise, labelled by the time of the VP SDE
    /// with rates 0.1 to 20 that has the same `sigma`, times 999.
    Vp {},
    /// Their VE row: predicts the negative noise from the unscaled input, labelled by `ln(sigma / 2)`.
    Ve {},
    /// Their iDDPM row: predicts the noise, labelled by the nearest rung of the ladder [`IddpmLadder`].
    Iddpm {},
    /// The network returns the score itself ([`Target::RawScore`]) and sees the state as it is: VE models of Song et al.
    #[cfg_attr(feature = "serde", serde(rename = "raw-score"))]
    RawScore {
        /// The network's time input; `sigma`.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        time_input: Option<TimeInputKind>,
        /// Number of labels, 2 or more.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        labels: Option<usize>,
    },
    /// The network returns the noise ([`Target::Eps`]) and sees the state as it is: VP and subVP models of Song et al.
    #[cfg_attr(feature = "serde", serde(rename = "raw-eps"))]
    RawEps {
        /// The network's time input; `scaled`.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        time_input: Option<TimeInputKind>,
        /// Number of labels, 2 or more.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        labels: Option<usize>,
    },
}

impl Default for PrecondConfig {
    fn default() -> Self {
        Self::Eps {
            sigma_data: None,
            time_input: None,
        }
    }
}

impl PrecondConfig {
    /// The checked preconditioning on `sde`.
    ///
    /// # Errors
    /// [`ConfigError`] at `precond.sigma_data`.
    pub fn build(&self, sde: Arc<dyn Sde>) -> Result<Precond, ConfigError> {
        let (target, usual_data, sigma_data, time_input) = match *self {
            Self::Score {
                sigma_data,
                time_input,
            } => (Target::Score, 1.0, sigma_data, time_input),
            Self::Eps {
                sigma_data,
                time_input,
            } => (Target::Eps, 1.0, sigma_data, time_input),
            Self::X0 {
                sigma_data,
                time_input,
            } => (Target::Denoised, 1.0, sigma_data, time_input),
            Self::V {
                sigma_data,
                time_input,
            } => (Target::Velocity, 1.0, sigma_data, time_input),
            Self::Edm {
                sigma_data,
                time_input,
            } => {
                let time_input = time_input.or(Some(TimeInputKind::LogSigmaQuarter));
                (Target::Edm, 0.5, sigma_data, time_input)
            }
            Self::Vp {} => {
                let time = TimeInput::VpLabel {
                    schedule: Linear::new(0.1, 20.0)?,
                    count: 1000,
                };
                return Precond::new(sde, Target::Eps, time, 1.0, true);
            }
            Self::Ve {} => return Precond::new(sde, Target::Score, TimeInput::LogSigmaHalved, 1.0, false),
            Self::Iddpm {} => {
                let time = TimeInput::Iddpm(Arc::new(IddpmLadder::new()));
                return Precond::new(sde, Target::Eps, time, 1.0, true);
            }
            Self::RawScore { time_input, labels } => {
                let time = time_input.unwrap_or(TimeInputKind::Sigma);
                return raw(sde, Target::RawScore, time, labels);
            }
            Self::RawEps { time_input, labels } => {
                let time = time_input.unwrap_or(TimeInputKind::Scaled);
                return raw(sde, Target::Eps, time, labels);
            }
        };
        let sigma_data = sigma_data.or(sde.sigma_data()).unwrap_or(usual_data);
        let time = time_input.unwrap_or_else(|| usual_time_input(&*sde));
        let time = time.build(LABELS);
        Precond::new(sde, target, time, sigma_data, true)
    }
}

/// A network that sees the state as it is.
fn raw(
    sde: Arc<dyn Sde>,
    target: Target,
    time: TimeInputKind,
    labels: Option<usize>,
) -> Result<Precond, ConfigError> {
    let count = labels.unwrap_or(LABELS);
    if !(2..=1_000_000).contains(&count) {
        return Err(ConfigError::new(
            "precond.labels",
            count,
            "must lie between 2 and a million",
        ));
    }
    Ok(Precond::new(sde, target, time.build(count), 1.0, true)?.with_input(InputScaling::Plain))
}

/// `scaled`, unless the time axis is so uneven in the log signal-to-noise ratio that a network could not tell
/// small times apart.
fn usual_time_input(sde: &dyn Sde) -> TimeInputKind {
    let domain = sde.domain();
    let (low, end) = (sde.lambda(domain.train_eps), sde.lambda(domain.t_end));
    let upper_half = sde.lambda(0.5 * domain.t_end) - end;
    if upper_half < 0.1 * (low - end) {
        TimeInputKind::LogSigmaQuarter
    } else {
        TimeInputKind::Scaled
    }
}
