//! Halving and doubling the resolution without parameters.

use tch::{TchError, Tensor};

use crate::score_sde::Fir;

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

/// The filter of the skip blocks, a few numbers (Song et al. 2021, arXiv:2011.13456, appendix H).
fn fir() -> Result<Fir, TchError> {
    Fir::new(&[1.0, 3.0, 3.0, 1.0])
}

/// Halves even sizes.
pub(super) fn fir_down(x: &Tensor) -> Result<Tensor, TchError> {
    fir()?.downsample(x)
}

/// Doubles the size.
pub(super) fn fir_up(x: &Tensor) -> Result<Tensor, TchError> {
    fir()?.upsample(x)
}
