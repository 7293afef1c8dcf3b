//! A data set that lies in memory whole.

use rand::Rng;
use solvers::noise::PhiloxRng;

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

/// Rows in memory, with labels where there are any.
#[derive(Debug, Clone)]
pub struct MemoryDataset {
    name: String,
    shape: Vec<i64>,
    rows: usize,
    values: Values,
    labels: Option<Vec<u32>>,
    scaling: Scaling,
    dequantise: bool,
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
            scaling,
            dequantise,
        })
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
            Some(at) => Err(format!("row {}: a value is {}", at / row_len, v[at])),
            None => Ok(spread(v.iter().map(|&x| f64::from(x)))),
        },
    }
}

/// In `f64`, in two passes.
fn spread(values: impl Iterator<Item = f64> + Clone) -> (f64, f64, (f64, f64)) {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    let var = values.clone().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count;
    let range = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| {
        (l.min(v), h.max(v))
    });
    (mean, var.sqrt(), range)
}

/// Stream of the dequantisation noise: the top bit sets it apart, 26 bits of the epoch, 37 of the row.
fn stream(epoch: u64, row: u64) -> u64 {
    1 << 63 | (epoch & 0x3ff_ffff) << 37 | (row & 0x1f_ffff_ffff)
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

    fn read(&self, rows: &[u64], visit: Visit, out: &mut [f32]) -> Result<(), TrainError> {
        let len = self.row_len();
        let refuse = |reason: String| TrainError::Data {
            name: self.name.clone(),
            reason,
        };
        if out.len() != rows.len() * len {
            return Err(refuse(format!(
                "{} rows need {} values, not {}",
                rows.len(),
                rows.len() * len,
                out.len()
            )));
        }
        for (&row, out) in rows.iter().zip(out.chunks_exact_mut(len)) {
            let start = match usize::try_from(row) {
                Ok(row) if row < self.rows => row * len,
                _ => return Err(refuse(format!("row {row} asked for, there are {}", self.rows))),
            };
            match &self.values {
                Values::Real(v) => {
                    for (o, &x) in out.iter_mut().zip(&v[start..start + len]) {
                        *o = self.scaling.to_model(f64::from(x)) as f32;
                    }
                }
                Values::Levels(v, _) => {
                    let raw = &v[start..start + len];
                    if self.dequantise {
                        let mut rng = PhiloxRng::new(visit.seed, stream(visit.epoch, row));
                        for (o, &x) in out.iter_mut().zip(raw) {
                            let u = (f64::from(rng.next_u32()) + 0.5) / 4_294_967_296.0;
                            *o = self.scaling.to_model(f64::from(x) + u) as f32;
                        }
                    } else {
                        for (o, &x) in out.iter_mut().zip(raw) {
                            *o = self.scaling.to_model(f64::from(x)) as f32;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
