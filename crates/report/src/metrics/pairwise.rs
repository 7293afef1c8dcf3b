//! Metrics made of distances between single rows. No matrix of distances is kept: memory is that of the rows,
//! time is n m d. Rows are shared among threads, sums are added in row order.

use ndarray::ArrayView2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{MetricError, Rows, class_balance};

/// The squared Euclidean distance: eight sums side by side, in a fixed order.
pub(super) fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (a_blocks, b_blocks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f64 = a_blocks
        .remainder()
        .iter()
        .zip(b_blocks.remainder())
        .map(|(a, b)| (a - b) * (a - b))
        .sum();
    for (a, b) in a_blocks.zip(b_blocks) {
        for lane in 0..LANES {
            let difference = a[lane] - b[lane];
            sums[lane] += difference * difference;
        }
    }
    let [s0, s1, s2, s3, s4, s5, s6, s7] = sums;
    ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7)) + tail
}

fn finite(value: f64, quantity: &'static str) -> Result<f64, MetricError> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(MetricError::Overflow { quantity })
    }
}

/// The energy distance 2 E|X - Y| - E|X - X'| - E|Y - Y'| between two sets of rows, with Euclidean norms
/// (G. J. Székely and M. L. Rizzo, Energy statistics, 2013). The U-statistic: pairs of a row with itself are
/// left out, so that the expectation is 0 for two sets of the same distribution, of any size, and a single
/// value may be slightly negative. Needs two rows in each set. Time (n + m)^2 d / 2.
///
/// # Errors
/// [`MetricError`].
pub fn energy_distance<T: Copy + Into<f64>, U: Copy + Into<f64>>(
    first: ArrayView2<'_, T>,
    second: ArrayView2<'_, U>,
) -> Result<f64, MetricError> {
    let (x, y) = Rows::pair(first, second, [2, 2])?;
    let across = {
        let sums = row_sums(x.len(), |i| {
            (0..y.len())
                .map(|j| squared_distance(x.row(i), y.row(j)).sqrt())
                .sum()
        });
        sums / x.len() as f64 / y.len() as f64
    };
    finite(
        2.0 * across - mean_within(&x) - mean_within(&y),
        "the energy distance",
    )
}

/// The mean distance between two different rows of one set.
fn mean_within(x: &Rows) -> f64 {
    let n = x.len();
    let sums = row_sums(n, |i| {
        (0..i).map(|j| squared_distance(x.row(i), x.row(j)).sqrt()).sum()
    });
    2.0 * sums / n as f64 / (n - 1) as f64
}

/// The sum over rows of `of_row`, computed in parallel and added in row order.
fn row_sums(rows: usize, of_row: impl Fn(usize) -> f64 + Send + Sync) -> f64 {
    let sums: Vec<f64> = (0..rows).into_par_iter().map(of_row).collect();
    sums.iter().sum()
}

/// The outcome of the leave-one-out nearest-neighbour test, [`one_nn_accuracy`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OneNearestNeighbour {
    /// The share of all rows whose nearest other row belongs to the same set. 0.5 (more exactly `chance`): the
    /// sets cannot be told apart. 1: they are separate. 0: each row is a near copy of one of the other set.
    pub accuracy: f64,
    /// The same share among the rows of the first set; low values betray copies.
    pub first: f64,
    /// The same share among the rows of the second set; low values betray a first set that fills in between.
    pub second: f64,
    /// The accuracy expected of two sets of one distribution, (n(n-1) + m(m-1)) / ((n+m)(n+m-1)).
    pub chance: f64,
}

/// The leave-one-out 1-nearest-neighbour two-sample test (D. Lopez-Paz and M. Oquab, Revisiting classifier
/// two-sample tests, 2017, arXiv:1610.06545): each row of the pooled sets is classified by its nearest other
/// row. Among several at the same distance each counts its share, so that the order of rows does not matter.
/// Needs two rows in each set; sets of one size make the figure easiest to read. Time (n + m)^2 d.
///
/// # Errors
/// [`MetricError`].
pub fn one_nn_accuracy<T: Copy + Into<f64>, U: Copy + Into<f64>>(
    first: ArrayView2<'_, T>,
    second: ArrayView2<'_, U>,
) -> Result<OneNearestNeighbour, MetricError> {
    let (x, y) = Rows::pair(first, second, [2, 2])?;
    let (n, m) = (x.len() as f64, y.len() as f64);
    let own = |own: &Rows, other: &Rows| -> Result<f64, MetricError> {
        let shares: Vec<f64> = (0..own.len())
            .into_par_iter()
            .map(|i| same_set_share(own, other, i))
            .collect();
        finite(shares.iter().sum(), "a distance")
    };
    let (x_correct, y_correct) = (own(&x, &y)?, own(&y, &x)?);
    Ok(OneNearestNeighbour {
        accuracy: (x_correct + y_correct) / (n + m),
        first: x_correct / n,
        second: y_correct / m,
        chance: (n * (n - 1.0) + m * (m - 1.0)) / ((n + m) * (n + m - 1.0)),
    })
}

