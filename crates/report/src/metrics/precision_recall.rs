//! Improved precision and recall.

use ndarray::ArrayView2;

use super::estimate::Estimate;
use super::pass::{Comparison, Pass, Pool, Settings};
use super::{Alone, MetricError};

/// Shares of one set that lie on the other's estimated manifold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrecisionRecall {
    /// The share of samples within a ball around some data row: low if samples are unlike the data.
    pub precision: Estimate,
    /// The share of data rows within a ball around some sample: low if samples miss parts of the data.
    pub recall: Estimate,
}

/// Improved precision and recall of samples (first set) against data (second set): the manifold of a set is
/// the union of closed balls around its rows, each as large as the distance to the row's `neighbours`-th nearest
/// other row of the same set (T. Kynkäänniemi et al., Improved precision and recall metric for assessing
/// generative models, 2019, arXiv:1904.06991, equations 1 and 2; `neighbours` = 3 there). Both depend on the
/// numbers of rows, and grow with the spread of the other set: one outlier has a ball that covers much. Their
/// standard errors are binomial, with the balls taken as given. Time 2 (n + m)^2 d.
///
/// # Errors
/// [`MetricError`]; [`MetricError::Neighbours`] unless each set has more than `neighbours` rows.
pub fn precision_recall<T: Copy + Into<f64>, U: Copy + Into<f64>>(
    samples: ArrayView2<'_, T>,
    data: ArrayView2<'_, U>,
    neighbours: usize,
) -> Result<PrecisionRecall, MetricError> {
    let pool = Pool::pair(samples, data, [2, 2])?;
    pool.check_neighbours("the neighbours of precision and recall", neighbours)?;
    let settings = Settings {
        precision_neighbours: neighbours,
        ..Settings::PLAIN
    };
    Ok(of_pass(
        &Pass::run(&pool, &[Comparison::pair()], &[], settings, &Alone)?,
        0,
    ))
}

pub(super) fn of_pass(pass: &Pass<'_>, comparison: usize) -> PrecisionRecall {
    let share = |inside: &[bool]| {
        let count = inside.iter().filter(|&&inside| inside).count();
        Estimate::of_share(count as f64 / inside.len() as f64, inside.len())
    };
    let balls = &pass.balls[comparison];
    PrecisionRecall {
        precision: share(&balls.precise),
        recall: share(&balls.recalled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Set;
    use crate::metrics::testing::{lattice, normals, radii, rotated, square};
    use ndarray::{ArrayView2, Axis, array};
    use proptest::prelude::*;

    fn values(x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>, k: usize) -> (f64, f64) {
        let both = precision_recall(x, y, k).expect("defined");
        (both.precision.value, both.recall.value)
    }

    /// The share of rows of x in a closed ball around a row of y, as it is defined.
    fn share(x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>, k: usize) -> f64 {
        let radii = radii(y, k);
        let inside = |i: &usize| (0..y.nrows()).any(|j| square(x, *i, y, j) <= radii[j]);
        (0..x.nrows()).filter(inside).count() as f64 / x.nrows() as f64
    }

    #[test]
    fn points_on_a_line_by_hand() {
        // Radii of the data 1, 1, 1, 8 and of the samples 1/2, 1/2, 27; 3 and 2 lie on the border of a ball.
        let data = array![[0.0], [1.0], [2.0], [10.0]];
        let samples = array![[3.0], [2.5], [30.0]];
        assert_eq!(values(samples.view(), data.view(), 1), (2.0 / 3.0, 0.5));
    }

    #[test]
    fn identical_and_distant_sets() {
        let x = normals(60, 3, 1);
        assert_eq!(values(x.view(), x.view(), 3), (1.0, 1.0));
        assert_eq!(values((&x + 1000.0).view(), x.view(), 3), (0.0, 0.0));
        // One of two modes: every sample is like data, and half of the data is like no sample.
        let mut data = normals(200, 2, 2);
        data.slice_mut(ndarray::s![100.., ..])
            .mapv_inplace(|value| value + 100.0);
        let (precision, recall) = values(normals(100, 2, 3).view(), data.view(), 3);
        assert!(
            precision > 0.9 && (0.4..=0.5).contains(&recall),
            "{precision} {recall}"
        );
    }

    #[test]
    fn ties_and_borders_are_those_of_the_definition() {
        // More rows than a block has, on a lattice, where most borders are met exactly.
        let (x, y) = (lattice(300, 5, 1), lattice(530, 5, 2) + 1.0);
        let (x, y) = (x.view(), y.view());
        assert_eq!(values(x, y, 2), (share(x, y, 2), share(y, x, 2)));
        // Thirds are not exact in binary numbers, and an offset takes digits.
        let (x, y) = (x.mapv(|v| v / 3.0 + 1e3), y.mapv(|v| v / 3.0 + 1e3));
        let (x, y) = (x.view(), y.view());
        assert_eq!(values(x, y, 2), (share(x, y, 2), share(y, x, 2)));
    }

    #[test]
    fn as_many_neighbours_as_rows_are_refused() {
        let (few, many) = (normals(3, 2, 0), normals(9, 2, 0));
        let error = precision_recall(many.view(), few.view(), 3).expect_err("three rows");
        let expected = MetricError::Neighbours {
            set: Set::Second,
            rows: 3,
            neighbours: 3,
        };
        assert_eq!(error, expected);
        assert!(precision_recall(many.view(), few.view(), 2).is_ok());
        assert!(matches!(
            precision_recall(many.view(), many.view(), 0),
            Err(MetricError::Option { .. })
        ));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]
        #[test]
        fn order_and_rotation_change_nothing(seed in 0u64..1000, angle in 0.0f64..6.0) {
            let (x, y) = (normals(30, 3, seed), normals(40, 3, seed + 5000));
            let expected = values(x.view(), y.view(), 3);
            let reversed = x.select(Axis(0), &(0..30).rev().collect::<Vec<_>>());
            prop_assert_eq!(values(reversed.view(), y.view(), 3), expected);
            prop_assert_eq!(values(rotated(&x, angle).view(), rotated(&y, angle).view(), 3), expected);
            let (precision, recall) = expected;
            prop_assert_eq!(values(y.view(), x.view(), 3), (recall, precision));
        }
    }
}
