//! What a trained model is worth: the likelihood of data under it, and how its samples compare with data.

pub mod features;
pub mod likelihood;
mod likelihood_file;
mod noise;
mod rows;
pub mod scores;
mod team;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub use likelihood_file::{BoundReport, LikelihoodFile, LikelihoodReport};
pub use rows::{Part, Rows};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::TrainError;

/// Name of the file in a run folder with the likelihood that was measured last.
pub const LIKELIHOOD_FILE: &str = "likelihood.json";
/// Name of the file in a run folder with the scores that were found last.
pub const SCORES_FILE: &str = "eval.json";

/// Writes a value as one line of JSON and says where.
fn write_json(path: &Path, value: &impl Serialize) -> Result<PathBuf, TrainError> {
    let mut text = serde_json::to_vec(value).map_err(|error| TrainError::Format {
        path: path.to_path_buf(),
        reason: format!("cannot be written as JSON: {error}"),
    })?;
    text.push(b'\n');
    report::atomic::write_bytes(path, &text)?;
    Ok(path.to_path_buf())
}

/// Reads what [`write_json`] wrote; `None` where there is no file.
fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, TrainError> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.map_err(TrainError::io("read", path))?,
    };
    let value = serde_json::from_slice(&text).map_err(|error| TrainError::Format {
        path: path.to_path_buf(),
        reason: format!("is not what it should be: {error}"),
    })?;
    Ok(Some(value))
}
