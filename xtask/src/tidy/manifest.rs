//! Rules on Cargo.toml: who may depend on whom.

use super::{Finding, Text};

/// The crates of the workspace, by folder name.
const WORKSPACE: [&str; 7] = [
    "sde-core",
    "solvers",
    "score-nets",
    "train",
    "report",
    "c10d",
    "libtorch-link",
];
const TENSOR: [&str; 2] = ["tch", "torch-sys"];

/// One dependency of a manifest.
#[derive(Debug, PartialEq, Eq)]
struct Dependency<'a> {
    name: &'a str,
    line: usize,
    optional: bool,
    kind: &'a str,
}

/// Checks one manifest.
pub fn check(file: &Text, findings: &mut Vec<Finding>) {
    let Some(folder) = file.path.strip_suffix("/Cargo.toml") else {
        return;
    };
    let name = folder.strip_prefix("crates/").unwrap_or(folder);
    let forbidden: (&str, Vec<&str>) = match name {
        "solvers" => (
            "I2",
            [&TENSOR[..], &["score-nets", "train", "report", "c10d"]].concat(),
        ),
        "score-nets" => ("layers", vec!["train", "report", "c10d"]),
        "report" => ("I5", [&TENSOR[..], &["score-nets", "train", "c10d"]].concat()),
        "xtask" => ("I7", [&TENSOR[..], &WORKSPACE].concat()),
        _ => ("", Vec::new()),
    };
    for dependency in dependencies(&file.content) {
        let mut find = |rule, reason| {
            findings.push(Finding {
                file: file.path.clone(),
                line: dependency.line,
                rule,
                reason,
            })
        };
        // Development dependencies may reach sideways in I2's and I5's sense only as far as tch goes.
        if forbidden.1.contains(&dependency.name) {
            find(
                forbidden.0,
                format!("{name} must not depend on {}", dependency.name),
            );
        }
        if name == "sde-core"
            && dependency.kind != "dev-dependencies"
            && !(["serde", "pulp"].contains(&dependency.name) && dependency.optional)
        {
            find(
                "I1",
                format!(
                    "sde-core's only dependencies are optional serde and pulp, not {}",
                    dependency.name
                ),
            );
        }
        if name == "sde-core" && TENSOR.contains(&dependency.name) {
            find("I4", format!("sde-core must not depend on {}", dependency.name));
        }
    }
}

/// Reads the dependency tables of a manifest: `[dependencies]`, `[target.'...'.dev-dependencies]`,
/// `[dependencies.name]`; entries `name = ...` and `name.workspace = true`.
fn dependencies(text: &str) -> Vec<Dependency<'_>> {
    let mut found: Vec<Dependency<'_>> = Vec::new();
    let mut kind = None;
    let mut own_table = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(table) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
            let parts: Vec<&str> = table.rsplitn(3, '.').collect();
            kind = kinds.into_iter().find(|kind| parts[0] == *kind);
            own_table = false;
            if let (None, [name, parent, ..]) = (kind, parts.as_slice()) {
                kind = kinds.into_iter().find(|kind| parent == kind);
                own_table = kind.is_some();
                if let Some(kind) = kind {
                    found.push(Dependency {
                        name,
                        line: index + 1,
                        optional: false,
                        kind,
                    });
                }
            }
            continue;
        }
        let (Some(kind), Some((key, value))) = (kind, line.split_once('=')) else {
            continue;
        };
        let optional = |text: &str| text.replace(' ', "").contains("optional=true");
        if own_table {
            if let Some(last) = found.last_mut() {
                last.optional |= optional(line);
            }
            continue;
        }
        let name = key.trim().split('.').next().unwrap_or_default().trim_matches('"');
        found.push(Dependency {
            name,
            line: index + 1,
            optional: optional(value),
            kind,
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_of_dependencies_are_read() {
        let text = "[package]\nname = \"a\"\n[dependencies]\nserde = { workspace = true, optional = true }\nrand.workspace = true # note\n\n[target.'cfg(unix)'.dev-dependencies]\nlibc = \"1\"\n[dependencies.tch]\nversion = \"1\"\noptional = true\n[lints]\nworkspace = true\n";
        let read: Vec<(&str, usize, bool, &str)> = dependencies(text)
            .iter()
            .map(|d| (d.name, d.line, d.optional, d.kind))
            .collect();
        let expected = [
            ("serde", 4, true, "dependencies"),
            ("rand", 5, false, "dependencies"),
            ("libc", 8, false, "dev-dependencies"),
            ("tch", 9, true, "dependencies"),
        ];
        assert_eq!(read, expected);
    }
}
