//! Checkpoints: whole folders or none.
//!
//! `checkpoints/step_00001000/{net,ema,optim}.safetensors` and `state.toml`, which holds the counters and the
//! SHA-256 of the other files and of itself. A folder is written under a temporary name, every file and the folder
//! are synchronised, and then it is renamed; `latest` names the newest one. Whatever moment a machine stops at, the
//! newest folder under its final name is whole; should a disk damage it later, the hashes tell, and the one before
//! is used.

mod state;
pub(crate) mod store;
mod verify;

pub use state::{RunState, STATE_FILE, TENSOR_FILES};
pub use store::{Newest, Snapshot, Store};
pub use verify::{Entry, fingerprint, verify};
