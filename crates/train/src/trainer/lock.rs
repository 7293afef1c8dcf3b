//! One process a run folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use crate::TrainError;

/// An exclusive lock on a run folder, let go when dropped or when the process ends, however it ends.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

/// Name of the lock file. It stays behind, empty; what counts is the operating system's lock on it.
const LOCK_FILE: &str = ".lock";

impl RunLock {
    /// Takes the lock.
    ///
    /// # Errors
    /// [`TrainError::RunFolder`] if another process holds it, [`TrainError::Io`] if the file cannot be made.
    pub fn take(run_dir: &Path) -> Result<Self, TrainError> {
        let path = run_dir.join(LOCK_FILE);
        let open = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let file = open.map_err(TrainError::io("create", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(TrainError::RunFolder {
                path: run_dir.to_path_buf(),
                reason:
                    "another process is training in this folder; wait for it, stop it, or choose another \
                         --out"
                        .to_owned(),
            }),
            Err(TryLockError::Error(error)) => Err(TrainError::io("lock", &path)(error)),
        }
    }

    /// Whether an entry of a run folder is the lock file.
    pub fn is_lock_file(name: &std::ffi::OsStr) -> bool {
        name == LOCK_FILE
    }
}
