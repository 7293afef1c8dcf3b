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

/// Keys of the kinds `score`, `eps`, `x0`, `v` and `edm`, whose input is scaled to unit variance.
///
/// `sigma_data`, the standard deviation of the data, is that of the SDE where it states one (EDM), else 1, and 0.5 for
/// `edm`. Without a `time_input`, `edm` takes `log-sigma-quarter` and the others take `scaled`, except on an SDE whose upper
/// half of the time axis covers less than a tenth of its log signal-to-noise range (EDM with its usual limits), where
/// they too take `log-sigma-quarter`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct ScaledTable {
    /// Standard deviation of the data.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub sigma_data: Option<f64>,
    /// The network's time input.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub time_input: Option<TimeInputKind>,
    /// Number of labels of a `time_input` that has labels, 2 or more; 1000.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub labels: Option<usize>,
}

/// Keys of the kinds for networks of other programs, which the state enters as it is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct RawTable {
    /// The network's time input; `sigma` for `raw-score`, `scaled` for `raw-eps`.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub time_input: Option<TimeInputKind>,
    /// Number of labels of a `time_input` that has labels, 2 or more; 1000.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub labels: Option<usize>,
}

/// The `[precond]` table: what the network predicts and how its input is scaled.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)
)]
pub enum PrecondConfig {
    /// [`Target::Score`].
    Score(ScaledTable),
    /// [`Target::Eps`].
    Eps(ScaledTable),
    /// [`Target::Denoised`].
    X0(ScaledTable),
    /// [`Target::Velocity`].
    V(ScaledTable),
    /// [`Target::Edm`].
    Edm(ScaledTable),
    /// The VP row of Karras et al. (2022, table 1): predicts the noise, labelled by the time of the VP SDE
    /// with rates 0.1 to 20 that has the same `sigma`, times 999.
    Vp {},
    /// Their VE row: predicts the negative noise from the unscaled input, labelled by `ln(sigma / 2)`.
    Ve {},
    /// Their iDDPM row: predicts the noise, labelled by the nearest rung of the ladder [`IddpmLadder`].
    Iddpm {},
    /// The network returns the score itself ([`Target::RawScore`]) and sees the state as it is: VE models of Song et al.
    #[cfg_attr(feature = "serde", serde(rename = "raw-score"))]
    RawScore(RawTable),
    /// The network returns the noise ([`Target::Eps`]) and sees the state as it is: VP and subVP models of Song et al.
    #[cfg_attr(feature = "serde", serde(rename = "raw-eps"))]
    RawEps(RawTable),
}

impl Default for PrecondConfig {
    fn default() -> Self {
        Self::Eps(ScaledTable::default())
    }
}

impl PrecondConfig {
    /// The checked preconditioning on `sde`.
    ///
    /// # Errors
    /// [`ConfigError`] at `precond.sigma_data` or `precond.labels`.
    pub fn build(&self, sde: Arc<dyn Sde>) -> Result<Precond, ConfigError> {
        match *self {
            Self::Score(table) => scaled(sde, Target::Score, 1.0, table),
            Self::Eps(table) => scaled(sde, Target::Eps, 1.0, table),
            Self::X0(table) => scaled(sde, Target::Denoised, 1.0, table),
            Self::V(table) => scaled(sde, Target::Velocity, 1.0, table),
            Self::Edm(mut table) => {
                table.time_input.get_or_insert(TimeInputKind::LogSigmaQuarter);
                scaled(sde, Target::Edm, 0.5, table)
            }
            Self::Vp {} => {
                let time = TimeInput::VpLabel {
                    schedule: Linear::new(0.1, 20.0)?,
                    count: 1000,
                };
                Precond::new(sde, Target::Eps, time, 1.0, true)
            }
            Self::Ve {} => Precond::new(sde, Target::Score, TimeInput::LogSigmaHalved, 1.0, false),
            Self::Iddpm {} => {
                let time = TimeInput::Iddpm(Arc::new(IddpmLadder::new()));
                Precond::new(sde, Target::Eps, time, 1.0, true)
            }
            Self::RawScore(table) => raw(sde, Target::RawScore, TimeInputKind::Sigma, table),
            Self::RawEps(table) => raw(sde, Target::Eps, TimeInputKind::Scaled, table),
        }
    }
}

/// A network whose input is scaled to unit variance.
fn scaled(
    sde: Arc<dyn Sde>,
    target: Target,
    usual_data: f64,
    table: ScaledTable,
) -> Result<Precond, ConfigError> {
    let sigma_data = table.sigma_data.or(sde.sigma_data()).unwrap_or(usual_data);
    let time = table.time_input.unwrap_or_else(|| usual_time_input(&*sde));
    let time = time.build(label_count(table.labels)?);
    Precond::new(sde, target, time, sigma_data, true)
}

/// A network that sees the state as it is.
fn raw(
    sde: Arc<dyn Sde>,
    target: Target,
    usual_time: TimeInputKind,
    table: RawTable,
) -> Result<Precond, ConfigError> {
    let time = table.time_input.unwrap_or(usual_time);
    let time = time.build(label_count(table.labels)?);
    Ok(Precond::new(sde, target, time, 1.0, true)?.with_input(InputScaling::Plain))
}

fn label_count(labels: Option<usize>) -> Result<usize, ConfigError> {
    let count = labels.unwrap_or(1000);
    match count {
        2..=1_000_000 => Ok(count),
        _ => Err(ConfigError::new(
            "precond.labels",
            count,
            "must lie between 2 and a million",
        )),
    }
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
