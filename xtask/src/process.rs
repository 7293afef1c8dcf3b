//! Running other programs.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::failure::{Failure, Outcome};

/// Cargo as the caller's cargo names it, in the workspace.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(root);
    command
}

/// Shows the command and runs it; its own output tells why it failed.
pub fn run(command: &mut Command) -> Outcome<()> {
    let shown = show(command);
    eprintln!("$ {shown}");
    let status = command
        .status()
        .map_err(|error| Failure::new(format!("cannot run {shown}: {error}")))?;
    if status.success() {
        return Ok(());
    }
    let code = status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1);
    Err(Failure::status(
        format!("failed ({status}): {shown}"),
        code.max(1),
    ))
}

/// What a program prints to stdout, trimmed; `None` if it is absent or fails.
pub fn capture<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The command line as one would type it.
pub fn show(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The Python interpreter that torch-sys would take: that of an active virtual environment, else python3.
pub fn python() -> &'static str {
    if std::env::var_os("VIRTUAL_ENV").is_some() {
        "python"
    } else {
        "python3"
    }
}

/// The first C++ compiler that answers: `$CXX`, else the usual names.
pub fn compiler() -> Option<(String, String)> {
    let chosen = std::env::var("CXX").ok().filter(|name| !name.is_empty());
    let names = chosen.map_or_else(
        || vec!["c++".to_owned(), "g++".to_owned(), "clang++".to_owned()],
        |name| vec![name],
    );
    names.into_iter().find_map(|name| {
        let version = capture(&name, &["--version"])?;
        Some((name, version.lines().next().unwrap_or_default().to_owned()))
    })
}
