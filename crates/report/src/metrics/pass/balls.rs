//! Which rows of one set lie in balls around the rows of the other, each ball as large as the distance of its
//! centre to its k-th nearest neighbour in its own set. Balls are closed, and a row is not its own neighbour.

use std::ops::Range;

use super::{Comparison, Pass, Pool};

/// Squared radii, by row of the pool; -1 where there is no ball.
pub(super) struct Radii {
    precision: Vec<f64>,
    density: Vec<f64>,
}

impl Radii {
    pub fn new(pass: &Pass<'_>, comparison: usize) -> Self {
        let comparison = &pass.comparisons[comparison];
        let rows = pass.pool.rows.nrows();
        let mut radii = Self {
            precision: vec![-1.0; rows],
            density: vec![-1.0; rows],
        };
        for set in [&comparison.first, &comparison.second] {
            for (row, nearest) in pass.pool.members(set).into_iter().zip(pass.nearest(set, set)) {
                let square = |k: usize| {
                    k.checked_sub(1)
                        .and_then(|k| nearest.get(k))
                        .map_or(-1.0, |n| n.square)
                };
                radii.precision[row] = square(pass.settings.precision_neighbours);
                radii.density[row] = square(pass.settings.density_neighbours);
            }
        }
        radii
    }
}

/// What the rows of a task have met in balls around the rows of a segment.
pub(super) struct Counts {
    /// Whether the task's rows are of the comparison's first set.
    first: bool,
    /// Whether the row lies in a ball of precision and recall.
    inside: Vec<bool>,
    /// In how many balls of density it lies; rows of the first set only.
    density: Vec<usize>,
}

impl Counts {
    pub fn new(first: bool, rows: usize) -> Self {
        Self {
            first,
            inside: vec![false; rows],
            density: vec![0; rows],
        }
    }

    /// As numbers: for each row whether it is inside, then for each in how many balls of density it lies.
    pub fn into_numbers(self) -> impl Iterator<Item = f64> {
        let inside = self.inside.into_iter().map(|inside| f64::from(u8::from(inside)));
        inside.chain(self.density.into_iter().map(|count| count as f64))
    }

    /// What [`Counts::into_numbers`] was made of, in place of what is here.
    pub fn take_numbers(&mut self, numbers: &[f64]) {
        let (inside, density) = numbers.split_at(self.inside.len());
        for (to, from) in self.inside.iter_mut().zip(inside) {
            *to = *from > 0.0;
        }
        for (to, from) in self.density.iter_mut().zip(density) {
            *to = *from as usize;
        }
    }

    /// Adds the balls around some columns. A squared distance that is nearer than `margin` to a squared radius
    /// is computed again by `exact`.
    pub fn add(
        &mut self,
        row: usize,
        squares: &[f64],
        radii: &Radii,
        columns: &Range<usize>,
        margin: f64,
        exact: impl Fn(usize) -> f64,
    ) {
        if !self.inside[row] {
            self.inside[row] = count(squares, &radii.precision[columns.clone()], margin, &exact) > 0;
        }
        if self.first {
            self.density[row] += count(squares, &radii.density[columns.clone()], margin, &exact);
        }
    }
}

fn count(squares: &[f64], radii: &[f64], margin: f64, exact: impl Fn(usize) -> f64) -> usize {
    let mut bounds = [0usize; 2];
    for (&square, &radius) in squares.iter().zip(radii) {
        bounds[0] += usize::from(square <= radius - margin);
        bounds[1] += usize::from(square <= radius + margin);
    }
    if bounds[0] == bounds[1] {
        return bounds[0];
    }
    let inside = |(j, (&square, &radius)): (usize, (&f64, &f64))| {
        if (square - radius).abs() > margin {
            square <= radius
        } else {
            exact(j) <= radius
        }
    };
    squares
        .iter()
        .zip(radii)
        .enumerate()
        .filter(|&pair| inside(pair))
        .count()
}

/// What lies in balls, for one comparison; rows of each set in its order.
pub(in crate::metrics) struct Balls {
    first_start: usize,
    second_start: usize,
    /// Rows of the first set that lie in a ball around a row of the second.
    pub precise: Vec<bool>,
    /// In how many balls of density around rows of the second set each row of the first lies.
    pub density: Vec<usize>,
    /// Rows of the second set that lie in a ball around a row of the first.
    pub recalled: Vec<bool>,
}

impl Balls {
    pub(super) fn new(pool: &Pool, comparison: &Comparison) -> Self {
        let start = |set: &[usize]| set.first().map_or(0, |&segment| pool.segments[segment].start);
        let (n, m) = (pool.len(&comparison.first), pool.len(&comparison.second));
        Self {
            first_start: start(&comparison.first),
            second_start: start(&comparison.second),
            precise: vec![false; n],
            density: vec![0; n],
            recalled: vec![false; m],
        }
    }

    /// Adds what a task with rows from `start` on has counted. A set's segments lie side by side.
    pub(super) fn add(&mut self, start: usize, counts: &Counts) {
        let (inside, offset) = if counts.first {
            (&mut self.precise, self.first_start)
        } else {
            (&mut self.recalled, self.second_start)
        };
        for (total, new) in inside[start - offset..].iter_mut().zip(&counts.inside) {
            *total |= new;
        }
        if counts.first {
            for (total, new) in self.density[start - offset..].iter_mut().zip(&counts.density) {
                *total += new;
            }
        }
    }
}
