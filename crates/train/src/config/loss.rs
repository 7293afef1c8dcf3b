//! The table `[loss]`.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use toml::Table;

use super::{SdeConfig, TimeDensityConfig, WeightingConfig};
use crate::loss::Projection;

/// `[loss]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum LossConfig {
    /// Denoising score matching (Vincent 2011).
    Dsm(DsmConfig),
    /// The same with the weighting `edm` and log-normal noise levels (Karras et al. 2022, arXiv:2206.00364, table 1).
    Edm(#[serde(deserialize_with = "edm")] DsmConfig),
    /// The same as Song et al. (2021, arXiv:2011.13456) train VP models: weighting `sigma2`, uniform times, sums. Needs `sde.kind =
    /// "vp"`.
    Vp(#[serde(deserialize_with = "summed")] DsmConfig),
    /// As `vp`, for VE models.
    Ve(#[serde(deserialize_with = "summed")] DsmConfig),
    /// Sliced score matching (Song et al. 2019).
    Sliced(SlicedConfig),
    /// Implicit score matching (Hyvarinen 2005).
    Implicit(ImplicitConfig),
}

impl Default for LossConfig {
    fn default() -> Self {
        LossConfig::Dsm(DsmConfig::default())
    }
}

/// `kind = "dsm"` and its presets `edm`, `vp`, `ve`: the mean of `weight(t) || std score(x_t, t) + z ||^2`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DsmConfig {
    /// Weight of a time.
    pub weighting: WeightingConfig,
    /// Density from which the times are drawn.
    pub time: TimeDensityConfig,
    /// Whether the times of a batch are spread evenly over the density's quantiles.
    pub stratified: bool,
    /// Whether the times of a run follow each other in the golden-ratio sequence.
    pub low_discrepancy: bool,
    /// What becomes of the squares of a row.
    pub reduction: Reduction,
    /// Noise `std` below which a control variate takes the noise out of the loss, in the units of the data, 0 or more; 0 for none.
    /// Batches with such a row cost a second evaluation of the network.
    pub control_variate: f64,
    /// Whether the weight of a noise level is learned besides ([`crate::loss::LearnedWeighting`]).
    pub learned_weighting: bool,
}

impl Default for DsmConfig {
    fn default() -> Self {
        DsmConfig {
            weighting: WeightingConfig::default(),
            time: TimeDensityConfig::default(),
            stratified: true,
            low_discrepancy: false,
            reduction: Reduction::Mean,
            control_variate: 0.0,
            learned_weighting: false,
        }
    }
}

impl DsmConfig {
    /// Weights and noise levels of Karras et al. (2022), table 1.
    pub fn edm() -> Self {
        DsmConfig {
            weighting: WeightingConfig::Edm { sigma_data: None },
            time: TimeDensityConfig::LogNormal { mean: -1.2, std: 1.2 },
            ..Self::default()
        }
    }

    /// Sums over the values of a row, as in Song et al. (2021), equation 7.
    pub fn summed() -> Self {
        DsmConfig {
            reduction: Reduction::Sum,
            ..Self::default()
        }
    }
}

/// `kind = "sliced"`: the mean of `weight(t) (|std s|^2 + 2 std^2 v^T (ds/dx) v + d)` over random `v`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SlicedConfig {
    /// Weight of a time.
    pub weighting: WeightingConfig,
    /// Density from which the times are drawn.
    pub time: TimeDensityConfig,
    /// Whether the times of a batch are spread evenly over the density's quantiles.
    pub stratified: bool,
    /// Whether the times of a run follow each other in the golden-ratio sequence.
    pub low_discrepancy: bool,
    /// What becomes of the values of a row.
    pub reduction: Reduction,
    /// Number of projections of a row, from 1 to 1024.
    pub projections: u64,
    /// Distribution of the projections.
    pub projection: Projection,
    /// Whether the squared score is taken whole; false projects it too, as in the plain form.
    pub variance_reduced: bool,
}

