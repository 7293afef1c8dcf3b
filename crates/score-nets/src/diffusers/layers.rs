//! Linear maps, convolutions and normalisations with PyTorch's initialisation: weight and bias uniform in
//! `+-1 / sqrt(fan_in)` (He et al. 2015, arXiv:1502.01852, with the gain that PyTorch takes).

use tch::nn::{Init, Path};
use tch::{TchError, Tensor};

use crate::precision;

fn uniform(fan_in: i64) -> Init {
    let bound = 1.0 / (fan_in as f64).sqrt();
    Init::Uniform {
        lo: -bound,
        up: bound,
    }
}

/// `y = x W^T + b` on the last axis.
#[derive(Debug)]
pub(super) struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    pub(super) fn new(vs: &Path, input: i64, output: i64) -> Result<Self, TchError> {
        Ok(Linear {
            weight: vs.f_var("weight", &[output, input], uniform(input))?,
            bias: vs.f_var("bias", &[output], uniform(input))?,
        })
    }

    pub(super) fn param_count(input: i64, output: i64) -> u64 {
        (input * output + output) as u64
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        precision::linear(x, &self.weight, &self.bias)
    }
}

/// A square convolution with bias.
#[derive(Debug)]
pub(super) struct Conv2d {
    weight: Tensor,
    bias: Tensor,
    stride: i64,
    padding: i64,
}

impl Conv2d {
    /// Keeps the size: stride 1, padding half the kernel.
    pub(super) fn new(vs: &Path, input: i64, output: i64, kernel: i64) -> Result<Self, TchError> {
        Self::strided(vs, input, output, kernel, 1, kernel / 2)
    }

    pub(super) fn strided(
        vs: &Path,
        input: i64,
        output: i64,
        kernel: i64,
        stride: i64,
        padding: i64,
    ) -> Result<Self, TchError> {
        let fan_in = input * kernel * kernel;
        Ok(Conv2d {
            weight: vs.f_var("weight", &[output, input, kernel, kernel], uniform(fan_in))?,
            bias: vs.f_var("bias", &[output], uniform(fan_in))?,
            stride,
            padding,
        })
    }

    pub(super) fn param_count(input: i64, output: i64, kernel: i64) -> u64 {
        (input * output * kernel * kernel + output) as u64
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        precision::conv2d(x, &self.weight, Some(&self.bias), self.stride, self.padding)
    }
}

/// Group normalisation (Wu and He 2018, arXiv:1803.08494) with a given number of groups.
#[derive(Debug)]
pub(super) struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    groups: i64,
    eps: f64,
}

impl GroupNorm {
    pub(super) fn new(vs: &Path, channels: i64, groups: i64, eps: f64) -> Result<Self, TchError> {
        Ok(GroupNorm {
            weight: vs.f_ones("weight", &[channels])?,
            bias: vs.f_zeros("bias", &[channels])?,
            groups,
            eps,
        })
    }

    pub(super) fn param_count(channels: i64) -> u64 {
        2 * channels as u64
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (x, bias) = (precision::norm_input(x, &self.weight)?, Some(&self.bias));
        x.f_group_norm(self.groups, Some(&self.weight), bias, self.eps, true)
    }
}

/// `a + b`, in place where that keeps the type of the sum (mixed precision has two). No gradient may need `a`, which
/// must be a result that nobody else holds: that of a convolution, for instance.
pub(super) fn add_into(mut a: Tensor, b: &Tensor) -> Result<Tensor, TchError> {
    if a.f_kind()? == b.f_kind()? {
        a.f_add_(b)
    } else {
        a.f_add(b)
    }
}

/// The nonlinearity of the residual blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    Silu,
    Mish,
    Gelu,
    Relu,
}

impl Activation {
    /// By the name in `act_fn`, whatever its case.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name.to_lowercase().as_str() {
            "silu" | "swish" => Activation::Silu,
            "mish" => Activation::Mish,
            "gelu" => Activation::Gelu,
            "relu" => Activation::Relu,
            _ => return None,
        })
    }

    /// In place where no gradient needs `x`, which must be a result that nobody else holds.
    pub(super) fn apply(self, mut x: Tensor) -> Result<Tensor, TchError> {
        if x.requires_grad() {
            return self.apply_to(&x);
        }
        match self {
            Activation::Silu => x.f_silu_(),
            Activation::Mish => x.f_mish_(),
            Activation::Gelu => x.f_gelu_("none"),
            Activation::Relu => x.f_relu_(),
        }
    }

    pub(super) fn apply_to(self, x: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Activation::Silu => x.f_silu(),
            Activation::Mish => x.f_mish(),
            Activation::Gelu => x.f_gelu("none"),
            Activation::Relu => x.f_relu(),
        }
    }
}
