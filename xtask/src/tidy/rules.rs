//! Rules on sources.

use super::source::{Source, contains_word, lines_with};
use super::{Finding, Text};

/// Files longer than this give a reason: about 400 lines, with some room for the last test.
const LONG: usize = 420;
/// The words with which a long file gives its reason, in a comment among its first lines.
const REASON: &str = "Long because";
/// The first lines, in which the reason must stand.
const TOP: usize = 15;
/// Crates in which tensors may appear.
const TENSOR_CRATES: [&str; 3] = ["score-nets", "train", "c10d"];

/// Names of package registries' hosts, in two parts so that this file does not hold them.
const HOSTS: [(&str, &str); 8] = [
    ("pypi", ".org"),
    ("pythonhosted", ".org"),
    ("npmjs", ".org"),
    ("static.crates", ".io"),
    ("index.crates", ".io"),
    ("deb.debian", ".org"),
    ("proxy.golang", ".org"),
    ("download.pytorch", ".org"),
];

fn find(findings: &mut Vec<Finding>, file: &str, line: usize, rule: &'static str, reason: impl Into<String>) {
    findings.push(Finding {
        file: file.to_owned(),
        line,
        rule,
        reason: reason.into(),
    });
}

/// What no text of the workspace holds.
pub fn any_text(file: &Text, findings: &mut Vec<Finding>) {
    for (index, line) in file.content.lines().enumerate() {
        let lower = line.to_lowercase();
        if let Some((name, end)) = HOSTS
            .iter()
            .find(|(name, end)| lower.contains(&format!("{name}{end}")))
        {
            let reason = format!("names the registry host {name}{end}; the package managers know their own");
            find(findings, &file.path, index + 1, "hosts", reason);
        }
    }
}

/// What a Rust file must not hold, by the crate that it belongs to.
pub fn rust(source: &Source<'_>, findings: &mut Vec<Finding>) {
    unfinished(source, findings);
    length(source, findings);
    tensors(source, findings);
    unsafe_code(source, findings);
    if source.is_product() {
        surroundings(source, findings);
    }
    if source.crate_name() == "score-nets" {
        samplers(source, findings);
    }
}

/// No stub, no test that is not run.
fn unfinished(source: &Source<'_>, findings: &mut Vec<Finding>) {
    for (word, reason) in [
        ("todo!", "no stub: finish it or leave it out"),
        ("unimplemented!", "no stub: finish it or leave it out"),
        ("dbg!", "a leftover of debugging"),
    ] {
        for (index, line) in source.code.lines().enumerate() {
            if line
                .match_indices(word)
                .any(|(at, _)| contains_word(&line[at..], &word[..word.len() - 1]))
            {
                find(
                    findings,
                    source.path,
                    index + 1,
                    "stub",
                    format!("{word} stands here: {reason}"),
                );
            }
        }
    }
    for (index, line) in source.code.lines().enumerate() {
        if line.replace(' ', "").contains("#[ignore") {
            find(
                findings,
                source.path,
                index + 1,
                "ignored",
                "a test that is not run checks nothing: make it quick or remove it",
            );
        }
    }
}

/// I8: no file above about 400 lines without a reason at its top.
fn length(source: &Source<'_>, findings: &mut Vec<Finding>) {
    let lines = source.text.lines().count();
    let has_reason = source
        .text
        .lines()
        .take(TOP)
        .any(|line| line.trim_start().starts_with("//") && line.contains(REASON));
    if lines > LONG && !has_reason {
        let reason = format!("{lines} lines: split it, or say at its top why not (`//! {REASON} ...`)");
        find(findings, source.path, 1, "I8", reason);
    }
}

