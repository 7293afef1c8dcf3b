//! Rows as the metrics read them: checked, in `f64`.

use ndarray::ArrayView2;

use super::{MetricError, Set};

/// Checks the size of a set and that every value is finite.
pub(super) fn check<T: Copy + Into<f64>>(
    view: ArrayView2<'_, T>,
    set: Set,
    needed: usize,
) -> Result<(), MetricError> {
    let rows = view.nrows();
    if rows < needed {
        return Err(MetricError::TooFewRows { set, rows, needed });
    }
    if view.ncols() == 0 {
        return Err(MetricError::NoColumns { set });
    }
    for ((row, column), &value) in view.indexed_iter() {
        let value: f64 = value.into();
        if !value.is_finite() {
            return Err(MetricError::NotFinite {
                set,
                row,
                column,
                value,
            });
        }
    }
    Ok(())
}

/// Checks two sets with rows of one length.
pub(super) fn check_pair<T: Copy + Into<f64>, U: Copy + Into<f64>>(
    first: ArrayView2<'_, T>,
    second: ArrayView2<'_, U>,
    needed: [usize; 2],
) -> Result<(), MetricError> {
    check(first, Set::First, needed[0])?;
    check(second, Set::Second, needed[1])?;
    if first.ncols() != second.ncols() {
        return Err(MetricError::Lengths {
            first: first.ncols(),
            second: second.ncols(),
        });
    }
    Ok(())
}

/// Checked rows in one contiguous block.
pub(super) struct Rows {
    pub values: Vec<f64>,
    pub length: usize,
}

impl Rows {
    /// Copies a set, checks its size and that every value is finite.
    pub fn new<T: Copy + Into<f64>>(
        view: ArrayView2<'_, T>,
        set: Set,
        needed: usize,
    ) -> Result<Self, MetricError> {
        check(view, set, needed)?;
        Ok(Self {
            values: view.iter().map(|&value| value.into()).collect(),
            length: view.ncols(),
        })
    }

    /// Two sets with rows of one length.
    pub fn pair<T: Copy + Into<f64>, U: Copy + Into<f64>>(
        first: ArrayView2<'_, T>,
        second: ArrayView2<'_, U>,
        needed: [usize; 2],
    ) -> Result<(Self, Self), MetricError> {
        check_pair(first, second, needed)?;
        let a = Self::new(first, Set::First, 0)?;
        let b = Self::new(second, Set::Second, 0)?;
        Ok((a, b))
    }

    pub fn len(&self) -> usize {
        self.values.len() / self.length
    }

    pub fn row(&self, index: usize) -> &[f64] {
        &self.values[index * self.length..(index + 1) * self.length]
    }
}