/// The share of row i's nearest other rows that belong to its own set; NaN if a distance overflows.
fn same_set_share(own: &Rows, other: &Rows, i: usize) -> f64 {
    let row = own.row(i);
    let mut nearest = (f64::INFINITY, 0usize, 0usize);
    let mut meet = |distance: f64, same: bool| {
        if distance < nearest.0 {
            nearest = (distance, 0, 0);
        }
        if distance == nearest.0 {
            nearest.1 += usize::from(same);
            nearest.2 += 1;
        }
    };
    (0..own.len())
        .filter(|&j| j != i)
        .for_each(|j| meet(squared_distance(row, own.row(j)), true));
    (0..other.len()).for_each(|j| meet(squared_distance(row, other.row(j)), false));
    if nearest.0.is_finite() {
        nearest.1 as f64 / nearest.2 as f64
    } else {
        f64::NAN
    }
}

/// The Euclidean distance from each row of `samples` to its nearest row of `training`, and that row's index
/// (the first among equals). Time n m d.
///
/// # Errors
/// [`MetricError`].
pub fn nearest_distances<T: Copy + Into<f64>, U: Copy + Into<f64>>(
    samples: ArrayView2<'_, T>,
    training: ArrayView2<'_, U>,
) -> Result<Vec<(f64, usize)>, MetricError> {
    let (x, y) = Rows::pair(samples, training, [1, 1])?;
    nearest(&x, &y)
}

fn nearest(x: &Rows, y: &Rows) -> Result<Vec<(f64, usize)>, MetricError> {
    let of_row = |i: usize| {
        let start = (squared_distance(x.row(i), y.row(0)), 0);
        let (square, index) = (1..y.len()).fold(start, |best, j| {
            let square = squared_distance(x.row(i), y.row(j));
            if square < best.0 { (square, j) } else { best }
        });
        finite(square.sqrt(), "a distance").map(|distance| (distance, index))
    };
    (0..x.len()).into_par_iter().map(of_row).collect()
}

/// How near samples come to training rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Copies {
    /// The smallest distance of any sample to any training row.
    pub smallest: f64,
    /// The sample that comes so near (the first of them).
    pub sample: usize,
    /// The training row that it comes near to.
    pub training: usize,
    /// How many samples lie within the tolerance of a training row.
    pub count: usize,
}

/// Counts the samples whose Euclidean distance to some training row is at most `tolerance` (0: exact copies
/// only). Time n m d.
///
/// # Errors
/// [`MetricError`].
pub fn nearest_neighbour_copies<T: Copy + Into<f64>, U: Copy + Into<f64>>(
    samples: ArrayView2<'_, T>,
    training: ArrayView2<'_, U>,
    tolerance: f64,
) -> Result<Copies, MetricError> {
    Ok(Copies::of(&nearest_distances(samples, training)?, tolerance))
}

impl Copies {
    /// From each sample's nearest training row and its distance.
    pub(super) fn of(nearest: &[(f64, usize)], tolerance: f64) -> Self {
        let start = Self {
            smallest: f64::INFINITY,
            sample: 0,
            training: 0,
            count: 0,
        };
        nearest
            .iter()
            .enumerate()
            .fold(start, |copies, (sample, &(distance, training))| {
                let count = copies.count + usize::from(distance <= tolerance);
                if distance < copies.smallest {
                    Self {
                        smallest: distance,
                        sample,
                        training,
                        count,
                    }
                } else {
                    Self { count, ..copies }
                }
            })
    }
}

/// The classes of samples, as their nearest labelled rows tell them.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassEntropy {
    /// Entropy of the class frequencies in nats; ln k for k equally frequent classes, 0 for one class.
    pub nats: f64,
    /// How many samples fell into each class, by label.
    pub counts: Vec<usize>,
}

/// The entropy of the classes of `samples`, each taken from the label of its nearest row of `training`. Labels
/// count from 0. A generator that has lost classes shows a low entropy. Time n m d.
///
/// # Errors
/// [`MetricError`]; [`MetricError::Labels`] unless there is one label for each training row.
pub fn class_entropy<T: Copy + Into<f64>, U: Copy + Into<f64>>(
    samples: ArrayView2<'_, T>,
    training: ArrayView2<'_, U>,
    labels: &[u32],
) -> Result<ClassEntropy, MetricError> {
    let (x, y) = Rows::pair(samples, training, [1, 1])?;
    if labels.len() != y.len() {
        return Err(MetricError::Labels {
            labels: labels.len(),
            rows: y.len(),
        });
    }
    let table = class_balance::table(labels)?;
    let nearest = nearest(&x, &y)?;
    let counts = class_balance::count(table, nearest.iter().map(|&(_, index)| labels[index]));
    Ok(ClassEntropy {
        nats: class_balance::entropy(&counts).value,
        counts,
    })
}

#[cfg(test)]
mod tests;
