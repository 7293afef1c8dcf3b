//! The 1x1 convolution whose weight is `[input, output]`.

use tch::nn::Path;
use tch::{TchError, Tensor};

use crate::layers::fan_average;
use crate::precision;

/// `y = W^T x + b` at every position, `W` of shape `[input, output]`.
#[derive(Debug)]
pub(super) struct Nin {
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
}

impl Nin {
    /// Initial weights scaled by `scale` (0 stands for 1e-10), bias 0.
    pub(super) fn new(vs: &Path, input: i64, output: i64, scale: f64) -> Result<Self, TchError> {
        let dims = [input, output];
        Ok(Nin {
            weight: vs.f_var("W", &dims, fan_average(&dims, scale))?,
            bias: vs.f_zeros("b", &[output])?,
        })
    }

    pub(super) fn param_count(input: i64, output: i64) -> u64 {
        (input * output + output) as u64
    }

    /// `[rows, input, positions]` to `[rows, output, positions]`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        pointwise(x, &self.weight, Some(&self.bias))
    }
}

/// `W^T x + b` for `x` of shape `[rows, input, positions]`.
pub(super) fn pointwise(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor, TchError> {
    precision::conv1d(x, &weight.f_transpose(0, 1)?.f_unsqueeze(2)?, bias, 1, 0)
}
