//! The folder of a run: made or found again, locked, with the configuration written first.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::environment::ENVIRONMENT_FILE;
use super::lock::RunLock;
use crate::checkpoint::store::is_litter;
use crate::log::metrics::METRICS_FILE;
use crate::{RunConfig, TrainError};

/// The resolved configuration; it alone reproduces the run.
pub const CONFIG_FILE: &str = "config.toml";
/// How long the run has trained; kept apart from checkpoints, which hold no clock.
const CLOCK_FILE: &str = "clock.toml";

/// A run folder, locked against other processes as long as this lives.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    _lock: RunLock,
}

#[derive(Debug, Serialize, Deserialize)]
struct Clock {
    seconds: f64,
}

impl RunFolder {
    /// Makes the folder of a new run, which must be absent or empty, and writes the configuration into it.
    ///
    /// # Errors
    /// [`TrainError::RunFolder`] if something lies in it or another process uses it; [`TrainError::Io`].
    pub fn create(path: &Path, config: &RunConfig) -> Result<Self, TrainError> {
        if path.exists() && !path.is_dir() {
            let reason = "is a file; --out names the folder of the run".to_owned();
            return Err(TrainError::RunFolder {
                path: path.to_path_buf(),
                reason,
            });
        }
        let old = path.exists();
        if old {
            refuse_if_used(path)?;
        }
        fs::create_dir_all(path).map_err(TrainError::io("create the run folder", path))?;
        let lock = RunLock::take(path)?;
        refuse_if_used(path)?;
        let folder = Self {
            path: path.to_path_buf(),
            _lock: lock,
        };
        if let Err(error) = folder.write_config(config) {
            // A folder of our own making goes away again; best effort, the first error is the one to report.
            if !old {
                let _ = fs::remove_dir_all(path);
            }
            return Err(error);
        }
        Ok(folder)
    }

    /// Opens the folder of an earlier run, and notes its configuration, of which the budget may have changed.
    ///
    /// # Errors
    /// [`TrainError::RunFolder`] if it is none or another process uses it; [`TrainError::Io`].
    pub fn resume(path: &Path, config: &RunConfig) -> Result<Self, TrainError> {
        if !path.join(CONFIG_FILE).is_file() {
            let reason = format!("is no run folder: it holds no {CONFIG_FILE}");
            return Err(TrainError::RunFolder {
                path: path.to_path_buf(),
                reason,
            });
        }
        let folder = Self {
            path: path.to_path_buf(),
            _lock: RunLock::take(path)?,
        };
        folder.remove_litter()?;
        folder.write_config(config)?;
        Ok(folder)
    }

    /// Removes what a process that was stopped in the middle of a write has left. Files of other programs stay, which may be at
    /// work.
    fn remove_litter(&self) -> Result<(), TrainError> {
        let path = self.path();
        for entry in fs::read_dir(path).map_err(TrainError::io("list", path))? {
            let entry = entry.map_err(TrainError::io("list", path))?;
            let name = entry.file_name();
            let ours = |target: &&str| is_litter(&name.to_string_lossy(), target);
            if [CONFIG_FILE, CLOCK_FILE, ENVIRONMENT_FILE, METRICS_FILE]
                .iter()
                .any(ours)
            {
                fs::remove_file(entry.path()).map_err(TrainError::io("remove", &entry.path()))?;
            }
        }
        Ok(())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the configuration, unless the file holds just that.
    ///
    /// # Errors
    /// [`TrainError::Io`] or [`TrainError::Report`] naming the file.
    fn write_config(&self, config: &RunConfig) -> Result<(), TrainError> {
        let path = self.path.join(CONFIG_FILE);
        let text = config.to_toml()?;
        if fs::read(&path).is_ok_and(|old| old == text.as_bytes()) {
            return Ok(());
        }
        Ok(report::atomic::write_bytes(&path, text.as_bytes())?)
    }

    /// Seconds of training that the run has behind it; 0 if nothing tells.
    pub fn seconds(&self) -> f64 {
        seconds_of_training(&self.path)
    }

    /// Notes the seconds of training.
    ///
    /// # Errors
    /// [`TrainError::Report`] naming the file.
    pub fn write_seconds(&self, seconds: f64) -> Result<(), TrainError> {
        let text = toml::to_string(&Clock { seconds }).expect("invariant: a number is valid TOML");
        Ok(report::atomic::write_bytes(
            &self.path.join(CLOCK_FILE),
            text.as_bytes(),
        )?)
    }
}

/// Seconds of training that a run has behind it; 0 if nothing tells.
pub fn seconds_of_training(run_dir: &Path) -> f64 {
    let text = fs::read_to_string(run_dir.join(CLOCK_FILE)).unwrap_or_default();
    let sound = |clock: &Clock| clock.seconds >= 0.0 && clock.seconds.is_finite();
    let clock = toml::from_str::<Clock>(&text).ok().filter(sound);
    clock.map_or(0.0, |clock| clock.seconds)
}

fn refuse_if_used(path: &Path) -> Result<(), TrainError> {
    let entries = fs::read_dir(path).map_err(TrainError::io("list", path))?;
    for entry in entries {
        let entry = entry.map_err(TrainError::io("list", path))?;
        if !RunLock::is_lock_file(&entry.file_name()) {
            let reason = "exists and is not empty; choose another --out, or go on with this run by --resume";
            return Err(TrainError::RunFolder {
                path: path.to_path_buf(),
                reason: reason.to_owned(),
            });
        }
    }
    Ok(())
}
