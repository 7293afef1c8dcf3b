//! Images of a folder: PNG and JPEG, brought to one size.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use image::imageops::FilterType;
use image::{DynamicImage, Rgba, RgbaImage};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::cifar::symmetric;
use super::files::damaged;
use super::pictures::{MOST_PIXELS, decode};
use super::visit::{RowRandom, check_buffer, no_such_row};
use super::{Dataset, Scaling, ScalingKind, Visit};
use crate::TrainError;

/// `kind = "image-folder"`: every `.png`, `.jpg` and `.jpeg` below a folder, in the order of their paths, in memory.
///
/// Where all images lie in folders below it, the first of these names their class, numbered in the order of the names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageFolderConfig {
    /// The folder.
    pub path: PathBuf,
    /// Height and width to which images are brought: scaled with their proportions until both sides are reached, then cut. If
    /// absent, all images must be of one size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[u32; 2]>,
    /// Which part is cut out of an image that is longer than its place.
    #[serde(default = "centre")]
    pub crop: Crop,
    /// 1 for grey images, 3 for colours. Transparent pixels are laid on white.
    #[serde(default = "three")]
    pub channels: u32,
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

/// Which part is cut out of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Crop {
    /// The middle.
    Centre,
    /// A place drawn for each visit.
    Random,
}

fn centre() -> Crop {
    Crop::Centre
}

fn three() -> u32 {
    3
}

/// Most bytes of images that are held.
const MOST_BYTES: usize = 1 << 34;

/// An image, channels first, at least as large as the rows.
#[derive(Debug, Clone)]
struct Picture {
    height: usize,
    width: usize,
    bytes: Vec<u8>,
}

/// Images of a folder, in memory.
#[derive(Debug, Clone)]
pub struct ImageFolder {
    shape: [i64; 3],
    pictures: Vec<Picture>,
    labels: Option<Vec<u32>>,
    scaling: Scaling,
    dequantise: bool,
    flip: bool,
}

impl ImageFolder {
    /// Reads all images; on all cores.
    ///
    /// # Errors
    /// The folder cannot be listed or holds fewer than two images; an image is broken (it is named), of another size where none is
    /// asked for; together they take more than 16 GiB.
    pub fn read(config: &ImageFolderConfig) -> Result<Self, TrainError> {
        let root = config.path.as_path();
        let mut paths = Vec::new();
        walk(root, &mut HashSet::new(), &mut paths)?;
        if paths.len() < 2 {
            let reason = match paths.len() {
                0 => "holds no .png, .jpg or .jpeg file",
                _ => "holds a single image; a data set needs two or more",
            };
            return Err(damaged(root, reason));
        }
        let size = match config.size {
            Some([height, width]) => (height as usize, width as usize),
            None => {
                let first = decode(&paths[0])?;
                (first.height() as usize, first.width() as usize)
            }
        };
        let channels = config.channels as usize;
        if paths.len().saturating_mul(channels * size.0 * size.1) > MOST_BYTES {
            let reason = format!(
                "{} images of {} x {} pixels take more than 16 GiB of memory; lower data.size",
                paths.len(),
                size.0,
                size.1
            );
            return Err(damaged(root, &reason));
        }
        let read: Vec<_> = paths.par_iter().map(|path| picture(path, config, size)).collect();
        let pictures = read.into_iter().collect::<Result<Vec<_>, _>>()?;
        let values = || {
            pictures
                .iter()
                .flat_map(|p| p.bytes.iter().map(|&b| f64::from(b)))
        };
        let (mean, std, _) = super::memory::spread(values());
        if config.scaling == ScalingKind::ZScore && std <= 0.0 {
            let reason =
                format!("all values are {mean}, nothing to scale by; set data.scaling = \"symmetric\"");
            return Err(damaged(root, &reason));
        }
        Ok(Self {
            shape: [channels as i64, size.0 as i64, size.1 as i64],
            labels: classes(root, &paths),
            pictures,
            scaling: Scaling::image(config.scaling, 256, config.dequantise, mean, std),
            dequantise: config.dequantise,
            flip: config.flip,
        })
    }
}

/// The images below a folder by their paths; a folder that links lead back to is entered once.
fn walk(folder: &Path, seen: &mut HashSet<PathBuf>, paths: &mut Vec<PathBuf>) -> Result<(), TrainError> {
    let real = fs::canonicalize(folder).map_err(TrainError::io("open", folder))?;
    if !seen.insert(real) {
        return Ok(());
    }
    let entries = fs::read_dir(folder).map_err(TrainError::io("list", folder))?;
    let entries: Result<Vec<PathBuf>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut entries = entries.map_err(TrainError::io("list", folder))?;
    entries.sort();
    for path in entries {
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let end = path.extension().map(|end| end.to_string_lossy().to_lowercase());
        if path.is_dir() && !hidden {
            walk(&path, seen, paths)?;
        } else if !hidden && end.is_some_and(|end| ["png", "jpg", "jpeg"].contains(&end.as_str())) {
            paths.push(path);
        }
    }
    Ok(())
}

