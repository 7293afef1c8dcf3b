//! Training objectives and the random numbers that they consume.

mod build;
pub mod draw;
pub mod dsm;
pub mod implicit;
pub mod learned;
pub mod objective;
pub mod patch;
pub mod sliced;

pub use draw::{DrawSource, HostDraw, Origin, TrainDraw};
pub use dsm::Dsm;
pub use implicit::Implicit;
pub use learned::LearnedWeighting;
pub use objective::Objective;
pub use patch::PatchLoss;
pub use sliced::{Projection, Sliced};

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

    /// Parameters of the objective itself, leaves that require gradients, by names of their own. They are trained with the network's
    /// and kept in checkpoints, but are no part of the model. As provided: none.
    fn parameters(&self) -> Vec<(String, Tensor)> {
        Vec::new()
    }
}
