//! The maximum mean discrepancy with a Gaussian kernel.

use ndarray::ArrayView2;

use super::estimate::{Estimate, two_sample};
use super::pairwise::squared_distance;
use super::pass::{Comparison, Pass, Pool, Settings};
use super::{Alone, MetricError, Rows, Set};

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
    of_pass(
        &Pass::run(&pool, &[Comparison::pair()], &[], settings, &Alone)?,
        0,
    )
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::testing::{normals, repeated};
    use ndarray::array;

    #[test]
    fn two_points_by_hand() {
        // k(0, 1) = e^-1/2, k(0, 2) = e^-2, k(1, 2) = e^-1/2, k(0, 3) = e^-9/2, k(1, 3) = e^-2, k(2, 3) = e^-1/2.
        let value = mmd_rbf(array![[0.0], [1.0]].view(), array![[2.0], [3.0]].view(), 1.0).expect("defined");
        let across = (2.0 * (-2f64).exp() + (-0.5f64).exp() + (-4.5f64).exp()) / 4.0;
        let expected = 2.0 * (-0.5f64).exp() - 2.0 * across;
        assert!((value.value - expected).abs() < 1e-15);
    }

    #[test]
    fn shifted_normals_have_a_closed_form() {
        // E k = (s^2 / (s^2 + 2))^(d/2) exp(-|delta|^2 / (2 (s^2 + 2))) for unit covariances.
        let (d, s2, delta) = (3, 1.7f64, 0.8);
        let kernel =
            |square: f64| (s2 / (s2 + 2.0)).powf(d as f64 / 2.0) * (-square / (2.0 * (s2 + 2.0))).exp();
        let expected = 2.0 * kernel(0.0) - 2.0 * kernel(delta * delta);
        let mut errors = Vec::new();
        let run = |seed: u64| {
            let x = normals(40, d, 2 * seed);
            let mut y = normals(55, d, 2 * seed + 1);
            y.column_mut(1).mapv_inplace(|value| value + delta);
            mmd_rbf(x.view(), y.view(), s2.sqrt()).expect("defined")
        };
        let (mean, error) = repeated(400, |seed| run(seed).value);
        assert!(
            (mean - expected).abs() < 4.0 * error,
            "{mean} ± {error} against {expected}"
        );
        (0..400).for_each(|seed| errors.push(run(seed).standard_error.expect("an error")));
        // The stated error is the spread over repetitions; that itself is known to 1/sqrt(800), the second order adds some.
        let spread = error * 20.0;
        let stated = errors.iter().sum::<f64>() / 400.0;
        assert!(
            (0.9..1.25).contains(&(stated / spread)),
            "{stated} against {spread}"
        );
    }

    #[test]
    fn equal_distributions_give_nothing_on_average() {
        let (mean, error) = repeated(300, |seed| {
            let all = normals(50, 2, seed);
            let (x, y) = all.view().split_at(ndarray::Axis(0), 20);
            mmd_rbf(x, y, 1.0).expect("defined").value
        });
        assert!(mean.abs() < 4.0 * error, "{mean} ± {error}");
    }

    #[test]
    fn the_median_of_known_distances() {
        // 1, 2, 3 and a row that coincides with another.
        assert_eq!(median_distance(array![[0.0], [1.0], [3.0]].view()), Ok(2.0));
        assert_eq!(median_distance(array![[5.0], [5.0], [7.0]].view()), Ok(2.0));
        let constant = median_distance(array![[1.0, 2.0], [1.0, 2.0]].view());
        assert_eq!(constant, Err(MetricError::Constant { set: Set::Second }));
        let rows = array![[0.0], [1.0]];
        assert!(matches!(
            mmd_rbf(rows.view(), rows.view(), 0.0),
            Err(MetricError::Option { .. })
        ));
    }
}
