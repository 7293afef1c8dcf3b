//! From the configuration to the list of blocks: every check, before anything is allocated.

use super::attention::AttentionSpec;
use super::config::Unet2dConfig;
use super::embed::{ClassSpec, Embedding, TimeSpec};
use super::layers::{Activation, Conv2d, GroupNorm};
use super::levels::{Levels, quarter, unknown, whole};
use super::resnet::{ResnetShared, ResnetSpec};
use crate::NetError;

/// What a block does after its residual blocks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tail {
    /// Nothing: the last block.
    None,
    /// A convolution that halves (with this padding) or doubles (after repeating values) the resolution.
    Conv { channels: i64, padding: i64 },
    /// A residual block that changes the resolution.
    Resnet(ResnetSpec),
    /// Such a block with the FIR filter, beside a path of images that skips the features.
    Skip { resnet: ResnetSpec, groups: i64 },
}

/// One level on the way down or up.
#[derive(Debug, Clone)]
pub(super) struct BlockPlan {
    pub(super) resnets: Vec<ResnetSpec>,
    /// One a residual block, or one after all of them, or none.
    pub(super) attentions: Vec<AttentionSpec>,
    pub(super) tail: Tail,
    /// Whether the images that skip the features pass here.
    pub(super) skip: bool,
}

/// The middle block.
#[derive(Debug, Clone)]
pub(super) struct MidPlan {
    pub(super) resnets: [ResnetSpec; 2],
    pub(super) attention: Option<AttentionSpec>,
}

/// A checked configuration.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) channels: i64,
    pub(super) in_channels: i64,
    pub(super) out_channels: i64,
    pub(super) center: bool,
    pub(super) time: TimeSpec,
    pub(super) embed: i64,
    pub(super) class: Option<ClassSpec>,
    pub(super) act: Activation,
    pub(super) down: Vec<BlockPlan>,
    pub(super) mid: Option<MidPlan>,
    pub(super) up: Vec<BlockPlan>,
    pub(super) groups_out: i64,
    pub(super) eps: f64,
    /// Height and width must be multiples of this.
    pub(super) stride: i64,
}

/// Channels of the images that skip the features, whatever the network's own number.
pub(super) const SKIP_CHANNELS: i64 = 3;

impl Plan {
    pub(super) fn new(config: &Unet2dConfig) -> Result<Self, NetError> {
        let channels = config.block_out_channels.as_slice();
        let levels = channels.len();
        if !(1..=16).contains(&levels) {
            let reason = "give 1 to 16 levels";
            return Err(NetError::config(
                "block_out_channels",
                format!("{channels:?}"),
                reason,
            ));
        }
        for &channels in channels {
            whole("block_out_channels", channels, 65_536)?;
        }
        let lists = [
            ("down_block_types", &config.down_block_types),
            ("up_block_types", &config.up_block_types),
        ];
        for (key, names) in lists {
            if names.len() != levels {
                let reason = format!("block_out_channels has {levels} levels: give as many blocks");
                return Err(NetError::config(key, format!("{names:?}"), reason));
            }
        }
        whole("in_channels", config.in_channels, 65_536)?;
        whole("out_channels", config.out_channels, 65_536)?;
        whole("layers_per_block", config.layers_per_block, 256)?;
        if let Some(size) = config.sample_size {
            for side in size.sides() {
                whole("sample_size", side, 1 << 24)?;
            }
        }
        let scales = [
            ("mid_block_scale_factor", config.mid_block_scale_factor),
            ("norm_eps", config.norm_eps),
        ];
        for (key, value) in scales {
            if !(value.is_finite() && value > 0.0) {
                return Err(NetError::config(key, value, "give a positive number"));
            }
        }
        if !(0.0..1.0).contains(&config.dropout) {
            let reason = "give a probability from 0 to below 1";
            return Err(NetError::config("dropout", config.dropout, reason));
        }
        let act = Activation::named(&config.act_fn)
            .ok_or_else(|| unknown("act_fn", &config.act_fn, "silu, swish, mish, gelu or relu"))?;
        let scale_shift = match config.resnet_time_scale_shift.as_str() {
            "default" => false,
            "scale_shift" => true,
            other => {
                return Err(unknown(
                    "resnet_time_scale_shift",
                    other,
                    "default or scale_shift",
                ));
            }
        };
        let embed = match config.time_embedding_dim {
            Some(embed) => whole("time_embedding_dim", embed, 1 << 20)?,
            None => 4 * channels[0],
        };
        let shared = ResnetShared {
            embed,
            eps: config.norm_eps,
            dropout: config.dropout,
            act,
            scale_shift,
        };
        let blocks_of = Levels { config, shared };
        let (down, up) = (blocks_of.down()?, blocks_of.up()?);
        let mid = match config.mid_block_type.as_deref() {
            None => None,
            Some("UNetMidBlock2D") => Some(blocks_of.mid(channels[levels - 1])?),
            Some(other) => return Err(unknown("mid_block_type", other, "UNetMidBlock2D or none")),
        };
        let groups_out = match config.norm_num_groups {
            Some(_) => blocks_of.norm_groups(channels[0])?,
            None => blocks_of.fixed_groups(quarter(channels[0]), channels[0])?,
        };
        Ok(Plan {
            channels: channels[0],
            in_channels: config.in_channels,
            out_channels: config.out_channels,
            center: config.center_input_sample,
            time: time(config)?,
            embed,
            class: class(config)?,
            act,
            down,
            mid,
            up,
            groups_out,
            eps: config.norm_eps,
            stride: 1 << (levels - 1),
        })
    }

