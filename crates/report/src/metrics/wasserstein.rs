//! Wasserstein distances on the line, and of projections onto lines.

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::estimate::Estimate;
use super::random::{Purpose, Random};
use super::{MetricError, Set, rows};

/// The means of `|x - y|` and `|x - y|^2` over the monotone coupling of two sorted lists of any lengths, each
/// entry of a list with equal weight: `W_1` and `W_2^2`.
fn coupled(x: &[f64], y: &[f64]) -> [f64; 2] {
    let (n, m) = (x.len(), y.len());
    let (mut i, mut j, mut done) = (0, 0, 0u128);
    let mut sums = [0.0; 2];
    // Mass in units of 1 / (n m), in whole numbers: entry i of x ends at (i + 1) m, entry j of y at (j + 1) n.
    while i < n && j < m {
        let (x_end, y_end) = ((i as u128 + 1) * m as u128, (j as u128 + 1) * n as u128);
        let end = x_end.min(y_end);
        let (mass, difference) = ((end - done) as f64, (x[i] - y[j]).abs());
        sums[0] += mass * difference;
        sums[1] += mass * difference * difference;
        done = end;
        i += usize::from(x_end == end);
        j += usize::from(y_end == end);
    }
    sums.map(|sum| sum / (n as f64 * m as f64))
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// The order of a Wasserstein distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// `W_1`, the mean length of the way.
    One,
    /// `W_2`, the root of the mean square of the way.
    Two,
}

/// The exact Wasserstein distance between two samples on the line, which may differ in size: the mean of
/// `|F^-1(u) - G^-1(u)|^p` over u, to the power 1/p (e.g. C. Villani, Topics in optimal transportation, 2003,
/// theorem 2.18). In data units; time n log n.
///
/// # Errors
/// [`MetricError`] for an empty list, a value that is not finite, overflow.
pub fn wasserstein_1d(first: &[f64], second: &[f64], order: Order) -> Result<f64, MetricError> {
    for (set, values) in [(Set::First, first), (Set::Second, second)] {
        let rows =
            ArrayView2::from_shape((values.len(), 1), values).map_err(|_| MetricError::NoColumns { set })?;
        rows::check(rows, set, 1)?;
    }
    let [w1, square] = coupled(&sorted(first.iter().copied()), &sorted(second.iter().copied()));
    let value = match order {
        Order::One => w1,
        Order::Two => square.sqrt(),
    };
    Ok(Estimate::bare(value).finite("the Wasserstein distance")?.value)
}

/// The sliced Wasserstein distance between two sets of rows: `(E W_p^p)^(1/p)` over directions that are uniform
/// on the sphere, of the exact distance of the projections (J. Rabin et al., Wasserstein barycenter and its
/// application to texture mixing, 2011; N. Bonneel et al., Sliced and Radon Wasserstein barycenters of measures,
/// 2015). The directions belong to the seed; the standard error is that of the mean over them, and says nothing
/// of the rows. In data units. Time (n + m)(d + log(n + m)) for each of the `projections`.
///
/// # Errors
/// [`MetricError`]; [`MetricError::Option`] for no projection.
pub fn sliced_wasserstein<T: Copy + Into<f64>, U: Copy + Into<f64>>(
    first: ArrayView2<'_, T>,
    second: ArrayView2<'_, U>,
    order: Order,
    projections: usize,
    seed: u64,
) -> Result<Estimate, MetricError> {
    rows::check_pair(first, second, [1, 1])?;
    let directions = directions(projections, first.ncols(), seed)?;
    let project = |rows: Array2<f64>| rows.dot(&directions.t());
    let (x, y) = (project(first.mapv(Into::into)), project(second.mapv(Into::into)));
    let values: Vec<[f64; 2]> = (0..projections)
        .into_par_iter()
        .map(|k| {
            let column = |values: &Array2<f64>| sorted(values.column(k).iter().copied());
            coupled(&column(&x), &column(&y))
        })
        .collect();
    of_directions(&values, order)
}

