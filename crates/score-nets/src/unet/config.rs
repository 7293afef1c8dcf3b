//! What a user may choose of a U-Net.

use serde::{Deserialize, Serialize};

use crate::embed::Embedding;

/// How the time embedding enters a residual block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeMode {
    /// Added to every channel between the convolutions.
    Add,
    /// As a factor and an offset of every channel after the second normalisation.
    ScaleShift,
}

impl TimeMode {
    /// Values a channel.
    pub(crate) fn width(self) -> i64 {
        match self {
            TimeMode::Add => 1,
            TimeMode::ScaleShift => 2,
        }
    }
}

/// How the resolution changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resample {
    /// Convolution of stride 2; repeated values and a convolution.
    Conv,
    /// Average of neighbours; repeated values. No parameters.
    Pool,
}

/// `[net] kind = "unet1d"` or `"unet2d"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UnetConfig {
    /// Channels at full resolution.
    pub channels: i64,
    /// Factor of `channels` on each level; the resolution halves from one level to the next.
    pub channel_mult: Vec<i64>,
    /// Residual blocks a level on the way down; one more on the way up.
    pub blocks: i64,
    /// Resolutions (the longer side of the padded map) at which every block is followed by self-attention; absent:
    /// at the lowest only; empty: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention: Option<Vec<i64>>,
    /// Self-attention between the two blocks at the bottom.
    pub mid_attention: bool,
    /// Channels a head; absent: one head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_channels: Option<i64>,
    /// Probability of dropping a value inside a residual block.
    pub dropout: f64,
    /// At most so many groups a normalisation (each of four channels or more).
    pub groups: i64,
    /// Odd size of the kernels.
    pub kernel: i64,
    /// How the resolution changes.
    pub resample: Resample,
    /// Frequencies of the time embedding.
    pub embedding: Embedding,
    /// Standard deviation of the Fourier frequencies, per unit of the time input.
    pub fourier_scale: f64,
    /// Size of the time embedding; absent: four times `channels`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embed_dim: Option<i64>,
    /// How the time enters the blocks.
    pub time_mode: TimeMode,
    /// Classes that the network can be told; 0 for none.
    pub classes: i64,
    /// Values of a vector that the network is told of each row; 0 for none.
    pub condition_size: i64,
    /// Channels of an image that the network is told of each row, appended to its input; 0 for none.
    pub condition_channels: i64,
}

impl Default for UnetConfig {
    fn default() -> Self {
        UnetConfig {
            channels: 32,
            channel_mult: vec![1, 2, 2],
            blocks: 2,
            attention: None,
            mid_attention: true,
            head_channels: None,
            dropout: 0.0,
            groups: 32,
            kernel: 3,
            resample: Resample::Conv,
            embedding: Embedding::Sinusoidal,
            fourier_scale: 1.0,
            embed_dim: None,
            time_mode: TimeMode::ScaleShift,
            classes: 0,
            condition_size: 0,
            condition_channels: 0,
        }
    }
}
