//! Linear maps, convolutions and normalisations with the initialisation of the DDPM reference.

use tch::nn::{Init, Path};
use tch::{TchError, Tensor};

use crate::precision;

/// Variance scaling, average of fan-in and fan-out, uniform: the initialisation of the DDPM reference
/// (Ho et al. 2020, arXiv:2006.11239). `scale` 0 stands for 1e-10, as there: small, but the gradient flows.
pub(crate) fn fan_average(dims: &[i64], scale: f64) -> Init {
    let area: i64 = dims[2..].iter().product();
    let fan = (dims[0] + dims[1]) as f64 / 2.0 * area as f64;
    let bound = (3.0 * scale.max(1e-10) / fan).sqrt();
    Init::Uniform {
        lo: -bound,
        up: bound,
    }
}

/// `x / (1 + exp(-x))`, in place where no gradient needs `x`, which must be a result that nobody else holds.
pub(crate) fn silu(mut x: Tensor) -> Result<Tensor, TchError> {
    if x.requires_grad() {
        x.f_silu()
    } else {
        x.f_silu_()
    }
}

/// `y = x W^T + b` on the last axis.
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Weight `[output, input]` scaled by `scale` (see the initialisation of the DDPM reference), bias 0.
    ///
    /// # Errors
    /// When libtorch cannot allocate.
    pub fn new(vs: &Path, input: i64, output: i64, scale: f64) -> Result<Self, TchError> {
        let dims = [output, input];
        Ok(Linear {
            weight: vs.f_var("weight", &dims, fan_average(&dims, scale))?,
            bias: vs.f_zeros("bias", &[output])?,
        })
    }

    /// Number of values in.
    pub(crate) fn input(&self) -> i64 {
        self.weight.size()[1]
    }

    /// The type of its parameters.
    pub(crate) fn kind(&self) -> tch::Kind {
        self.weight.kind()
    }

    /// Number of parameters of such a layer.
    pub fn param_count(input: i64, output: i64) -> u64 {
        (input * output + output) as u64
    }

    /// Applies it.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        precision::linear(x, &self.weight, &self.bias)
    }
}

/// `x W^T` of rows `[rows, size]`, which joins what is there.
#[derive(Debug)]
pub struct Weight(Tensor);

impl Weight {
    /// `[output, input]` scaled by `scale`, as in [`Linear::new`].
    ///
    /// # Errors
    /// When libtorch cannot allocate.
    pub fn new(vs: &Path, input: i64, output: i64, scale: f64) -> Result<Self, TchError> {
        let dims = [output, input];
        Ok(Weight(vs.f_var("weight", &dims, fan_average(&dims, scale))?))
    }

    /// Number of parameters of such a layer.
    pub fn param_count(input: i64, output: i64) -> u64 {
        (input * output) as u64
    }

    /// `base + x W^T`, where `base` has the rows of `x` or one for all.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn onto(&self, base: &Tensor, x: &Tensor) -> Result<Tensor, TchError> {
        precision::linear_onto(base, x, &self.0)
    }
}

/// How many axes a feature map has beside rows and channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// `[rows, channels, length]`.
    Line,
    /// `[rows, channels, height, width]`.
    Plane,
}

impl Space {
    /// Number of spatial axes.
    pub fn axes(self) -> usize {
        match self {
            Space::Line => 1,
            Space::Plane => 2,
        }
    }
}

/// A convolution with an odd kernel and zero padding, so that stride 1 keeps the size.
#[derive(Debug)]
pub struct Conv {
    weight: Tensor,
    bias: Option<Tensor>,
    space: Space,
    stride: i64,
    padding: i64,
}

impl Conv {
    /// Weight `[output, input, kernel(, kernel)]` scaled by `scale`, bias 0.
    ///
    /// # Errors
    /// When libtorch cannot allocate.
    pub fn new(
        vs: &Path,
        space: Space,
        input: i64,
        output: i64,
        kernel: i64,
        stride: i64,
        scale: f64,
    ) -> Result<Self, TchError> {
        let mut dims = vec![output, input];
        dims.resize(2 + space.axes(), kernel);
        Ok(Conv {
            weight: vs.f_var("weight", &dims, fan_average(&dims, scale))?,
            bias: Some(vs.f_zeros("bias", &[output])?),
            space,
            stride,
            padding: kernel / 2,
        })
    }

