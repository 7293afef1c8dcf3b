//! MNIST and the sets that share its files: two IDX files a split, images and labels.

use std::path::{Path, PathBuf};

use super::cache;
use super::idx::{IdxKind, read_idx};
use super::{MemoryDataset, MnistConfig, Split, Values};
use crate::TrainError;

/// Reads a split of `name` (its name in the cache and in messages) from `config.path`, else from the cache.
///
/// `config.path` is a folder with the four files, under their usual names with or without `.gz`, or one file of
/// images, which then have no classes.
///
/// # Errors
/// The files are absent, damaged or do not belong together.
pub fn mnist(name: &str, config: &MnistConfig) -> Result<MemoryDataset, TrainError> {
    let (images, labels) = match &config.path {
        Some(path) if path.is_dir() => find(name, path, config.split)?,
        Some(path) => (path.clone(), None),
        None => {
            let folder = cache::data_folder(name)?;
            if !folder.is_dir() {
                return Err(TrainError::Data {
                    name: name.to_string(),
                    reason: format!(
                        "it is not in the cache ({}); run `sde data fetch {name}`, or name a folder that has it with data.path",
                        folder.display()
                    ),
                });
            }
            find(name, &folder, config.split)?
        }
    };
    let pictures = read_idx(&images, IdxKind::Images)?;
    let labels = match labels {
        None => None,
        Some(path) => {
            let labels = read_idx(&path, IdxKind::Labels)?;
            if labels.axes[0] != pictures.axes[0] {
                let reason = format!(
                    "has {} labels, but {} has {} images",
                    labels.axes[0],
                    images.display(),
                    pictures.axes[0]
                );
                return Err(TrainError::Format { path, reason });
            }
            Some(labels.values.into_iter().map(u32::from).collect())
        }
    };
    let shape = [1, pictures.axes[1] as i64, pictures.axes[2] as i64];
    MemoryDataset::new(
        name,
        &shape,
        Values::Levels(pictures.values, 256),
        labels,
        config.scaling,
        config.dequantise,
    )
}

/// The files of a split in a folder: images, and labels if they are there.
fn find(name: &str, folder: &Path, split: Split) -> Result<(PathBuf, Option<PathBuf>), TrainError> {
    let prefix = match split {
        Split::Train => "train",
        Split::Test => "t10k",
    };
    let stem = format!("{prefix}-images-idx3-ubyte");
    let images = find_file(folder, &stem).ok_or_else(|| TrainError::Data {
        name: name.to_string(),
        reason: format!(
            "{} has no {stem} (or {stem}.gz); run `sde data fetch {name}`, or name a folder that has it with data.path",
            folder.display()
        ),
    })?;
    Ok((images, find_file(folder, &format!("{prefix}-labels-idx1-ubyte"))))
}

/// A file by its usual name, the name with a dot that some distributions give it, or either with `.gz`.
pub(super) fn find_file(folder: &Path, stem: &str) -> Option<PathBuf> {
    let dotted = stem.replacen("-idx", ".idx", 1);
    [stem, &dotted]
        .into_iter()
        .flat_map(|n| [folder.join(n), folder.join(format!("{n}.gz"))])
        .find(|path| path.exists())
}
