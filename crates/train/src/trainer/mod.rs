//! The training loop and the folder that it fills.

pub mod artefacts;
pub mod conditions;
pub mod environment;
pub mod folder;
pub mod holdout;
pub mod hook;
mod journal;
mod keep;
pub mod lock;
pub mod memory;
pub mod order;
mod parameters;
pub mod prefetch;
mod ranks;
mod raster;
pub mod run;
pub mod signals;
pub mod spent;
pub mod step;
mod wishes;

pub use folder::RunFolder;
pub use hook::{Action, Hook, StepMetrics};
pub use run::{RunOptions, Summary, run};
pub use signals::StopFlag;
pub use spent::{Part, Shares, Spent};
pub use step::Trainer;
