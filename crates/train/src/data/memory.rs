//! A data set that lies in memory whole.

use super::visit::{RowRandom, check_buffer, no_such_row};
use super::{Dataset, Scaling, ScalingKind, Visit};
use crate::TrainError;

/// The raw values, row after row.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Quantised values of so many levels: 0 to `levels - 1`.
    Levels(Vec<u8>, u32),
    /// Real values, all finite.
    Real(Vec<f32>),
}

/// Values beside the rows of a data set: a vector or an image for each.
#[derive(Debug, Clone, PartialEq)]
pub struct RowTable {
    shape: Vec<i64>,
    values: Vec<f32>,
}

impl RowTable {
    /// Values row after row; `shape` is that of one row.
    pub fn new(shape: &[i64], values: Vec<f32>) -> Self {
        RowTable {
            shape: shape.to_vec(),
            values,
        }
    }

    /// Shape of one row.
    pub fn shape(&self) -> &[i64] {
        &self.shape
    }

    /// The values, row after row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

/// Rows in memory, with labels, vectors and images to condition on where there are any.
#[derive(Debug, Clone)]
pub struct MemoryDataset {
    name: String,
    shape: Vec<i64>,
    rows: usize,
    values: Values,
    labels: Option<Vec<u32>>,
    vectors: Option<RowTable>,
    images: Option<RowTable>,
    scaling: Scaling,
    dequantise: bool,
    flip: bool,
}

impl MemoryDataset {
    /// Takes raw values for rows of the given shape; `dequantise` holds for quantised values only.
    ///
    /// # Errors
    /// [`TrainError::Data`]: no rows, a number of values or labels that does not fit, values that are not finite,
    /// or all the same where the scaling divides by their spread.
    pub fn new(
        name: &str,
        shape: &[i64],
        values: Values,
        labels: Option<Vec<u32>>,
        scaling: ScalingKind,
        dequantise: bool,
    ) -> Result<Self, TrainError> {
        let refuse = |reason: String| TrainError::Data {
            name: name.to_string(),
            reason,
        };
        let row_len = shape.iter().product::<i64>().max(0) as usize;
        let count = match &values {
            Values::Levels(v, _) => v.len(),
            Values::Real(v) => v.len(),
        };
        if row_len == 0 || count == 0 {
            return Err(refuse("it is empty".to_string()));
        }
        if count % row_len != 0 {
            return Err(refuse(format!(
                "{count} values are no whole number of rows of shape {shape:?}"
            )));
        }
        let rows = count / row_len;
        if rows < 2 {
            return Err(refuse(
                "it has a single row; a data set needs two or more".to_string(),
            ));
        }
        if let Some(labels) = &labels
            && labels.len() != rows
        {
            return Err(refuse(format!("{rows} rows but {} labels", labels.len())));
        }
        let (mean, std, range) = moments(&values, row_len).map_err(refuse)?;
        if std <= 0.0
            && (scaling == ScalingKind::ZScore || matches!(values, Values::Real(_)))
            && scaling != ScalingKind::None
        {
            return Err(refuse(format!(
                "all values are {mean}, nothing to scale by; set data.scaling = \"none\" to use them as they are"
            )));
        }
        let (scaling, dequantise) = match &values {
            Values::Levels(_, levels) => (
                Scaling::image(scaling, *levels, dequantise, mean, std),
                dequantise,
            ),
            Values::Real(_) => (Scaling::series(scaling, range, mean, std), false),
        };
        Ok(MemoryDataset {
            name: name.to_string(),
            shape: shape.to_vec(),
            rows,
            values,
            labels,
            vectors: None,
            images: None,
            scaling,
            dequantise,
            flip: false,
        })
    }

    /// With a vector for each row, `[n]`.
    ///
    /// # Errors
    /// [`TrainError::Data`] for another number of rows or values that are not finite.
    pub fn with_vectors(mut self, vectors: RowTable) -> Result<Self, TrainError> {
        self.vectors = Some(self.beside("vectors", vectors)?);
        Ok(self)
    }

    /// With further channels for each row, `[channels, ...]` with the sizes of the rows.
    ///
    /// # Errors
    /// [`TrainError::Data`] for another number of rows, another size, or values that are not finite.
    pub fn with_images(mut self, images: RowTable) -> Result<Self, TrainError> {
        if self.shape.len() < 2 || images.shape.get(1..) != self.shape.get(1..) {
            return Err(self.refuse(format!(
                "rows have the shape {:?}, images beside them {:?}: all axes but the channels must be the same",
                self.shape, images.shape
            )));
        }
        self.images = Some(self.beside("images", images)?);
        Ok(self)
    }

