//! Improved precision and recall.

use ndarray::ArrayView2;

use super::MetricError;
use super::estimate::Estimate;
use super::pass::{Comparison, Pass, Pool, Settings};

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
        &Pass::run(&pool, &[Comparison::pair()], &[], settings),
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
