//! The residual block of the DDPM U-Net.

use tch::nn::Path;
use tch::{TchError, Tensor};

use super::{Conv, GroupNorm, Linear, Space, silu};
use crate::TimeMode;

/// What all residual blocks of a network share.
#[derive(Debug, Clone, Copy)]
pub struct ResidualOptions {
    /// 1-D or 2-D.
    pub space: Space,
    /// Odd size of the kernels.
    pub kernel: i64,
    /// Size of the time embedding.
    pub embed: i64,
    /// How the time enters.
    pub time_mode: TimeMode,
    /// At most so many groups a normalisation.
    pub groups: i64,
    /// Probability of dropping a value before the second convolution.
    pub dropout: f64,
}

/// `skip(x) + conv2(dropout(silu(norm2(conv1(silu(norm1(x))) + time))))` (Ho et al. 2020, arXiv:2006.11239,
/// appendix B); with `scale-shift` the time enters as `(1 + scale) norm2(h) + shift`
/// (Dhariwal and Nichol 2021, arXiv:2105.05233). The second convolution starts near zero, so that the block starts
/// as the identity (or a 1x1 convolution where the number of channels changes).
#[derive(Debug)]
pub struct Residual {
    norm1: GroupNorm,
    conv1: Conv,
    time: Linear,
    norm2: GroupNorm,
    conv2: Conv,
    skip: Option<Conv>,
    options: ResidualOptions,
}

impl Residual {
    /// From `input` to `output` channels.
    ///
    /// # Errors
    /// When libtorch cannot allocate.
    pub fn new(vs: &Path, input: i64, output: i64, options: ResidualOptions) -> Result<Self, TchError> {
        let ResidualOptions {
            space,
            kernel,
            embed,
            time_mode,
            groups,
            ..
        } = options;
        Ok(Residual {
            norm1: GroupNorm::new(&(vs / "norm1"), input, groups)?,
            conv1: Conv::new(&(vs / "conv1"), space, input, output, kernel, 1, 1.0)?,
            time: Linear::new(&(vs / "time"), embed, time_mode.width() * output, 1.0)?,
            norm2: GroupNorm::new(&(vs / "norm2"), output, groups)?,
            conv2: Conv::new(&(vs / "conv2"), space, output, output, kernel, 1, 0.0)?,
            skip: match input == output {
                true => None,
                false => Some(Conv::new(&(vs / "skip"), space, input, output, 1, 1, 1.0)?),
            },
            options,
        })
    }

    /// Number of parameters of such a block.
    pub fn param_count(input: i64, output: i64, options: &ResidualOptions) -> u64 {
        let ResidualOptions {
            space,
            kernel,
            embed,
            time_mode,
            ..
        } = *options;
        let skip = if input == output {
            0
        } else {
            Conv::param_count(space, input, output, 1)
        };
        GroupNorm::param_count(input)
            + Conv::param_count(space, input, output, kernel)
            + Linear::param_count(embed, time_mode.width() * output)
            + GroupNorm::param_count(output)
            + Conv::param_count(space, output, output, kernel)
            + skip
    }

    /// `x` is `[rows, input, ...]`, `time` the activated embedding, `[rows, embed]` or `[1, embed]`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward(&self, x: &Tensor, time: &Tensor, train: bool) -> Result<Tensor, TchError> {
        let ResidualOptions {
            space,
            time_mode,
            dropout,
            ..
        } = self.options;
        let mut time = self.time.forward(time)?;
        for _ in 0..space.axes() {
            time = time.f_unsqueeze(-1)?;
        }
        let mut h = self.conv1.forward(&silu(self.norm1.forward(x)?)?)?;
        let h = match time_mode {
            TimeMode::Add => self.norm2.forward(&h.f_add_(&time)?)?,
            TimeMode::ScaleShift => {
                let parts = time.f_chunk(2, 1)?;
                parts[1].f_addcmul(&self.norm2.forward(&h)?, &parts[0].f_add_scalar(1.0)?)?
            }
        };
        let mut h = silu(h)?;
        if train && dropout > 0.0 {
            h = h.f_dropout(dropout, true)?;
        }
        // In place: no gradient needs the output of a convolution.
        let mut h = self.conv2.forward(&h)?;
        match &self.skip {
            Some(skip) => h.f_add_(&skip.forward(x)?),
            None => h.f_add_(x),
        }
    }
}
