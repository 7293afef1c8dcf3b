//! Data sets: rows of one shape, addressed by number, scaled to the range that the model works in.

mod arrays;
pub mod cache;
mod cifar;
mod config;
mod csv;
mod digits;
mod emoji;
pub mod fetch;
mod files;
pub mod idx;
mod image_folder;
mod memory;
mod mnist;
mod part;
mod pictures;
mod scaling;
pub mod sets;
mod synthetic;
#[cfg(test)]
mod tests;
mod toy;
mod ucr;
mod visit;

pub(crate) use arrays::npy_rows;
pub use arrays::{NpyConfig, npy};
pub use cifar::{CifarConfig, cifar10};
pub use config::{
    CsvConfig, DataConfig, DigitsConfig, MnistConfig, SeriesForm, Split, Synthetic1dConfig, Toy2dConfig,
    ToyForm,
};
pub use csv::csv;
pub use digits::digits;
pub use emoji::{EmojiConfig, emoji};
pub use image_folder::{Crop, ImageFolder, ImageFolderConfig};
pub use memory::{MemoryDataset, RowTable, Values};
pub use mnist::mnist;
pub use scaling::{Scaling, ScalingKind};
pub use synthetic::synthetic_1d;
pub use toy::toy_2d;
pub use ucr::{Padding, UcrConfig, UcrSplit, ucr};

use std::fmt::Debug;

use tch::{Kind, Tensor};

use crate::TrainError;
use crate::config::Sources;

/// The address of one visit to the data: dequantisation (and whatever else is random about a row) depends on
/// (seed, epoch, row) alone, so that no generator has to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// Seed of the run.
    pub seed: u64,
    /// Number of the pass over the data, from 0.
    pub epoch: u64,
}

/// Rows of one shape. A row is the same whenever it is asked for with the same [`Visit`].
pub trait Dataset: Debug + Send + Sync {
    /// Name for messages.
    fn name(&self) -> &str;

    /// Number of rows, 1 or more.
    fn len(&self) -> usize;

    /// Whether there is no row; readers refuse such data, so this is `false`.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shape of one row: `[channels, height, width]`, `[channels, length]` or `[dim]`.
    fn shape(&self) -> &[i64];

    /// How raw values and the values of rows belong together.
    fn scaling(&self) -> &Scaling;

    /// Class of every row, where there are classes.
    fn labels(&self) -> Option<&[u32]> {
        None
    }

    /// A vector that a network is told of every row, where there are any.
    fn vectors(&self) -> Option<&RowTable> {
        None
    }

    /// Further channels that a network is told of every row, as it takes them, where there are any.
    fn images(&self) -> Option<&RowTable> {
        None
    }

    /// Writes the scaled rows, one after the other, into `out`, which is as long as they are together. In training a thread calls this
    /// for the next batch while a step computes; the same arguments must always give the same values.
    ///
    /// # Errors
    /// [`TrainError::Data`] for a row that does not exist or a buffer of the wrong length.
    fn read(&self, rows: &[u64], visit: Visit, out: &mut [f32]) -> Result<(), TrainError>;

    /// Number of values in a row.
    fn row_len(&self) -> usize {
        self.shape().iter().product::<i64>() as usize
    }

    /// `out <- rows`; `out` is a float tensor of shape `[rows, ..shape]` on any device.
    ///
    /// # Errors
    /// As [`Dataset::read`]; [`TrainError::Tensor`] if `out` has another shape.
    fn gather(&self, rows: &[u64], visit: Visit, out: &mut Tensor) -> Result<(), TrainError> {
        let mut buffer = vec![0.0f32; rows.len() * self.row_len()];
        self.read(rows, visit, &mut buffer)?;
        let shape: Vec<i64> = std::iter::once(rows.len() as i64)
            .chain(self.shape().iter().copied())
            .collect();
        if out.size() != shape {
            return Err(TrainError::Data {
                name: self.name().to_string(),
                reason: format!(
                    "a batch has the shape {shape:?}, the tensor for it {:?}",
                    out.size()
                ),
            });
        }
        let source = Tensor::f_from_slice(&buffer)
            .and_then(|t| t.f_view(shape.as_slice()))
            .and_then(|t| t.f_to_kind(Kind::Float))
            .map_err(TrainError::tensor("making a batch"))?;
        tch::no_grad(|| out.f_copy_(&source)).map_err(TrainError::tensor("copying a batch to the device"))
    }
}

/// Opens the data set of a configuration.
///
/// # Errors
/// A value is out of range; its files are absent, damaged or something else than they should be.
pub fn open(config: &DataConfig) -> Result<Box<dyn Dataset>, TrainError> {
    config.check().map_err(|e| Sources::default().refuse(e))?;
    Ok(Box::new(match config {
        DataConfig::Digits(c) => digits(c)?,
        DataConfig::Mnist(c) | DataConfig::FashionMnist(c) => mnist(config.kind(), c)?,
        DataConfig::Cifar10(c) => cifar10(c)?,
        DataConfig::ImageFolder(c) => return Ok(Box::new(ImageFolder::read(c)?)),
        DataConfig::Emoji(c) => emoji(c)?,
        DataConfig::Ucr(c) => ucr(c)?,
        DataConfig::Npy(c) => npy(c)?,
        DataConfig::Csv(c) => csv(c)?,
        DataConfig::Synthetic1d(c) => synthetic_1d(c)?,
        DataConfig::Toy2d(c) => toy_2d(c)?,
    }))
}
