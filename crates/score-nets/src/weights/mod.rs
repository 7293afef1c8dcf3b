//! Weights on disk.

mod assign;
mod error;
mod header;
pub mod pytorch;
mod safetensors;

pub use self::assign::assign;
pub use self::safetensors::{load, read, save};
pub use error::WeightsError;
