//! From a configuration and the shape of the data to the list of stages: everything that can be refused is refused here,
//! without libtorch.

use super::attention::Attention;
use super::block::{BlockOptions, Groups, Residual};
use super::check::{attention_levels, check_numbers, check_shape};
use super::config::{
    Combination, DdpmConfig, EmbeddingType, NcsnppConfig, Progressive, ProgressiveInput, ResblockType,
};
use super::embedding::Features;
use super::resample::{Direction, Resample};
use crate::NetError;
use crate::layers::{Conv, GroupNorm, Linear, Space};

/// One stage of the body, in the order of evaluation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Stage {
    /// Residual block between these numbers of channels, which may change the resolution.
    Residual(i64, i64, Option<Direction>),
    /// Self-attention on so many channels.
    Attention(i64),
    /// Keeps the map for the way up.
    Keep,
    /// Appends the channels kept last.
    Append,
    /// A layer that changes the resolution.
    Resample(i64, Direction),
    /// Downsamples the image, brings it to so many channels and combines it with the map.
    InputSkip(i64),
    /// Downsamples the pyramid from and to so many channels, adds the map, and goes on with the sum.
    InputResidual(i64, i64),
    /// The first image of the output: normalisation and convolution to an image.
    OutputImage(i64),
    /// Upsamples the image and adds the next one.
    OutputSkip(i64),
    /// The first map of the output pyramid: normalisation and convolution.
    OutputMap(i64),
    /// Upsamples the pyramid from and to so many channels, adds the map, and goes on with the sum.
    OutputResidual(i64, i64),
}

/// What the output is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutputScale {
    One,
    /// The time input.
    Time,
    /// The noise level that the time input numbers.
    Numbered,
}

/// A checked configuration for one shape of data.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(super) data_channels: i64,
    pub(super) nf: i64,
    pub(super) embedding_type: EmbeddingType,
    pub(super) fourier_scale: f64,
    pub(super) conditional: bool,
    pub(super) resblock_type: ResblockType,
    /// Whether layers that change the resolution have a convolution.
    pub(super) resamp_with_conv: bool,
    pub(super) fir: Option<Vec<f64>>,
    pub(super) combination: Combination,
    pub(super) options: BlockOptions,
    pub(super) stages: Vec<Stage>,
    /// Channels of the last normalisation; absent where the output is the sum of images.
    pub(super) last: Option<i64>,
    pub(super) centered: bool,
    pub(super) output_scale: OutputScale,
    /// Largest and smallest noise level, and how many.
    pub(super) sigmas: (f64, f64, i64),
}

impl Plan {
    /// The plan of NCSN++ and DDPM++.
    pub(crate) fn ncsnpp(config: &NcsnppConfig, shape: &[i64]) -> Result<Self, NetError> {
        let scale = match (config.scale_by_sigma, config.embedding_type) {
            (false, _) => OutputScale::One,
            (true, EmbeddingType::Fourier) => OutputScale::Time,
            (true, EmbeddingType::Positional) => OutputScale::Numbered,
        };
        Plan::new(config, shape, Groups::Quarter, scale)
    }

    /// The plan of the plain DDPM network: the same body without what NCSN++ added.
    pub(crate) fn ddpm(config: &DdpmConfig, shape: &[i64]) -> Result<Self, NetError> {
        if !config.conditional {
            let reason = "the published network has no unconditional form; leave it out or give true";
            return Err(NetError::config("conditional", false, reason));
        }
        let same = NcsnppConfig {
            nf: config.nf,
            ch_mult: config.ch_mult.clone(),
            num_res_blocks: config.num_res_blocks,
            attn_resolutions: config.attn_resolutions.clone(),
            resblock_type: ResblockType::Ddpm,
            resamp_with_conv: config.resamp_with_conv,
            fir: false,
            progressive: Progressive::None,
            progressive_input: ProgressiveInput::None,
            skip_rescale: false,
            embedding_type: EmbeddingType::Positional,
            conditional: true,
            scale_by_sigma: config.scale_by_sigma,
            nonlinearity: config.nonlinearity,
            dropout: config.dropout,
            init_scale: 0.0,
            centered: config.centered,
            sigma_min: config.sigma_min,
            sigma_max: config.sigma_max,
            num_scales: config.num_scales,
            image_size: config.image_size,
            num_channels: config.num_channels,
            ..NcsnppConfig::ddpmpp()
        };
        let scale = match config.scale_by_sigma {
            false => OutputScale::One,
            true => OutputScale::Numbered,
        };
        Plan::new(&same, shape, Groups::Fixed, scale)
    }

