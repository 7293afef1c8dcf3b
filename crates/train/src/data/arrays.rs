//! NumPy arrays: rows of any shape from a `.npy` or `.npz` file, with labels, vectors and images beside them.

use std::path::{Path, PathBuf};

use ndarray::{ArrayD, Axis, IxDyn};
use report::npy::{self, Values as Array};
use serde::{Deserialize, Serialize};

use super::files::damaged;
use super::{MemoryDataset, RowTable, ScalingKind, Values};
use crate::TrainError;

/// `kind = "npy"`: an array whose first axis counts the rows.
///
/// Rows of `uint8` are images of 256 levels, `[rows, height, width, channels]` as [`channels_last`](Self::channels_last) says,
/// or `[rows, height, width]`. Rows of other types are real values: `[rows, dim]`, series `[rows, channels, length]`, images
/// `[rows, channels, height, width]`. A single axis is read as rows of dimension 1.
///
/// `labels`, `vectors` and `images` name a file, by a name that ends in `.npy` or `.npz`, or else another array of the same
/// `.npz`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NpyConfig {
    /// The file.
    pub path: PathBuf,
    /// Name of the rows in a `.npz` file; `arr_0` or the only one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub array: Option<String>,
    /// Class of each row, whole numbers from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
    /// A vector that the network is told of each row, `[rows, net.condition_size]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vectors: Option<String>,
    /// Further channels that the network is told of each row, `[rows, net.condition_channels, ...]`, with values as the network
    /// takes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<String>,
    /// Whether the channels of images and series come last; if absent, they do in `uint8` arrays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels_last: Option<bool>,
    /// Range of the values; if absent `symmetric` for `uint8`, else `z-score`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingKind>,
    /// Whether uniform noise of one level is added to `uint8` values (Theis et al. 2016, arXiv:1511.01844).
    #[serde(default)]
    pub dequantise: bool,
    /// Whether images are mirrored left to right on half of the visits.
    #[serde(default)]
    pub flip: bool,
}

/// Reads the array and what stands beside it.
///
/// # Errors
/// A file cannot be read or is no such array; the numbers of rows differ; a label is negative; [`MemoryDataset::new`] refuses
/// the values.
pub fn npy(config: &NpyConfig) -> Result<MemoryDataset, TrainError> {
    let path = config.path.as_path();
    let array = npy::read_array(path, config.array.as_deref())?;
    let (usual, last) = match &array {
        Array::U8(_) => (ScalingKind::Symmetric, true),
        _ => (ScalingKind::ZScore, false),
    };
    let last = config.channels_last.unwrap_or(last);
    let (shape, values) = match array {
        Array::U8(array) => {
            let (shape, bytes) = rows(path, array, last, true)?;
            (shape, Values::Levels(bytes, 256))
        }
        other => {
            let (shape, reals) = rows(path, other.into_f32(), last, false)?;
            (shape, Values::Real(reals))
        }
    };
    let labels = config
        .labels
        .as_deref()
        .map(|name| labels(path, name))
        .transpose()?;
    let scaling = config.scaling.unwrap_or(usual);
    let mut data = MemoryDataset::new("npy", &shape, values, labels, scaling, config.dequantise)?;
    if let Some(name) = &config.vectors {
        data = data.with_vectors(beside(path, name, 2)?)?;
    }
    if let Some(name) = &config.images {
        data = data.with_images(beside(path, name, shape.len() + 1)?)?;
    }
    data.with_flips(config.flip)
}

/// Shape of a row, channels first, and the values of an array file: `uint8` with the channels last, everything else as it is.
///
/// # Errors
/// The file cannot be read, or holds an array of no such axes.
pub(crate) fn npy_rows(path: &Path) -> Result<(Vec<i64>, Values), TrainError> {
    match npy::read(path)? {
        Array::U8(array) => rows(path, array, true, true).map(|(shape, v)| (shape, Values::Levels(v, 256))),
        other => rows(path, other.into_f32(), false, false).map(|(shape, v)| (shape, Values::Real(v))),
    }
}

/// Shape of a row, channels first, and the values.
fn rows<T: Copy>(
    path: &Path,
    mut array: ArrayD<T>,
    channels_last: bool,
    bytes: bool,
) -> Result<(Vec<i64>, Vec<T>), TrainError> {
    match array.ndim() {
        1 => array.insert_axis_inplace(Axis(1)),
        // Pictures of one channel.
        3 if bytes => array.insert_axis_inplace(Axis(1)),
        3 if channels_last => array = array.permuted_axes(IxDyn(&[0, 2, 1])),
        4 if channels_last => array = array.permuted_axes(IxDyn(&[0, 3, 1, 2])),
        2..=4 => {}
        axes => {
            return Err(damaged(
                path,
                &format!("holds an array of {axes} axes, need 1 to 4: rows, and one to three axes of a row"),
            ));
        }
    }
    let shape = array.shape()[1..].iter().map(|n| *n as i64).collect();
    // In C order of the shape, whatever the order in the file.
    Ok((shape, array.iter().copied().collect()))
}

/// The array of a file, or one of the archive `path`; and where it lies, for messages.
fn other(path: &Path, name: &str) -> Result<(PathBuf, Array), TrainError> {
    if name.ends_with(".npy") || name.ends_with(".npz") {
        return Ok((PathBuf::from(name), npy::read(Path::new(name))?));
    }
    Ok((path.join(name), npy::read_array(path, Some(name))?))
}

fn labels(path: &Path, name: &str) -> Result<Vec<u32>, TrainError> {
    let (path, array) = other(path, name)?;
    let array = match array {
        Array::U8(array) => array.mapv(i64::from),
        Array::I64(array) => array,
        _ => {
            return Err(damaged(
                &path,
                "holds real numbers, need whole ones: the classes of the rows",
            ));
        }
    };
    // NumPy writes a column as easily as a list.
    if array.len() != array.shape().first().copied().unwrap_or(0) {
        let reason = format!("holds the shape {:?}, need one class a row", array.shape());
        return Err(damaged(&path, &reason));
    }
    let class = |(row, label): (usize, &i64)| {
        u32::try_from(*label)
            .map_err(|_| damaged(&path, &format!("row {row}: class {label}, need 0 or more")))
    };
    array.iter().enumerate().map(class).collect()
}

fn beside(path: &Path, name: &str, axes: usize) -> Result<RowTable, TrainError> {
    let (path, array) = other(path, name)?;
    if array.shape().len() != axes {
        let reason = format!("holds the shape {:?}, need {axes} axes", array.shape());
        return Err(damaged(&path, &reason));
    }
    let shape: Vec<i64> = array.shape()[1..].iter().map(|n| *n as i64).collect();
    Ok(RowTable::new(&shape, array.into_f32().iter().copied().collect()))
}