/// I4: tensors in the tensor crates only. I2 and I5 say the same of solvers and report.
fn tensors(source: &Source<'_>, findings: &mut Vec<Finding>) {
    if TENSOR_CRATES.contains(&source.crate_name()) || source.crate_name() == "xtask" {
        return;
    }
    let rule = match source.crate_name() {
        "solvers" => "I2",
        "report" => "I5",
        _ => "I4",
    };
    for line in lines_with(&source.code, "tch") {
        find(
            findings,
            source.path,
            line,
            rule,
            format!("{} must not mention tch", source.crate_name()),
        );
    }
}

/// Where c10d calls C++ and maps memory.
const UNSAFE: [&str; 2] = ["crates/c10d/src/ffi.rs", "crates/c10d/src/memory.rs"];

/// I4: `unsafe` in two modules of c10d, and in one small SIMD module of solvers.
fn unsafe_code(source: &Source<'_>, findings: &mut Vec<Finding>) {
    if UNSAFE.contains(&source.path) || is_simd_module(source.path) {
        return;
    }
    for line in lines_with(&source.code, "unsafe") {
        find(
            findings,
            source.path,
            line,
            "I4",
            "unsafe stands only in ffi.rs and memory.rs of c10d and in one SIMD module of solvers",
        );
    }
}

fn is_simd_module(path: &str) -> bool {
    path.starts_with("crates/solvers/src/") && path.ends_with("/simd.rs")
}

/// I2 and I6: only train (and xtask, which is no part of the product) reads the environment, the clock, the
/// disk. Report writes files, which is its purpose; score-nets reads and writes weights in one module.
fn surroundings(source: &Source<'_>, findings: &mut Vec<Finding>) {
    let name = source.crate_name();
    if !["sde-core", "solvers", "score-nets", "report"].contains(&name) {
        return;
    }
    let rule = if name == "solvers" { "I2" } else { "I6" };
    let may_use_files = name == "report" || name == "score-nets" && source.path.contains("/src/weights");
    let ambient = [
        ("std::env", "the environment"),
        ("Instant", "the clock"),
        ("SystemTime", "the clock"),
        ("std::net", "the network"),
    ];
    let disk = [
        ("std::fs", "the disk"),
        ("File", "the disk"),
        ("fs::", "the disk"),
    ];
    let words = ambient.iter().chain(disk.iter().filter(|_| !may_use_files));
    let mut seen = Vec::new();
    for (word, what) in words {
        // `fs::` ends in a separator, behind which a name stands.
        let stem = word.trim_end_matches(':');
        for (index, line) in source.product.lines().enumerate() {
            let hit = if stem == *word {
                contains_word(line, word)
            } else {
                contains_word(line, stem) && line.contains(word)
            };
            if hit && !seen.contains(&index) {
                seen.push(index);
                find(
                    findings,
                    source.path,
                    index + 1,
                    rule,
                    format!("{name} must not read {what} ({stem}); pass it in"),
                );
            }
        }
    }
}

/// I3: score-nets implements the seams for networks; samplers live in solvers.
fn samplers(source: &Source<'_>, findings: &mut Vec<Finding>) {
    for (index, line) in source.code.lines().enumerate() {
        let header = line.trim_start();
        let Some((traits, _)) = header
            .strip_prefix("impl")
            .and_then(|rest| rest.split_once(" for "))
        else {
            continue;
        };
        for seam in ["Sampler", "Predictor", "Corrector", "StepController"] {
            if contains_word(traits, seam) {
                find(
                    findings,
                    source.path,
                    index + 1,
                    "I3",
                    format!("score-nets defines no sampler: {seam} belongs in solvers"),
                );
            }
        }
    }
}

/// Rules about several files at once.
pub fn whole_tree(files: &[Text], findings: &mut Vec<Finding>) {
    let simd: Vec<&Text> = files.iter().filter(|file| is_simd_module(&file.path)).collect();
    for extra in simd.iter().skip(1) {
        find(
            findings,
            &extra.path,
            1,
            "I4",
            format!("{} is the one SIMD module of solvers", simd[0].path),
        );
    }
}
