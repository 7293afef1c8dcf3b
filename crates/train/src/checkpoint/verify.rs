//! Reading checkpoints back with suspicion.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::state::{FORMAT, RunState, STATE_FILE, StateFile, TENSOR_FILES};
use crate::TrainError;
use crate::hash::hex;

/// One folder under `checkpoints/`.
#[derive(Debug)]
pub struct Entry {
    /// Step in its name.
    pub step: u64,
    /// The folder.
    pub path: PathBuf,
    /// Its counters and fingerprint if it is whole, or what is wrong with it.
    pub whole: Result<(RunState, String), TrainError>,
}

/// Marks the line of `state.toml` that seals the lines before it.
const SEAL: &str = "# sha256 of the lines above: ";

/// Feeds a file to a hash, a piece at a time: a checkpoint may be larger than what memory is left.
fn feed(path: &Path, hash: &mut Sha256) -> Result<(), TrainError> {
    let fail = |error| TrainError::io("read", path)(error);
    let mut file = File::open(path).map_err(fail)?;
    let mut piece = vec![0; 1 << 18];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => hash.update(&piece[..read]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(fail(error)),
        }
    }
}

/// SHA-256 of a file.
///
/// # Errors
/// [`TrainError::Io`] naming the file.
pub(super) fn sha256_of(path: &Path) -> Result<String, TrainError> {
    let mut hash = Sha256::new();
    feed(path, &mut hash)?;
    Ok(hex(hash.finalize()))
}

/// The text of `state.toml`, sealed.
pub(super) fn seal(body: &str) -> String {
    format!("{body}{SEAL}{}\n", hex(Sha256::digest(body)))
}

fn damaged(path: &Path, reason: impl Into<String>) -> TrainError {
    TrainError::Format {
        path: path.to_path_buf(),
        reason: reason.into(),
    }
}

/// Checks that a checkpoint is whole: `state.toml` is sealed and readable and every tensor file has its hash.
/// Returns the counters. Cost: one pass over the files.
///
/// # Errors
/// [`TrainError::Format`] or [`TrainError::Io`] naming the damaged or missing file.
pub fn verify(folder: &Path) -> Result<RunState, TrainError> {
    let path = folder.join(STATE_FILE);
    let bytes = fs::read(&path).map_err(TrainError::io("read", &path))?;
    let text = String::from_utf8(bytes).map_err(|_| damaged(&path, "damaged: not text"))?;
    let at = text
        .rfind(SEAL)
        .ok_or_else(|| damaged(&path, "damaged: the closing hash lacks"))?;
    if seal(&text[..at]) != text {
        return Err(damaged(&path, "damaged: its hash does not match"));
    }
    let file: StateFile = toml::from_str(&text)
        .map_err(|e| damaged(&path, format!("not a checkpoint state: {}", e.message())))?;
    if file.format != FORMAT {
        let reason = format!("checkpoint format {}, this program reads {FORMAT}", file.format);
        return Err(damaged(&path, reason));
    }
    for name in TENSOR_FILES {
        let path = folder.join(name);
        let want = file
            .sha256
            .get(name)
            .ok_or_else(|| damaged(&path, "state.toml does not list it"))?;
        if sha256_of(&path)? != *want {
            return Err(damaged(
                &path,
                "damaged: its SHA-256 is not the one in state.toml",
            ));
        }
    }
    Ok(file.run)
}

/// SHA-256 over names and contents of weights, average, optimiser and state, in this order: equal for two
/// checkpoints exactly if a run goes on alike from both.
///
/// # Errors
/// [`TrainError::Io`] naming a file that cannot be read.
pub fn fingerprint(folder: &Path) -> Result<String, TrainError> {
    let mut hash = Sha256::new();
    for name in TENSOR_FILES.into_iter().chain([STATE_FILE]) {
        let path = folder.join(name);
        let about = fs::metadata(&path).map_err(TrainError::io("read", &path))?;
        hash.update(name.as_bytes());
        hash.update(about.len().to_le_bytes());
        feed(&path, &mut hash)?;
    }
    Ok(hex(hash.finalize()))
}
