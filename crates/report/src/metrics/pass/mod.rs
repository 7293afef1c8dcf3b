//! One pass over pairwise distances, shared by all metrics that are made of them.
//!
//! The rows of all sets lie in one [`Pool`], cut into segments; a [`Comparison`] names the segments of its two
//! sets, so that several comparisons (all rows, rows at the floor's sizes, the floor itself) read the same
//! distances. For each row and each segment it keeps the sum of distances, the sum of a Gaussian kernel and
//! the nearest rows, and never a matrix: memory is that of the rows. Balls around rows need radii, which are
//! distances themselves, so that pairs of segments are visited in the order in which radii become known.
//!
//! Blocks have fixed sizes, and each row's sums run over the blocks in order: the result has the same bits for
//! any number of threads. Cost: 2 (n + m)^2 d operations of a matrix product.

mod balls;
mod block;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use super::{MetricError, Set, Team, rows};
pub(super) use balls::Balls;
use balls::Radii;
pub(super) use block::Neighbour;
use block::{Met, Task};

/// Rows of a task.
const ROWS: usize = 256;

/// All rows, less about the mean of the data (which changes no distance and saves digits), cut into segments.
pub(super) struct Pool {
    pub rows: Array2<f64>,
    pub mean: Array1<f64>,
    pub segments: Vec<Range<usize>>,
    norms: Vec<f64>,
    largest_norm: f64,
}

impl Pool {
    /// Takes rows that lie segment after segment, `lengths` rows in each. The mean is that of the rows `reference`, so
    /// that what is computed of these alone does not depend on the others.
    pub fn new(
        mut rows: Array2<f64>,
        lengths: &[usize],
        reference: Range<usize>,
    ) -> Result<Self, MetricError> {
        let overflow = || MetricError::Overflow {
            quantity: "a distance",
        };
        let reference = rows.slice(s![reference, ..]);
        let mut mean = reference.mean_axis(Axis(0)).ok_or_else(overflow)?;
        for (mean, column) in mean.iter_mut().zip(reference.columns()) {
            let largest = column
                .iter()
                .fold(0.0, |largest: f64, value| largest.max(value.abs()));
            *mean = rounded(*mean, largest);
        }
        rows -= &mean;
        let norms: Vec<f64> = rows
            .rows()
            .into_iter()
            .map(|row| row.iter().map(|value| value * value).sum())
            .collect();
        let largest_norm = norms
            .iter()
            .fold(0.0, |a: f64, &b| if b > a || b.is_nan() { b } else { a });
        if !(4.0 * largest_norm).is_finite() {
            return Err(overflow());
        }
        let mut start = 0;
        let segments = lengths.iter().map(|&length| {
            start += length;
            start - length..start
        });
        Ok(Self {
            segments: segments.collect(),
            rows,
            mean,
            norms,
            largest_norm,
        })
    }

    /// Two checked sets, a segment each.
    pub fn pair<T: Copy + Into<f64>, U: Copy + Into<f64>>(
        first: ArrayView2<'_, T>,
        second: ArrayView2<'_, U>,
        needed: [usize; 2],
    ) -> Result<Self, MetricError> {
        rows::check_pair(first, second, needed)?;
        let (n, m) = (first.nrows(), second.nrows());
        let mut all = Array2::zeros((n + m, first.ncols()));
        all.slice_mut(s![..n, ..])
            .zip_mut_with(&first, |to, &from| *to = from.into());
        all.slice_mut(s![n.., ..])
            .zip_mut_with(&second, |to, &from| *to = from.into());
        Self::new(all, &[n, m], n..n + m)
    }

    /// That rows of the first and the second segment have so many neighbours.
    pub fn check_neighbours(&self, option: &'static str, neighbours: usize) -> Result<(), MetricError> {
        check_neighbours(
            option,
            neighbours,
            [self.segments[0].len(), self.segments[1].len()],
        )
    }

    /// How many rows some segments have together.
    pub fn len(&self, segments: &[usize]) -> usize {
        segments.iter().map(|&segment| self.segments[segment].len()).sum()
    }

    /// The numbers of the rows of some segments.
    pub fn members(&self, segments: &[usize]) -> Vec<usize> {
        segments
            .iter()
            .flat_map(|&segment| self.segments[segment].clone())
            .collect()
    }

