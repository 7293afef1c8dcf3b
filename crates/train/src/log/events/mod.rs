//! `events.out.tfevents.*`: the scalars of `metrics.jsonl`, pictures, texts and histograms as a TensorBoard event file.
//!
//! The file is a row of TFRecords; each is one protocol buffer `Event` (tensorflow/core/util/event.proto). Only
//! the few fields that these need are written, so they are encoded here by hand.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::metrics::Record;
use crate::TrainError;

mod summary;
mod wire;

pub use summary::Histogram;

use summary::{histogram, picture, scalars, text};
use wire::{event, push_record, varint_field};

/// How the file's name begins; seconds since 1970, host and process follow.
pub const EVENTS_PREFIX: &str = "events.out.tfevents.";
/// The layout of the file, as its first event names it.
const FILE_VERSION: &[u8] = b"brain.Event:2";

/// The event file of one process. TensorBoard joins the files of a run folder in the order of their names.
#[derive(Debug)]
pub struct EventLog {
    run_dir: PathBuf,
    /// Step at which this process found the run.
    step: u64,
    /// Absent until the first event: a process that trains no step leaves no file.
    open: Option<(PathBuf, File)>,
}

impl EventLog {
    /// The log of a run that stands at `step`. The file is made by the first event.
    pub fn new(run_dir: &Path, step: u64) -> Self {
        Self {
            run_dir: run_dir.to_path_buf(),
            step,
            open: None,
        }
    }

    /// Appends the scalars of a line; values that the line lacks, or that single precision cannot hold, are left out.
    ///
    /// # Errors
    /// [`TrainError::Io`] naming the file.
    pub fn write(&mut self, record: &Record) -> Result<(), TrainError> {
        self.append(record.step, &scalars(record))
    }

    /// Appends a PNG file.
    ///
    /// # Errors
    /// [`TrainError::Io`] naming the file that cannot be read or written.
    pub fn picture(&mut self, step: u64, tag: &str, png: &Path) -> Result<(), TrainError> {
        let bytes = fs::read(png).map_err(TrainError::io("read", png))?;
        self.append(step, &picture(tag, &bytes))
    }

    /// Appends a text, shown as Markdown.
    ///
    /// # Errors
    /// [`TrainError::Io`] naming the file.
    pub fn text(&mut self, step: u64, tag: &str, content: &str) -> Result<(), TrainError> {
        self.append(step, &text(tag, content))
    }

    /// Appends histograms, each with its tag.
    ///
    /// # Errors
    /// [`TrainError::Io`] naming the file.
    pub fn histograms(&mut self, step: u64, all: &[(String, Histogram)]) -> Result<(), TrainError> {
        let values: Vec<u8> = all.iter().flat_map(|(tag, one)| histogram(tag, one)).collect();
        self.append(step, &values)
    }

    /// Appends one event in one write.
    ///
    /// If the folder holds a file of an earlier process, the new one begins with a `START` at the step after the
    /// restored one: a reader then drops the points from there on that the earlier process had written.
    fn append(&mut self, step: u64, summary: &[u8]) -> Result<(), TrainError> {
        let now = since_1970();
        let mut bytes = Vec::new();
        if self.open.is_none() {
            let earlier = newest(&self.run_dir)?;
            push_record(&mut bytes, &event(now, 0, 3, FILE_VERSION));
            if earlier.is_some() {
                // SessionLog { status: START }
                let start = varint_field(1, 1);
                push_record(&mut bytes, &event(now, self.step.saturating_add(1), 7, &start));
            }
            self.open = Some(create(&self.run_dir, now, earlier)?);
        }
        let (path, file) = self.open.as_mut().expect("invariant: opened above");
        push_record(&mut bytes, &event(now, step, 5, summary));
        file.write_all(&bytes).map_err(TrainError::io("write", path))
    }

    /// Waits until all events are on the disk: called before a checkpoint, so that none of its past is lost.
    ///
    /// # Errors
    /// [`TrainError::Io`] naming the file.
    pub fn sync(&self) -> Result<(), TrainError> {
        match &self.open {
            Some((path, file)) => file.sync_data().map_err(TrainError::io("synchronise", path)),
            None => Ok(()),
        }
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Seconds in the name of the newest event file of the folder, if there is one.
fn newest(run_dir: &Path) -> Result<Option<u64>, TrainError> {
    let mut newest = None;
    for entry in fs::read_dir(run_dir).map_err(TrainError::io("list", run_dir))? {
        let name = entry.map_err(TrainError::io("list", run_dir))?.file_name();
        let name = name.to_string_lossy();
        let seconds = name
            .strip_prefix(EVENTS_PREFIX)
            .and_then(|rest| rest.split('.').next()?.parse::<u64>().ok());
        newest = newest.max(seconds);
    }
    Ok(newest)
}

/// Makes the file, with a name that sorts after those of earlier processes also if the clock was set back.
fn create(run_dir: &Path, now: Duration, earlier: Option<u64>) -> Result<(PathBuf, File), TrainError> {
    let after = earlier.map_or(0, |seconds| seconds.saturating_add(1));
    let seconds = now.as_secs().max(after);
    let path = run_dir.join(format!("{EVENTS_PREFIX}{seconds}.{}.{}", host(), process::id()));
    let open = OpenOptions::new().create_new(true).append(true).open(&path);
    let file = open.map_err(TrainError::io("create", &path))?;
    Ok((path, file))
}

/// Name of the machine where the system tells one that fits into a file name, else `sde`.
fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !name.is_empty() && name.chars().all(fits) {
        name.to_owned()
    } else {
        "sde".to_owned()
    }
}

#[cfg(test)]
mod tests;
