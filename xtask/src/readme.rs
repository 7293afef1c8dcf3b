//! Every command of README.md names something that exists.
//!
//! Each line of a fenced `sh` block is looked at. The check is cheap: commands, flags, packages, examples and
//! files are compared with what the workspace has; nothing is run. A block that is not to be checked (a
//! terminal's output, another project's commands) is fenced as `text` or `console`.

use std::collections::BTreeSet;
use std::path::Path;

use crate::failure::{Failure, Outcome};
use crate::{OWN_COMMANDS, SDE_COMMANDS};

/// Programs of others, whose arguments are theirs.
const FOREIGN: [&str; 14] = [
    "apt-get",
    "bash",
    "cat",
    "cd",
    "curl",
    "dnf",
    "export",
    "git",
    "ls",
    "python3",
    "rsvg-convert",
    "rustup",
    "sudo",
    "xdg-open",
];
/// Where `sde` declares its commands and flags, in files whose names end with `args.rs`.
const ARGUMENTS: &str = "crates/train/src/cli";
/// The tables of a configuration.
const TABLES: [&str; 14] = [
    "data",
    "sde",
    "net",
    "precond",
    "loss",
    "condition",
    "optim",
    "ema",
    "train",
    "sampler",
    "eval",
    "log",
    "dist",
    "seed",
];

/// Checks the README of the workspace.
///
/// # Errors
/// Every line that is not true, with its number.
pub fn run(root: &Path) -> Outcome<()> {
    let path = root.join("README.md");
    let text = std::fs::read_to_string(&path).map_err(|error| Failure::io("read", &path, &error))?;
    let faults = check(root, &text);
    if faults.is_empty() {
        return Ok(());
    }
    Err(
        Failure::new(format!("README.md is not true:\n{}", faults.join("\n")))
            .remedy("correct the line, or make it true"),
    )
}

/// The faults, one line each.
fn check(root: &Path, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let commands = commands(text);
    if commands.is_empty() {
        faults.push("README.md:1: no command in a fenced sh block".to_owned());
    }
    for (line, command) in commands {
        if let Err(reason) = check_command(root, &command) {
            faults.push(format!("README.md:{line}: `{command}`: {reason}"));
        }
    }
    faults
}

/// The commands of fenced `sh` blocks with their line numbers. A backslash at the end joins lines; comments
/// and prompts are left out.
fn commands(text: &str) -> Vec<(usize, String)> {
    let mut commands = Vec::new();
    let mut inside = false;
    let mut joined: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with("```") {
            inside = !inside && matches!(line, "```sh" | "```shell");
            continue;
        }
        if !inside {
            continue;
        }
        let content = line.strip_prefix("$ ").unwrap_or(line);
        let content = content.split(" #").next().unwrap_or_default().trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let (start, mut command) = joined.take().unwrap_or((index + 1, String::new()));
        match content.strip_suffix('\\') {
            Some(part) => {
                command.push_str(part);
                joined = Some((start, command));
            }
            None => {
                command.push_str(content);
                commands.extend(command.split(" && ").map(|part| (start, part.trim().to_owned())));
            }
        }
    }
    commands.extend(joined);
    commands
}

