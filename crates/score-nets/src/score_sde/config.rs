//! What may be chosen of the networks, in the field names of score_sde's own configurations.

use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::{Map, Value};
use tch::{TchError, Tensor};

/// The activation between layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nonlinearity {
    /// `x` for positive `x`, `exp(x) - 1` below.
    Elu,
    /// `max(x, 0)`.
    Relu,
    /// `x` for positive `x`, `0.2 x` below.
    Lrelu,
    /// `x / (1 + exp(-x))`.
    Swish,
}

impl Nonlinearity {
    /// Applies it: in place where no gradient needs `x`, which must be a result that nobody else holds.
    pub(crate) fn apply(self, mut x: Tensor) -> Result<Tensor, TchError> {
        match (self, x.requires_grad()) {
            (Nonlinearity::Swish, true) => x.f_silu(),
            (Nonlinearity::Swish, false) => x.f_silu_(),
            (Nonlinearity::Elu, true) => x.f_elu(),
            (Nonlinearity::Elu, false) => x.f_elu_(),
            (Nonlinearity::Relu, true) => x.f_relu(),
            (Nonlinearity::Relu, false) => x.f_relu_(),
            // The variant of tch without a slope has 0.01.
            (Nonlinearity::Lrelu, _) => Ok(x.f_maximum(&x.f_mul_scalar(0.2)?)?),
        }
    }
}

/// How the time becomes a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmbeddingType {
    /// Sines and cosines of `ln(time)` at random fixed frequencies: the time input is the noise level sigma.
    Fourier,
    /// Sines and cosines at geometric frequencies: the time input runs to about a thousand (999 t, or a label).
    Positional,
}

/// The residual block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResblockType {
    /// As in DDPM; layers of their own change the resolution.
    Ddpm,
    /// As in BigGAN: blocks change the resolution of both branches.
    Biggan,
}

/// What the output is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progressive {
    /// The last map.
    None,
    /// An image at each resolution, upsampled and summed.
    #[serde(alias = "output-skip")]
    OutputSkip,
    /// A pyramid of maps that replaces the map at each resolution.
    Residual,
}

/// How the input enters below full resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProgressiveInput {
    /// Not at all.
    None,
    /// The downsampled image, combined with the map.
    #[serde(alias = "input-skip")]
    InputSkip,
    /// A pyramid of maps that replaces the map at each resolution.
    Residual,
}

/// How an image is combined with a map in [`ProgressiveInput::InputSkip`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Combination {
    /// Added to it.
    Sum,
    /// Put before its channels, which doubles their number.
    Cat,
}

/// `[net] kind = "ncsnpp"` and `"ddpmpp"`: one class, whose defaults are those of the published CIFAR-10 models of that
/// name (configurations `ve/cifar10_ncsnpp_continuous` and `vp/cifar10_ddpmpp_continuous`). Rows are
/// `[channels, height, width]`; height and width are multiples of `2^(levels - 1)` and may differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NcsnppConfig {
    /// Channels at full resolution.
    pub nf: i64,
    /// Factor of `nf` on each level; the resolution halves from one level to the next.
    pub ch_mult: Vec<i64>,
    /// Residual blocks a level on the way down; one more on the way up.
    pub num_res_blocks: i64,
    /// Widths of the map at which self-attention follows: each block on the way down, each level on the way up. One
    /// that no level has is passed over. The bottom always has attention.
    pub attn_resolutions: Vec<i64>,
    /// The residual block.
    pub resblock_type: ResblockType,
    /// Of `resblock_type = "ddpm"`: a convolution goes with each change of resolution.
    pub resamp_with_conv: bool,
    /// Resampling with a finite impulse response filter (Zhang 2019, arXiv:1904.11486) instead of averages and repeats.
    pub fir: bool,
    /// The filter along each axis; scaled to sum 1.
    pub fir_kernel: Vec<f64>,
    /// What the output is made of.
    pub progressive: Progressive,
    /// How the input enters below full resolution.
    pub progressive_input: ProgressiveInput,
    /// Of `progressive_input = "input_skip"`.
    pub progressive_combine: Combination,
    /// Divides every sum of two branches by the square root of 2.
    pub skip_rescale: bool,
    /// How the time becomes a vector.
    pub embedding_type: EmbeddingType,
    /// Standard deviation of the Fourier frequencies.
    pub fourier_scale: f64,
    /// Whether the blocks see the time at all.
    pub conditional: bool,
    /// Divides the output by the noise level: the time input itself, or with a positional embedding the entry of the
    /// descending list of `num_scales` levels from `sigma_max` to `sigma_min` that the time input numbers.
    pub scale_by_sigma: bool,
    /// The activation.
    pub nonlinearity: Nonlinearity,
    /// Probability of dropping a value inside a residual block.
    pub dropout: f64,
    /// Scale of the initial weights of the last layer of each branch (0 stands for 1e-10).
    pub init_scale: f64,
    /// Whether the data are centred at 0; if not, they are in `[0, 1]` and the network takes `2 x - 1`.
    pub centered: bool,
    /// Smallest noise level of the list.
    pub sigma_min: f64,
    /// Largest noise level of the list.
    pub sigma_max: f64,
    /// Number of noise levels in the list.
    pub num_scales: i64,
    /// Width of the images that the network was made for; absent: that of the data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_size: Option<i64>,
    /// Channels of the images; absent: those of the data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_channels: Option<i64>,
}

