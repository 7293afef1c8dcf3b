//! The levels of the configuration: names of blocks, channels, groups and the path of images that skips the features.

use super::attention::AttentionSpec;
use super::config::Unet2dConfig;
use super::plan::{BlockPlan, MidPlan, SKIP_CHANNELS, Tail};
use super::resample::Resample;
use super::resnet::{ResnetShared, ResnetSpec};
use crate::NetError;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Attn,
    Skip,
    AttnSkip,
    Resnet,
}

impl Kind {
    fn skips(self) -> bool {
        matches!(self, Kind::Skip | Kind::AttnSkip)
    }
}

fn down_kind(name: &str) -> Option<Kind> {
    Some(match name.strip_prefix("UNetRes").unwrap_or(name) {
        "DownBlock2D" => Kind::Plain,
        "AttnDownBlock2D" => Kind::Attn,
        "SkipDownBlock2D" => Kind::Skip,
        "AttnSkipDownBlock2D" => Kind::AttnSkip,
        "ResnetDownsampleBlock2D" => Kind::Resnet,
        _ => return None,
    })
}

fn up_kind(name: &str) -> Option<Kind> {
    Some(match name.strip_prefix("UNetRes").unwrap_or(name) {
        "UpBlock2D" => Kind::Plain,
        "AttnUpBlock2D" => Kind::Attn,
        "SkipUpBlock2D" => Kind::Skip,
        "AttnSkipUpBlock2D" => Kind::AttnSkip,
        "ResnetUpsampleBlock2D" => Kind::Resnet,
        _ => return None,
    })
}

fn kinds(key: &str, names: &[String], kind: fn(&str) -> Option<Kind>) -> Result<Vec<Kind>, NetError> {
    let known = match key {
        "down_block_types" => {
            "DownBlock2D, AttnDownBlock2D, SkipDownBlock2D, AttnSkipDownBlock2D or ResnetDownsampleBlock2D"
        }
        _ => "UpBlock2D, AttnUpBlock2D, SkipUpBlock2D, AttnSkipUpBlock2D or ResnetUpsampleBlock2D",
    };
    names
        .iter()
        .map(|name| kind(name).ok_or_else(|| unknown(key, name, known)))
        .collect()
}

pub(super) fn unknown(key: &str, name: &str, known: &str) -> NetError {
    NetError::config(key, name, format!("no such choice here: give {known}"))
}

pub(super) fn whole(key: &str, value: i64, most: i64) -> Result<i64, NetError> {
    match (1..=most).contains(&value) {
        true => Ok(value),
        false => Err(NetError::config(
            key,
            value,
            format!("give a whole number from 1 to {most}"),
        )),
    }
}

/// A quarter of the channels, 32 at most: the groups of the skip blocks.
pub(super) fn quarter(channels: i64) -> i64 {
    (channels / 4).min(32)
}

/// What the blocks read of the configuration.
pub(super) struct Levels<'a> {
    pub(super) config: &'a Unet2dConfig,
    pub(super) shared: ResnetShared,
}

