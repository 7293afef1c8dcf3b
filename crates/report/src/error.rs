//! Errors of the writers and readers of files.

use std::io;
use std::path::PathBuf;

/// Why a file could not be written or read, or why its content cannot be drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The operating system refused: no such folder, no permission, no space.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: "write", "read", "create".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is not what its name says, or it was cut off.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The array cannot be drawn: no images, a zero-sized image, an unusual channel count, too many pixels.
    #[error("cannot draw {what}: {reason}")]
    Draw {
        /// What was to be drawn.
        what: &'static str,
        /// Why it cannot be.
        reason: String,
    },
}
