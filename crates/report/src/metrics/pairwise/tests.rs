//! Closed forms of the pairwise metrics.

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
