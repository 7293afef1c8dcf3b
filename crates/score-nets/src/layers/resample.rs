//! Halving and doubling the resolution.

use tch::nn::Path;
use tch::{TchError, Tensor};

use super::{Conv, Space};
use crate::Resample;

/// Halves the spatial size, which must be even: a convolution of stride 2, or an average over pairs (2x2 blocks).
#[derive(Debug)]
pub struct Downsample {
    conv: Option<Conv>,
    space: Space,
}

impl Downsample {
    /// For `channels` channels.
    ///
    /// # Errors
    /// When libtorch cannot allocate.
    pub fn new(vs: &Path, space: Space, channels: i64, kernel: i64, how: Resample) -> Result<Self, TchError> {
        let conv = match how {
            Resample::Conv => Some(Conv::new(vs, space, channels, channels, kernel, 2, 1.0)?),
            Resample::Pool => None,
        };
        Ok(Downsample { conv, space })
    }

    /// Applies it to `[rows, channels, ...]`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        match (&self.conv, self.space) {
            (Some(conv), _) => conv.forward(x),
            (None, Space::Line) => x.f_avg_pool1d(2, 2, 0, false, true),
            (None, Space::Plane) => x.f_avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None),
        }
    }
}

/// Doubles the spatial size by repeating values; with `conv` a convolution follows.
#[derive(Debug)]
pub struct Upsample {
    conv: Option<Conv>,
    space: Space,
}

impl Upsample {
    /// For `channels` channels.
    ///
    /// # Errors
    /// When libtorch cannot allocate.
    pub fn new(vs: &Path, space: Space, channels: i64, kernel: i64, how: Resample) -> Result<Self, TchError> {
        let conv = match how {
            Resample::Conv => Some(Conv::new(vs, space, channels, channels, kernel, 1, 1.0)?),
            Resample::Pool => None,
        };
        Ok(Upsample { conv, space })
    }

    /// Applies it to `[rows, channels, ...]`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let size = x.size();
        let up = match self.space {
            Space::Line => x.f_upsample_nearest1d(2 * size[2], None)?,
            Space::Plane => x.f_upsample_nearest2d([2 * size[2], 2 * size[3]], None, None)?,
        };
        match &self.conv {
            Some(conv) => conv.forward(&up),
            None => Ok(up),
        }
    }
}