impl NcsnppConfig {
    /// NCSN++ (VE): Fourier embedding, FIR resampling, residual input pyramid, output divided by sigma.
    pub fn ncsnpp() -> Self {
        NcsnppConfig {
            nf: 128,
            ch_mult: vec![1, 2, 2, 2],
            num_res_blocks: 4,
            attn_resolutions: vec![16],
            resblock_type: ResblockType::Biggan,
            resamp_with_conv: true,
            fir: true,
            fir_kernel: vec![1.0, 3.0, 3.0, 1.0],
            progressive: Progressive::None,
            progressive_input: ProgressiveInput::Residual,
            progressive_combine: Combination::Sum,
            skip_rescale: true,
            embedding_type: EmbeddingType::Fourier,
            fourier_scale: 16.0,
            conditional: true,
            scale_by_sigma: true,
            nonlinearity: Nonlinearity::Swish,
            dropout: 0.1,
            init_scale: 0.0,
            centered: true,
            sigma_min: 0.01,
            sigma_max: 50.0,
            num_scales: 1000,
            image_size: None,
            num_channels: None,
        }
    }

    /// DDPM++ (VP): positional embedding, averages and repeats, no pyramids, output as it is.
    pub fn ddpmpp() -> Self {
        NcsnppConfig {
            fir: false,
            progressive_input: ProgressiveInput::None,
            embedding_type: EmbeddingType::Positional,
            scale_by_sigma: false,
            ..NcsnppConfig::ncsnpp()
        }
    }
}

/// [`NcsnppConfig::ncsnpp`].
impl Default for NcsnppConfig {
    fn default() -> Self {
        NcsnppConfig::ncsnpp()
    }
}

/// `[net] kind = "ddpm"`: the U-Net of Ho et al. 2020 (arXiv:2006.11239) as score_sde builds it; defaults of its CIFAR-10
/// model (configuration `vp/ddpm/cifar10`). Every width must be a multiple of 32.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DdpmConfig {
    /// Channels at full resolution.
    pub nf: i64,
    /// Factor of `nf` on each level; the resolution halves from one level to the next.
    pub ch_mult: Vec<i64>,
    /// Residual blocks a level on the way down; one more on the way up.
    pub num_res_blocks: i64,
    /// As in [`NcsnppConfig`].
    pub attn_resolutions: Vec<i64>,
    /// Whether a convolution goes with each change of resolution.
    pub resamp_with_conv: bool,
    /// Must be true: the published code has no other.
    pub conditional: bool,
    /// Divides the output by the entry of the list of noise levels that the time input numbers.
    pub scale_by_sigma: bool,
    /// The activation.
    pub nonlinearity: Nonlinearity,
    /// Probability of dropping a value inside a residual block.
    pub dropout: f64,
    /// Whether the data are centred at 0; if not, they are in `[0, 1]` and the network takes `2 x - 1`.
    pub centered: bool,
    /// Smallest noise level of the list.
    pub sigma_min: f64,
    /// Largest noise level of the list.
    pub sigma_max: f64,
    /// Number of noise levels in the list.
    pub num_scales: i64,
    /// Width of the images that the network was made for; absent: that of the data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_size: Option<i64>,
    /// Channels of the images; absent: those of the data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_channels: Option<i64>,
}

impl Default for DdpmConfig {
    fn default() -> Self {
        DdpmConfig {
            nf: 128,
            ch_mult: vec![1, 2, 2, 2],
            num_res_blocks: 2,
            attn_resolutions: vec![16],
            resamp_with_conv: true,
            conditional: true,
            scale_by_sigma: false,
            nonlinearity: Nonlinearity::Swish,
            dropout: 0.1,
            centered: true,
            sigma_min: 0.01,
            sigma_max: 50.0,
            num_scales: 1000,
            image_size: None,
            num_channels: None,
        }
    }
}

/// For the variant `ncsnpp` of the table `[net]`: absent keys have the values of that kind.
pub(crate) fn deserialize_ncsnpp<'de, D: Deserializer<'de>>(from: D) -> Result<NcsnppConfig, D::Error> {
    with_defaults(NcsnppConfig::ncsnpp(), Map::deserialize(from)?).map_err(D::Error::custom)
}

/// For the variant `ddpmpp` of the table `[net]`.
pub(crate) fn deserialize_ddpmpp<'de, D: Deserializer<'de>>(from: D) -> Result<NcsnppConfig, D::Error> {
    with_defaults(NcsnppConfig::ddpmpp(), Map::deserialize(from)?).map_err(D::Error::custom)
}

/// The configuration with the keys given in place of its own.
pub(super) fn with_defaults(
    defaults: NcsnppConfig,
    given: Map<String, Value>,
) -> Result<NcsnppConfig, serde_json::Error> {
    let mut all = match serde_json::to_value(defaults)? {
        Value::Object(all) => all,
        _ => Map::new(),
    };
    all.extend(given);
    NcsnppConfig::deserialize(Value::Object(all))
}