/// The first folder below the root names the class.
fn classes(root: &Path, paths: &[PathBuf]) -> Option<Vec<u32>> {
    let name = |path: &PathBuf| {
        let below = path.strip_prefix(root).ok()?;
        (below.components().count() > 1)
            .then(|| below.components().next().map(|part| part.as_os_str().to_owned()))?
    };
    let names: Vec<_> = paths.iter().map(name).collect::<Option<_>>()?;
    let mut distinct = names.clone();
    distinct.sort();
    distinct.dedup();
    let index = |name| distinct.binary_search(&name).unwrap_or(0) as u32;
    Some(names.into_iter().map(index).collect())
}

fn picture(path: &Path, config: &ImageFolderConfig, size: (usize, usize)) -> Result<Picture, TrainError> {
    let mut image = decode(path)?;
    let (height, width) = (size.0 as u32, size.1 as u32);
    if config.size.is_none() && (image.height(), image.width()) != (height, width) {
        let reason = format!(
            "is {} x {} pixels, the first image {height} x {width}; give data.size to bring all to one size",
            image.height(),
            image.width()
        );
        return Err(damaged(path, &reason));
    }
    if (image.height(), image.width()) != (height, width) {
        // The crate scales until both sides fit inside; here they must cover.
        let scale =
            (f64::from(height) / f64::from(image.height())).max(f64::from(width) / f64::from(image.width()));
        let along = |side: u32, least: u32| ((f64::from(side) * scale).round() as u32).max(least);
        let (w, h) = (along(image.width(), width), along(image.height(), height));
        if w.max(h) > MOST_PIXELS {
            let reason = format!(
                "is {} x {} pixels; covering {height} x {width} would make it {h} x {w}, more than {MOST_PIXELS} on a side: remove it, or cut \
                 it first",
                image.height(),
                image.width()
            );
            return Err(damaged(path, &reason));
        }
        image = image.resize_exact(w, h, FilterType::CatmullRom);
    }
    if config.crop == Crop::Centre {
        let (x, y) = ((image.width() - width) / 2, (image.height() - height) / 2);
        image = image.crop_imm(x, y, width, height);
    }
    if image.color().has_alpha() {
        let mut ground = RgbaImage::from_pixel(image.width(), image.height(), Rgba([255; 4]));
        image::imageops::overlay(&mut ground, &image.to_rgba8(), 0, 0);
        image = DynamicImage::ImageRgba8(ground);
    }
    let (height, width) = (image.height() as usize, image.width() as usize);
    let bytes = match config.channels {
        1 => image.into_luma8().into_raw(),
        _ => {
            let pixels = image.into_rgb8().into_raw();
            (0..3)
                .flat_map(|channel| pixels.iter().skip(channel).step_by(3).copied())
                .collect()
        }
    };
    Ok(Picture { height, width, bytes })
}

impl Dataset for ImageFolder {
    fn name(&self) -> &'static str {
        "image-folder"
    }

    fn len(&self) -> usize {
        self.pictures.len()
    }

    fn shape(&self) -> &[i64] {
        &self.shape
    }

    fn scaling(&self) -> &Scaling {
        &self.scaling
    }

    fn labels(&self) -> Option<&[u32]> {
        self.labels.as_deref()
    }

    fn read(&self, rows: &[u64], visit: Visit, out: &mut [f32]) -> Result<(), TrainError> {
        let len = self.row_len();
        check_buffer(self.name(), rows, len, out)?;
        let [_, height, width] = self.shape.map(|n| n as usize);
        for (&row, out) in rows.iter().zip(out.chunks_exact_mut(len)) {
            let picture = usize::try_from(row).ok().and_then(|row| self.pictures.get(row));
            let Some(picture) = picture else {
                return Err(no_such_row(self.name(), row, self.len()));
            };
            let mut random = RowRandom::new(visit, row);
            let mirrored = self.flip && random.coin();
            let top = random.place(picture.height - height);
            let left = random.place(picture.width - width);
            for (line, out) in out.chunks_exact_mut(width).enumerate() {
                let (channel, y) = (line / height, line % height);
                let start = (channel * picture.height + top + y) * picture.width + left;
                for (o, &x) in out.iter_mut().zip(&picture.bytes[start..start + width]) {
                    let u = match self.dequantise {
                        true => random.uniform(),
                        false => 0.0,
                    };
                    *o = self.scaling.to_model(f64::from(x) + u) as f32;
                }
                if mirrored {
                    out.reverse();
                }
            }
        }
        Ok(())
    }
}
