//! Builds the `sde` program and becomes it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Failure, Outcome};
use crate::{libtorch, process};

/// Provisions libtorch if needed, builds `sde` in release mode, and runs it with the arguments in the
/// caller's folder. Does not return on Unix when that succeeds: the process becomes `sde`, so that exit
/// codes, Ctrl-C and signals reach it and its parent directly.
pub fn run(root: &Path, command: &str, arguments: &[OsString]) -> Outcome<()> {
    let found = libtorch::ensure(root)?;
    let program = build(root, &found)?;
    become_program(Command::new(&program).arg(command).args(arguments), &program)
}

#[cfg(unix)]
fn become_program(command: &mut Command, program: &Path) -> Outcome<()> {
    use std::os::unix::process::CommandExt;
    Err(Failure::io("run", program, &command.exec()))
}

#[cfg(not(unix))]
fn become_program(command: &mut Command, program: &Path) -> Outcome<()> {
    let status = command
        .status()
        .map_err(|error| Failure::io("run", program, &error))?;
    match status.code() {
        Some(0) => Ok(()),
        code => std::process::exit(code.unwrap_or(1)),
    }
}

/// Builds the program and asks cargo where it lies, whatever target folder is configured.
fn build(root: &Path, found: &libtorch::Found) -> Outcome<PathBuf> {
    let mut cargo = process::cargo(root);
    found.export(&mut cargo);
    cargo.args(["build", "--release", "--package", "train", "--bin", "sde"]);
    cargo
        .arg("--message-format=json-render-diagnostics")
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    let output = cargo
        .output()
        .map_err(|error| Failure::new(format!("cannot run cargo: {error}")))?;
    if !output.status.success() {
        return Err(Failure::new("the sde program does not build (see above)")
            .remedy("`cargo xtask doctor` checks the compiler and libtorch"));
    }
    executable(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| Failure::new("cargo did not say where it put the sde program"))
}

/// The last executable that cargo's messages (one JSON object a line) name.
fn executable(messages: &str) -> Option<PathBuf> {
    const KEY: &str = "\"executable\":\"";
    let message = messages.lines().rev().find(|line| line.contains(KEY))?;
    let value = &message[message.find(KEY)? + KEY.len()..];
    json_string(value).map(PathBuf::from)
}

/// Decodes the JSON string that starts `text` (after its opening quote).
fn json_string(text: &str) -> Option<String> {
    let mut decoded = String::new();
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '"' => return Some(decoded),
            '\\' => match characters.next()? {
                'u' => {
                    let code: String = characters.by_ref().take(4).collect();
                    decoded.push(char::from_u32(u32::from_str_radix(&code, 16).ok()?)?);
                }
                'n' => decoded.push('\n'),
                't' => decoded.push('\t'),
                other => decoded.push(other),
            },
            other => decoded.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_in_cargos_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"solvers"},"executable":null,"fresh":true}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"sde"},"executable":"/a \"b\"\\c/\u0041/sde","fresh":true}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(executable(messages), Some(PathBuf::from("/a \"b\"\\c/A/sde")));
        assert_eq!(executable(r#"{"executable":null}"#), None);
        assert_eq!(executable(r#"{"executable":"/cut"#), None);
    }
}
