//! Weights on disk.

mod error;
mod safetensors;

pub use self::safetensors::{load, read, save};
pub use error::WeightsError;
