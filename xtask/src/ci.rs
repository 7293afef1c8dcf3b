//! The project's checks: `test`, `ci`, `bench`.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::failure::Outcome;
use crate::libtorch::Found;
use crate::{libtorch, process, reader, readme, tidy};

/// The crates that link libtorch. They are built in release mode only, so that the C++ wrappers are compiled
/// once for the program, the tests, clippy and the documentation.
const TENSOR_CRATES: [&str; 6] = [
    "--package",
    "c10d",
    "--package",
    "score-nets",
    "--package",
    "train",
];

/// `cargo xtask test`: every test of the workspace.
pub fn test(root: &Path) -> Outcome<()> {
    step("tests of the crates without libtorch", || {
        process::run(process::cargo(root).arg("test"))
    })?;
    let found = libtorch::ensure(root)?;
    step("tests of the crates with libtorch", || {
        // Examples are built as well, since no kind of target is chosen; documentation tests come below.
        let mut cargo = tensor_cargo(root, &found);
        if let Some(folder) = reader::find() {
            cargo.env("TENSORBOARD_FOLDER", folder);
        }
        process::run(cargo.args(["test", "--release"]).args(TENSOR_CRATES).args([
            "--lib",
            "--bins",
            "--tests",
            "--examples",
        ]))
    })?;
    step("documentation tests of the crates with libtorch", || {
        // rustdoc does not pass the run path on to the programs that it makes of documentation.
        let mut cargo = tensor_cargo(root, &found);
        let variable = if cfg!(target_os = "macos") {
            "DYLD_LIBRARY_PATH"
        } else {
            "LD_LIBRARY_PATH"
        };
        cargo.env(variable, found.lib());
        process::run(cargo.args(["test", "--release", "--doc"]).args(TENSOR_CRATES))
    })?;
    println!("all tests passed");
    Ok(())
}

/// Two pools of threads on two cores slow each other many times: one thread for each test program.
fn tensor_cargo(root: &Path, found: &Found) -> Command {
    let mut cargo = process::cargo(root);
    found.export(&mut cargo);
    cargo.env("OMP_NUM_THREADS", "1").env("MKL_NUM_THREADS", "1");
    cargo
}

/// `cargo xtask ci`: what a change must pass. The quick checks come first.
pub fn run(root: &Path) -> Outcome<()> {
    let start = Instant::now();
    step("format", || {
        process::run(process::cargo(root).args(["fmt", "--all", "--check"]))
    })?;
    step("tidy", || tidy::run(root))?;
    step("README", || readme::run(root))?;
    let found = libtorch::ensure(root)?;
    step("clippy", || {
        let mut cargo = tensor_cargo(root, &found);
        cargo.args([
            "clippy",
            "--release",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]);
        process::run(&mut cargo)
    })?;
    test(root)?;
    step("documentation", || {
        let mut cargo = tensor_cargo(root, &found);
        cargo.env("RUSTDOCFLAGS", "-D warnings");
        process::run(cargo.args(["doc", "--release", "--workspace", "--no-deps"]))
    })?;
    println!("ci passed in {} s", start.elapsed().as_secs());
    Ok(())
}

/// `cargo xtask bench`: the benchmarks of the solvers.
pub fn bench(root: &Path, arguments: &[OsString]) -> Outcome<()> {
    process::run(
        process::cargo(root)
            .args(["bench", "--package", "solvers"])
            .args(arguments),
    )
}

fn step(name: &str, body: impl FnOnce() -> Outcome<()>) -> Outcome<()> {
    let start = Instant::now();
    eprintln!("== {name}");
    body()?;
    eprintln!("== {name}: passed, {} s", start.elapsed().as_secs());
    Ok(())
}
