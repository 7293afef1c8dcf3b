//! Data sets of files of several kinds: what is read, and what is refused with its place.

mod cifar;
mod emoji;
mod image_folder;
mod npy;
mod ucr;

use std::path::Path;

use train::data::{self, DataConfig};
use train::{Dataset, TrainError, Visit};

/// The data set of a table `[data]`.
fn open(table: &str) -> Result<Box<dyn Dataset>, TrainError> {
    let config: DataConfig = toml::from_str(table).unwrap_or_else(|e| panic!("{table}: {e}"));
    data::open(&config)
}

/// All rows of a pass, one after the other.
fn all_rows(data: &dyn Dataset, epoch: u64) -> Vec<f32> {
    let rows: Vec<u64> = (0..data.len() as u64).collect();
    let mut out = vec![0.0; rows.len() * data.row_len()];
    data.read(&rows, Visit { seed: 3, epoch }, &mut out)
        .expect("all rows");
    out
}

/// The table is refused in one line that names `place` and says `reason`.
#[track_caller]
fn refused(table: &str, place: &Path, reason: &str) {
    let error = open(table)
        .err()
        .unwrap_or_else(|| panic!("{table}: not refused"));
    let mut text = error.to_string();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        text = format!("{text}: {source}");
        cause = source;
    }
    assert!(text.contains(reason), "{text:?} does not say {reason:?}");
    let place = place.display().to_string();
    assert!(text.contains(&place), "{text:?} does not name {place:?}");
    assert!(!text.contains('\n'), "{text:?} has more than one line");
}
