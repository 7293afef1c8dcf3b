//! The nearest-neighbour test from shared distances.

use super::estimate::Estimate;
use super::pass::{Neighbour, Pass};

/// The accuracy of [`super::one_nn_accuracy`] with a binomial standard error (rows that are each other's nearest
/// are not independent, so that it is a rough one). Among several nearest at the same distance each counts its
/// share; of each segment as many are known as the balls need.
pub(super) fn of_pass(pass: &Pass<'_>, comparison: usize) -> Estimate {
    let sets = &pass.comparisons[comparison];
    let own_share = |own: &[usize], other: &[usize]| -> f64 {
        let rows = pass.nearest(own, own).into_iter().zip(pass.nearest(own, other));
        rows.map(|(own, other)| share(&own, &other)).sum()
    };
    let correct = own_share(&sets.first, &sets.second) + own_share(&sets.second, &sets.first);
    let rows = pass.pool.len(&sets.first) + pass.pool.len(&sets.second);
    Estimate::of_share(correct / rows as f64, rows)
}

/// The accuracy expected of two sets of one distribution.
pub(super) fn chance(n: usize, m: usize) -> f64 {
    let (n, m) = (n as f64, m as f64);
    (n * (n - 1.0) + m * (m - 1.0)) / ((n + m) * (n + m - 1.0))
}

fn share(own: &[Neighbour], other: &[Neighbour]) -> f64 {
    let nearest = own[0].square.min(other[0].square);
    let ties = |list: &[Neighbour]| {
        list.iter()
            .filter(|neighbour| neighbour.square == nearest)
            .count() as f64
    };
    ties(own) / (ties(own) + ties(other))
}