impl Levels<'_> {
    /// Refuses a number of groups that does not divide the channels.
    fn groups(&self, key: &str, groups: i64, channels: i64) -> Result<i64, NetError> {
        if groups >= 1 && channels % groups == 0 {
            return Ok(groups);
        }
        Err(NetError::config(
            key,
            groups,
            format!("a normalisation of {channels} channels needs a number of groups that divides them"),
        ))
    }

    pub(super) fn norm_groups(&self, channels: i64) -> Result<i64, NetError> {
        let Some(groups) = self.config.norm_num_groups else {
            let reason = "only skip blocks do without it: give the number of groups";
            return Err(NetError::config("norm_num_groups", "none", reason));
        };
        self.groups("norm_num_groups", groups, channels)
    }

    /// Groups of a skip block that the configuration does not choose.
    pub(super) fn fixed_groups(&self, groups: i64, channels: i64) -> Result<i64, NetError> {
        if groups >= 1 && channels % groups == 0 {
            return Ok(groups);
        }
        let reason =
            format!("a skip block normalises {channels} channels in {groups} groups, which must divide them");
        Err(NetError::config(
            "block_out_channels",
            format!("{:?}", self.config.block_out_channels),
            reason,
        ))
    }

    fn resnet(&self, input: i64, output: i64, groups: (i64, i64), scale: f64) -> ResnetSpec {
        ResnetSpec {
            input,
            output,
            groups: groups.0,
            groups_out: groups.1,
            scale,
            resample: Resample::Keep,
            shortcut: input != output,
            shared: self.shared,
        }
    }

    fn attention(&self, channels: i64, groups: Option<i64>, scale: f64) -> Result<AttentionSpec, NetError> {
        let head = self.config.attention_head_dim.unwrap_or(channels);
        if !(1..=channels).contains(&head) {
            let reason = format!("attention over {channels} channels needs a head of 1 to {channels}");
            return Err(NetError::config("attention_head_dim", head, reason));
        }
        Ok(AttentionSpec {
            channels,
            head,
            groups,
            eps: self.shared.eps,
            scale,
        })
    }

    fn resamples(&self, key: &str, how: &str) -> Result<bool, NetError> {
        match how {
            "conv" => Ok(false),
            "resnet" => Ok(true),
            other => Err(unknown(key, other, "conv or resnet")),
        }
    }

    /// The level whose residual blocks have these inputs: channels from below, and from the other side of the U.
    fn block(
        &self,
        kind: Kind,
        inputs: &[(i64, i64)],
        output: i64,
        last: bool,
        up: bool,
    ) -> Result<BlockPlan, NetError> {
        let scale = if kind.skips() { 2.0_f64.sqrt() } else { 1.0 };
        let groups = |below: i64, across: i64| -> Result<(i64, i64), NetError> {
            let input = below + across;
            if !kind.skips() {
                return Ok((self.norm_groups(input)?, self.norm_groups(output)?));
            }
            let first = match (kind, up) {
                // As the reference has it: it divides one of the two numbers only.
                (Kind::AttnSkip, true) => (below + across / 4).min(32),
                _ => quarter(input),
            };
            Ok((
                self.fixed_groups(first, input)?,
                self.fixed_groups(quarter(output), output)?,
            ))
        };
        let resnets = inputs
            .iter()
            .map(|&(below, across)| Ok(self.resnet(below + across, output, groups(below, across)?, scale)))
            .collect::<Result<Vec<_>, NetError>>()?;
        let attentions = match kind {
            Kind::Plain | Kind::Skip | Kind::Resnet => 0,
            Kind::AttnSkip if up => 1,
            Kind::Attn | Kind::AttnSkip => inputs.len(),
        };
        let attentions = (0..attentions).map(|_| {
            let groups = match kind {
                Kind::AttnSkip => self.fixed_groups(32, output)?,
                _ => self.norm_groups(output)?,
            };
            self.attention(output, Some(groups), scale)
        });
        let changed = |resample, shortcut| -> Result<ResnetSpec, NetError> {
            Ok(ResnetSpec {
                resample,
                shortcut,
                ..self.resnet(output, output, groups(output, 0)?, scale)
            })
        };
        let attentions = attentions.collect::<Result<Vec<_>, NetError>>()?;
        Ok(BlockPlan {
            tail: match kind {
                _ if last => Tail::None,
                Kind::Skip | Kind::AttnSkip => {
                    let groups = self.fixed_groups(quarter(output), output)?;
                    let resample = if up { Resample::FirUp } else { Resample::FirDown };
                    let shared = self.resnet(output, output, (groups, groups), scale);
                    Tail::Skip {
                        resnet: ResnetSpec {
                            resample,
                            shortcut: true,
                            ..shared
                        },
                        groups,
                    }
                }
                _ => {
                    let resnet = match kind {
                        Kind::Resnet => true,
                        Kind::Attn if up => self.resamples("upsample_type", &self.config.upsample_type)?,
                        Kind::Attn => self.resamples("downsample_type", &self.config.downsample_type)?,
                        _ => false,
                    };
                    match (resnet, up) {
                        (true, true) => Tail::Resnet(changed(Resample::NearestUp, false)?),
                        (true, false) => Tail::Resnet(changed(Resample::AverageDown, false)?),
                        (false, true) => Tail::Conv {
                            channels: output,
                            padding: 1,
                        },
                        (false, false) => Tail::Conv {
                            channels: output,
                            padding: self.padding()?,
                        },
                    }
                }
            },
            resnets,
            attentions,
            skip: kind.skips(),
        })
    }

    fn padding(&self) -> Result<i64, NetError> {
        match self.config.downsample_padding {
            padding @ 0..=1 => Ok(padding),
            other => Err(NetError::config(
                "downsample_padding",
                other,
                "only 0 and 1 halve an even size",
            )),
        }
    }

    pub(super) fn mid(&self, channels: i64) -> Result<MidPlan, NetError> {
        let config = self.config;
        let groups = match config.norm_num_groups {
            Some(_) => self.norm_groups(channels)?,
            None => self.fixed_groups(quarter(channels), channels)?,
        };
        let scale = config.mid_block_scale_factor;
        let resnet = self.resnet(channels, channels, (groups, groups), scale);
        let attention = match config.add_attention {
            false => None,
            true => {
                let groups = match config.attn_norm_num_groups {
                    Some(groups) => Some(self.groups("attn_norm_num_groups", groups, channels)?),
                    None if self.shared.scale_shift => None,
                    None => Some(groups),
                };
                Some(self.attention(channels, groups, scale)?)
            }
        };
        Ok(MidPlan {
            resnets: [resnet, resnet],
            attention,
        })
    }
}

