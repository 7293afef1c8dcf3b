//! `cargo xtask tidy`: the architecture's invariants I1 to I8 (docs/ARCHITECTURE.md), checked on the text of
//! the sources. A finding names file, line, rule and reason.

mod manifest;
mod rules;
mod source;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Outcome};
use source::Source;

/// One broken rule at one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Path relative to the workspace, with forward slashes.
    pub file: String,
    /// Line, counted from 1.
    pub line: usize,
    /// The rule: I1 to I8, or a word.
    pub rule: &'static str,
    /// What is wrong and what to do.
    pub reason: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.rule, self.reason)
    }
}

/// A file of the workspace.
pub struct Text {
    /// Path relative to the workspace, with forward slashes.
    pub path: String,
    /// Its content.
    pub content: String,
}

/// Checks the whole workspace.
///
/// # Errors
/// Every finding, one line each.
pub fn run(root: &Path) -> Outcome<()> {
    let files = read_tree(root)?;
    let findings = check(&files);
    if findings.is_empty() {
        println!("tidy: {} files, no finding", files.len());
        return Ok(());
    }
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    Err(Failure::new(format!(
        "tidy: {} findings\n{}",
        findings.len(),
        lines.join("\n")
    )))
}

/// Applies every rule to a set of files.
pub fn check(files: &[Text]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        rules::any_text(file, &mut findings);
        if file.path.ends_with("Cargo.toml") {
            manifest::check(file, &mut findings);
        }
        if file.path.ends_with(".rs") {
            rules::rust(&Source::new(&file.path, &file.content), &mut findings);
        }
    }
    rules::whole_tree(files, &mut findings);
    findings.sort();
    findings
}

/// Every text file that the rules look at. Git's list where there is git (so that what is ignored stays out),
/// else all but the folders that builds make.
fn read_tree(root: &Path) -> Outcome<Vec<Text>> {
    let mut paths = git_files(root).unwrap_or_default();
    if paths.is_empty() {
        walk(root, root, &mut paths).map_err(|error| Failure::io("read", root, &error))?;
    }
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let name = path.to_string_lossy().replace('\\', "/");
        let known = [".rs", ".toml", ".md", ".sh", ".yml", ".yaml"]
            .iter()
            .any(|end| name.ends_with(end));
        let place = root.join(&path);
        // What git still lists but the working tree has lost is not there to be checked.
        if (known || name == ".ci/run") && place.is_file() {
            let content = fs::read(&place).map_err(|error| Failure::io("read", &place, &error))?;
            files.push(Text {
                path: name,
                content: String::from_utf8_lossy(&content).into_owned(),
            });
        }
    }
    Ok(files)
}

fn git_files(root: &Path) -> Option<Vec<PathBuf>> {
    let folder = root.to_str()?;
    let arguments = [
        "-C",
        folder,
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let listing = crate::process::capture("git", &arguments)?;
    Some(listing.lines().map(PathBuf::from).collect())
}

fn walk(root: &Path, folder: &Path, paths: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_symlink() || ["target", "runs", ".git", ".libtorch", ".venv"].contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            walk(root, &path, paths)?;
        } else if let Ok(relative) = path.strip_prefix(root) {
            paths.push(relative.to_path_buf());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
