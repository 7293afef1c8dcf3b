//! `events.out.tfevents.*`: the scalars of `metrics.jsonl` as a TensorBoard event file.
//!
//! The file is a row of TFRecords; each is one protocol buffer `Event` (tensorflow/core/util/event.proto). Only
//! the few fields that scalars need are written, so they are encoded here by hand.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::metrics::Record;
use crate::TrainError;

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
    /// Absent until the first line: a process that trains no step leaves no file.
    open: Option<(PathBuf, File)>,
}

impl EventLog {
    /// The log of a run that stands at `step`. The file is made by the first [`EventLog::write`].
    pub fn new(run_dir: &Path, step: u64) -> Self {
        Self {
            run_dir: run_dir.to_path_buf(),
            step,
            open: None,
        }
    }

    /// Appends the scalars of a line in one write; values that the line lacks, or that single precision cannot
    /// hold, are left out.
    ///
    /// If the folder holds a file of an earlier process, the new one begins with a `START` at the step after the
    /// restored one: a reader then drops the points from there on that the earlier process had written.
    ///
    /// # Errors
    /// [`TrainError::Io`] naming the file.
    pub fn write(&mut self, record: &Record) -> Result<(), TrainError> {
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
        push_record(&mut bytes, &event(now, record.step, 5, &summary(record)));
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

/// Event { wall_time = 1, step = 2, and a field that holds bytes }.
fn event(now: Duration, step: u64, field: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![key(1, FIXED_64)];
    out.extend(now.as_secs_f64().to_le_bytes());
    // A field without presence is left out at its default.
    if step > 0 {
        out.extend(varint_field(2, step));
    }
    out.extend(bytes_field(field, content));
    out
}

/// Summary { repeated value = 1 }, each Value { tag = 1, simple_value = 2 }.
fn summary(record: &Record) -> Vec<u8> {
    let scalars = [
        ("loss", record.loss),
        ("val_loss", record.val_loss),
        ("lr", Some(record.lr)),
        ("grad_norm", record.grad_norm),
        ("ema_decay", Some(record.ema_decay)),
        ("images_per_s", Some(record.images_per_s)),
    ];
    let mut out = Vec::new();
    for (tag, value) in scalars {
        let Some(value) = value.map(|v| v as f32).filter(|v| v.is_finite()) else {
            continue;
        };
        let mut scalar = bytes_field(1, tag.as_bytes());
        scalar.push(key(2, FIXED_32));
        scalar.extend(value.to_le_bytes());
        out.extend(bytes_field(1, &scalar));
    }
    out
}

// Wire types of protocol buffers.
const VARINT: u8 = 0;
const FIXED_64: u8 = 1;
const BYTES: u8 = 2;
const FIXED_32: u8 = 5;

/// Field numbers here are below 16, so that a key is one byte.
fn key(field: u8, wire_type: u8) -> u8 {
    (field << 3) | wire_type
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn varint_field(field: u8, value: u64) -> Vec<u8> {
    let mut out = vec![key(field, VARINT)];
    out.extend(varint(value));
    out
}

fn bytes_field(field: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![key(field, BYTES)];
    out.extend(varint(bytes.len() as u64));
    out.extend(bytes);
    out
}

/// A TFRecord: length, its checksum, the data, their checksum, all little-endian.
fn push_record(out: &mut Vec<u8>, data: &[u8]) {
    let length = (data.len() as u64).to_le_bytes();
    out.extend(length);
    out.extend(masked_crc(&length).to_le_bytes());
    out.extend(data);
    out.extend(masked_crc(data).to_le_bytes());
}

/// The checksum as TFRecords hold it: masked, because the checksum of bytes that hold checksums is weak.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C: polynomial 0x1edc6f41 (Castagnoli, Bräuer and Herrmann 1993), reflected, start and end inverted.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| CRC_TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8);
    !bytes.iter().fold(u32::MAX, step)
}

/// Remainders of all bytes.
const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
