//! Bits per dimension of data that were whole numbers.

use std::f64::consts::LN_2;

use ndarray::{Array2, ArrayView2};

use super::mean_and_error;
use crate::noise::uniform_at;
use crate::{Draw, Purpose, SolveError};

/// How whole numbers `0..levels` became the values on which the model works: level `k` was scaled to `low + (high - low) k/(levels
/// - 1)`. Without this statement there are no bits per dimension, only nats: a continuous density has no code length.
///
/// ```
/// use solvers::likelihood::Quantisation;
/// let bytes = Quantisation::new(256, -1.0, 1.0)?;
/// assert_eq!(bytes.offset_bits(), 7.0);
/// assert!(Quantisation::new(1, 0.0, 1.0).is_err());
/// # Ok::<(), solvers::SolveError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantisation {
    levels: u32,
    low: f64,
    high: f64,
}

impl Quantisation {
    /// `levels` values from `low` to `high`: 256 from 0 to 1, or from -1 to 1, for bytes.
    ///
    /// # Errors
    /// [`SolveError::Config`] at `quantisation.levels` below 2 or `quantisation.range` that is not finite and ascending.
    pub fn new(levels: u32, low: f64, high: f64) -> Result<Self, SolveError> {
        let refuse = |key: &str, value: String, reason: &str| {
            Err(SolveError::Config {
                key: format!("quantisation.{key}"),
                value,
                reason: reason.into(),
            })
        };
        if levels < 2 {
            return refuse("levels", levels.to_string(), "must be at least 2");
        }
        if !(low.is_finite() && high.is_finite() && low < high && (high - low).is_finite()) {
            let reason = "must be two finite numbers, the smaller one first";
            return refuse("range", format!("[{low}, {high}]"), reason);
        }
        Ok(Self { levels, low, high })
    }

    /// The value of level `k` before dequantisation, `low + (high - low) k/(levels - 1)`.
    pub fn scaled(&self, level: f64) -> f64 {
        self.low + (self.high - self.low) * level / (f64::from(self.levels) - 1.0)
    }

    /// `log2(levels/(high - low))`: minus the logarithm of the width of a level after [`Quantisation::dequantise`]. 8 for bytes in
    /// `[0, 1]`, 7 in `[-1, 1]`.
    pub fn offset_bits(&self) -> f64 {
        (f64::from(self.levels) / (self.high - self.low)).log2()
    }

    /// Uniform dequantisation (Theis et al. 2016, arXiv:1511.01844, section 3.1): level `k` of the scaled data becomes `low + (high -
    /// low)(k + u)/levels`, `u` uniform in (0, 1), so that the levels fill the range without gaps. `u` belongs to `(seed, repeat,
    /// row, position)`, rows counted from `first_row`.
    ///
    /// The mean of the bits per dimension over `u` is at least the code length of the data under the model's levels.
    ///
    /// # Errors
    /// [`SolveError::NotQuantised`] for a value that is no level, within a hundredth of the distance between two.
    pub fn dequantise(
        &self,
        data: ArrayView2<f64>,
        seed: u64,
        repeat: u32,
        first_row: u64,
    ) -> Result<Array2<f64>, SolveError> {
        let (levels, width) = (f64::from(self.levels), self.high - self.low);
        let draw = Draw {
            step: repeat,
            purpose: Purpose::Data,
        };
        let mut out = Array2::zeros(data.dim());
        for (((row, position), value), out) in data.indexed_iter().zip(&mut out) {
            let row = first_row + row as u64;
            let scaled = (value - self.low) / width * (levels - 1.0);
            let level = scaled.round();
            // Written so that NaN is refused.
            if !((scaled - level).abs() <= 0.01 && (0.0..levels).contains(&level)) {
                return Err(SolveError::NotQuantised {
                    value: *value,
                    row,
                    position,
                    levels: self.levels,
                    low: self.low,
                    high: self.high,
                });
            }
            *out = self.low + width * (level + uniform_at(seed, draw, row, position)) / levels;
        }
        Ok(out)
    }

    /// `-nats/(d ln 2) + offset_bits` for the log density `nats` at time `t` of a dequantised row of `dim` values.
    ///
    /// # Errors
    /// [`SolveError::Shape`] for `dim = 0`.
    pub fn bits_per_dim(&self, nats: f64, dim: usize, t: f64) -> Result<BitsPerDim, SolveError> {
        if dim == 0 {
            return Err(SolveError::Shape {
                what: "rows for bits per dimension",
                got: "[0]".into(),
                need: "at least one value".into(),
            });
        }
        Ok(BitsPerDim {
            value: self.offset_bits() - nats / (dim as f64 * LN_2),
            t,
            quantisation: *self,
        })
    }
}

/// Bits per dimension of a row or a mean over rows, made by [`Quantisation::bits_per_dim`] alone. It remembers which density it is
/// of: that of the data as noised up to time [`BitsPerDim::t`], with no correction for the noise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BitsPerDim {
    value: f64,
    t: f64,
    quantisation: Quantisation,
}

/// A mean of bits per dimension.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BitsAverage {
    /// The mean.
    pub mean: BitsPerDim,
    /// Its standard error, for two values or more.
    pub std_error: Option<f64>,
    /// Number of values.
    pub count: usize,
}

impl BitsPerDim {
    /// The number.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// The time whose density it is of.
    pub fn t(&self) -> f64 {
        self.t
    }

    /// The quantisation that it is stated for.
    pub fn quantisation(&self) -> Quantisation {
        self.quantisation
    }

    /// Mean and standard error. Over the rows of a data set the error is that of the data set; over repeats of the dequantisation,
    /// each already a mean over rows, it is that of the dequantisation alone.
    ///
    /// # Errors
    /// [`SolveError::Config`] at `bits_per_dim` for no values, and for values of different times or quantisations, which must not be
    /// mixed.
    pub fn average(values: &[Self]) -> Result<BitsAverage, SolveError> {
        let refuse = |value: String, reason: &str| {
            Err(SolveError::Config {
                key: "bits_per_dim".into(),
                value,
                reason: reason.into(),
            })
        };
        let Some(first) = values.first() else {
            return refuse("[]".into(), "there is no mean of no values");
        };
        if let Some(other) = values.iter().find(|v| v.t != first.t) {
            let reason = "these are densities at different times; average each on its own";
            return refuse(format!("t = {} and t = {}", first.t, other.t), reason);
        }
        if let Some(other) = values.iter().find(|v| v.quantisation != first.quantisation) {
            let reason = "these are stated for different quantisations; average each on its own";
            return refuse(
                format!("{:?} and {:?}", first.quantisation, other.quantisation),
                reason,
            );
        }
        let (mean, std_error) = mean_and_error(values.iter().map(|bits| bits.value));
        Ok(BitsAverage {
            mean: Self {
                value: mean,
                ..*first
            },
            std_error,
            count: values.len(),
        })
    }
}