    fn new(
        config: &NcsnppConfig,
        shape: &[i64],
        groups: Groups,
        output_scale: OutputScale,
    ) -> Result<Self, NetError> {
        check_numbers(config)?;
        let (data_channels, width) = check_shape(config, shape)?;
        let attention = attention_levels(config, width)?;
        let mut layout = Layout::new(config, data_channels);
        layout.down(&attention);
        layout.bottom();
        layout.up(&attention);
        let plan = Plan {
            data_channels,
            nf: config.nf,
            embedding_type: config.embedding_type,
            fourier_scale: config.fourier_scale,
            conditional: config.conditional,
            resblock_type: config.resblock_type,
            resamp_with_conv: config.resamp_with_conv,
            fir: config.fir.then(|| config.fir_kernel.clone()),
            combination: config.progressive_combine,
            options: BlockOptions {
                groups,
                nonlinearity: config.nonlinearity,
                embed: 4 * config.nf,
                dropout: config.dropout,
                skip_rescale: config.skip_rescale,
                init_scale: config.init_scale,
            },
            last: (config.progressive != Progressive::OutputSkip).then_some(layout.now),
            stages: layout.stages,
            centered: config.centered,
            output_scale,
            sigmas: (config.sigma_max, config.sigma_min, config.num_scales),
        };
        plan.check_groups()?;
        Ok(plan)
    }

    /// Every normalisation has groups that divide its channels.
    fn check_groups(&self) -> Result<(), NetError> {
        let widths = self.stages.iter().flat_map(|stage| match *stage {
            Stage::Residual(input, output, _) => vec![input, output],
            Stage::Attention(channels)
            | Stage::OutputImage(channels)
            | Stage::OutputSkip(channels)
            | Stage::OutputMap(channels) => vec![channels],
            _ => vec![],
        });
        match widths
            .chain(self.last)
            .find(|&c| self.options.groups.of(c).is_none())
        {
            None => Ok(()),
            Some(channels) => {
                let rule = match self.options.groups {
                    Groups::Quarter => "min(channels / 4, 32)",
                    Groups::Fixed => "32",
                };
                let reason = format!(
                    "a normalisation would have {channels} channels, which its {rule} groups do not divide"
                );
                Err(NetError::config("nf", self.nf, reason))
            }
        }
    }

    /// Whether a block has a shortcut of its own.
    pub(super) fn has_shortcut(&self, input: i64, output: i64, change: Option<Direction>) -> bool {
        input != output || change.is_some()
    }

    /// Number of trained parameters.
    pub(crate) fn param_count(&self) -> Result<u64, NetError> {
        let embed = self.options.embed;
        let conv = |from, to| Conv::param_count(Space::Plane, from, to, 3);
        let image = |from| GroupNorm::param_count(from) + conv(from, self.data_channels);
        let stages = self.stages.iter().map(|stage| match *stage {
            Stage::Residual(input, output, change) => {
                let shortcut = self.has_shortcut(input, output, change);
                Residual::param_count(input, output, embed, shortcut)
            }
            Stage::Attention(channels) => Attention::param_count(channels),
            Stage::Resample(channels, _) if self.resamp_with_conv => {
                Resample::param_count(channels, channels)
            }
            Stage::InputSkip(channels) => Conv::param_count(Space::Plane, self.data_channels, channels, 1),
            Stage::InputResidual(from, to) | Stage::OutputResidual(from, to) => {
                Resample::param_count(from, to)
            }
            Stage::OutputImage(channels) | Stage::OutputSkip(channels) => image(channels),
            Stage::OutputMap(channels) => GroupNorm::param_count(channels) + conv(channels, channels),
            Stage::Keep | Stage::Append | Stage::Resample(..) => 0,
        });
        let features = Features::size(self.embedding_type, self.nf);
        let time = match self.conditional {
            true => Linear::param_count(features, embed) + Linear::param_count(embed, embed),
            false => 0,
        };
        let last = self.last.map_or(0, image);
        Ok(time + conv(self.data_channels, self.nf) + stages.sum::<u64>() + last)
    }
}

