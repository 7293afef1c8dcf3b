//! Each rule on a small tree that breaks it, and on one that does not.

use super::*;

fn findings(files: &[(&str, &str)]) -> Vec<(String, usize, &'static str)> {
    let texts: Vec<Text> = files
        .iter()
        .map(|(path, content)| Text {
            path: (*path).to_owned(),
            content: (*content).to_owned(),
        })
        .collect();
    check(&texts)
        .into_iter()
        .map(|finding| (finding.file, finding.line, finding.rule))
        .collect()
}

/// One file, and the rule and line that it breaks.
fn assert_breaks(path: &str, content: &str, rule: &'static str, line: usize) {
    assert_eq!(
        findings(&[(path, content)]),
        [(path.to_owned(), line, rule)],
        "{path}: {content}"
    );
}

fn assert_clean(path: &str, content: &str) {
    assert_eq!(findings(&[(path, content)]), [], "{path}: {content}");
}

#[test]
fn i1_sde_core_depends_on_optional_serde_and_pulp_only() {
    let path = "crates/sde-core/Cargo.toml";
    assert_clean(
        path,
        "[dependencies]\nserde = { workspace = true, optional = true }\npulp = { workspace = true, optional = true }\n[dev-dependencies]\nproptest = \"1\"\n",
    );
    assert_breaks(path, "[dependencies]\nserde = \"1\"\n", "I1", 2);
    assert_breaks(path, "[dependencies]\npulp.workspace = true\n", "I1", 2);
    assert_breaks(
        path,
        "[dependencies]\nserde = { version = \"1\", optional = true }\nrand = \"0.10\"\n",
        "I1",
        3,
    );
    assert_breaks(
        path,
        "[target.'cfg(unix)'.dependencies]\nlibc.workspace = true\n",
        "I1",
        2,
    );
}

#[test]
fn i2_solvers_know_no_tensor_file_or_clock() {
    let path = "crates/solvers/src/a.rs";
    assert_clean(
        path,
        "// tch would be wrong here\nlet s = \"std::fs\"; let batch = stretch(profile);\n",
    );
    assert_clean(
        path,
        "fn f() {}\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n",
    );
    assert_clean(
        "crates/solvers/examples/lab.rs",
        "use std::time::Instant;\nuse std::fs;\n",
    );
    assert_breaks(path, "\nuse tch::Tensor;\n", "I2", 2);
    assert_breaks(path, "use std::{fmt, fs};\nfn f() { fs::read(p) }\n", "I2", 2);
    assert_breaks(path, "use std::time::Instant;\n", "I2", 1);
    assert_breaks(path, "let home = std::env::var(\"HOME\");\n", "I2", 1);
    assert_breaks("crates/solvers/tests/a.rs", "use tch::Tensor;\n", "I2", 1);
    assert_breaks(
        "crates/solvers/Cargo.toml",
        "[dev-dependencies]\ntch = \"0.26\"\n",
        "I2",
        2,
    );
}

#[test]
fn i3_score_nets_define_no_sampler() {
    let path = "crates/score-nets/src/a.rs";
    assert_clean(
        path,
        "impl ScoreFn<TensorState> for NetScore {}\nuse solvers::Sampler;\n",
    );
    assert_breaks(path, "x;\nimpl<S: State> Sampler<S> for Mine {}\n", "I3", 2);
    assert_breaks(path, "impl Predictor<TensorState> for Mine {}\n", "I3", 1);
}

#[test]
fn i4_tensors_and_unsafe_stay_in_their_place() {
    assert_clean("crates/train/src/a.rs", "use tch::Tensor;\n");
    assert_clean("crates/c10d/src/ffi.rs", "unsafe { f() }\n");
    assert_clean("crates/c10d/src/memory.rs", "unsafe { f() }\n");
    assert_breaks("crates/c10d/src/lib.rs", "unsafe { f() }\n", "I4", 1);
    assert_clean("crates/solvers/src/noise/simd.rs", "unsafe { f() }\n");
    assert_clean("crates/solvers/src/lib.rs", "#![deny(unsafe_code)] // unsafe\n");
    assert_breaks("crates/sde-core/src/a.rs", "use tch::Tensor;\n", "I4", 1);
    assert_breaks(
        "crates/train/src/a.rs",
        "fn f() {\n    unsafe { g() }\n}\n",
        "I4",
        2,
    );
    let two = [
        ("crates/solvers/src/a/simd.rs", ""),
        ("crates/solvers/src/b/simd.rs", ""),
    ];
    assert_eq!(
        findings(&two),
        [("crates/solvers/src/b/simd.rs".to_owned(), 1, "I4")]
    );
}

#[test]
fn i5_report_sees_no_network() {
    assert_breaks(
        "crates/report/Cargo.toml",
        "[dependencies]\nscore-nets.workspace = true\n",
        "I5",
        2,
    );
    assert_breaks("crates/report/src/a.rs", "fn f(x: &tch::Tensor) {}\n", "I5", 1);
    assert_clean("crates/report/src/a.rs", "use std::fs::File;\n");
}

#[test]
fn i6_only_train_reads_its_surroundings() {
    assert_breaks("crates/report/src/a.rs", "use std::time::SystemTime;\n", "I6", 1);
    assert_breaks("crates/sde-core/src/a.rs", "let f = File::open(p);\n", "I6", 1);
    assert_breaks("crates/score-nets/src/unet.rs", "std::fs::read(p)\n", "I6", 1);
    assert_clean("crates/score-nets/src/weights/mod.rs", "std::fs::read(p)\n");
    assert_clean(
        "crates/train/src/a.rs",
        "std::env::var(n); std::fs::read(p); Instant::now()\n",
    );
    assert_clean("crates/score-nets/build.rs", "std::env::var(n)\n");
}

#[test]
fn i7_xtask_links_no_crate_of_the_workspace() {
    assert_clean("xtask/Cargo.toml", "[dependencies]\nsha2.workspace = true\n");
    assert_breaks(
        "xtask/Cargo.toml",
        "[dependencies]\nreport = { path = \"../crates/report\" }\n",
        "I7",
        2,
    );
}

#[test]
fn i8_long_files_give_a_reason() {
    let long = "fn f() {}\n".repeat(421);
    assert_breaks("crates/train/src/a.rs", &long, "I8", 1);
    assert_clean(
        "crates/train/src/a.rs",
        &format!("//! Long because one table is.\n{long}"),
    );
    assert_clean("crates/train/src/a.rs", &"fn f() {}\n".repeat(420));
}

#[test]
fn stubs_ignored_tests_and_hosts_are_found() {
    let path = "crates/train/src/a.rs";
    assert_breaks(path, "fn f() {\n    todo!()\n}\n", "stub", 2);
    assert_breaks(path, "fn f() { unimplemented!(\"x\") }\n", "stub", 1);
    assert_breaks(path, "#[test]\n#[ignore]\nfn f() {}\n", "ignored", 2);
    assert_breaks(path, "#[ignore = \"slow\"]\n", "ignored", 1);
    assert_clean(path, "// todo! is not used\nfn not_a_todo() {}\n");
    assert_breaks(
        "docs/A.md",
        &format!("see\nhttps://{}{}/x\n", "pypi", ".org"),
        "hosts",
        2,
    );
}

#[test]
fn findings_read_as_compiler_messages() {
    let finding = Finding {
        file: "a.rs".to_owned(),
        line: 3,
        rule: "I8",
        reason: "too long".to_owned(),
    };
    assert_eq!(finding.to_string(), "a.rs:3: I8: too long");
}