    /// Number of trainable parameters.
    pub(super) fn param_count(&self) -> u64 {
        let width = self.time.width();
        let mid = self.mid.iter().map(|mid| {
            let attention = mid.attention.map_or(0, |attention| attention.param_count());
            attention + mid.resnets.iter().map(ResnetSpec::param_count).sum::<u64>()
        });
        let blocks =
            |blocks: &[BlockPlan], up| -> u64 { blocks.iter().map(|block| block.param_count(up)).sum() };
        Conv2d::param_count(self.in_channels, self.channels, 3)
            + self.time.param_count()
            + Embedding::param_count(width, self.embed)
            + self.class.map_or(0, |class| class.param_count(width, self.embed))
            + blocks(&self.down, false)
            + blocks(&self.up, true)
            + mid.sum::<u64>()
            + GroupNorm::param_count(self.channels)
            + Conv2d::param_count(self.channels, self.out_channels, 3)
    }
}

impl Plan {
    /// Number of values in the state dictionary: the parameters, and the Fourier frequencies.
    pub(super) fn value_count(&self) -> u64 {
        let frequencies = match self.time {
            TimeSpec::Fourier { size } => size as u64,
            _ => 0,
        };
        self.param_count() + frequencies
    }
}

impl BlockPlan {
    fn param_count(&self, up: bool) -> u64 {
        let resnets = self.resnets.iter().map(ResnetSpec::param_count);
        let attentions = self.attentions.iter().map(AttentionSpec::param_count);
        let tail = match &self.tail {
            Tail::None => 0,
            Tail::Conv { channels, .. } => Conv2d::param_count(*channels, *channels, 3),
            Tail::Resnet(resnet) => resnet.param_count(),
            Tail::Skip { resnet, .. } => {
                let channels = resnet.output;
                let skip = match up {
                    false => Conv2d::param_count(SKIP_CHANNELS, channels, 1),
                    true => {
                        Conv2d::param_count(channels, SKIP_CHANNELS, 3) + GroupNorm::param_count(channels)
                    }
                };
                resnet.param_count() + skip
            }
        };
        resnets.chain(attentions).sum::<u64>() + tail
    }
}

fn time(config: &Unet2dConfig) -> Result<TimeSpec, NetError> {
    let size = config.block_out_channels[0];
    match config.time_embedding_type.as_str() {
        "positional" => {
            let (half, shift) = (size / 2, config.freq_shift);
            if !shift.is_finite() || (half > 0 && half as f64 == shift) {
                let reason = format!("must be a number other than {half}, half of block_out_channels[0]");
                return Err(NetError::config("freq_shift", shift, reason));
            }
            Ok(TimeSpec::Positional {
                size,
                shift,
                cos_first: config.flip_sin_to_cos,
            })
        }
        "fourier" => Ok(TimeSpec::Fourier { size }),
        "learned" => {
            let Some(count) = config.num_train_timesteps else {
                let reason = "time_embedding_type = \"learned\" needs the number of times";
                return Err(NetError::config("num_train_timesteps", "none", reason));
            };
            let count = whole("num_train_timesteps", count, 1 << 24)?;
            Ok(TimeSpec::Learned { size, count })
        }
        other => Err(unknown(
            "time_embedding_type",
            other,
            "positional, fourier or learned",
        )),
    }
}

fn class(config: &Unet2dConfig) -> Result<Option<ClassSpec>, NetError> {
    match (config.class_embed_type.as_deref(), config.num_class_embeds) {
        (None, None) => Ok(None),
        (None, Some(count)) => Ok(Some(ClassSpec::Table {
            count: whole("num_class_embeds", count, 1 << 24)?,
        })),
        (Some("timestep"), _) => Ok(Some(ClassSpec::Timestep)),
        (Some("identity"), _) => Ok(Some(ClassSpec::Identity)),
        (Some(other), _) => Err(unknown("class_embed_type", other, "timestep or identity")),
    }
}
