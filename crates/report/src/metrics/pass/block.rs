//! Some rows against a segment: squared distances by a matrix product, and what is taken from them.

use std::cmp::Ordering;
use std::ops::Range;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, s};

use super::balls::{Counts, Radii};
use super::{Pass, Pool};

/// Columns of a block: with 256 rows a block of products stays in the second-level cache.
const COLUMNS: usize = 512;

/// |x|^2 + |y|^2 - 2 x.y has lost its digits where it is below this part of |x|^2 + |y|^2; there the distance
/// is computed from differences. Above, its relative error is below 1e-16 sqrt(d) / 1e-6.
const NEAR: f64 = 1e-6;

/// Part of |x|^2 + |y|^2 within which a squared distance from a product may differ from the one computed from
/// differences; a comparison with a radius that falls within it is decided by the latter.
const MARGIN: f64 = 1e-11;

/// A row and its squared distance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::metrics) struct Neighbour {
    pub square: f64,
    pub row: usize,
}

impl Neighbour {
    const NONE: Self = Self {
        square: f64::INFINITY,
        row: usize::MAX,
    };

    pub fn order(a: &Self, b: &Self) -> Ordering {
        a.square.total_cmp(&b.square).then(a.row.cmp(&b.row))
    }
}

/// Rows of one segment that are to meet another segment.
pub(super) struct Task {
    pub rows: Range<usize>,
    pub row_segment: usize,
    pub column_segment: usize,
}

/// What they have met.
pub(super) struct Met {
    pub distance_sums: Vec<f64>,
    pub kernel_sums: Vec<f64>,
    pub nearest: Vec<Neighbour>,
    /// For each comparison that needs it, what lies in which balls.
    pub balls: Vec<(usize, Counts)>,
}

impl Met {
    /// Nothing yet.
    pub fn new(pass: &Pass<'_>, task: &Task, radii: &[Option<Radii>]) -> Self {
        let rows = task.rows.len();
        let mut met = Self {
            distance_sums: vec![0.0; rows],
            kernel_sums: vec![0.0; rows],
            nearest: vec![Neighbour::NONE; rows * pass.kept],
            balls: Vec::new(),
        };
        for (index, comparison) in pass.comparisons.iter().enumerate() {
            if radii[index].is_some() && comparison.is_across(task.row_segment, task.column_segment) {
                let first = comparison.first.contains(&task.row_segment);
                met.balls.push((index, Counts::new(first, rows)));
            }
        }
        met
    }

    /// How many numbers it is.
    pub fn len(&self) -> usize {
        let rows = self.distance_sums.len();
        2 * rows + 2 * self.nearest.len() + 2 * rows * self.balls.len()
    }

    /// As numbers, for a team.
    pub fn into_numbers(self) -> Vec<f64> {
        let mut numbers = self.distance_sums;
        numbers.extend(self.kernel_sums);
        for neighbour in self.nearest {
            // Rows are fewer than 2^53; none is -1.
            let row = if neighbour.row == usize::MAX {
                -1.0
            } else {
                neighbour.row as f64
            };
            numbers.extend([neighbour.square, row]);
        }
        for (_, counts) in self.balls {
            numbers.extend(counts.into_numbers());
        }
        numbers
    }

    /// What [`Met::into_numbers`] was made of, in place of what is here.
    pub fn with_numbers(mut self, numbers: &[f64]) -> Self {
        let rows = self.distance_sums.len();
        let (sums, numbers) = numbers.split_at(2 * rows);
        self.distance_sums.copy_from_slice(&sums[..rows]);
        self.kernel_sums.copy_from_slice(&sums[rows..]);
        let (nearest, numbers) = numbers.split_at(2 * self.nearest.len());
        for (neighbour, pair) in self.nearest.iter_mut().zip(nearest.chunks_exact(2)) {
            let row = if pair[1] < 0.0 {
                usize::MAX
            } else {
                pair[1] as usize
            };
            *neighbour = Neighbour { square: pair[0], row };
        }
        for ((_, counts), numbers) in self.balls.iter_mut().zip(numbers.chunks_exact((2 * rows).max(1))) {
            counts.take_numbers(numbers);
        }
        self
    }
}

