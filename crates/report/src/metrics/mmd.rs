//! The maximum mean discrepancy with a Gaussian kernel.

use ndarray::ArrayView2;

use super::estimate::{Estimate, two_sample};
use super::pairwise::squared_distance;
use super::pass::{Comparison, Pass, Pool, Settings};
use super::{MetricError, Rows, Set};

/// Rows of which the median heuristic takes all pairs.
const MEDIAN_ROWS: usize = 1000;

/// The square of the maximum mean discrepancy between two sets of rows, with the kernel
/// `exp(-|x - y|^2 / (2 bandwidth^2))`: the unbiased estimate (A. Gretton et al., A kernel two-sample test,
/// JMLR 13, 2012, equation 3), which is 0 in expectation for two sets of one distribution, of any size, and
/// may be slightly negative. Needs two rows in each set. Time 2 (n + m)^2 d.
///
/// # Errors
/// [`MetricError`]; [`MetricError::Option`] for a bandwidth that is not positive.
pub fn mmd_rbf<T: Copy + Into<f64>, U: Copy + Into<f64>>(
    first: ArrayView2<'_, T>,
    second: ArrayView2<'_, U>,
    bandwidth: f64,
) -> Result<Estimate, MetricError> {
    if !(bandwidth > 0.0 && bandwidth.is_finite()) {
        return Err(MetricError::Option {
            option: "bandwidth",
            value: bandwidth.to_string(),
            wanted: "positive and finite",
        });
    }
    let pool = Pool::pair(first, second, [2, 2])?;
    let settings = Settings {
        bandwidth: Some(bandwidth),
        ..Settings::PLAIN
    };
    of_pass(&Pass::run(&pool, &[Comparison::pair()], &[], settings), 0)
}

pub(super) fn of_pass(pass: &Pass<'_>, comparison: usize) -> Result<Estimate, MetricError> {
    two_sample(pass, comparison, |rows, columns| pass.kernel_sums(rows, columns))
        .finite("the maximum mean discrepancy")
}

/// The median heuristic for the bandwidth: the median Euclidean distance between two different rows, over all
/// pairs of the first 1000 rows that do not coincide (Gretton et al. 2012, section 8, take it over both sets
/// together; taken over the data alone it is the same for every model). Rows in sorted order are to be
/// shuffled first.
///
/// # Errors
/// [`MetricError`]; [`MetricError::Constant`] if those rows are all equal.
pub fn median_distance<T: Copy + Into<f64>>(rows: ArrayView2<'_, T>) -> Result<f64, MetricError> {
    let rows = Rows::new(rows, Set::Second, 2)?;
    let mut squares: Vec<f64> = (0..rows.len().min(MEDIAN_ROWS))
        .flat_map(|i| (0..i).map(move |j| (i, j)))
        .map(|(i, j)| squared_distance(rows.row(i), rows.row(j)))
        .filter(|&square| square > 0.0)
        .collect();
    if squares.is_empty() {
        return Err(MetricError::Constant { set: Set::Second });
    }
    let middle = squares.len() / 2;
    let (_, median, _) = squares.select_nth_unstable_by(middle, f64::total_cmp);
    let median = median.sqrt();
    Estimate::bare(median)
        .finite("a distance")
        .map(|estimate| estimate.value)
}
