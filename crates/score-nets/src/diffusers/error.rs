//! What can be wrong with a diffusers folder.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::NetError;
use crate::weights::WeightsError;

/// What is wrong with a diffusers folder, or with a model that is to become one.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DiffusersError {
    /// A file could not be read or written, or is not there.
    #[error("{}: {what}: {source}", file.display())]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// A file is not JSON, or not an object.
    #[error("{}: {reason}", file.display())]
    Json {
        /// The file.
        file: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// A key of a JSON file is unknown, or its value is refused.
    #[error("{}: {key} = {value}: {reason}", file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// The key.
        key: String,
        /// The value as given.
        value: String,
        /// Why it is refused and what would do.
        reason: String,
    },
    /// The network that a configuration describes cannot be built.
    #[error("{}: {source}", file.display())]
    Net {
        /// The file.
        file: PathBuf,
        /// Why.
        source: NetError,
    },
    /// The weights are refused.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The model cannot be said in a diffusers folder.
    #[error("{key} = {value}: {reason}")]
    Table {
        /// Dotted key of the model's tables.
        key: String,
        /// Its value.
        value: String,
        /// Why it cannot be said there.
        reason: String,
    },
}

impl DiffusersError {
    pub(super) fn key(file: &Path, key: &str, value: impl ToString, reason: impl Into<String>) -> Self {
        DiffusersError::Key {
            file: file.into(),
            key: key.into(),
            value: value.to_string(),
            reason: reason.into(),
        }
    }

    pub(super) fn table(key: &str, value: impl ToString, reason: impl Into<String>) -> Self {
        DiffusersError::Table {
            key: key.into(),
            value: value.to_string(),
            reason: reason.into(),
        }
    }
}