/// Unit vectors as rows, from normal numbers (M. E. Muller 1959).
pub(super) fn directions(count: usize, dimension: usize, seed: u64) -> Result<Array2<f64>, MetricError> {
    if count == 0 {
        return Err(MetricError::Option {
            option: "the number of projections",
            value: "0".to_owned(),
            wanted: "at least 1",
        });
    }
    let mut random = Random::new(seed, Purpose::Directions);
    let mut directions = Array2::from_shape_simple_fn((count, dimension), || random.normal());
    for mut direction in directions.rows_mut() {
        let length = direction.iter().map(|value| value * value).sum::<f64>().sqrt();
        direction /= length;
    }
    Ok(directions)
}

/// `W_1` and `W_2^2` along each direction, for several comparisons of rows of one matrix: the columns of
/// `projected` are directions, and each comparison names two sets of rows. One list for each comparison.
pub(super) fn along(projected: &Array2<f64>, comparisons: &[[Vec<usize>; 2]]) -> Vec<Vec<[f64; 2]>> {
    let by_direction: Vec<Vec<[f64; 2]>> = (0..projected.len_of(Axis(1)))
        .into_par_iter()
        .map(|k| {
            let column = projected.column(k).to_vec();
            let pick = |rows: &[usize]| sorted(rows.iter().map(|&row| column[row]));
            let of = |sets: &[Vec<usize>; 2]| coupled(&pick(&sets[0]), &pick(&sets[1]));
            comparisons.iter().map(of).collect()
        })
        .collect();
    (0..comparisons.len())
        .map(|index| by_direction.iter().map(|values| values[index]).collect())
        .collect()
}