pub(super) fn meet(pass: &Pass<'_>, task: &Task, radii: &[Option<Radii>]) -> Met {
    let pool = pass.pool;
    let rows = task.rows.len();
    let mut met = Met::new(pass, task, radii);
    let exponent = pass
        .settings
        .bandwidth
        .map(|bandwidth| -0.5 / (bandwidth * bandwidth));
    let all = pool.segments[task.column_segment].clone();
    let mut block = Array2::zeros((rows, COLUMNS));
    for start in all.clone().step_by(COLUMNS) {
        let columns = start..all.end.min(start + COLUMNS);
        let mut block = block.slice_mut(s![.., ..columns.len()]);
        let x = pool.rows.slice(s![task.rows.clone(), ..]);
        let y = pool.rows.slice(s![columns.clone(), ..]);
        general_mat_mul(-2.0, &x, &y.t(), 0.0, &mut block);
        for (i, mut line) in block.rows_mut().into_iter().enumerate() {
            let Some(line) = line.as_slice_mut() else { continue };
            let row = task.rows.start + i;
            to_squares(pool, row, &columns, line);
            met.distance_sums[i] += sum(line, f64::sqrt);
            if let Some(exponent) = exponent {
                met.kernel_sums[i] += sum(line, |square| (exponent * square).exp());
            }
            if columns.contains(&row) {
                // The row itself: its distance 0 added nothing, its kernel 1.
                met.kernel_sums[i] -= f64::from(u8::from(exponent.is_some()));
                line[row - start] = f64::INFINITY;
            }
            let nearest = &mut met.nearest[i * pass.kept..(i + 1) * pass.kept];
            keep_nearest(nearest, line, start);
            let margin = MARGIN * (pool.norms[row] + pool.largest_norm);
            let exact = |column: usize| pool.squared_distance(row, start + column);
            for (index, counts) in &mut met.balls {
                if let Some(radii) = &radii[*index] {
                    counts.add(i, line, radii, &columns, margin, exact);
                }
            }
        }
    }
    for (i, nearest) in met.nearest.chunks_exact_mut(pass.kept).enumerate() {
        for neighbour in nearest.iter_mut().filter(|neighbour| neighbour.row != usize::MAX) {
            neighbour.square = pool.squared_distance(task.rows.start + i, neighbour.row);
        }
        nearest.sort_by(Neighbour::order);
    }
    met
}

/// From -2 x.y to |x - y|^2.
fn to_squares(pool: &Pool, row: usize, columns: &Range<usize>, line: &mut [f64]) {
    let norm = pool.norms[row];
    let norms = &pool.norms[columns.clone()];
    let mut near = false;
    for (value, &other) in line.iter_mut().zip(norms) {
        *value += norm + other;
        near |= *value <= NEAR * (norm + other);
    }
    if near {
        for (j, value) in line.iter_mut().enumerate() {
            if *value <= NEAR * (norm + norms[j]) {
                *value = pool.squared_distance(row, columns.start + j);
            }
        }
    }
}

/// The sum of a function, eight sums side by side in a fixed order.
fn sum(line: &[f64], of: impl Fn(f64) -> f64) -> f64 {
    let mut sums = [0.0; 8];
    let chunks = line.chunks_exact(8);
    let tail: f64 = chunks.remainder().iter().map(|&value| of(value)).sum();
    for chunk in chunks {
        for lane in 0..8 {
            sums[lane] += of(chunk[lane]);
        }
    }
    sums.iter().sum::<f64>() + tail
}

/// Keeps the smallest values, sorted.
fn keep_nearest(nearest: &mut [Neighbour], line: &[f64], start: usize) {
    let last = nearest.len() - 1;
    let mut worst = nearest[last].square;
    for (j, &square) in line.iter().enumerate() {
        if square < worst {
            let at = nearest.partition_point(|neighbour| neighbour.square <= square);
            nearest[at..].rotate_right(1);
            nearest[at] = Neighbour {
                square,
                row: start + j,
            };
            worst = nearest[last].square;
        }
    }
}
