//! Training objectives and the random numbers that they consume.

pub mod draw;
pub mod dsm;
pub mod patch;

pub use draw::{DrawSource, Origin, TrainDraw};
pub use dsm::Dsm;
pub use patch::PatchLoss;

use std::fmt::Debug;

use score_nets::ScoreNet;
use tch::Tensor;

use crate::TrainError;

/// A training objective.
pub trait Loss: Send + Debug {
    /// The loss of every row, `[rows]`, differentiable with respect to the network's parameters. `x0` is clean
    /// data, `[rows, ...]`; everything random comes in `draw`. Row `i` depends on row `i` of `x0` and `draw` only.
    ///
    /// # Errors
    /// The network refuses its input, or libtorch fails.
    fn per_row(&self, net: &dyn ScoreNet, x0: &Tensor, draw: &TrainDraw) -> Result<Tensor, TrainError>;
}
