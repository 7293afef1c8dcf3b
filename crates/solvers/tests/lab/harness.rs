//! Running the built lab on the shipped configurations.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, OnceLock};

use ndarray::{Array2, Ix2};
use ndarray_npy::{ReadNpyExt, WriteNpyExt};
use sde_core::{Mixture, MixtureConfig, Sde, SdeConfig};

pub const PROBLEMS: [&str; 4] = ["vp", "subvp", "ve", "edm"];

/// The built example. Cargo builds examples along with the tests only when it builds all targets, so it is asked here.
pub fn lab() -> &'static Path {
    static LAB: OnceLock<PathBuf> = OnceLock::new();
    LAB.get_or_init(|| {
        let test = std::env::current_exe().expect("a test has a path");
        let profile = test
            .parent()
            .and_then(Path::parent)
            .expect("tests lie in PROFILE/deps");
        let target = profile.parent().expect("a profile lies in the target folder");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo
            .args(["build", "-q", "-p", "solvers", "--example", "lab", "--target-dir"])
            .arg(target);
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().expect("cargo runs").success(), "the lab builds");
        profile.join("examples").join("lab")
    })
}

pub fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/lab")
}

/// A folder of this test, empty at first.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lab").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the target folder is writable");
    folder
}

pub fn run(arguments: &[&str]) -> Output {
    Command::new(lab())
        .args(arguments)
        .current_dir(configs())
        .output()
        .expect("the lab starts")
}

pub fn succeed(arguments: &[&str]) -> String {
    let output = run(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && stderr.is_empty(),
        "{arguments:?}: {stderr}"
    );
    String::from_utf8(output.stdout).expect("stdout is UTF-8")
}

/// The one line of a failure.
pub fn fail(arguments: &[&str], code: i32) -> String {
    let output = run(arguments);
    let stderr = String::from_utf8(output.stderr).expect("stderr is UTF-8");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    if code == 1 {
        assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    }
    stderr
}

pub fn json(stdout: &str) -> serde_json::Value {
    serde_json::from_str(stdout.lines().last().expect("a last line")).expect("the last line is JSON")
}

pub fn write2(path: &Path, array: &Array2<f64>) {
    array
        .write_npy(std::fs::File::create(path).expect("writable"))
        .expect("writable");
}

pub fn read2(path: &Path) -> Array2<f64> {
    ndarray::Array::<f64, Ix2>::read_npy(std::fs::File::open(path).expect("written"))
        .expect("float64 [rows, dim]")
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("paths of the tests are UTF-8")
}

pub fn problem(name: &str) -> (Arc<dyn Sde>, Mixture) {
    #[derive(serde::Deserialize)]
    struct File {
        sde: SdeConfig,
        mixture: MixtureConfig,
    }
    let path = configs().join(format!("mixture_{name}.toml"));
    let file: File = toml::from_str(&std::fs::read_to_string(path).expect("shipped")).expect("valid");
    (
        file.sde.build().expect("valid"),
        file.mixture.build().expect("valid"),
    )
}

pub fn points(rows: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, 2), |(row, d)| ((row * 2 + d) as f64 * 0.7).sin() * 2.0)
}
