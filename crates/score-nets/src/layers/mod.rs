//! The parts of which the networks are made. Every layer creates its parameters under the path given.

mod attention;
mod basic;
mod condition;
mod resample;
mod residual;

pub use attention::Attention;
pub use basic::{Conv, GroupNorm, LayerNorm, Linear, Space, Weight};
pub(crate) use basic::{fan_average, normalised, silu};
pub use condition::Condition;
pub use resample::{Downsample, Upsample};
pub use residual::{Residual, ResidualOptions};