fn check_command(root: &Path, command: &str) -> Result<(), String> {
    let words: Vec<&str> = command
        .split_whitespace()
        .skip_while(|word| is_assignment(word))
        .collect();
    let Some((&program, rest)) = words.split_first() else {
        return Ok(());
    };
    match program {
        "cargo" => check_cargo(root, rest),
        "bash" => rest.first().map_or(Ok(()), |script| exists(root, script)),
        name if FOREIGN.contains(&name) => Ok(()),
        name if Path::new(name).file_name().is_some_and(|file| file == "sde") => check_sde(root, rest),
        name => Err(format!(
            "{name} is not a program that the README may name (see xtask/src/readme.rs)"
        )),
    }
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=')
        .is_some_and(|(name, _)| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
}

fn check_cargo(root: &Path, words: &[&str]) -> Result<(), String> {
    match words.first() {
        Some(&"xtask") => check_xtask(root, &words[1..]),
        Some(
            &("build" | "test" | "bench" | "run" | "doc" | "clippy" | "fmt" | "check" | "add" | "install"),
        ) => check_packages(root, words),
        other => Err(format!("cargo has no command {}", other.unwrap_or(&""))),
    }
}

fn check_xtask(root: &Path, words: &[&str]) -> Result<(), String> {
    match words.first() {
        Some(command) if SDE_COMMANDS.contains(command) => check_sde(root, words),
        Some(&"bench" | &"help") => Ok(()),
        Some(command) if OWN_COMMANDS.contains(command) => match words.get(1) {
            None => Ok(()),
            Some(extra) => Err(format!("{command} takes no argument {extra}")),
        },
        other => Err(format!("xtask has no command {}", other.unwrap_or(&""))),
    }
}

/// `-p`, `--package` and `--example` name what there is.
fn check_packages(root: &Path, words: &[&str]) -> Result<(), String> {
    let ours = words.iter().take_while(|word| **word != "--");
    let mut package = None;
    let ours: Vec<&str> = ours.copied().collect();
    for pair in ours.windows(2) {
        match pair {
            ["-p" | "--package", name] => {
                package = Some(*name);
                if !root.join("crates").join(name).is_dir() && *name != "xtask" {
                    return Err(format!("there is no package {name}"));
                }
            }
            ["--example", name] => {
                let folder = root
                    .join("crates")
                    .join(package.unwrap_or_default())
                    .join("examples");
                if !folder.join(format!("{name}.rs")).is_file()
                    && !folder.join(name).join("main.rs").is_file()
                {
                    return Err(format!("there is no example {name}"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_sde(root: &Path, words: &[&str]) -> Result<(), String> {
    let arguments = declarations(root).map_err(|error| format!("{ARGUMENTS}: {error}"))?;
    match words.first() {
        Some(&"--help" | &"--version") => return Ok(()),
        Some(command) if sde_commands(&arguments).contains(*command) => {}
        other => return Err(format!("sde has no command {}", other.unwrap_or(&""))),
    }
    let flags = sde_flags(&arguments);
    let mut rest = words.iter().skip(1);
    while let Some(word) = rest.next() {
        let Some(flag) = word
            .starts_with("--")
            .then(|| word.split('=').next().unwrap_or(word))
        else {
            continue;
        };
        if let Some((table, key)) = flag[2..].split_once('.') {
            if !TABLES.contains(&table) {
                return Err(format!("there is no configuration table {table}"));
            }
            let key = key.rsplit('.').next().unwrap_or(key);
            if !known_keys(root).contains(key) {
                return Err(format!(
                    "no file in configs/ has a key {key}: {flag} may be misspelt"
                ));
            }
        } else if !flags.contains(flag) && flag != "--seed" && flag != "--help" {
            return Err(format!("sde has no flag {flag}"));
        }
        if flag == "--config" {
            let file = word
                .split_once('=')
                .map(|pair| pair.1)
                .or_else(|| rest.next().copied());
            exists(root, file.ok_or("--config names no file")?)?;
        }
    }
    Ok(())
}

/// The text of the files that declare commands and flags.
fn declarations(root: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    for entry in std::fs::read_dir(root.join(ARGUMENTS))? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with("args.rs") {
            text.push_str(&std::fs::read_to_string(path)?);
        }
    }
    Ok(text)
}

/// The commands of `sde`: the variants of `enum Command`.
fn sde_commands(arguments: &str) -> BTreeSet<String> {
    let body = arguments
        .split(" enum Command {")
        .nth(1)
        .and_then(|rest| rest.split("\n}").next());
    let lines = body.unwrap_or_default().lines().map(str::trim);
    let variants = lines.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    variants
        .filter_map(|line| line.split(|c: char| !c.is_alphanumeric()).next())
        .map(str::to_lowercase)
        .collect()
}

/// The flags of `sde`: the fields under `#[arg(long ...)]`.
fn sde_flags(arguments: &str) -> BTreeSet<String> {
    let mut flags = BTreeSet::new();
    let mut is_flag = false;
    for line in arguments.lines().map(str::trim) {
        if line.starts_with("#[arg(") {
            is_flag = line.contains("long");
        } else if is_flag && let Some((name, _)) = line.split_once(':') {
            flags.insert(format!(
                "--{}",
                name.trim_start_matches("pub ").trim().replace('_', "-")
            ));
            is_flag = false;
        }
    }
    flags
}

fn exists(root: &Path, file: &str) -> Result<(), String> {
    if root.join(file).is_file() {
        Ok(())
    } else {
        Err(format!("there is no file {file}"))
    }
}

/// Every key of every file in configs/, commented ones included (a default that is shown, not set), and the
/// keys that a user may set though no file does.
fn known_keys(root: &Path) -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir(root.join("configs")) else {
        return BTreeSet::new();
    };
    let files = entries
        .flatten()
        .filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
    let mut keys: BTreeSet<String> = ["images", "seconds", "steps"].map(str::to_owned).into();
    for text in files {
        for line in text.lines() {
            let line = line.trim_start_matches(['#', ' ']);
            if let Some((key, _)) = line.split_once('=') {
                keys.insert(key.trim().to_owned());
            }
        }
    }
    keys
}

#[cfg(test)]
mod tests;
