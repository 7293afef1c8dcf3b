//! Layers that halve or double the resolution, with or without a convolution.

use tch::nn::{Init, Path};
use tch::{Device, TchError, Tensor};

use super::fir::Fir;
use crate::layers::{Conv, Space, fan_average};

/// Up or down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Up,
    Down,
}

/// Averages and repeats, or a filter: no parameters.
pub(super) fn resample(x: &Tensor, direction: Direction, fir: Option<&Fir>) -> Result<Tensor, TchError> {
    let (_, _, height, width) = x.size4()?;
    match (direction, fir) {
        (Direction::Up, Some(fir)) => fir.upsample(x),
        (Direction::Down, Some(fir)) => fir.downsample(x),
        (_, None) if x.device() == Device::Cpu && width <= WIDEST_PRODUCT => by_product(x, direction),
        (Direction::Up, None) => x.f_upsample_nearest2d([2 * height, 2 * width], None, None),
        (Direction::Down, None) => x.f_avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None),
    }
}

/// Above this width the products below do more work than libtorch's own operators, which take as long a value at any
/// width.
const WIDEST_PRODUCT: i64 = 128;

/// Averages and repeats with the width axis done by a matrix product: on a processor, forward and backward together,
/// three to six times as fast as libtorch's pooling and upsampling of small maps, which are not vectorised.
fn by_product(x: &Tensor, direction: Direction) -> Result<Tensor, TchError> {
    let (rows, channels, height, width) = x.size4()?;
    let pairs = |narrow: i64, axis: i64| {
        Tensor::f_eye(narrow, (x.kind(), x.device()))?.f_repeat_interleave_self_int(2, axis, None)
    };
    match direction {
        Direction::Up => {
            let wide = x.f_matmul(&pairs(width, 1)?)?;
            Tensor::f_stack(&[&wide, &wide], 3)?.f_view([rows, channels, 2 * height, 2 * width])
        }
        Direction::Down => {
            let lines = x.f_reshape([rows, channels, height / 2, 2, width])?;
            let sum = lines.f_select(3, 0)?.f_add(&lines.f_select(3, 1)?)?;
            sum.f_matmul(&pairs(width / 2, 0)?.f_mul_scalar_(0.25)?)
        }
    }
}

/// A change of resolution as a layer of its own.
#[derive(Debug)]
pub(super) struct Resample {
    direction: Direction,
    fir: Option<Fir>,
    conv: Option<Convolution>,
}

#[derive(Debug)]
enum Convolution {
    /// Before or after averages and repeats.
    Plain(Conv),
    /// Fused with the filter.
    Fused { weight: Tensor, bias: Tensor },
}

/// Size of the kernels.
const KERNEL: i64 = 3;

impl Resample {
    /// Without parameters.
    pub(super) fn plain(direction: Direction, fir: Option<&[f64]>) -> Result<Self, TchError> {
        Ok(Resample {
            direction,
            fir: fir.map(Fir::new).transpose()?,
            conv: None,
        })
    }

    /// With a convolution from `input` to `output` channels.
    pub(super) fn conv(
        vs: &Path,
        direction: Direction,
        fir: Option<&[f64]>,
        input: i64,
        output: i64,
    ) -> Result<Self, TchError> {
        let conv = match (fir, direction) {
            (Some(_), _) => {
                let (vs, dims) = (vs / "Conv2d_0", [output, input, KERNEL, KERNEL]);
                Convolution::Fused {
                    weight: vs.f_var("weight", &dims, fan_average(&dims, 1.0))?,
                    bias: vs.f_var("bias", &[output], Init::Const(0.0))?,
                }
            }
            (None, Direction::Up) => {
                let vs = vs / "Conv_0";
                Convolution::Plain(Conv::new(&vs, Space::Plane, input, output, KERNEL, 1, 1.0)?)
            }
            (None, Direction::Down) => {
                let vs = vs / "Conv_0";
                let conv = Conv::new(&vs, Space::Plane, input, output, KERNEL, 2, 1.0)?;
                Convolution::Plain(conv.with_padding(0))
            }
        };
        Ok(Resample {
            conv: Some(conv),
            ..Resample::plain(direction, fir)?
        })
    }

    pub(super) fn param_count(input: i64, output: i64) -> u64 {
        Conv::param_count(Space::Plane, input, output, KERNEL)
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        match (&self.conv, &self.fir, self.direction) {
            (Some(Convolution::Fused { weight, bias }), Some(fir), Direction::Down) => {
                fir.downsample_conv(x, weight, bias)
            }
            (Some(Convolution::Fused { weight, bias }), Some(fir), Direction::Up) => {
                fir.upsample_conv(x, weight, bias)
            }
            (Some(Convolution::Plain(conv)), _, Direction::Down) => {
                conv.forward(&x.f_constant_pad_nd([0, 1, 0, 1])?)
            }
            (Some(Convolution::Plain(conv)), _, Direction::Up) => {
                conv.forward(&resample(x, Direction::Up, None)?)
            }
            (_, fir, direction) => resample(x, direction, fir.as_ref()),
        }
    }
}
