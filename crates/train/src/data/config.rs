//! `[data]`.

use serde::{Deserialize, Serialize};

use super::ScalingKind;

/// `[data]`: which data set, and how its values are scaled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum DataConfig {
    /// The 1,797 embedded digits.
    Digits(DigitsConfig),
}

impl Default for DataConfig {
    fn default() -> Self {
        DataConfig::Digits(DigitsConfig::default())
    }
}

/// `kind = "digits"`: 1,797 real handwritten digits of 8x8 pixels with 17 grey levels, embedded in the program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DigitsConfig {
    /// Range of the values.
    pub scaling: ScalingKind,
    /// Whether uniform noise of one grey level is added (Theis et al. 2016, arXiv:1511.01844).
    pub dequantise: bool,
}

impl Default for DigitsConfig {
    fn default() -> Self {
        DigitsConfig {
            scaling: ScalingKind::Symmetric,
            dequantise: false,
        }
    }
}
