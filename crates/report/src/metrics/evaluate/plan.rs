//! Which rows are compared with which.

use ndarray::{Array2, ArrayView2};

use crate::metrics::pass::{Comparison, Pool, check_neighbours};
use crate::metrics::random::{Purpose, Random};
use crate::metrics::{MetricError, Options, Reference, Set, c2st, class_balance, rows, wasserstein};

/// All rows to the side of the samples and of the data: the scores.
pub(super) const FULL: usize = 0;
/// Real rows against data.
pub(super) const FLOOR: usize = 1;

/// The rows in one pool, and the comparisons among them.
pub(super) struct Plan {
    pub pool: Pool,
    /// At `FULL` and `FLOOR`, and at the end what `matched` says.
    pub comparisons: Vec<Comparison>,
    /// Samples against data at the sizes of the floor.
    pub matched: usize,
    /// Data rows beyond `max_rows`, among which copies are looked for.
    pub rest: Vec<usize>,
    /// For each row of the pool its number as it was given.
    pub origin: Vec<usize>,
    /// Rows of the pool that are samples, which come first, and that are held out, which come next.
    pub samples: usize,
    pub held_out: usize,
}

/// How many samples, and how many data rows, stand in the floors and in [`matched`](crate::metrics::Score::matched) of an evaluation of so
/// many samples against so many data rows, with or without held-out rows, of each at most `max_rows`.
pub fn floor_sizes(samples: usize, data: usize, held_out: Option<usize>, max_rows: usize) -> [usize; 2] {
    let (n, m) = (samples.min(max_rows), data.min(max_rows));
    match held_out {
        Some(held_out) => [n.min(held_out), m],
        None => [n.min(m / 2), m.div_ceil(2)],
    }
}

impl Plan {
    pub fn new<T: Copy + Into<f64>, U: Copy + Into<f64>>(
        samples: ArrayView2<'_, T>,
        data: &Reference<'_, U>,
        options: &Options,
    ) -> Result<Self, MetricError> {
        check(samples, data, options)?;
        let order = |rows: usize, purpose: Purpose| Random::new(options.seed, purpose).order(rows);
        let mut sample_order = order(samples.nrows(), Purpose::SampleOrder);
        sample_order.truncate(options.max_rows);
        let data_order = order(data.rows.nrows(), Purpose::DataOrder);
        let mut held_out_order = Vec::new();
        let (n, m) = (sample_order.len(), data_order.len().min(options.max_rows));
        let mut lengths = Vec::new();
        let mut segment = |length: usize| -> Vec<usize> {
            // Empty segments are left out.
            if length == 0 {
                return Vec::new();
            }
            lengths.push(length);
            vec![lengths.len() - 1]
        };
        // Side by side in the pool: samples, held-out rows, data.
        let held_out_rows = data.held_out.map(|rows| rows.nrows());
        let [size, reference_rows] = floor_sizes(
            samples.nrows(),
            data.rows.nrows(),
            held_out_rows,
            options.max_rows,
        );
        if let Some(rows) = held_out_rows {
            held_out_order = order(rows, Purpose::HeldOutOrder);
            held_out_order.truncate(size);
        }
        let matched_samples = segment(size);
        let samples_set = [matched_samples.clone(), segment(n - size)].concat();
        let held_out_set = segment(held_out_order.len());
        let reference = segment(reference_rows);
        let mut half = Vec::new();
        let mut data_set = reference.clone();
        if data.held_out.is_none() {
            half = segment(size);
            data_set = [data_set, half.clone(), segment(m - reference_rows - size)].concat();
        }
        let rest = segment(data_order.len() - m);
        let comparison = |first: &[usize], second: &[usize]| Comparison {
            first: first.to_vec(),
            second: second.to_vec(),
        };
        let mut comparisons = vec![
            comparison(&samples_set, &data_set),
            comparison(
                if held_out_set.is_empty() {
                    &half
                } else {
                    &held_out_set
                },
                &reference,
            ),
        ];
        let matched = comparison(&matched_samples, &reference);
        let matched_index = if matched == comparisons[FULL] {
            FULL
        } else {
            comparisons.push(matched);
            FLOOR + 1
        };
        let mut all = Array2::zeros((n + held_out_order.len() + data_order.len(), samples.ncols()));
        let data_start = n + held_out_order.len();
        let mut targets = all.rows_mut().into_iter();
        fill(&mut targets, samples, &sample_order);
        if let Some(held_out) = data.held_out {
            fill(&mut targets, held_out, &held_out_order);
        }
        fill(&mut targets, data.rows, &data_order);
        Ok(Self {
            pool: Pool::new(all, &lengths, data_start..data_start + m)?,
            comparisons,
            matched: matched_index,
            rest,
            samples: n,
            held_out: held_out_order.len(),
            origin: [sample_order, held_out_order, data_order].concat(),
        })
    }
}

fn fill<'a, T: Copy + Into<f64>>(
    targets: &mut impl Iterator<Item = ndarray::ArrayViewMut1<'a, f64>>,
    rows: ArrayView2<'_, T>,
    order: &[usize],
) {
    for &row in order {
        if let Some(mut target) = targets.next() {
            target.zip_mut_with(&rows.row(row), |to, &from| *to = from.into());
        }
    }
}

/// That everything is defined, before anything is computed.
fn check<T: Copy + Into<f64>, U: Copy + Into<f64>>(
    samples: ArrayView2<'_, T>,
    data: &Reference<'_, U>,
    options: &Options,
) -> Result<(), MetricError> {
    let fewest = c2st::FEWEST;
    let halves = if data.held_out.is_some() { 1 } else { 2 };
    rows::check_pair(samples, data.rows, [fewest, halves * fewest])?;
    if options.max_rows < 2 * fewest {
        return Err(MetricError::Option {
            option: "max_rows",
            value: options.max_rows.to_string(),
            wanted: "at least 20",
        });
    }
    wasserstein::directions(options.projections.min(1), 1, 0)?;
    if !(options.copy_tolerance >= 0.0 && options.copy_tolerance.is_finite()) {
        return Err(MetricError::Option {
            option: "copy_tolerance",
            value: options.copy_tolerance.to_string(),
            wanted: "a distance, 0 or more",
        });
    }
    if let Some(held_out) = data.held_out {
        rows::check(held_out, Set::HeldOut, fewest)?;
        if held_out.ncols() != data.rows.ncols() {
            return Err(MetricError::HeldOutLength {
                held_out: held_out.ncols(),
                data: data.rows.ncols(),
            });
        }
    }
    if let Some(labels) = data.labels
        && labels.len() != data.rows.nrows()
    {
        return Err(MetricError::Labels {
            labels: labels.len(),
            rows: data.rows.nrows(),
        });
    }
    class_balance::table(data.labels.unwrap_or_default())?;
    // What the smallest comparison has on each side.
    let held_out = data.held_out.map(|rows| rows.nrows());
    let smallest = floor_sizes(samples.nrows(), data.rows.nrows(), held_out, options.max_rows);
    check_neighbours("precision_neighbours", options.precision_neighbours, smallest)?;
    check_neighbours("density_neighbours", options.density_neighbours, smallest)
}
