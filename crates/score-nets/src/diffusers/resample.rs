//! Halving and doubling the resolution without parameters.

use tch::{TchError, Tensor};

/// How a residual block changes the resolution of its input and of its residual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resample {
    /// It does not.
    Keep,
    /// The average of each 2x2 block.
    AverageDown,
    /// Each value four times.
    NearestUp,
    /// The filter (1, 3, 3, 1) along both axes, then every other value.
    FirDown,
    /// Zeros between the values, then that filter times four.
    FirUp,
}

impl Resample {
    /// Applies it to `[rows, channels, height, width]`.
    pub(super) fn apply(self, x: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Resample::Keep => Ok(x.shallow_clone()),
            Resample::AverageDown => x.f_avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None),
            Resample::NearestUp => nearest_up(x),
            Resample::FirDown => fir_down(x),
            Resample::FirUp => fir_up(x),
        }
    }
}

pub(super) fn nearest_up(x: &Tensor) -> Result<Tensor, TchError> {
    let size = x.size();
    x.f_upsample_nearest2d([2 * size[2], 2 * size[3]], None, None)
}

/// The outer product of (1, 3, 3, 1) with itself, summing to `total`, one copy a channel (Karras et al. 2020,
/// arXiv:1912.04958; in score networks Song et al. 2021, arXiv:2011.13456, appendix H).
fn kernel(like: &Tensor, total: f64) -> Result<Tensor, TchError> {
    let taps = [1.0, 3.0, 3.0, 1.0_f64];
    let values: Vec<f64> = taps
        .iter()
        .flat_map(|a| taps.map(|b| a * b * total / 64.0))
        .collect();
    Tensor::f_from_slice(&values)?
        .f_view([1, 1, 4, 4])?
        .f_to_kind(like.f_kind()?)?
        .f_to_device(like.device())?
        .f_expand([like.size()[1], 1, 4, 4], false)
}

/// Halves even sizes: one zero on each side, a convolution of stride 2.
pub(super) fn fir_down(x: &Tensor) -> Result<Tensor, TchError> {
    let none: Option<&Tensor> = None;
    x.f_conv2d(&kernel(x, 1.0)?, none, [2, 2], [1, 1], [1, 1], x.size()[1])
}

/// Doubles the size: the transpose of a convolution of stride 2.
pub(super) fn fir_up(x: &Tensor) -> Result<Tensor, TchError> {
    let none: Option<&Tensor> = None;
    x.f_conv_transpose2d(
        &kernel(x, 4.0)?,
        none,
        [2, 2],
        [1, 1],
        [0, 0],
        x.size()[1],
        [1, 1],
    )
}