    /// With every image mirrored left to right on half of the visits, by (seed, epoch, row). Images that stand beside the rows are
    /// not mirrored, so there must be none.
    ///
    /// # Errors
    /// [`TrainError::Data`] for rows that are no images, or have images beside them.
    pub fn with_flips(mut self, flip: bool) -> Result<Self, TrainError> {
        if flip && (self.shape.len() != 3 || self.images.is_some()) {
            let reason = "data.flip mirrors images that have no images beside them; set it to false";
            return Err(self.refuse(reason.to_string()));
        }
        self.flip = flip;
        Ok(self)
    }

    fn beside(&self, what: &str, table: RowTable) -> Result<RowTable, TrainError> {
        let len = table.shape.iter().product::<i64>().max(0) as usize;
        if len == 0 || table.values.len() != self.rows * len {
            return Err(self.refuse(format!(
                "{} rows, but {} values of {what} of the shape {:?}",
                self.rows,
                table.values.len(),
                table.shape
            )));
        }
        match table.values.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(self.refuse(format!(
                "{what} of row {}: a value is {}",
                at / len,
                table.values[at]
            ))),
            None => Ok(table),
        }
    }

    fn refuse(&self, reason: String) -> TrainError {
        TrainError::Data {
            name: self.name.clone(),
            reason,
        }
    }
}

/// Mean, standard deviation and range, of values that are checked first.
fn moments(values: &Values, row_len: usize) -> Result<(f64, f64, (f64, f64)), String> {
    match values {
        Values::Levels(v, levels) => match v.iter().position(|&b| u32::from(b) >= *levels) {
            Some(at) => Err(format!(
                "row {}: value {} of {levels} levels",
                at / row_len,
                v[at]
            )),
            None => Ok(spread(v.iter().map(|&b| f64::from(b)))),
        },
        Values::Real(v) => match v.iter().position(|x| !x.is_finite()) {
            Some(at) => Err(format!(
                "row {}: a value is {} in single precision",
                at / row_len,
                v[at]
            )),
            None => Ok(spread(v.iter().map(|&x| f64::from(x)))),
        },
    }
}

/// In `f64`, in two passes.
pub(super) fn spread(values: impl Iterator<Item = f64> + Clone) -> (f64, f64, (f64, f64)) {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    let var = values.clone().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count;
    let range = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| {
        (l.min(v), h.max(v))
    });
    (mean, var.sqrt(), range)
}

impl Dataset for MemoryDataset {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.rows
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

    fn vectors(&self) -> Option<&RowTable> {
        self.vectors.as_ref()
    }

    fn images(&self) -> Option<&RowTable> {
        self.images.as_ref()
    }

    fn read(&self, rows: &[u64], visit: Visit, out: &mut [f32]) -> Result<(), TrainError> {
        let len = self.row_len();
        check_buffer(&self.name, rows, len, out)?;
        for (&row, out) in rows.iter().zip(out.chunks_exact_mut(len)) {
            let start = match usize::try_from(row) {
                Ok(row) if row < self.rows => row * len,
                _ => return Err(no_such_row(&self.name, row, self.rows)),
            };
            let mut random = RowRandom::new(visit, row);
            let mirrored = self.flip && random.coin();
            match &self.values {
                Values::Real(v) => {
                    for (o, &x) in out.iter_mut().zip(&v[start..start + len]) {
                        *o = self.scaling.to_model(f64::from(x)) as f32;
                    }
                }
                Values::Levels(v, _) if self.dequantise => {
                    for (o, &x) in out.iter_mut().zip(&v[start..start + len]) {
                        *o = self.scaling.to_model(f64::from(x) + random.uniform()) as f32;
                    }
                }
                Values::Levels(v, _) => {
                    for (o, &x) in out.iter_mut().zip(&v[start..start + len]) {
                        *o = self.scaling.to_model(f64::from(x)) as f32;
                    }
                }
            }
            if mirrored {
                let width = self.shape.last().map_or(1, |width| *width as usize);
                out.chunks_exact_mut(width).for_each(<[f32]>::reverse);
            }
        }
        Ok(())
    }
}