impl Levels<'_> {
    pub(super) fn down(&self) -> Result<Vec<BlockPlan>, NetError> {
        let config = self.config;
        let channels = &config.block_out_channels;
        let key = "down_block_types";
        let kinds = kinds(key, &config.down_block_types, down_kind)?;
        let mut blocks = Vec::with_capacity(kinds.len());
        for (level, &kind) in kinds.iter().enumerate() {
            let last = level + 1 == kinds.len();
            if kind.skips() && !last {
                if config.in_channels != SKIP_CHANNELS {
                    let reason = "skip blocks take images of 3 channels";
                    return Err(NetError::config("in_channels", config.in_channels, reason));
                }
                if !kinds[..level].iter().all(|kind| kind.skips()) {
                    let reason = "a skip block below one that is none meets an image of another size";
                    return Err(NetError::config(key, &config.down_block_types[level], reason));
                }
            }
            let output = channels[level];
            let mut inputs = vec![(output, 0); config.layers_per_block as usize];
            inputs[0].0 = channels[level.saturating_sub(1)];
            blocks.push(self.block(kind, &inputs, output, last, false)?);
        }
        Ok(blocks)
    }

    pub(super) fn up(&self) -> Result<Vec<BlockPlan>, NetError> {
        let config = self.config;
        let key = "up_block_types";
        let kinds = kinds(key, &config.up_block_types, up_kind)?;
        let levels = kinds.len();
        let channels: Vec<i64> = config.block_out_channels.iter().rev().copied().collect();
        let mut blocks = Vec::with_capacity(levels);
        // The level at which the images that skip the features stand, once there are any.
        let mut image: Option<usize> = None;
        for (number, &kind) in kinds.iter().enumerate() {
            let last = number + 1 == levels;
            let level = levels - 1 - number;
            if kind.skips() {
                let doubled = image.map(|at| at.saturating_sub(1));
                if doubled.is_some_and(|at| at != level) {
                    let reason = "a skip block above one that is none meets an image of another size";
                    return Err(NetError::config(key, &config.up_block_types[number], reason));
                }
                image = if last { doubled } else { Some(level) };
            }
            let output = channels[number];
            let count = config.layers_per_block as usize + 1;
            let mut inputs = vec![(output, output); count];
            inputs[0].0 = channels[number.saturating_sub(1)];
            inputs[count - 1].1 = channels[(number + 1).min(levels - 1)];
            blocks.push(self.block(kind, &inputs, output, last, true)?);
        }
        match image {
            None => {}
            Some(0) if config.out_channels == SKIP_CHANNELS => {}
            Some(0) => {
                let reason = "skip blocks return images of 3 channels";
                return Err(NetError::config("out_channels", config.out_channels, reason));
            }
            Some(_) => {
                let reason = "images of skip blocks do not reach the full resolution: end on a skip block";
                return Err(NetError::config(
                    key,
                    format!("{:?}", config.up_block_types),
                    reason,
                ));
            }
        }
        Ok(blocks)
    }
}
