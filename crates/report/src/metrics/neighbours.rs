//! The nearest training rows of a few samples.

use ndarray::ArrayView2;
use rayon::prelude::*;

use super::{MetricError, Set};

/// The `k` rows that lie nearest to each of some samples, of rows that come piece by piece, so that a data set need not lie in memory
/// as a whole. Distances are Euclidean; of equal ones the row with the smaller number comes first. Time `n m d`.
#[derive(Debug, Clone)]
pub struct Neighbours<'a> {
    samples: ArrayView2<'a, f32>,
    k: usize,
    /// Squared distance and number of the row, nearest first.
    found: Vec<Vec<(f64, u64)>>,
}

impl<'a> Neighbours<'a> {
    /// Of these samples, `[n, d]`; no row was looked at yet.
    pub fn new(samples: ArrayView2<'a, f32>, k: usize) -> Self {
        Self {
            samples,
            k,
            found: vec![Vec::with_capacity(k + 1); samples.nrows()],
        }
    }

    /// Looks at further rows, `[m, d]`, which have these numbers.
    ///
    /// # Errors
    /// [`MetricError::Lengths`] for rows of another length; [`MetricError::Labels`] for another number of numbers.
    pub fn look_at(&mut self, rows: ArrayView2<'_, f32>, numbers: &[u64]) -> Result<(), MetricError> {
        let (first, second) = (self.samples.ncols(), rows.ncols());
        if first != second {
            return Err(MetricError::Lengths { first, second });
        }
        if first == 0 {
            return Err(MetricError::NoColumns { set: Set::First });
        }
        if rows.nrows() != numbers.len() {
            return Err(MetricError::Labels {
                labels: numbers.len(),
                rows: rows.nrows(),
            });
        }
        let (samples, k) = (self.samples, self.k);
        self.found.par_iter_mut().enumerate().for_each(|(at, found)| {
            let sample = samples.row(at);
            for (row, number) in rows.rows().into_iter().zip(numbers) {
                let square: f64 = (sample.iter().zip(row))
                    .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
                    .sum();
                let place = found.partition_point(|other| *other <= (square, *number));
                // Of values that are not finite nothing is near.
                if place < k && square.is_finite() {
                    found.insert(place, (square, *number));
                    found.truncate(k);
                }
            }
        });
        Ok(())
    }

    /// For each sample the distance and the number of its nearest rows, nearest first.
    pub fn nearest(&self) -> Vec<Vec<(f64, u64)>> {
        let roots =
            |found: &Vec<(f64, u64)>| found.iter().map(|(square, row)| (square.sqrt(), *row)).collect();
        self.found.iter().map(roots).collect()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    /// Against all distances, sorted; in pieces and at once.
    #[test]
    fn nearest_rows_are_those_of_a_full_sort() {
        let value = |i: usize, j: usize| ((i * 37 + j * 17) % 101) as f32 * 0.1;
        let samples = Array2::from_shape_fn((4, 3), |(i, j)| value(i + 1000, j) + 0.03);
        let rows = Array2::from_shape_fn((60, 3), |(i, j)| value(i, j));
        let numbers: Vec<u64> = (0..60).map(|row| 2 * row + 5).collect();
        for piece in [1, 7, 60] {
            let mut found = Neighbours::new(samples.view(), 3);
            for first in (0..60).step_by(piece) {
                let end = (first + piece).min(60);
                let part = rows.slice(ndarray::s![first..end, ..]);
                found.look_at(part, &numbers[first..end]).expect("of one length");
            }
            for (sample, nearest) in samples.rows().into_iter().zip(found.nearest()) {
                let mut all: Vec<(f64, u64)> = (rows.rows().into_iter().zip(&numbers))
                    .map(|(row, number)| {
                        let square: f64 = sample
                            .iter()
                            .zip(row)
                            .map(|(a, b)| f64::from(a - b).powi(2))
                            .sum();
                        (square.sqrt(), *number)
                    })
                    .collect();
                all.sort_by(|a, b| a.partial_cmp(b).expect("finite"));
                let same = nearest
                    .iter()
                    .zip(&all)
                    .all(|(a, b)| a.1 == b.1 && (a.0 - b.0).abs() < 1e-6);
                assert!(nearest.len() == 3 && same, "{nearest:?} {:?}", &all[..3]);
            }
        }
    }

    #[test]
    fn ties_go_to_the_first_and_what_is_not_finite_is_far() {
        let samples = array![[0.0_f32], [f32::NAN]];
        let mut found = Neighbours::new(samples.view(), 2);
        found
            .look_at(array![[1.0_f32], [f32::INFINITY], [-1.0]].view(), &[4, 5, 6])
            .expect("of one length");
        assert_eq!(found.nearest(), [vec![(1.0, 4), (1.0, 6)], vec![]]);
        let error = found
            .look_at(array![[1.0_f32, 2.0]].view(), &[0])
            .expect_err("too long");
        assert_eq!(error, MetricError::Lengths { first: 1, second: 2 });
        assert!(found.look_at(array![[1.0_f32]].view(), &[]).is_err());
    }
}
