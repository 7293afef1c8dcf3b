//! Starting the program and looking at what it leaves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ndarray::{Array2, ArrayView2};
use report::metrics::energy_distance;
use serde_json::Value;
use tempfile::TempDir;

/// A small run: points in the plane, a small MLP.
pub const SMALL: &str = r#"
name = "small"
seed = 3
[data]
kind = "toy-2d"
rows = 500
[net]
kind = "mlp"
hidden_size = 24
num_layers = 2
dropout = 0.1
[optim]
lr = 3e-3
warmup_images = 640
schedule = "cosine"
[train]
steps = 60
batch = 64
checkpoint_every = 10
keep = 3
samples = 16
holdout = 0.1
validate_every = 20
[sampler]
kind = "heun"
steps = 4
[log]
every = 4
"#;

/// Only one program at a time: they share the cores.
pub fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder for runs with the small configuration in it.
pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("small.toml"), SMALL).expect("writable");
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `sde` with arguments, on one thread.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sde"));
        command.args(args).current_dir(self.folder.path());
        command.env("OMP_NUM_THREADS", "1").stdin(Stdio::null());
        command
    }

    /// `sde train` of the small configuration into a run folder, with further arguments.
    pub fn train(&self, run: &str, more: &[&str]) -> Command {
        let mut args = vec![
            "train",
            "--config",
            "small.toml",
            "--out",
            run,
            "--threads",
            "1",
            "--json",
        ];
        args.extend(more);
        self.command(&args)
    }

    pub fn resume(&self, run: &str, more: &[&str]) -> Command {
        let mut args = vec!["train", "--resume", run, "--threads", "1", "--json"];
        args.extend(more);
        self.command(&args)
    }

    /// Every checkpoint: (step, whether it is whole, fingerprint).
    pub fn checkpoints(&self, run: &str) -> Vec<(u64, bool, String)> {
        let list = json(&ok(self.command(&["checkpoint", "--run", run, "--json"])));
        let entries = list["checkpoints"].as_array().expect("a list");
        entries
            .iter()
            .map(|entry| {
                let whole = entry["status"] == "whole";
                let fingerprint = entry["fingerprint"].as_str().unwrap_or_default().to_owned();
                (entry["step"].as_u64().expect("a number"), whole, fingerprint)
            })
            .collect()
    }

    /// Energy distances to the data of a run: of samples, and of the prior, a Gaussian of the data's own mean and standard deviation.
    pub fn distances(&self, run: &str, samples: ArrayView2<f64>) -> (f64, f64) {
        let config = train::config::load_file(&self.path(run).join("config.toml"), &[])
            .expect("a valid file")
            .config;
        let data = train::data::open(&config.data).expect("made-up data");
        let mut rows = vec![0.0_f32; data.len() * 2];
        let all: Vec<u64> = (0..data.len() as u64).collect();
        data.read(&all, train::Visit { seed: 0, epoch: 0 }, &mut rows)
            .expect("rows in range");
        let raw = |values: &[f32]| {
            let values: Vec<f64> = values
                .iter()
                .map(|v| data.scaling().to_raw(f64::from(*v)))
                .collect();
            Array2::from_shape_vec((values.len() / 2, 2), values).expect("pairs")
        };
        let truth = raw(&rows);
        let mut normals = vec![0.0_f32; 600];
        let draw = solvers::Draw {
            step: 0,
            purpose: solvers::Purpose::Prior,
        };
        solvers::noise::fill_rows_f32(1, draw, 0, 2, &mut normals);
        let distance = |points| energy_distance(points, truth.view()).expect("points");
        (distance(samples), distance(raw(&normals).view()))
    }

    /// Lines of metrics without what the clock says.
    pub fn metrics(&self, run: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(run).join("metrics.jsonl")).expect("metrics");
        let timeless = |line: &str| {
            let mut value: Value = serde_json::from_str(line).expect("whole lines of JSON");
            let object = value.as_object_mut().expect("an object");
            object.remove("seconds").expect("a key");
            object.remove("images_per_s").expect("a key");
            value
        };
        text.lines().map(timeless).collect()
    }
}

/// Runs a command that must end with code 0.
pub fn ok(mut command: Command) -> Output {
    let output = command.output().expect("the program starts");
    assert!(
        output.status.success(),
        "{command:?}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Runs a command that must end with this code; its stderr, which holds one line that starts with `error:` and no panic.
pub fn fails(mut command: Command, code: i32) -> String {
    let output = command.output().expect("the program starts");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{command:?}\n{stderr}");
    assert_eq!(
        stderr.lines().filter(|line| line.starts_with("error:")).count(),
        1,
        "{stderr}"
    );
    assert!(
        !stderr.contains("panicked") && !stderr.contains("internal fault"),
        "{stderr}"
    );
    stderr
}

/// The last line of stdout.
pub fn json(output: &Output) -> Value {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let last = stdout.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {stdout}"))
}

/// Names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> = entries
        .map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Waits until `done`, at most a minute.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < limit, "timed out: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Bytes of all files of a checkpoint, by name.
pub fn checkpoint_bytes(run: &Path, step: u64) -> Vec<(String, Vec<u8>)> {
    let folder = run.join("checkpoints").join(format!("step_{step:08}"));
    names(&folder)
        .into_iter()
        .map(|name| (name.clone(), fs::read(folder.join(&name)).expect("readable")))
        .collect()
}
