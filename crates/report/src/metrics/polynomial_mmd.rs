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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::testing::{normals, repeated};
    use ndarray::array;

    #[test]
    fn two_points_by_hand() {
        let (x, y) = (array![[0.0], [1.0]], array![[2.0], [3.0]]);
        let estimate = polynomial_mmd(x.view(), y.view(), 1000).expect("defined");
        assert_eq!(
            (estimate.value, estimate.standard_error),
            (1.0 + 343.0 - 2.0 * 93.0 / 4.0, None)
        );
        // In two dimensions the product is halved: k(x, x') = (0/2 + 1)^3, k(y, y') = (4/2 + 1)^3, across 1 and 8.
        let (x, y) = (array![[0.0, 0.0], [1.0, 1.0]], array![[0.0, 2.0], [2.0, 2.0]]);
        let estimate = polynomial_mmd(x.view(), y.view(), 2).expect("defined");
        assert_eq!(estimate.value, 1.0 + 27.0 - 2.0 * (1.0 + 1.0 + 8.0 + 27.0) / 4.0);
    }

    #[test]
    fn shifted_normals_have_a_closed_form() {
        // (x y + 1)^3 = x^3 y^3 + 3 x^2 y^2 + 3 x y + 1 with the moments of N(0, 1) and N(delta, 1).
        let delta = 0.7f64;
        let (square, cube) = (1.0 + delta * delta, delta * delta * delta + 3.0 * delta);
        let expected = 4.0 + (cube * cube + 3.0 * square * square + 3.0 * delta * delta + 1.0)
            - 2.0 * (3.0 * square + 1.0);
        let run = |seed: u64| {
            let y = normals(430, 1, 2 * seed + 1) + delta;
            polynomial_mmd(normals(405, 1, 2 * seed).view(), y.view(), 20).expect("defined")
        };
        let (mean, error) = repeated(100, |seed| run(seed).value);
        assert!(
            (mean - expected).abs() < 4.0 * error,
            "{mean} ± {error} against {expected}"
        );
        // Twenty blocks: the stated error is the spread of the mean, up to 1/sqrt(200) and that of a spread of 20 heavy tails.
        let (stated, _) = repeated(100, |seed| run(seed).standard_error.expect("twenty blocks"));
        assert!(
            (0.75..1.3).contains(&(stated / (10.0 * error))),
            "{stated} against {}",
            10.0 * error
        );
    }

    #[test]
    fn a_block_has_two_rows() {
        let rows = normals(4, 2, 0);
        assert!(matches!(
            polynomial_mmd(rows.view(), rows.view(), 1),
            Err(MetricError::Option { .. })
        ));
    }
}
