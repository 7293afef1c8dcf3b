//! Weights on disk.

mod error;
pub mod pytorch;
mod safetensors;

pub use self::safetensors::{load, read, save};
pub use error::WeightsError;
