//! The network whose features are compared.

use score_nets::NetError;
use score_nets::layers::{Conv, Linear, Space};
use tch::nn::Path;
use tch::{TchError, Tensor};

use super::FEATURES;
use super::changes::KINDS;

/// Channels of the first convolution; the others have twice as many.
const CHANNELS: i64 = 16;
/// Fewest convolutions.
const FEWEST: usize = 3;
/// Longest side of what the last convolution leaves.
const LONGEST: i64 = 8;

/// Convolutions of three pixels that halve the sides (while these are longer than four), each followed by `x / (1 + exp(-x))`; then a
/// linear map to the features, and another to the answer. A net of the kind of LeCun et al. 1998, Gradient-based learning
/// applied to document recognition.
#[derive(Debug)]
pub(super) struct Layers {
    convolutions: Vec<Conv>,
    features: Linear,
    answer: Linear,
}

impl Layers {
    /// For rows of the shape `[channels, length]` or `[channels, height, width]`.
    pub fn new(vs: &Path, shape: &[i64]) -> Result<Self, NetError> {
        let space = match shape.len() {
            2 => Space::Line,
            _ => Space::Plane,
        };
        let mut sides = shape[1..].to_vec();
        let mut channels = shape[0];
        let mut convolutions = Vec::new();
        loop {
            let longest = sides.iter().copied().max().unwrap_or(1);
            let count = convolutions.len();
            if count >= FEWEST && longest <= LONGEST {
                break;
            }
            let stride = if longest > 4 { 2 } else { 1 };
            let out = if count == 0 { CHANNELS } else { 2 * CHANNELS };
            let path = vs / format!("conv_{count}");
            convolutions.push(Conv::new(&path, space, channels, out, 3, stride, 1.0)?);
            sides
                .iter_mut()
                .for_each(|side| *side = (*side + stride - 1) / stride);
            channels = out;
        }
        let left = channels * sides.iter().product::<i64>();
        let (features, kinds) = (FEATURES as i64, KINDS as i64);
        Ok(Self {
            convolutions,
            features: Linear::new(&(vs / "features"), left, features, 1.0)?,
            answer: Linear::new(&(vs / "answer"), features, kinds, 1.0)?,
        })
    }

    /// Rows to features, `[rows, features]`.
    pub fn features(&self, rows: &Tensor) -> Result<Tensor, TchError> {
        let mut x = rows.shallow_clone();
        for convolution in &self.convolutions {
            x = convolution.forward(&x)?.f_silu()?;
        }
        self.features.forward(&x.f_flatten(1, -1)?)
    }

    /// Rows to the logarithms of the odds of each kind of change, up to a constant a row, `[rows, kinds]`.
    pub fn answer(&self, rows: &Tensor) -> Result<Tensor, TchError> {
        self.answer.forward(&self.features(rows)?)
    }
}