impl Default for SlicedConfig {
    fn default() -> Self {
        SlicedConfig {
            weighting: WeightingConfig::default(),
            time: TimeDensityConfig::default(),
            stratified: true,
            low_discrepancy: false,
            reduction: Reduction::Mean,
            projections: 1,
            projection: Projection::Rademacher,
            variance_reduced: true,
        }
    }
}

/// `kind = "implicit"`: the mean of `weight(t) (|std s|^2 + 2 std^2 div s + d)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImplicitConfig {
    /// Weight of a time.
    pub weighting: WeightingConfig,
    /// Density from which the times are drawn.
    pub time: TimeDensityConfig,
    /// Whether the times of a batch are spread evenly over the density's quantiles.
    pub stratified: bool,
    /// Whether the times of a run follow each other in the golden-ratio sequence.
    pub low_discrepancy: bool,
    /// What becomes of the values of a row.
    pub reduction: Reduction,
}

impl Default for ImplicitConfig {
    fn default() -> Self {
        ImplicitConfig {
            weighting: WeightingConfig::default(),
            time: TimeDensityConfig::default(),
            stratified: true,
            low_discrepancy: false,
            reduction: Reduction::Mean,
        }
    }
}

/// How the values of a row become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reduction {
    /// Their mean: the loss does not grow with the dimension.
    Mean,
    /// Their sum.
    Sum,
}

/// The keys of `[loss]` that every kind has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CommonLoss {
    /// Weight of a time.
    pub weighting: WeightingConfig,
    /// Density from which the times are drawn.
    pub time: TimeDensityConfig,
    /// Whether the times of a batch are spread evenly over the density's quantiles.
    pub stratified: bool,
    /// Whether the times of a run follow each other in the golden-ratio sequence.
    pub low_discrepancy: bool,
    /// What becomes of the values of a row.
    pub reduction: Reduction,
}

/// The keys that all kinds share, out of the table of one.
macro_rules! common {
    ($table:expr) => {
        CommonLoss {
            weighting: $table.weighting,
            time: $table.time,
            stratified: $table.stratified,
            low_discrepancy: $table.low_discrepancy,
            reduction: $table.reduction,
        }
    };
}

impl LossConfig {
    /// The kinds that stand for other defaults of `dsm`: chosen by an argument, they replace what the file says of weights, times and
    /// reduction.
    pub(super) const PRESETS: [&str; 3] = ["edm", "vp", "ve"];
    /// What they replace.
    pub(super) const PRESET_KEYS: [&str; 3] = ["weighting", "time", "reduction"];

    /// The keys that every kind has.
    pub fn common(&self) -> CommonLoss {
        match self {
            LossConfig::Dsm(c) | LossConfig::Edm(c) | LossConfig::Vp(c) | LossConfig::Ve(c) => common!(c),
            LossConfig::Sliced(c) => common!(c),
            LossConfig::Implicit(c) => common!(c),
        }
    }

    /// The kind that asks for another SDE than the one given: its name and that of the SDE.
    pub(crate) fn misplaced(&self, sde: &SdeConfig) -> Option<(&'static str, &'static str)> {
        match (self, sde) {
            (LossConfig::Vp(_), sde) if !matches!(sde, SdeConfig::Vp(_)) => Some(("vp", "vp")),
            (LossConfig::Ve(_), sde) if !matches!(sde, SdeConfig::Ve(_)) => Some(("ve", "ve")),
            _ => None,
        }
    }
}

fn edm<'de, D: Deserializer<'de>>(from: D) -> Result<DsmConfig, D::Error> {
    with_defaults(&DsmConfig::edm(), from)
}

fn summed<'de, D: Deserializer<'de>>(from: D) -> Result<DsmConfig, D::Error> {
    with_defaults(&DsmConfig::summed(), from)
}

/// The table with the keys given in place of its own.
fn with_defaults<'de, D: Deserializer<'de>>(defaults: &DsmConfig, from: D) -> Result<DsmConfig, D::Error> {
    let given = Table::deserialize(from)?;
    let mut all = Table::try_from(defaults).map_err(D::Error::custom)?;
    all.extend(given);
    DsmConfig::deserialize(all).map_err(|e| D::Error::custom(e.message()))
}
