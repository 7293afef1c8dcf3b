//! Vectors and images that a network is told, of the rows of a data set or of the samples.

use std::path::Path;

use score_nets::Given;
use tch::{Device, Tensor};

use crate::config::ConditionConfig;
use crate::data::RowTable;
use crate::{Dataset, TrainError};

/// What a network is told besides classes: row `i` of row `i` of a data set in training, and of sample `i` in sampling, from the
/// first row again where the rows end.
#[derive(Debug, Default)]
pub struct Told {
    vectors: Option<Tensor>,
    images: Option<Tensor>,
}

impl Told {
    /// Reads the files that the table names, for samples of the shape `shape`.
    ///
    /// # Errors
    /// A file cannot be read, holds another shape, no row, or values that are not finite; it is named.
    pub fn read(condition: &ConditionConfig, shape: &[i64], device: Device) -> Result<Self, TrainError> {
        let vectors = condition.vectors.as_deref().map(|path| {
            let fits = |size: &[i64]| size.len() == 2;
            rows(path, fits, "[rows, values]", device)
        });
        let images = condition.images.as_deref().map(|path| {
            let fits = |size: &[i64]| size.len() == shape.len() + 1 && size[2..] == shape[1..];
            let sizes: Vec<String> = shape[1..].iter().map(i64::to_string).collect();
            let need = [vec!["rows".to_owned(), "channels".to_owned()], sizes].concat();
            rows(path, fits, &format!("[{}]", need.join(", ")), device)
        });
        Ok(Told {
            vectors: vectors.transpose()?,
            images: images.transpose()?,
        })
    }

    /// Those that the data set carries.
    ///
    /// # Errors
    /// libtorch cannot allocate.
    pub fn of_data(data: &dyn Dataset, device: Device) -> Result<Self, TrainError> {
        let tensor = |table: &RowTable| {
            let size = [&[data.len() as i64], table.shape()].concat();
            Tensor::f_from_slice(table.values())
                .and_then(|t| t.f_view(size.as_slice()))
                .and_then(|t| t.f_to_device(device))
                .map_err(TrainError::tensor("the conditions of the data"))
        };
        Ok(Told {
            vectors: data.vectors().map(tensor).transpose()?,
            images: data.images().map(tensor).transpose()?,
        })
    }

    /// These, and what `other` has besides.
    #[must_use]
    pub fn or(self, other: &Told) -> Self {
        let same = |tensor: &Option<Tensor>| tensor.as_ref().map(Tensor::shallow_clone);
        Told {
            vectors: self.vectors.or_else(|| same(&other.vectors)),
            images: self.images.or_else(|| same(&other.images)),
        }
    }

    /// What is told of these rows.
    ///
    /// # Errors
    /// libtorch cannot allocate.
    pub fn rows(&self, rows: impl Iterator<Item = u64> + Clone) -> Result<Given, TrainError> {
        let pick = |all: &Tensor| {
            let count = all.size()[0] as u64;
            let turn: Vec<i64> = rows.clone().map(|row| (row % count) as i64).collect();
            let turn = Tensor::f_from_slice(&turn)?.f_to_device(all.device())?;
            all.f_index_select(0, &turn)
        };
        let fail = TrainError::tensor("the conditions of a batch");
        let mut given = Given::default();
        if let Some(vectors) = &self.vectors {
            given = given.with_vector(pick(vectors).map_err(&fail)?);
        }
        if let Some(images) = &self.images {
            given = given.with_image(pick(images).map_err(&fail)?);
        }
        Ok(given)
    }
}

/// The array of a file.
fn rows(
    path: &Path,
    fits: impl Fn(&[i64]) -> bool,
    need: &str,
    device: Device,
) -> Result<Tensor, TrainError> {
    let refuse = |reason: String| TrainError::Format {
        path: path.to_path_buf(),
        reason,
    };
    let array = report::npy::read(path)?.into_f32();
    let size: Vec<i64> = array.shape().iter().map(|n| *n as i64).collect();
    if size.contains(&0) || !fits(&size) {
        return Err(refuse(format!("holds {size:?}, need {need}, one row or more")));
    }
    let values: Vec<f32> = array.iter().copied().collect();
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        let row = at / (values.len() / array.shape()[0]);
        return Err(refuse(format!(
            "row {row} holds {}, need finite numbers",
            values[at]
        )));
    }
    Tensor::f_from_slice(&values)
        .and_then(|t| t.f_view(size.as_slice()))
        .and_then(|t| t.f_to_device(device))
        .map_err(TrainError::tensor("the conditions of the samples"))
}
