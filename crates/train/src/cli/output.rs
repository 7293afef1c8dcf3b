//! What the program prints.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::ffi::OsString;
use std::io::{ErrorKind, Write, stderr, stdout};

use super::USAGE;
use crate::TrainError;

/// A line on stdout. A reader that has gone away is no failure.
///
/// # Errors
/// The line cannot be written, for example on a full disk.
pub fn print_line(text: &str) -> Result<(), TrainError> {
    let mut out = stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(TrainError::Io {
            action: "write to",
            path: "stdout".into(),
            source: e,
        }),
        _ => Ok(()),
    }
}

/// Lines on stderr, as far as it can be written to.
pub(super) fn complain(lines: &[String]) {
    let mut out = stderr().lock();
    for line in lines {
        let _ = writeln!(out, "{line}");
    }
}

/// The error and its causes, a line each.
pub fn error_lines(error: &dyn Error) -> Vec<String> {
    let mut lines = vec![format!("error: {}", one_line(&error.to_string()))];
    let mut cause = error.source();
    while let Some(error) = cause {
        lines.push(format!("  caused by: {}", one_line(&error.to_string())));
        cause = error.source();
    }
    lines
}

/// The first line that says something: libtorch appends its call stack to messages.
pub(super) fn one_line(text: &str) -> String {
    let mut lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
    let first = lines.next().unwrap_or("no message").to_string();
    // A panic's first line ends in a colon and the message follows.
    match lines.next() {
        Some(second) if first.ends_with(':') => format!("{first} {second}"),
        _ => first,
    }
}

/// Prints what clap has to say: help and version on stdout with code 0, else usage errors with a nearest flag.
pub(super) fn usage(error: &clap::Error, args: &[OsString]) -> u8 {
    // Printing fails only where nobody reads.
    let _ = error.print();
    let code = u8::try_from(error.exit_code()).unwrap_or(USAGE);
    let key_like = args.get(1).is_some_and(|c| c == "train");
    if code == USAGE && key_like && error.kind() == clap::error::ErrorKind::UnknownArgument {
        complain(&[
            "Keys of the configuration have a dot: --optim.lr 1e-4; see sde train --help".to_string(),
        ]);
    }
    code
}
