//! Trains score-based generative models: configuration, data, losses, optimiser, checkpoints, and the `sde` program.
//!
//! This is the only library of the workspace that reads the clock and the environment, and that finds its files itself.

pub mod checkpoint;
pub mod cli;
pub mod commands;
pub mod config;
pub mod data;
pub mod dist;
pub mod ema;
pub mod error;
pub mod evaluate;
mod hash;
pub mod log;
pub mod loss;
pub mod model;
pub mod optim;
pub mod page;
pub mod sample;
pub mod trainer;

pub use config::RunConfig;
pub use data::{Dataset, Visit};
pub use error::TrainError;
