//! Metrics made of distances between single rows. No matrix of distances is kept: memory is that of the rows,
//! time is n m d. Rows are shared among threads, sums are added in row order.

use ndarray::ArrayView2;
use rayon::prelude::*;

use super::{MetricError, Rows};

/// The squared Euclidean distance: eight sums side by side, in a fixed order.
fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
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
#[derive(Debug, Clone, Copy, PartialEq)]
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
    let distances = nearest_distances(samples, training)?;
    let start = Copies {
        smallest: f64::INFINITY,
        sample: 0,
        training: 0,
        count: 0,
    };
    Ok(distances
        .iter()
        .enumerate()
        .fold(start, |copies, (sample, &(distance, training))| {
            let count = copies.count + usize::from(distance <= tolerance);
            if distance < copies.smallest {
                Copies {
                    smallest: distance,
                    sample,
                    training,
                    count,
                }
            } else {
                Copies { count, ..copies }
            }
        }))
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
    // Labels may be sparse and large: the table is as long as the largest label only if that is small.
    let largest = labels.iter().copied().max().unwrap_or(0) as usize;
    if largest > labels.len() + 65_535 {
        return Err(MetricError::LargeLabel { label: largest });
    }
    let mut counts = vec![0usize; largest + 1];
    for (_, index) in nearest(&x, &y)? {
        counts[labels[index] as usize] += 1;
    }
    let frequencies = counts
        .iter()
        .filter(|&&count| count > 0)
        .map(|&count| count as f64 / x.len() as f64);
    let nats = frequencies.map(|p| -p * p.ln()).sum::<f64>();
    Ok(ClassEntropy {
        nats: nats.max(0.0),
        counts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};
    use proptest::prelude::*;

    #[test]
    fn energy_distance_of_points_on_a_line() {
        // X = {0, 1}, Y = {3, 5}: E|X-Y| = 3.5, E|X-X'| = 1, E|Y-Y'| = 2.
        let (x, y) = (array![[0.0], [1.0]], array![[3.0], [5.0]]);
        assert_eq!(energy_distance(x.view(), y.view()), Ok(7.0 - 1.0 - 2.0));
        assert_eq!(energy_distance(y.view(), x.view()), Ok(4.0));
        // Bytes, with Euclidean distances 5 everywhere: X = {a, b}, Y = {b, a}.
        let (x, y) = (array![[0u8, 0], [3, 4]], array![[3u8, 4], [0, 0]]);
        assert_eq!(energy_distance(x.view(), y.view()), Ok(2.0 * 2.5 - 5.0 - 5.0));
    }

    #[test]
    fn energy_distance_of_two_gaussian_quantile_sets() {
        // Normals in one dimension, unit variance, means 0 and delta, represented by n mid-quantiles of a
        // logistic-free closed form: E|X - X'| = 2 / sqrt(pi), E|X - Y| = 2 s phi(d/s) + d (2 Phi(d/s) - 1),
        // s = sqrt 2. Quantiles by bisection on the error-function-free trapezoid of the density.
        let n = 1000;
        let quantiles = normal_quantiles(n);
        let delta = 1.5;
        let x = Array2::from_shape_vec((n, 1), quantiles.clone()).expect("n values");
        let y = x.mapv(|v| v + delta);
        let s = 2f64.sqrt();
        let phi = (-0.5 * (delta / s) * (delta / s)).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let across = 2.0 * s * phi + delta * (2.0 * normal_cdf(delta / s) - 1.0);
        let expected = 2.0 * across - 4.0 / std::f64::consts::PI.sqrt();
        let value = energy_distance(x.view(), y.view()).expect("defined");
        // The U-statistic of a deterministic grid is off by about E|X - X'| / n per term.
        assert!(
            (value - expected).abs() < 4.0 / n as f64,
            "{value} against {expected}"
        );
    }

    /// The normal distribution function by Simpson's rule.
    fn normal_cdf(x: f64) -> f64 {
        let steps = 400;
        let h = x / f64::from(steps);
        let density = |t: f64| (-0.5 * t * t).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let weight = |i: i32| {
            if i == 0 || i == steps {
                1.0
            } else if i % 2 == 1 {
                4.0
            } else {
                2.0
            }
        };
        0.5 + h / 3.0
            * (0..=steps)
                .map(|i| weight(i) * density(h * f64::from(i)))
                .sum::<f64>()
    }

    fn normal_quantiles(n: usize) -> Vec<f64> {
        let quantile = |p: f64| {
            let (mut low, mut high) = (-8.0, 8.0);
            for _ in 0..40 {
                let middle = 0.5 * (low + high);
                if normal_cdf(middle) < p {
                    low = middle
                } else {
                    high = middle
                }
            }
            0.5 * (low + high)
        };
        (0..n).map(|i| quantile((i as f64 + 0.5) / n as f64)).collect()
    }

    #[test]
    fn one_nn_of_separate_mixed_and_copied_sets() {
        let x = array![[0.0], [1.0], [2.0]];
        let far = array![[100.0], [101.0], [102.0]];
        let test = one_nn_accuracy(x.view(), far.view()).expect("defined");
        assert_eq!(
            (test.accuracy, test.first, test.second, test.chance),
            (1.0, 1.0, 1.0, 0.4)
        );
        // Exact copies: the nearest other row is always the copy.
        assert_eq!(
            one_nn_accuracy(x.view(), x.view()).expect("defined").accuracy,
            0.0
        );
        // Interleaved points at even distances: both neighbours of each are of the other set.
        let (even, odd) = (array![[0.0], [2.0], [4.0]], array![[1.0], [3.0], [5.0]]);
        assert_eq!(
            one_nn_accuracy(even.view(), odd.view())
                .expect("defined")
                .accuracy,
            0.0
        );
        // All rows equal: every other row is nearest, so the accuracy is what chance gives.
        let equal = Array2::<f64>::ones((4, 2));
        let test = one_nn_accuracy(equal.view(), equal.view()).expect("defined");
        assert!((test.accuracy - 3.0 / 7.0).abs() < 1e-15 && (test.chance - 3.0 / 7.0).abs() < 1e-15);
        // Sets of unequal size.
        let test = one_nn_accuracy(
            array![[0.0], [0.1]].view(),
            array![[5.0], [5.1], [5.3], [0.04]].view(),
        );
        let test = test.expect("defined");
        assert_eq!((test.first, test.second), (0.0, 0.75));
    }

    #[test]
    fn copies_are_found_and_named() {
        let training = array![[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]];
        let samples = array![[5.0, 5.0], [0.0, 2.0], [1.0, 0.5]];
        let copies = nearest_neighbour_copies(samples.view(), training.view(), 0.0).expect("defined");
        assert_eq!(
            copies,
            Copies {
                smallest: 0.5,
                sample: 2,
                training: 1,
                count: 0
            }
        );
        assert_eq!(
            nearest_neighbour_copies(samples.view(), training.view(), 1.0)
                .expect("defined")
                .count,
            2
        );
        let all = nearest_neighbour_copies(training.view(), training.view(), 0.0).expect("defined");
        assert_eq!(
            all,
            Copies {
                smallest: 0.0,
                sample: 0,
                training: 0,
                count: 3
            }
        );
        let distances = nearest_distances(samples.view(), training.view()).expect("defined");
        assert_eq!(distances[1], (1.0, 2));
    }

    #[test]
    fn class_entropy_of_even_and_collapsed_samples() {
        let training = array![[0.0], [10.0], [20.0], [30.0]];
        let labels = [0, 1, 2, 2];
        let even =
            class_entropy(array![[1.0], [11.0], [29.0]].view(), training.view(), &labels).expect("defined");
        assert_eq!(even.counts, [1, 1, 1]);
        assert!((even.nats - 3f64.ln()).abs() < 1e-15);
        let one = class_entropy(array![[19.0], [31.0]].view(), training.view(), &labels).expect("defined");
        assert_eq!((one.nats, one.counts), (0.0, vec![0, 0, 2]));
        let half = class_entropy(
            array![[0.0], [0.0], [0.0], [9.0]].view(),
            training.view(),
            &labels,
        )
        .expect("defined");
        let expected = -(0.75 * 0.75f64.ln() + 0.25 * 0.25f64.ln());
        assert!((half.nats - expected).abs() < 1e-15);
        let error = class_entropy(training.view(), training.view(), &labels[..3]);
        assert_eq!(error, Err(MetricError::Labels { labels: 3, rows: 4 }));
        let error = class_entropy(training.view(), training.view(), &[0, 1, 2, u32::MAX]);
        assert_eq!(
            error,
            Err(MetricError::LargeLabel {
                label: u32::MAX as usize
            })
        );
    }

    proptest! {
        #[test]
        fn distances_agree_with_the_definition(values in prop::collection::vec(-9.0f64..9.0, 42)) {
            let (a, b) = values.split_at(21);
            let plain: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
            prop_assert!((squared_distance(a, b) - plain).abs() <= 1e-12 * plain);
        }

        #[test]
        fn metrics_do_not_depend_on_threads_or_the_order_of_sets(values in prop::collection::vec(-1.0f64..1.0, 60)) {
            let all = Array2::from_shape_vec((20, 3), values).expect("60 values");
            let (x, y) = all.view().split_at(ndarray::Axis(0), 9);
            let here = || (energy_distance(x, y), one_nn_accuracy(x, y));
            let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
            prop_assert_eq!(one.install(here), here());
            let swapped = one_nn_accuracy(y, x).expect("defined");
            let test = one_nn_accuracy(x, y).expect("defined");
            prop_assert_eq!((swapped.first, swapped.second), (test.second, test.first));
        }
    }
}
