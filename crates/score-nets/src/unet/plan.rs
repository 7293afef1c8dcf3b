//! From a configuration and the shape of the data to the list of stages: everything that can be refused is
//! refused here, without libtorch.

use super::{Resample, UnetConfig};
use crate::NetError;
use crate::embed::{Embedding, TimeEmbedding};
use crate::given::check_sizes;
use crate::layers::{Attention, Condition, Conv, GroupNorm, Residual, ResidualOptions, Space};

/// One stage of the body, in the order of evaluation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Stage {
    /// Residual block between these numbers of channels.
    Residual(i64, i64),
    /// Self-attention on so many channels.
    Attention(i64),
    /// Keeps the map for the way up.
    Push,
    /// Appends the channels kept last.
    Concat,
    /// Halves the resolution.
    Down(i64),
    /// Doubles it.
    Up(i64),
}

/// A checked configuration for one shape of data.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(super) data_channels: i64,
    /// Channels of an image that is told.
    pub(super) condition_channels: i64,
    pub(super) condition_size: i64,
    pub(super) classes: i64,
    pub(super) channels: i64,
    pub(super) embed_features: i64,
    pub(super) embedding: Embedding,
    pub(super) fourier_scale: f64,
    pub(super) head: Option<i64>,
    pub(super) resample: Resample,
    pub(super) options: ResidualOptions,
    pub(super) stages: Vec<Stage>,
    /// What the spatial sizes must be a multiple of.
    pub(crate) stride: i64,
}

impl Plan {
    /// Checks everything and lays the stages out. `spatial` holds the sizes of the data.
    pub(crate) fn new(
        config: &UnetConfig,
        space: Space,
        data_channels: i64,
        spatial: &[i64],
    ) -> Result<Self, NetError> {
        let UnetConfig {
            channels,
            ref channel_mult,
            blocks,
            ..
        } = *config;
        let positive = |key: &str, value: i64| match value {
            1..=65_536 => Ok(value),
            _ => Err(NetError::config(
                key,
                value,
                "give a whole number from 1 to 65536",
            )),
        };
        positive("channels", channels)?;
        positive("blocks", blocks)?;
        positive("groups", config.groups)?;
        if channel_mult.is_empty() || channel_mult.len() > 16 {
            let reason = "give one factor a level, 1 to 16 levels";
            return Err(NetError::config(
                "channel_mult",
                format!("{channel_mult:?}"),
                reason,
            ));
        }
        for &mult in channel_mult {
            if !(1..=1024).contains(&mult) {
                let reason = "every factor is a whole number from 1 to 1024";
                return Err(NetError::config(
                    "channel_mult",
                    format!("{channel_mult:?}"),
                    reason,
                ));
            }
        }
        check_sizes(&[
            ("classes", config.classes),
            ("condition_size", config.condition_size),
            ("condition_channels", config.condition_channels),
        ])?;
        if config.kernel < 1 || config.kernel > 63 || config.kernel % 2 == 0 {
            return Err(NetError::config(
                "kernel",
                config.kernel,
                "give an odd number from 1 to 63",
            ));
        }
        if config.kernel == 1 && config.resample == Resample::Conv && channel_mult.len() > 1 {
            let reason = "convolutions of size 1 cannot resample: give 3 or more, or resample = \"pool\"";
            return Err(NetError::config("kernel", 1, reason));
        }
        if !(0.0..1.0).contains(&config.dropout) {
            return Err(NetError::config(
                "dropout",
                config.dropout,
                "give a probability from 0 to below 1",
            ));
        }
        if !(config.fourier_scale.is_finite() && config.fourier_scale > 0.0) {
            return Err(NetError::config(
                "fourier_scale",
                config.fourier_scale,
                "give a positive number",
            ));
        }
        let embed = positive("embed_dim", config.embed_dim.unwrap_or(4 * channels))?;
        let stride = 1_i64 << (channel_mult.len() - 1);
        let padded: Vec<i64> = spatial.iter().map(|n| round_up(*n, stride)).collect();
        let longest = padded.iter().copied().max().unwrap_or(1);
        let sides: Vec<i64> = (0..channel_mult.len()).map(|level| longest >> level).collect();
        let lowest = sides[sides.len() - 1];
        let attention = config.attention.clone().unwrap_or_else(|| vec![lowest]);
        if let Some(side) = attention.iter().find(|side| !sides.contains(side)) {
            let reason = format!("no level has this resolution; the levels have {sides:?}");
            return Err(NetError::config("attention", side, reason));
        }
        let stages = stages(config, &sides, &attention);
        if let Some(head) = config.head_channels {
            positive("head_channels", head)?;
            for stage in &stages {
                if let Stage::Attention(at) = stage
                    && at % head != 0
                {
                    let reason = format!("it must divide the {at} channels of an attention layer");
                    return Err(NetError::config("head_channels", head, reason));
                }
            }
        }
        Ok(Plan {
            data_channels,
            condition_channels: config.condition_channels,
            condition_size: config.condition_size,
            classes: config.classes,
            channels,
            // Even, and at least two frequencies.
            embed_features: (channels + channels % 2).max(4),
            embedding: config.embedding,
            fourier_scale: config.fourier_scale,
            head: config.head_channels,
            resample: config.resample,
            options: ResidualOptions {
                space,
                kernel: config.kernel,
                embed,
                time_mode: config.time_mode,
                groups: config.groups,
                dropout: config.dropout,
            },
            stages,
            stride,
        })
    }

