//! Distances between two sets of samples, each given as rows of one length.
//!
//! Rows may be bytes, `f32` or `f64`; all arithmetic is `f64`. No result depends on the number of threads.
//! Scale images to [0, 1] first when the figures are to be compared with those of others.
//!
//! [`evaluate`] computes all of them at once, each with its floor: the value on real rows against real rows.

mod autocorrelation;
mod c2st;
mod class_balance;
mod density_coverage;
mod eigen;
mod error;
mod estimate;
mod evaluate;
mod frechet;
mod mmd;
mod neighbours;
mod one_nn;
mod pairwise;
mod pass;
mod polynomial_mmd;
mod precision_recall;
mod random;
mod rows;
mod score;
mod spectrum;
mod team;
#[cfg(test)]
mod testing;
mod wasserstein;

pub use autocorrelation::autocorrelation_distance;
pub use c2st::c2st_accuracy;
pub use class_balance::class_total_variation;
pub use density_coverage::{DensityCoverage, density_coverage, expected_coverage};
pub use error::{MetricError, Set};
pub use estimate::Estimate;
pub use evaluate::{evaluate, evaluate_by, floor_sizes};
pub use frechet::{GaussianFit, frechet_distance};
pub use mmd::{median_distance, mmd_rbf};
pub use neighbours::Neighbours;
pub use pairwise::{
    ClassEntropy, Copies, OneNearestNeighbour, class_entropy, energy_distance, nearest_distances,
    nearest_neighbour_copies, one_nn_accuracy,
};
pub use polynomial_mmd::polynomial_mmd;
pub use precision_recall::{PrecisionRecall, precision_recall};
use rows::Rows;
pub use score::{Best, Evaluation, Features, Options, Reference, Score};
pub use spectrum::spectrum_distance;
pub use team::{Alone, Team};
pub use wasserstein::{Order, sliced_wasserstein, wasserstein_1d};

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