    fn squared_distance(&self, i: usize, j: usize) -> f64 {
        let row = |index: usize| {
            let start = index * self.rows.ncols();
            self.rows
                .as_slice()
                .map(|all| &all[start..start + self.rows.ncols()])
        };
        match (row(i), row(j)) {
            (Some(a), Some(b)) => super::pairwise::squared_distance(a, b),
            // `new` takes owned rows in standard order.
            _ => f64::NAN,
        }
    }
}

/// A mean to 20 binary digits of the largest value, so that the difference of a value and the mean is exact for bytes,
/// whole numbers and most `f32`: equal distances stay equal.
fn rounded(mean: f64, largest: f64) -> f64 {
    if largest == 0.0 {
        return 0.0;
    }
    let step = (largest.log2().floor() - 20.0).exp2();
    let rounded = (mean / step).round() * step;
    if rounded.is_finite() { rounded } else { mean }
}

/// That there are balls to speak of: at least one neighbour, and more rows than neighbours.
pub(super) fn check_neighbours(
    option: &'static str,
    neighbours: usize,
    rows: [usize; 2],
) -> Result<(), MetricError> {
    if neighbours == 0 {
        return Err(MetricError::Option {
            option,
            value: "0".to_owned(),
            wanted: "at least 1",
        });
    }
    for (set, rows) in [(Set::First, rows[0]), (Set::Second, rows[1])] {
        if rows <= neighbours {
            return Err(MetricError::Neighbours {
                set,
                rows,
                neighbours,
            });
        }
    }
    Ok(())
}

/// Two sets of rows, each some segments of the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Comparison {
    pub first: Vec<usize>,
    pub second: Vec<usize>,
}

impl Comparison {
    /// The first segment against the second.
    pub fn pair() -> Self {
        Self {
            first: vec![0],
            second: vec![1],
        }
    }

    fn is_within(&self, a: usize, b: usize) -> bool {
        let both = |set: &[usize]| set.contains(&a) && set.contains(&b);
        both(&self.first) || both(&self.second)
    }

    fn is_across(&self, a: usize, b: usize) -> bool {
        (self.first.contains(&a) && self.second.contains(&b))
            || (self.second.contains(&a) && self.first.contains(&b))
    }
}

/// What is taken from the distances.
#[derive(Clone, Copy)]
pub(super) struct Settings {
    /// The Gaussian kernel's standard deviation; `None`: no kernel.
    pub bandwidth: Option<f64>,
    /// Neighbours that make the balls of precision and recall; 0: none.
    pub precision_neighbours: usize,
    /// Neighbours that make the balls of density and coverage; 0: none.
    pub density_neighbours: usize,
}

impl Settings {
    /// No kernel, no balls.
    pub const PLAIN: Self = Self {
        bandwidth: None,
        precision_neighbours: 0,
        density_neighbours: 0,
    };
}

/// What the rows of one segment have met in another.
struct Meetings {
    distance_sums: Vec<f64>,
    kernel_sums: Vec<f64>,
    /// The same number of neighbours for each row, by distance; filled up with infinite ones.
    nearest: Vec<Neighbour>,
}

/// All that was met.
pub(super) struct Pass<'a> {
    pub pool: &'a Pool,
    pub comparisons: &'a [Comparison],
    pub settings: Settings,
    kept: usize,
    meetings: BTreeMap<(usize, usize), Meetings>,
    /// One for each comparison.
    pub balls: Vec<Balls>,
}

impl<'a> Pass<'a> {
    /// Visits what the comparisons need; and for the pairs of segments in `further` the nearest rows.
    pub fn run(
        pool: &'a Pool,
        comparisons: &'a [Comparison],
        further: &[(usize, usize)],
        settings: Settings,
        team: &dyn Team,
    ) -> Result<Self, MetricError> {
        let mut pass = Self {
            pool,
            comparisons,
            settings,
            kept: settings
                .precision_neighbours
                .max(settings.density_neighbours)
                .max(1),
            meetings: BTreeMap::new(),
            balls: comparisons
                .iter()
                .map(|comparison| Balls::new(pool, comparison))
                .collect(),
        };
        let mut waiting: BTreeSet<(usize, usize)> = further.iter().copied().collect();
        for comparison in comparisons {
            let all = || comparison.first.iter().chain(&comparison.second);
            waiting.extend(all().flat_map(|&a| all().map(move |&b| (a, b))));
        }
        while !waiting.is_empty() {
            let ready: Vec<(usize, usize)> = waiting
                .iter()
                .copied()
                .filter(|&(a, b)| {
                    let across = comparisons.iter().filter(|comparison| comparison.is_across(a, b));
                    across
                        .into_iter()
                        .all(|comparison| !waiting.iter().any(|&(c, d)| comparison.is_within(c, d)))
                })
                .collect();
            ready.iter().for_each(|pair| {
                waiting.remove(pair);
            });
            pass.visit(&ready, team)?;
        }
        Ok(pass)
    }

