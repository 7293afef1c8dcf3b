//! `sde checkpoint`.

use std::path::PathBuf;

use serde::Serialize;

use super::print_json;
use crate::TrainError;
use crate::checkpoint::Store;
use crate::cli::{CheckpointArgs, DONE, print_line};
use crate::trainer::folder::CONFIG_FILE;

/// One checkpoint of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct CheckpointEntry {
    /// Its step.
    step: u64,
    /// Its folder.
    path: PathBuf,
    /// `whole` or `damaged`.
    status: &'static str,
    /// SHA-256 over weights, average, optimiser and state; absent if damaged.
    fingerprint: Option<String>,
    /// What is wrong with a damaged one.
    reason: Option<String>,
    /// Rows seen.
    images: Option<u64>,
}

/// All checkpoints of a run; one line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct CheckpointList {
    /// The run folder.
    run_dir: PathBuf,
    /// Step of the newest whole checkpoint.
    latest: Option<u64>,
    /// Oldest first.
    checkpoints: Vec<CheckpointEntry>,
}

/// Checks and lists every checkpoint of a run; reads only. The answer is the exit code.
///
/// # Errors
/// The folder is no run folder or cannot be listed.
pub fn checkpoint(args: &CheckpointArgs) -> Result<u8, TrainError> {
    let run_dir = &args.run;
    if !run_dir.join(CONFIG_FILE).is_file() {
        let reason = format!("is no run folder: it holds no {CONFIG_FILE}");
        return Err(TrainError::RunFolder {
            path: run_dir.clone(),
            reason,
        });
    }
    let entries = Store::new(run_dir, 1).list()?;
    let checkpoints: Vec<CheckpointEntry> = entries
        .into_iter()
        .map(|entry| {
            let (status, fingerprint, reason, images) = match entry.whole {
                Ok((state, fingerprint)) => ("whole", Some(fingerprint), None, Some(state.images)),
                Err(error) => ("damaged", None, Some(error.to_string()), None),
            };
            CheckpointEntry {
                step: entry.step,
                path: entry.path,
                status,
                fingerprint,
                reason,
                images,
            }
        })
        .collect();
    let latest = checkpoints
        .iter()
        .rev()
        .find(|entry| entry.fingerprint.is_some())
        .map(|entry| entry.step);
    let list = CheckpointList {
        run_dir: run_dir.clone(),
        latest,
        checkpoints,
    };
    if args.json {
        print_json(&list)?;
        return Ok(DONE);
    }
    for entry in &list.checkpoints {
        let detail = entry.fingerprint.as_ref().or(entry.reason.as_ref());
        print_line(&format!(
            "step {:>8}  {:7}  {}",
            entry.step,
            entry.status,
            detail.map_or("", String::as_str)
        ))?;
    }
    if list.checkpoints.is_empty() {
        print_line("no checkpoint")?;
    }
    Ok(DONE)
}