    /// A 1x1 convolution without bias.
    ///
    /// # Errors
    /// When libtorch cannot allocate.
    pub fn pointwise(vs: &Path, space: Space, input: i64, output: i64) -> Result<Self, TchError> {
        let mut dims = vec![output, input];
        dims.resize(2 + space.axes(), 1);
        let weight = vs.f_var("weight", &dims, fan_average(&dims, 1.0))?;
        Ok(Conv {
            weight,
            bias: None,
            space,
            stride: 1,
            padding: 0,
        })
    }

    /// With zeros to this width on every side instead.
    #[must_use]
    pub fn with_padding(self, padding: i64) -> Self {
        Conv { padding, ..self }
    }

    /// Number of parameters of such a layer.
    pub fn param_count(space: Space, input: i64, output: i64, kernel: i64) -> u64 {
        (input * output * kernel.pow(space.axes() as u32) + output) as u64
    }

    /// Applies it.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (weight, bias) = (&self.weight, self.bias.as_ref());
        match self.space {
            Space::Line => precision::conv1d(x, weight, bias, self.stride, self.padding),
            Space::Plane => precision::conv2d(x, weight, bias, self.stride, self.padding),
        }
    }
}

/// Group normalisation (Wu and He 2018, arXiv:1803.08494): each group of channels of a row to mean 0 and
/// variance 1, then a trained scale and shift per channel.
#[derive(Debug)]
pub struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    groups: i64,
    eps: f64,
}

/// Added to the variance, where nothing else is asked for.
pub(crate) const NORM_EPS: f64 = 1e-5;

impl GroupNorm {
    /// At most `max_groups` groups of at least four channels each, as many as divide `channels`.
    ///
    /// # Errors
    /// When libtorch cannot allocate.
    pub fn new(vs: &Path, channels: i64, max_groups: i64) -> Result<Self, TchError> {
        GroupNorm::with_groups(vs, channels, Self::groups(channels, max_groups), NORM_EPS)
    }

    /// This many groups, which must divide `channels`, and `eps` added to the variance.
    ///
    /// # Errors
    /// When libtorch cannot allocate.
    pub fn with_groups(vs: &Path, channels: i64, groups: i64, eps: f64) -> Result<Self, TchError> {
        Ok(GroupNorm {
            weight: vs.f_ones("weight", &[channels])?,
            bias: vs.f_zeros("bias", &[channels])?,
            groups,
            eps,
        })
    }

    /// The number of groups that [`GroupNorm::new`] takes.
    pub fn groups(channels: i64, max_groups: i64) -> i64 {
        let most = (channels / 4).min(max_groups).max(1);
        (1..=most)
            .rev()
            .find(|groups| channels % groups == 0)
            .unwrap_or(1)
    }

    /// Number of parameters of such a layer.
    pub fn param_count(channels: i64) -> u64 {
        2 * channels as u64
    }

    /// Applies it to `[rows, channels, ...]`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (x, bias) = (precision::norm_input(x, &self.weight)?, Some(&self.bias));
        x.f_group_norm(self.groups, Some(&self.weight), bias, self.eps, true)
    }
}

/// Each row of `[rows, size]` to mean 0 and variance 1: layer normalisation without factors and shifts of its own, for where a linear
/// map follows, which has them.
///
/// # Errors
/// When libtorch fails.
pub(crate) fn normalised(x: &Tensor) -> Result<Tensor, TchError> {
    let none: Option<&Tensor> = None;
    x.f_layer_norm(x.size2()?.1, none, none, NORM_EPS, true)
}

/// Layer normalisation (Ba et al. 2016, arXiv:1607.06450) of the last axis.
#[derive(Debug)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
}

impl LayerNorm {
    /// Scale 1, shift 0.
    ///
    /// # Errors
    /// When libtorch cannot allocate.
    pub fn new(vs: &Path, size: i64) -> Result<Self, TchError> {
        Ok(LayerNorm {
            weight: vs.f_ones("weight", &[size])?,
            bias: vs.f_zeros("bias", &[size])?,
        })
    }

    /// Number of parameters of such a layer.
    pub fn param_count(size: i64) -> u64 {
        2 * size as u64
    }

    /// Applies it to `[rows, size]`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        precision::norm_input(x, &self.weight)?.f_layer_norm(
            self.weight.size1()?,
            Some(&self.weight),
            Some(&self.bias),
            NORM_EPS,
            true,
        )
    }
}