/// The mean over directions of `W_1`, or the root of the mean of `W_2^2` (with the error of a root).
pub(super) fn of_directions(values: &[[f64; 2]], order: Order) -> Result<Estimate, MetricError> {
    let pick = |index: usize| values.iter().map(|value| value[index]).collect::<Vec<f64>>();
    let estimate = match order {
        Order::One => Estimate::of_mean(&pick(0)),
        Order::Two => {
            let square = Estimate::of_mean(&pick(1));
            let root = square.value.sqrt();
            Estimate {
                value: root,
                standard_error: square
                    .standard_error
                    .map(|error| if root > 0.0 { 0.5 * error / root } else { 0.0 }),
            }
        }
    };
    estimate.finite("the Wasserstein distance")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::testing::{normals, rotated};
    use proptest::prelude::*;

    fn exact(x: &[f64], y: &[f64]) -> [f64; 2] {
        [Order::One, Order::Two].map(|order| wasserstein_1d(x, y, order).expect("defined"))
    }

    #[test]
    fn point_masses_and_halves() {
        assert_eq!(exact(&[3.0], &[-1.0, -1.0, -1.0]), [4.0, 4.0]);
        assert_eq!(exact(&[0.0], &[1.0, 0.0]), [0.5, 0.5f64.sqrt()]);
        // {0, 1, 2} to {0.5, 1.5}: a third moves by 1/2, a sixth by 1/2 each way, a third by 1/2.
        let [w1, w2] = exact(&[2.0, 0.0, 1.0], &[1.5, 0.5]);
        assert!((w1 - 0.5).abs() < 1e-15 && (w2 - 0.5).abs() < 1e-15);
    }

    #[test]
    fn normals_have_a_closed_form() {
        // W_2^2 = (difference of means)^2 + (difference of deviations)^2; both empirical errors are of order 1/sqrt(n).
        let n = 40_000;
        let x = normals(n, 1, 1).into_raw_vec_and_offset().0;
        let y: Vec<f64> = normals(n / 2, 1, 2).iter().map(|v| 1.0 + 3.0 * v).collect();
        let [_, w2] = exact(&x, &y);
        // d W_2^2 = 2 (dm + 2 ds), with variances 1/n + 9/(n/2) and half of it.
        let variance = (1.0 / n as f64 + 18.0 / n as f64) * (4.0 + 16.0 / 2.0);
        let bound = 4.0 * variance.sqrt() / (2.0 * 5f64.sqrt());
        assert!(
            (w2 - 5f64.sqrt()).abs() < bound,
            "{w2} against {} ± {bound}",
            5f64.sqrt()
        );
    }

    #[test]
    fn a_shift_seen_along_directions() {
        // Each projection moves by |theta . delta|: E (theta . delta)^2 = |delta|^2 / d, E |theta_1| = 1/2 for d = 3.
        let x = normals(50, 3, 1);
        let y = &x + &ndarray::array![2.0, 0.0, -1.0];
        let sliced = |order| sliced_wasserstein(x.view(), y.view(), order, 4000, 7).expect("defined");
        let (one, two) = (sliced(Order::One), sliced(Order::Two));
        let within = |estimate: Estimate, expected: f64| {
            let error = estimate.standard_error.expect("many directions");
            assert!(
                (estimate.value - expected).abs() < 4.0 * error,
                "{estimate:?} against {expected}"
            );
            // Var |theta . delta| = |delta|^2 (1/3 - 1/4).
            assert!(error < 0.011 * 5f64.sqrt());
        };
        within(one, 5f64.sqrt() / 2.0);
        within(two, (5.0f64 / 3.0).sqrt());
        let error = (5.0f64 / 12.0 / 4000.0).sqrt();
        assert!((one.standard_error.expect("an error") / error - 1.0).abs() < 0.05);
    }

    #[test]
    fn one_dimension_needs_one_direction() {
        let (x, y) = (normals(30, 1, 1), normals(41, 1, 2));
        let [w1, w2] = exact(x.as_slice().expect("rows"), y.as_slice().expect("rows"));
        for (order, expected) in [(Order::One, w1), (Order::Two, w2)] {
            let sliced = sliced_wasserstein(x.view(), y.view(), order, 9, 3).expect("defined");
            assert!(
                (sliced.value - expected).abs() < 1e-14 && sliced.standard_error.is_some_and(|e| e < 1e-14)
            );
        }
        assert!(matches!(
            sliced_wasserstein(x.view(), y.view(), Order::One, 0, 3),
            Err(MetricError::Option { .. })
        ));
        assert!(matches!(
            wasserstein_1d(&[], &[1.0], Order::One),
            Err(MetricError::TooFewRows { .. })
        ));
        let bad = wasserstein_1d(&[0.0], &[1.0, f64::NAN], Order::One);
        assert!(matches!(
            bad,
            Err(MetricError::NotFinite {
                set: Set::Second,
                row: 1,
                column: 0,
                ..
            })
        ));
    }

    #[test]
    fn a_rotation_changes_the_directions_only() {
        let (x, y) = (normals(200, 2, 1), normals(200, 2, 2) * 1.5);
        let value = |x: &Array2<f64>, y: &Array2<f64>| {
            sliced_wasserstein(x.view(), y.view(), Order::Two, 2000, 1).expect("defined")
        };
        let (plain, turned) = (value(&x, &y), value(&rotated(&x, 1.0), &rotated(&y, 1.0)));
        let error = plain
            .standard_error
            .expect("an error")
            .hypot(turned.standard_error.expect("an error"));
        assert!((plain.value - turned.value).abs() < 4.0 * error);
    }

    proptest! {
        #[test]
        fn unequal_sizes_are_repetitions(x in prop::collection::vec(-5.0f64..5.0, 1..9), y in prop::collection::vec(-5.0f64..5.0, 1..9)) {
            // Each entry as often as the other list is long: lists of one length, matched in order.
            let repeat = |list: &[f64], times: usize| sorted(list.iter().flat_map(|&v| vec![v; times]));
            let (a, b) = (repeat(&x, y.len()), repeat(&y, x.len()));
            let mean = |power: i32| a.iter().zip(&b).map(|(a, b)| (a - b).abs().powi(power)).sum::<f64>() / a.len() as f64;
            let [w1, w2] = exact(&x, &y);
            prop_assert!((w1 - mean(1)).abs() < 1e-12 && (w2 - mean(2).sqrt()).abs() < 1e-12);
            prop_assert_eq!(exact(&y, &x), [w1, w2]);
        }
    }
}
