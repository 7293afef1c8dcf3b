//! Weights on disk.

mod safetensors;

pub use self::safetensors::{WeightsError, load, read, save};
