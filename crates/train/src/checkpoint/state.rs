//! The counters of a run, as `state.toml` holds them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Name of the file with the counters and hashes.
pub const STATE_FILE: &str = "state.toml";

/// The tensor files of a checkpoint: weights, averaged weights, moments of the optimiser.
pub const TENSOR_FILES: [&str; 3] = ["net.safetensors", "ema.safetensors", "optim.safetensors"];

/// Version of the layout, raised when an older program could misread it.
pub const FORMAT: u32 = 1;

/// How many losses the running mean covers.
pub const RECENT: usize = 100;

/// Everything besides tensors that a run needs to go on as if it had never stopped. It holds no clock: two runs of
/// the same configuration write the same bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunState {
    /// Seed of the run.
    pub seed: u64,
    /// Steps done, skipped ones included.
    pub step: u64,
    /// Rows seen.
    pub images: u64,
    /// Updates of the optimiser.
    pub optim_updates: u64,
    /// Updates of the average.
    pub ema_updates: u64,
    /// Steps skipped because loss or gradient was not finite.
    pub skipped: u64,
    /// Losses of the last steps that were not skipped, oldest first, at most 100.
    pub recent_losses: Vec<f64>,
}

impl RunState {
    /// Notes the loss of a step.
    pub fn push_loss(&mut self, loss: f64) {
        if self.recent_losses.len() == RECENT {
            self.recent_losses.remove(0);
        }
        self.recent_losses.push(loss);
    }

    /// Mean of the last `count` losses, `None` before the first.
    pub fn mean_loss(&self, count: usize) -> Option<f64> {
        let from = self.recent_losses.len().saturating_sub(count);
        let last = &self.recent_losses[from..];
        (!last.is_empty()).then(|| last.iter().sum::<f64>() / last.len() as f64)
    }
}

/// The file: format, counters, hashes of the tensor files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StateFile {
    pub format: u32,
    pub run: RunState,
    /// SHA-256 in hexadecimal, by file name.
    pub sha256: BTreeMap<String, String>,
}
