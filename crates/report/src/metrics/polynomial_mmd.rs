//! The maximum mean discrepancy with the cubic kernel.

use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use super::estimate::Estimate;
use super::{MetricError, rows};

/// The square of the maximum mean discrepancy with the kernel `(x.y / d + 1)^3`, as the mean of the unbiased
/// estimates of disjoint blocks of rows, `min(block, n, m)` in each set, with the standard error over blocks
/// (M. Bińkowski et al., Demystifying MMD GANs, 2018, arXiv:1801.01401, section 3 and appendix D, whose program
/// draws its blocks of 1000 with repetition). On Inception features it is called KID; on pixels or other
/// features it is not that. Rows in sorted order are to be shuffled first; those that fill no block are left
/// out. One block has no standard error. Time 6 n block d.
///
/// # Errors
/// [`MetricError`]; [`MetricError::Option`] for a block of less than 2 rows.
pub fn polynomial_mmd<T: Copy + Into<f64>, U: Copy + Into<f64>>(
    first: ArrayView2<'_, T>,
    second: ArrayView2<'_, U>,
    block: usize,
) -> Result<Estimate, MetricError> {
    rows::check_pair(first, second, [2, 2])?;
    let (x, y) = (first.mapv(Into::into), second.mapv(Into::into));
    of_rows(x.view(), y.view(), block)
}

pub(super) fn of_rows(
    x: ArrayView2<'_, f64>,
    y: ArrayView2<'_, f64>,
    block: usize,
) -> Result<Estimate, MetricError> {
    if block < 2 {
        return Err(MetricError::Option {
            option: "the block of the polynomial kernel",
            value: block.to_string(),
            wanted: "at least 2 rows",
        });
    }
    let rows = x.nrows().min(y.nrows());
    let block = block.min(rows);
    let values: Vec<f64> = (0..rows / block)
        .into_par_iter()
        .map(|index| {
            let range = index * block..(index + 1) * block;
            of_block(x.slice(s![range.clone(), ..]), y.slice(s![range, ..]))
        })
        .collect();
    Estimate::of_mean(&values).finite("the polynomial maximum mean discrepancy")
}

fn of_block(x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>) -> f64 {
    let n = x.nrows() as f64;
    let within = |kernel: Array2<f64>| (kernel.sum() - kernel.diag().sum()) / (n * (n - 1.0));
    within(kernel(x, x)) + within(kernel(y, y)) - 2.0 * kernel(x, y).sum() / (n * n)
}

fn kernel(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Array2<f64> {
    let dimension = a.len_of(Axis(1)) as f64;
    a.dot(&b.t()).mapv(|product| {
        let base = product / dimension + 1.0;
        base * base * base
    })
}
