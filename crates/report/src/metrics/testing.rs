//! What the tests of several metrics need.

use ndarray::{Array2, ArrayView2};

use super::random::{Purpose, Random};

/// Rows of independent standard normal numbers.
pub(super) fn normals(rows: usize, columns: usize, seed: u64) -> Array2<f64> {
    let mut random = Random::new(seed, Purpose::Directions);
    Array2::from_shape_simple_fn((rows, columns), || random.normal())
}

/// Rows of small whole numbers: most distances occur many times.
pub(super) fn lattice(rows: usize, columns: usize, seed: u64) -> Array2<f64> {
    let mut random = Random::new(seed, Purpose::Directions);
    Array2::from_shape_simple_fn((rows, columns), || random.below(7) as f64)
}

/// The squared distance as it is defined.
pub(super) fn square(x: ArrayView2<'_, f64>, i: usize, y: ArrayView2<'_, f64>, j: usize) -> f64 {
    x.row(i)
        .iter()
        .zip(y.row(j))
        .map(|(a, b)| (a - b) * (a - b))
        .sum()
}

/// The squared distance of each row to its k-th nearest other row, by sorting all of them.
pub(super) fn radii(x: ArrayView2<'_, f64>, k: usize) -> Vec<f64> {
    let of_row = |i: usize| {
        let mut all: Vec<f64> = (0..x.nrows())
            .filter(|&j| j != i)
            .map(|j| square(x, i, x, j))
            .collect();
        all.sort_by(f64::total_cmp);
        all[k - 1]
    };
    (0..x.nrows()).map(of_row).collect()
}

/// The same rows turned by a rotation in the plane of two columns.
pub(super) fn rotated(x: &Array2<f64>, angle: f64) -> Array2<f64> {
    let mut out = x.clone();
    for mut row in out.rows_mut() {
        let (a, b) = (row[0], row[1]);
        row[0] = angle.cos() * a - angle.sin() * b;
        row[1] = angle.sin() * a + angle.cos() * b;
    }
    out
}

/// The mean and its standard error over repetitions.
pub(super) fn repeated(times: u64, value: impl Fn(u64) -> f64) -> (f64, f64) {
    let values: Vec<f64> = (0..times).map(value).collect();
    let estimate = super::Estimate::of_mean(&values);
    (estimate.value, estimate.standard_error.expect("several values"))
}