    /// Visits pairs of segments, block after block of rows, which the team shares.
    fn visit(&mut self, pairs: &[(usize, usize)], team: &dyn Team) -> Result<(), MetricError> {
        let radii: Vec<Option<Radii>> = (0..self.comparisons.len())
            .map(|index| {
                let across = |&(a, b): &(usize, usize)| self.comparisons[index].is_across(a, b);
                pairs.iter().any(across).then(|| Radii::new(self, index))
            })
            .collect();
        let tasks: Vec<Task> = pairs
            .iter()
            .flat_map(|&(a, b)| {
                let rows = self.pool.segments[a].clone();
                rows.clone().step_by(ROWS).map(move |start| Task {
                    rows: start..rows.end.min(start + ROWS),
                    row_segment: a,
                    column_segment: b,
                })
            })
            .collect();
        let lengths: Vec<usize> = tasks
            .iter()
            .map(|task| Met::new(self, task, &radii).len())
            .collect();
        let work = |task: usize| block::meet(self, &tasks[task], &radii).into_numbers();
        let numbers = team.share(&lengths, &work)?;
        for (task, numbers) in tasks.iter().zip(numbers) {
            let met = Met::new(self, task, &radii).with_numbers(&numbers);
            let meetings = self
                .meetings
                .entry((task.row_segment, task.column_segment))
                .or_insert_with(|| Meetings {
                    distance_sums: Vec::new(),
                    kernel_sums: Vec::new(),
                    nearest: Vec::new(),
                });
            meetings.distance_sums.extend(met.distance_sums);
            meetings.kernel_sums.extend(met.kernel_sums);
            meetings.nearest.extend(met.nearest);
            for (index, counts) in met.balls {
                self.balls[index].add(task.rows.start, &counts);
            }
        }
        Ok(())
    }

    /// For each row of some segments the sum over the rows of others of the distance.
    pub fn distance_sums(&self, rows: &[usize], columns: &[usize]) -> Vec<f64> {
        self.sums(rows, columns, |meetings| &meetings.distance_sums)
    }

    /// For each row of some segments the sum over the rows of others of the kernel, a row with itself left out.
    pub fn kernel_sums(&self, rows: &[usize], columns: &[usize]) -> Vec<f64> {
        self.sums(rows, columns, |meetings| &meetings.kernel_sums)
    }

    fn sums(&self, rows: &[usize], columns: &[usize], pick: impl Fn(&Meetings) -> &Vec<f64>) -> Vec<f64> {
        let of_segment = |&row_segment: &usize| {
            (0..self.pool.segments[row_segment].len()).map({
                let pick = &pick;
                move |row| {
                    columns
                        .iter()
                        .map(|&column| pick(&self.meetings[&(row_segment, column)])[row])
                        .sum()
                }
            })
        };
        rows.iter().flat_map(of_segment).collect()
    }

    /// For each row of some segments its nearest other rows among others, by distance (at most as many as
    /// the balls need).
    pub fn nearest(&self, rows: &[usize], columns: &[usize]) -> Vec<Vec<Neighbour>> {
        let of_row = |row_segment: usize, row: usize| {
            let of_segment = |&column: &usize| {
                let nearest = &self.meetings[&(row_segment, column)].nearest;
                nearest[row * self.kept..(row + 1) * self.kept].iter().copied()
            };
            let mut all: Vec<Neighbour> = columns
                .iter()
                .flat_map(of_segment)
                .filter(|n| n.square.is_finite())
                .collect();
            all.sort_by(Neighbour::order);
            all
        };
        rows.iter()
            .flat_map(|&segment| (0..self.pool.segments[segment].len()).map(move |row| (segment, row)))
            .map(|(segment, row)| of_row(segment, row))
            .collect()
    }
}
