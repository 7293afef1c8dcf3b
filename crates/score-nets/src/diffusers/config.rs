//! The keys of `UNet2DModel`'s `config.json`.

use serde::{Deserialize, Serialize};

use super::nullable;

/// `[net] kind = "diffusers-unet2d"`: the configuration of `UNet2DModel` of the diffusers library
/// (huggingface/diffusers, `models/unets/unet_2d.py`; the network is that of Ho et al. 2020, arXiv:2006.11239, and,
/// with the skip blocks and Fourier features, NCSN++ of Song et al. 2021, arXiv:2011.13456), in its own names and with
/// its own defaults.
///
/// A `config.json` says `null` where TOML, which has no such value, says `"none"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Unet2dConfig {
    /// Height and width of the samples; the network itself runs at any multiple of its stride.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_size: Option<SampleSize>,
    /// Channels of the input.
    pub in_channels: i64,
    /// Channels of the output.
    pub out_channels: i64,
    /// Whether `2 x - 1` enters instead of `x`.
    pub center_input_sample: bool,
    /// `positional`, `fourier` (the time input is a noise level: its logarithm is taken, and the output is divided by
    /// it) or `learned` (a table of `num_train_timesteps` rows).
    pub time_embedding_type: String,
    /// Size of the time embedding; absent: four times the first of `block_out_channels`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_embedding_dim: Option<i64>,
    /// Frequencies of the positional embedding: `10000^(-i / (n - freq_shift))`, `i < n`.
    pub freq_shift: f64,
    /// Cosines before sines in the positional embedding.
    pub flip_sin_to_cos: bool,
    /// `DownBlock2D`, `AttnDownBlock2D`, `SkipDownBlock2D`, `AttnSkipDownBlock2D` or `ResnetDownsampleBlock2D`, from
    /// the highest resolution on; all but the last halve it.
    pub down_block_types: Vec<String>,
    /// `UNetMidBlock2D`, or none.
    #[serde(with = "nullable")]
    pub mid_block_type: Option<String>,
    /// `UpBlock2D`, `AttnUpBlock2D`, `SkipUpBlock2D`, `AttnSkipUpBlock2D` or `ResnetUpsampleBlock2D`, from the lowest
    /// resolution on; all but the last double it.
    pub up_block_types: Vec<String>,
    /// Channels of each level, from the highest resolution on.
    pub block_out_channels: Vec<i64>,
    /// Residual blocks a level on the way down; one more on the way up.
    pub layers_per_block: i64,
    /// The middle block divides the sums of its residual connections by this.
    pub mid_block_scale_factor: f64,
    /// Padding of the convolutions that halve the resolution: 1 on all sides, or 0: one row below, one column right.
    pub downsample_padding: i64,
    /// How `AttnDownBlock2D` halves the resolution: `conv` or `resnet` (a residual block with an average of 2x2).
    #[serde(deserialize_with = "nullable::or_conv")]
    pub downsample_type: String,
    /// How `AttnUpBlock2D` doubles the resolution: `conv` or `resnet`.
    #[serde(deserialize_with = "nullable::or_conv")]
    pub upsample_type: String,
    /// Probability of dropping a value inside a residual block.
    pub dropout: f64,
    /// `silu` (`swish`), `mish`, `gelu` or `relu`, inside the residual blocks.
    pub act_fn: String,
    /// Channels a head of the attention; none: one head.
    #[serde(with = "nullable")]
    pub attention_head_dim: Option<i64>,
    /// Groups of the normalisations; none (where all blocks are skip blocks): a quarter of the channels, 32 at most.
    #[serde(with = "nullable")]
    pub norm_num_groups: Option<i64>,
    /// Groups of the normalisation before the attention of the middle block; absent: `norm_num_groups`, or no
    /// normalisation with `resnet_time_scale_shift = "scale_shift"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attn_norm_num_groups: Option<i64>,
    /// Added to the variance in every normalisation.
    pub norm_eps: f64,
    /// How the time enters a residual block: `default` (added) or `scale_shift` (factor and offset after the second
    /// normalisation).
    pub resnet_time_scale_shift: String,
    /// Whether the middle block has attention.
    pub add_attention: bool,
    /// How a class label becomes an embedding that is added to that of the time: absent (a table of `num_class_embeds`
    /// rows, or no classes), `timestep` or `identity`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_embed_type: Option<String>,
    /// Number of classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_class_embeds: Option<i64>,
    /// Number of times, for `time_embedding_type = "learned"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_train_timesteps: Option<i64>,
}

/// One side of a square, or height and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SampleSize {
    /// Height and width are equal.
    Square(i64),
    /// Height, width.
    Sides([i64; 2]),
}

impl SampleSize {
    /// Height and width.
    pub fn sides(self) -> [i64; 2] {
        match self {
            SampleSize::Square(side) => [side, side],
            SampleSize::Sides(sides) => sides,
        }
    }
}

impl Default for Unet2dConfig {
    fn default() -> Self {
        let names = |names: [&str; 4]| names.map(str::to_string).to_vec();
        Unet2dConfig {
            sample_size: None,
            in_channels: 3,
            out_channels: 3,
            center_input_sample: false,
            time_embedding_type: "positional".into(),
            time_embedding_dim: None,
            freq_shift: 0.0,
            flip_sin_to_cos: true,
            down_block_types: names([
                "DownBlock2D",
                "AttnDownBlock2D",
                "AttnDownBlock2D",
                "AttnDownBlock2D",
            ]),
            mid_block_type: Some("UNetMidBlock2D".into()),
            up_block_types: names(["AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"]),
            block_out_channels: vec![224, 448, 672, 896],
            layers_per_block: 2,
            mid_block_scale_factor: 1.0,
            downsample_padding: 1,
            downsample_type: "conv".into(),
            upsample_type: "conv".into(),
            dropout: 0.0,
            act_fn: "silu".into(),
            attention_head_dim: Some(8),
            norm_num_groups: Some(32),
            attn_norm_num_groups: None,
            norm_eps: 1e-5,
            resnet_time_scale_shift: "default".into(),
            add_attention: true,
            class_embed_type: None,
            num_class_embeds: None,
            num_train_timesteps: None,
        }
    }
}

impl Unet2dConfig {
    /// `[in_channels, height, width]` of the samples, where `sample_size` says so.
    pub fn shape(&self) -> Option<Vec<i64>> {
        let [height, width] = self.sample_size?.sides();
        Some(vec![self.in_channels, height, width])
    }
}
