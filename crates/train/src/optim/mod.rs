//! Optimisation on plain tensors: one flat buffer for all parameters, AdamW, learning-rate schedules.

pub mod adamw;
pub mod flat;
pub mod schedule;

pub use adamw::{AdamW, AdamWConfig};
pub use flat::FlatParams;
pub use schedule::{Progress, learning_rate};
