//! Weights on disk.

mod assign;
mod error;
pub(crate) mod files;
mod folder;
mod header;
pub mod pytorch;
mod safetensors;
mod score_sde;
mod torchscript;

pub use self::assign::assign;
pub use self::safetensors::{load, read, save};
pub use self::score_sde::ScoreSdeCheckpoint;
pub use self::torchscript::TorchScriptNet;
pub use error::WeightsError;
pub use folder::{CARD_FILE, LoadedModel, NET_FILE, load_model, read_card, write_model};
