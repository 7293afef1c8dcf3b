//! Why reading stopped, and where.

use std::path::Path;

use super::super::WeightsError;

/// Why reading stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// Something that would have to be run, or an object that is no data.
    Forbidden(String),
    /// The file makes no sense.
    Broken(String),
    /// The file could not be read.
    Io(std::io::Error),
}

impl Stop {
    pub fn broken(reason: impl Into<String>) -> Self {
        Stop::Broken(reason.into())
    }

    /// The public error; `place` says which part of the file.
    pub fn at(self, file: &Path, place: &str) -> WeightsError {
        let (file, place) = (file.to_path_buf(), place.to_string());
        match self {
            Stop::Forbidden(name) => WeightsError::Forbidden { file, place, name },
            Stop::Broken(reason) => WeightsError::Checkpoint { file, place, reason },
            Stop::Io(source) => WeightsError::Io {
                file,
                what: "cannot read",
                source,
            },
        }
    }
}

/// A name out of a file, fit for one line: control characters escaped, cut to a readable length.
pub(in crate::weights) fn shown(name: &str) -> String {
    const LONGEST: usize = 80;
    let mut out: String = name.escape_debug().take(LONGEST).collect();
    if name.escape_debug().nth(LONGEST).is_some() {
        out.push_str("...");
    }
    out
}