    /// Number of trained parameters.
    pub(crate) fn param_count(&self) -> Result<u64, NetError> {
        let ResidualOptions {
            space, kernel, embed, ..
        } = self.options;
        let resample = |channels| match self.resample {
            Resample::Conv => Conv::param_count(space, channels, channels, kernel),
            Resample::Pool => 0,
        };
        let stages = self.stages.iter().map(|stage| match *stage {
            Stage::Residual(input, output) => Residual::param_count(input, output, &self.options),
            Stage::Attention(channels) => Attention::param_count(channels),
            Stage::Down(channels) | Stage::Up(channels) => resample(channels),
            Stage::Push | Stage::Concat => 0,
        });
        Ok(TimeEmbedding::param_count(self.embed_features, embed)
            + Condition::param_count(self.classes, self.condition_size, embed)
            + Conv::param_count(
                space,
                self.data_channels + self.condition_channels,
                self.channels,
                kernel,
            )
            + stages.sum::<u64>()
            + GroupNorm::param_count(self.channels_out())
            + Conv::param_count(space, self.channels_out(), self.data_channels, kernel))
    }

    /// Channels at the end of the body.
    pub(super) fn channels_out(&self) -> i64 {
        let last = self.stages.iter().rev().find_map(|stage| match stage {
            Stage::Residual(_, output) => Some(*output),
            _ => None,
        });
        last.unwrap_or(self.channels)
    }
}

/// The body of the network: down, bottom, up.
fn stages(config: &UnetConfig, sides: &[i64], attention: &[i64]) -> Vec<Stage> {
    let mut stages = vec![Stage::Push];
    let mut kept = vec![config.channels];
    let mut now = config.channels;
    let levels = config.channel_mult.len();
    for (level, mult) in config.channel_mult.iter().enumerate() {
        let width = config.channels * mult;
        for _ in 0..config.blocks {
            stages.push(Stage::Residual(now, width));
            now = width;
            if attention.contains(&sides[level]) {
                stages.push(Stage::Attention(now));
            }
            stages.push(Stage::Push);
            kept.push(now);
        }
        if level + 1 < levels {
            stages.extend([Stage::Down(now), Stage::Push]);
            kept.push(now);
        }
    }
    stages.push(Stage::Residual(now, now));
    if config.mid_attention {
        stages.push(Stage::Attention(now));
    }
    stages.push(Stage::Residual(now, now));
    for (level, mult) in config.channel_mult.iter().enumerate().rev() {
        let width = config.channels * mult;
        // A level keeps `blocks` maps and the one before them.
        for skip in kept.drain(kept.len() - config.blocks as usize - 1..).rev() {
            stages.extend([Stage::Concat, Stage::Residual(now + skip, width)]);
            now = width;
            if attention.contains(&sides[level]) {
                stages.push(Stage::Attention(now));
            }
        }
        if level > 0 {
            stages.push(Stage::Up(now));
        }
    }
    stages
}

/// The smallest multiple of `stride` that is not below `size`.
pub(super) fn round_up(size: i64, stride: i64) -> i64 {
    (size + stride - 1) / stride * stride
}
