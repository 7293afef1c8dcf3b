//! TensorBoard's own reader, which one test asks what it sees in our event files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Failure, Outcome};
use crate::libtorch::cache;
use crate::process;

const PACKAGE: &str = "tensorboard==2.21.0";

/// The folder that Python finds the reader in, brought into the cache by pip once; `None`, with a line that says so, where that
/// cannot be: no network is no reason for the other tests not to run.
pub fn find() -> Option<PathBuf> {
    match provide() {
        Ok(folder) => Some(folder),
        Err(reason) => {
            eprintln!(
                "note: event files are not read by TensorBoard itself: {}",
                reason.message()
            );
            None
        }
    }
}

fn provide() -> Outcome<PathBuf> {
    let python = process::python();
    let folder = cache::folder()?.join("python").join(PACKAGE);
    if folder.is_dir() {
        return Ok(folder);
    }
    let parent = folder.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(|error| Failure::io("create", parent, &error))?;
    let temporary = parent.join(format!(".{PACKAGE}-{}", std::process::id()));
    let mut pip = Command::new(python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
    ]);
    pip.arg("--target").arg(&temporary).arg(PACKAGE);
    let done = process::run(&mut pip)
        // A process beside this one may have been faster.
        .and_then(|()| match fs::rename(&temporary, &folder) {
            Err(error) if !folder.is_dir() => Err(Failure::io("create", &folder, &error)),
            _ => Ok(()),
        });
    // Absent where all went well.
    let _ = fs::remove_dir_all(&temporary);
    done.map(|()| folder)
}
