//! Noto emoji as small colour pictures: real colour images that a package registry holds.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cache;
use super::files::damaged;
use super::pictures::decode;
use super::{MemoryDataset, ScalingKind, Values};
use crate::TrainError;

/// `kind = "emoji"`: 3,786 pictures of 64x64 or 32x32 pixels with three colours, on a plain ground.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmojiConfig {
    /// The file that `sde data fetch emoji` makes; the one in the cache if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Side of a picture: 64, or 32, 16, 8 by means over squares.
    pub size: u32,
    /// Grey level of the ground on which the pictures are laid, 0 to 255.
    pub ground: u8,
    /// Range of the values.
    pub scaling: ScalingKind,
    /// Whether uniform noise of one level is added (Theis et al. 2016, arXiv:1511.01844).
    pub dequantise: bool,
    /// Whether pictures are mirrored left to right on half of the visits.
    pub flip: bool,
}

impl Default for EmojiConfig {
    fn default() -> Self {
        EmojiConfig {
            path: None,
            size: 32,
            ground: 255,
            scaling: ScalingKind::Symmetric,
            dequantise: false,
            flip: false,
        }
    }
}

/// The file in the cache: pixels of red, green, blue and opacity, picture after picture by the names of their files.
pub(super) const FILE: &str = "google-64.rgba";
const SIDE: usize = 64;
const PICTURE: usize = SIDE * SIDE * 4;

/// Reads the pictures from the cache.
///
/// # Errors
/// They are not in the cache, or the file is damaged.
pub fn emoji(config: &EmojiConfig) -> Result<MemoryDataset, TrainError> {
    let path = match &config.path {
        Some(path) => path.clone(),
        None => cache::data_folder("emoji")?.join(FILE),
    };
    if config.path.is_none() && !path.is_file() {
        return Err(TrainError::Data {
            name: "emoji".to_owned(),
            reason: format!(
                "it is not in the cache ({}); run `sde data fetch emoji`",
                path.display()
            ),
        });
    }
    let bytes = std::fs::read(&path).map_err(TrainError::io("read", &path))?;
    if bytes.is_empty() || bytes.len() % PICTURE != 0 {
        let reason = format!(
            "has {} bytes, no whole number of pictures of {PICTURE}: run `sde data fetch emoji` again",
            bytes.len()
        );
        return Err(damaged(&path, &reason));
    }
    let size = config.size as usize;
    let mut values = Vec::with_capacity(bytes.len() / PICTURE * 3 * size * size);
    for picture in bytes.chunks_exact(PICTURE) {
        shrink(picture, size, config.ground, &mut values);
    }
    let shape = [3, i64::from(config.size), i64::from(config.size)];
    let values = Values::Levels(values, 256);
    MemoryDataset::new("emoji", &shape, values, None, config.scaling, config.dequantise)?
        .with_flips(config.flip)
}

/// Lays a picture on its ground and takes means over squares; channels first.
fn shrink(picture: &[u8], size: usize, ground: u8, out: &mut Vec<u8>) {
    let step = SIDE / size;
    for channel in 0..3 {
        for (row, column) in (0..size).flat_map(|row| (0..size).map(move |column| (row, column))) {
            let mut sum = 0_u32;
            for y in row * step..(row + 1) * step {
                for x in column * step..(column + 1) * step {
                    let at = (y * SIDE + x) * 4;
                    let opacity = u32::from(picture[at + 3]);
                    sum += u32::from(picture[at + channel]) * opacity + u32::from(ground) * (255 - opacity);
                }
            }
            // Rounded to the nearest level.
            let whole = 255 * (step * step) as u32;
            out.push(((sum + whole / 2) / whole) as u8);
        }
    }
}

/// Whether a file of the package is one of the pictures.
pub(super) fn is_picture(path: &Path) -> bool {
    let in_folder = path
        .parent()
        .is_some_and(|folder| folder.ends_with("img/google/64"));
    in_folder && path.extension().is_some_and(|end| end == "png")
}

/// Writes the file of the cache from the pictures of the package.
pub(super) fn pack(pictures: &[PathBuf], out: &Path) -> Result<(), TrainError> {
    let mut file = File::create(out).map_err(TrainError::io("create", out))?;
    for path in pictures {
        let picture = decode(path)?.into_rgba8();
        if picture.dimensions() != (SIDE as u32, SIDE as u32) {
            let reason = format!(
                "is {} x {} pixels, need 64 x 64",
                picture.width(),
                picture.height()
            );
            return Err(damaged(path, &reason));
        }
        file.write_all(&picture).map_err(TrainError::io("write", out))?;
    }
    Ok(())
}
