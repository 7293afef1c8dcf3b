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
    sums.map(|sum| sum / n as f64 / m as f64)
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
