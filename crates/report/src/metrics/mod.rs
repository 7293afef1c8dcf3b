//! Distances between two sets of samples, each given as rows of one length.
//!
//! Rows may be bytes, `f32` or `f64`; all arithmetic is `f64`. No result depends on the number of threads.
//! Scale images to [0, 1] first when the figures are to be compared with those of others.

mod eigen;
mod frechet;
mod pairwise;

use std::fmt;

use ndarray::ArrayView2;

pub use frechet::{GaussianFit, frechet_distance};
pub use pairwise::{
    ClassEntropy, Copies, OneNearestNeighbour, class_entropy, energy_distance, nearest_distances,
    nearest_neighbour_copies, one_nn_accuracy,
};

/// Which of a metric's two arguments an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// The first argument, by custom the generated samples.
    First,
    /// The second argument, by custom the data.
    Second,
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "the first set",
            Self::Second => "the second set",
        })
    }
}

/// Why a metric is not defined on its arguments.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// Fewer rows than the metric needs.
    #[error("{set} has {rows} rows; this metric needs at least {needed}")]
    TooFewRows {
        /// Which set.
        set: Set,
        /// How many it has.
        rows: usize,
        /// How many it needs.
        needed: usize,
    },
    /// Rows without a value.
    #[error("{set} has rows of length 0")]
    NoColumns {
        /// Which set.
        set: Set,
    },
    /// The two sets have rows of different length.
    #[error("the first set has rows of length {first}, the second of length {second}")]
    Lengths {
        /// Row length of the first set.
        first: usize,
        /// Row length of the second set.
        second: usize,
    },
    /// A value that is NaN or infinite.
    #[error("{set}: row {row}, column {column} is {value}")]
    NotFinite {
        /// Which set.
        set: Set,
        /// Row, counted from 0.
        row: usize,
        /// Column, counted from 0.
        column: usize,
        /// The value.
        value: f64,
    },
    /// Values so large that a sum of squares leaves the range of `f64`.
    #[error("the values are too large: {quantity} is not finite")]
    Overflow {
        /// What overflowed.
        quantity: &'static str,
    },
    /// A label so large that it cannot be the number of a class.
    #[error("label {label} is too large: classes are numbered from 0")]
    LargeLabel {
        /// The label.
        label: usize,
    },
    /// Not one label for each row.
    #[error("{labels} labels for {rows} rows")]
    Labels {
        /// How many labels.
        labels: usize,
        /// How many rows.
        rows: usize,
    },
}

/// Checked rows in one contiguous block.
pub(crate) struct Rows {
    values: Vec<f64>,
    length: usize,
}

impl Rows {
    /// Copies a set, checks its size and that every value is finite.
    fn new<T: Copy + Into<f64>>(
        view: ArrayView2<'_, T>,
        set: Set,
        needed: usize,
    ) -> Result<Self, MetricError> {
        let (rows, length) = view.dim();
        if rows < needed {
            return Err(MetricError::TooFewRows { set, rows, needed });
        }
        if length == 0 {
            return Err(MetricError::NoColumns { set });
        }
        let values: Vec<f64> = view.iter().map(|&value| value.into()).collect();
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(Self { values, length }),
            Some(at) => Err(MetricError::NotFinite {
                set,
                row: at / length,
                column: at % length,
                value: values[at],
            }),
        }
    }

    /// Two sets with rows of one length.
    fn pair<T: Copy + Into<f64>, U: Copy + Into<f64>>(
        first: ArrayView2<'_, T>,
        second: ArrayView2<'_, U>,
        needed: [usize; 2],
    ) -> Result<(Self, Self), MetricError> {
        let a = Self::new(first, Set::First, needed[0])?;
        let b = Self::new(second, Set::Second, needed[1])?;
        if a.length != b.length {
            return Err(MetricError::Lengths {
                first: a.length,
                second: b.length,
            });
        }
        Ok((a, b))
    }

    fn len(&self) -> usize {
        self.values.len() / self.length
    }

    fn row(&self, index: usize) -> &[f64] {
        &self.values[index * self.length..(index + 1) * self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, ArrayView2, array};

    type Metric = fn(ArrayView2<'_, f64>, ArrayView2<'_, f64>) -> Result<f64, MetricError>;

    /// Every metric on two sets, with the fewest rows that it needs in each.
    fn metrics() -> Vec<(Metric, [usize; 2])> {
        vec![
            (|a, b| frechet_distance(a, b), [2, 2]),
            (|a, b| energy_distance(a, b), [2, 2]),
            (|a, b| one_nn_accuracy(a, b).map(|test| test.accuracy), [2, 2]),
            (
                |a, b| nearest_neighbour_copies(a, b, 0.0).map(|copies| copies.smallest),
                [1, 1],
            ),
            (
                |a, b| class_entropy(a, b, &vec![0; b.nrows()]).map(|classes| classes.nats),
                [1, 1],
            ),
        ]
    }

    #[test]
    fn what_is_not_defined_is_a_typed_error() {
        let rows = |n: usize, d: usize| Array2::from_shape_fn((n, d), |(i, j)| (i * 7 + j * 3) as f64);
        let good = rows(5, 3);
        for (metric, needed) in metrics() {
            assert!(metric(good.view(), good.view()).is_ok());
            for few in 0..needed[0] {
                let error = metric(rows(few, 3).view(), good.view());
                assert_eq!(
                    error,
                    Err(MetricError::TooFewRows {
                        set: Set::First,
                        rows: few,
                        needed: needed[0]
                    })
                );
            }
            for few in 0..needed[1] {
                let error = metric(good.view(), rows(few, 3).view());
                assert_eq!(
                    error,
                    Err(MetricError::TooFewRows {
                        set: Set::Second,
                        rows: few,
                        needed: needed[1]
                    })
                );
            }
            assert!(metric(rows(needed[0], 3).view(), rows(needed[1], 3).view()).is_ok());
            assert_eq!(
                metric(good.view(), rows(5, 4).view()),
                Err(MetricError::Lengths { first: 3, second: 4 })
            );
            assert_eq!(
                metric(rows(5, 0).view(), good.view()),
                Err(MetricError::NoColumns { set: Set::First })
            );
            for bad in [f64::NAN, f64::INFINITY] {
                let mut damaged = good.clone();
                damaged[[2, 1]] = bad;
                let error = metric(good.view(), damaged.view()).expect_err("not finite");
                assert!(
                    matches!(
                        error,
                        MetricError::NotFinite {
                            set: Set::Second,
                            row: 2,
                            column: 1,
                            ..
                        }
                    ),
                    "{error}"
                );
            }
            let huge = good.mapv(|value| (value + 1.0) * 1e300);
            assert!(matches!(
                metric(huge.view(), good.view()),
                Err(MetricError::Overflow { .. })
            ));
        }
    }

    #[test]
    fn errors_read_as_sentences() {
        let error = one_nn_accuracy(array![[0.0]].view(), array![[1.0]].view()).expect_err("one row");
        assert_eq!(
            error.to_string(),
            "the first set has 1 rows; this metric needs at least 2"
        );
    }
}
