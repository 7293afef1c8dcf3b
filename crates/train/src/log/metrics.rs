//! `metrics.jsonl`: one JSON object a log step, appended; no line twice and none lost over a resume.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::TrainError;

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Steps done.
    pub step: u64,
    /// Rows seen.
    pub images: u64,
    /// Mean of the last finite losses, as many as there are steps a line (at most 100); `null` before the first.
    pub loss: Option<f64>,
    /// Learning rate of the last step.
    pub lr: f64,
    /// 2-norm of the last step's gradient before clipping; `null` if it was not finite.
    pub grad_norm: Option<f64>,
    /// Decay of the average at the last step.
    pub ema_decay: f64,
    /// Rows a second since the line before, or since the start of the process.
    pub images_per_s: f64,
    /// Seconds of training so far.
    pub seconds: f64,
    /// Loss on the held-out rows with the averaged weights, at the steps where it is computed; else `null`.
    #[serde(default)]
    pub val_loss: Option<f64>,
    /// Steps skipped so far because loss or gradient was not finite.
    pub skipped: u64,
}

/// The open file.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    file: File,
}

/// Its name in the run folder.
pub const METRICS_FILE: &str = "metrics.jsonl";

impl MetricsLog {
    /// Opens the log of a run that stands at `step`: lines of later steps, which the run will write again, are
    /// dropped, and so is a line that a killed process left unfinished.
    ///
    /// # Errors
    /// [`TrainError::Io`] naming the file.
    pub fn open(run_dir: &Path, step: u64) -> Result<Self, TrainError> {
        let path = run_dir.join(METRICS_FILE);
        if path.exists() {
            let text = fs::read(&path).map_err(TrainError::io("read", &path))?;
            let text = String::from_utf8_lossy(&text);
            let keep: String = text
                .split_inclusive('\n')
                .filter(|line| line.ends_with('\n') && parse(line).is_some_and(|record| record.step <= step))
                .collect();
            if keep != text {
                report::atomic::write_bytes(&path, keep.as_bytes())?;
            }
        }
        let open = OpenOptions::new().create(true).append(true).open(&path);
        let file = open.map_err(TrainError::io("open", &path))?;
        Ok(Self { path, file })
    }

    /// Appends a line in one write.
    ///
    /// # Errors
    /// [`TrainError::Io`] naming the file.
    pub fn write(&mut self, record: &Record) -> Result<(), TrainError> {
        let mut line = serde_json::to_string(record).expect("invariant: numbers are valid JSON");
        line.push('\n');
        self.file
            .write_all(line.as_bytes())
            .map_err(TrainError::io("write", &self.path))
    }

    /// Waits until all lines are on the disk: called before a checkpoint, so that none of its past is lost.
    ///
    /// # Errors
    /// [`TrainError::Io`] naming the file.
    pub fn sync(&self) -> Result<(), TrainError> {
        self.file
            .sync_data()
            .map_err(TrainError::io("synchronise", &self.path))
    }

    /// All lines of a run's log, oldest first; none if there is no file.
    ///
    /// # Errors
    /// [`TrainError::Io`] naming the file.
    pub fn read(run_dir: &Path) -> Result<Vec<Record>, TrainError> {
        let path = run_dir.join(METRICS_FILE);
        if !path.exists() {
            return Ok(Vec::new());
        }
        let text = fs::read(&path).map_err(TrainError::io("read", &path))?;
        Ok(String::from_utf8_lossy(&text).lines().filter_map(parse).collect())
    }
}

fn parse(line: &str) -> Option<Record> {
    serde_json::from_str(line).ok()
}
