//! CIFAR-10 in its binary form: records of one byte for the class and 3072 for an image, three planes of 32x32 (Krizhevsky 2009).

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::{damaged, open_unpacked, read_error};
use super::{MemoryDataset, ScalingKind, Split, Values};
use crate::TrainError;

/// `kind = "cifar10"`: 50,000 and 10,000 colour images of 32x32 pixels in ten classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CifarConfig {
    /// Folder with `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin` (plain or gzip, by content), or the folder
    /// around it that the archive unpacks to.
    pub path: PathBuf,
    /// Which images.
    #[serde(default = "train")]
    pub split: Split,
    /// Range of the values.
    #[serde(default = "symmetric")]
    pub scaling: ScalingKind,
    /// Whether uniform noise of one level is added (Theis et al. 2016, arXiv:1511.01844).
    #[serde(default)]
    pub dequantise: bool,
    /// Whether images are mirrored left to right on half of the visits.
    #[serde(default)]
    pub flip: bool,
}

fn train() -> Split {
    Split::Train
}

pub(super) fn symmetric() -> ScalingKind {
    ScalingKind::Symmetric
}

const IMAGE: usize = 3 * 32 * 32;

/// Reads a split.
///
/// # Errors
/// A file is absent, no whole number of records, or has a class above 9.
pub fn cifar10(config: &CifarConfig) -> Result<MemoryDataset, TrainError> {
    let names: Vec<String> = match config.split {
        Split::Train => (1..=5).map(|k| format!("data_batch_{k}.bin")).collect(),
        Split::Test => vec!["test_batch.bin".to_owned()],
    };
    let inside = config.path.join("cifar-10-batches-bin");
    let folder = if inside.is_dir() { &inside } else { &config.path };
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for name in names {
        read_batch(&folder.join(name), &mut values, &mut labels)?;
    }
    let values = Values::Levels(values, 256);
    MemoryDataset::new(
        "cifar10",
        &[3, 32, 32],
        values,
        Some(labels),
        config.scaling,
        config.dequantise,
    )?
    .with_flips(config.flip)
}

fn read_batch(path: &Path, values: &mut Vec<u8>, labels: &mut Vec<u32>) -> Result<(), TrainError> {
    let (mut file, packed) = open_unpacked(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .map_err(|e| read_error(path, packed, e))?;
    let records = bytes.chunks_exact(1 + IMAGE);
    if bytes.is_empty() || !records.remainder().is_empty() {
        return Err(damaged(
            path,
            &format!(
                "has {} bytes, no whole number of records of {} bytes: it is truncated or something else",
                bytes.len(),
                1 + IMAGE
            ),
        ));
    }
    for (record, row) in records.zip(0..) {
        if record[0] > 9 {
            let reason = format!("record {row}: class {}, need 0 to 9", record[0]);
            return Err(damaged(path, &reason));
        }
        labels.push(u32::from(record[0]));
        values.extend_from_slice(&record[1..]);
    }
    Ok(())
}
