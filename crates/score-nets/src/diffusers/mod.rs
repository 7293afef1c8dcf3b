//! The diffusers library: its network `UNet2DModel`, and its folders in and out.
//!
//! ```no_run
//! use score_nets::diffusers::{Unet2dModel, read_folder};
//! use score_nets::named_tensors;
//! use tch::{Device, nn};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = read_folder("ddpm-cifar10-32".as_ref())?;
//! let vs = nn::VarStore::new(Device::Cpu);
//! let net = Unet2dModel::new(&folder.config, &vs.root())?;
//! folder.load(&named_tensors(&vs))?;
//! if let Some(scheduler) = &folder.scheduler {
//!     // The network as a score: see `NetScore`.
//!     let precond = scheduler.process().precond()?;
//! }
//! # Ok(())
//! # }
//! ```

mod attention;
mod blocks;
mod config;
mod config_json;
mod embed;
mod error;
mod folder;
mod json;
mod layers;
mod levels;
mod model;
mod nullable;
mod plan;
mod process;
mod resample;
mod resnet;
mod scheduler;
mod scheduler_tables;

pub use config::{SampleSize, Unet2dConfig};
pub use error::DiffusersError;
pub use folder::{Folder, read_folder, write_folder};
pub use model::Unet2dModel;
pub use process::{DataRange, Prediction, Process};
pub use scheduler::SchedulerConfig;