/// Lays the stages out.
struct Layout<'a> {
    config: &'a NcsnppConfig,
    stages: Vec<Stage>,
    /// Channels of the maps kept for the way up.
    kept: Vec<i64>,
    /// Channels of the map.
    now: i64,
    /// Channels of the input pyramid, then of the output pyramid.
    pyramid: i64,
}

impl<'a> Layout<'a> {
    fn new(config: &'a NcsnppConfig, data_channels: i64) -> Self {
        Layout {
            config,
            stages: vec![Stage::Keep],
            kept: vec![config.nf],
            now: config.nf,
            pyramid: data_channels,
        }
    }

    fn keep(&mut self) {
        self.stages.push(Stage::Keep);
        self.kept.push(self.now);
    }

    /// The change of resolution by the kind of block chosen.
    fn change(&mut self, direction: Direction) {
        self.stages.push(match self.config.resblock_type {
            ResblockType::Ddpm => Stage::Resample(self.now, direction),
            ResblockType::Biggan => Stage::Residual(self.now, self.now, Some(direction)),
        });
    }

    fn down(&mut self, attention: &[bool]) {
        for (level, mult) in self.config.ch_mult.iter().enumerate() {
            let width = self.config.nf * mult;
            for _ in 0..self.config.num_res_blocks {
                self.stages.push(Stage::Residual(self.now, width, None));
                self.now = width;
                if attention[level] {
                    self.stages.push(Stage::Attention(self.now));
                }
                self.keep();
            }
            if level + 1 == self.config.ch_mult.len() {
                break;
            }
            self.change(Direction::Down);
            match self.config.progressive_input {
                ProgressiveInput::None => {}
                ProgressiveInput::InputSkip => {
                    self.stages.push(Stage::InputSkip(self.now));
                    if self.config.progressive_combine == Combination::Cat {
                        self.now *= 2;
                    }
                }
                ProgressiveInput::Residual => {
                    self.stages.push(Stage::InputResidual(self.pyramid, self.now));
                    self.pyramid = self.now;
                }
            }
            self.keep();
        }
    }

    fn bottom(&mut self) {
        let block = Stage::Residual(self.now, self.now, None);
        self.stages.extend([block, Stage::Attention(self.now), block]);
    }

    fn up(&mut self, attention: &[bool]) {
        let levels = self.config.ch_mult.len();
        for (level, mult) in self.config.ch_mult.iter().enumerate().rev() {
            let width = self.config.nf * mult;
            // A level keeps as many maps as it has blocks, and the one before them.
            let own = self.kept.len() - self.config.num_res_blocks as usize - 1;
            for skip in self.kept.drain(own..).rev() {
                self.stages.push(Stage::Append);
                self.stages.push(Stage::Residual(self.now + skip, width, None));
                self.now = width;
            }
            if attention[level] {
                self.stages.push(Stage::Attention(self.now));
            }
            let first = level + 1 == levels;
            match (self.config.progressive, first) {
                (Progressive::None, _) => {}
                (Progressive::OutputSkip, true) => self.stages.push(Stage::OutputImage(self.now)),
                (Progressive::OutputSkip, false) => self.stages.push(Stage::OutputSkip(self.now)),
                (Progressive::Residual, true) => self.stages.push(Stage::OutputMap(self.now)),
                (Progressive::Residual, false) => {
                    self.stages.push(Stage::OutputResidual(self.pyramid, self.now));
                }
            }
            self.pyramid = self.now;
            if level > 0 {
                self.change(Direction::Up);
            }
        }
    }
}
