//! Density and coverage.

use ndarray::ArrayView2;

use super::estimate::Estimate;
use super::pass::{Comparison, Pass, Pool, Settings};
use super::{Alone, MetricError};

/// How densely samples lie among the data, and how much of the data they reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DensityCoverage {
    /// In how many balls around data rows a sample lies, in parts of the `k` that are expected: 1 for samples
    /// of the data's distribution; above 1 if they crowd where the data are dense.
    pub density: Estimate,
    /// The share of data rows whose ball holds a sample; [`expected_coverage`] for samples of the data's
    /// distribution.
    pub coverage: Estimate,
}

/// Density and coverage of samples (first set) against data (second set). Balls lie around the data rows only,
/// closed, each as large as the distance to the row's `neighbours`-th nearest other data row; density is the mean
/// over samples of the number of balls that hold it, divided by `neighbours` (M. F. Naeem et al., Reliable
/// fidelity and diversity metrics for generative models, 2020, arXiv:2002.09797, equations 3 and 4, `neighbours`
/// = 5 there. Their program takes open balls, which for continuous data is the same and for copies of data rows
/// counts fewer). The standard errors take the balls as given. Time 2 (n + m)^2 d.
///
/// # Errors
/// [`MetricError`]; [`MetricError::Neighbours`] unless each set has more than `neighbours` rows.
pub fn density_coverage<T: Copy + Into<f64>, U: Copy + Into<f64>>(
    samples: ArrayView2<'_, T>,
    data: ArrayView2<'_, U>,
    neighbours: usize,
) -> Result<DensityCoverage, MetricError> {
    let pool = Pool::pair(samples, data, [2, 2])?;
    pool.check_neighbours("the neighbours of density and coverage", neighbours)?;
    let settings = Settings {
        density_neighbours: neighbours,
        ..Settings::PLAIN
    };
    Ok(of_pass(
        &Pass::run(&pool, &[Comparison::pair()], &[], settings, &Alone)?,
        0,
    ))
}

pub(super) fn of_pass(pass: &Pass<'_>, comparison: usize) -> DensityCoverage {
    let sets = &pass.comparisons[comparison];
    let neighbours = pass.settings.density_neighbours;
    let counts = &pass.balls[comparison].density;
    let densities: Vec<f64> = counts
        .iter()
        .map(|&count| count as f64 / neighbours as f64)
        .collect();
    let own = pass.nearest(&sets.second, &sets.second);
    let samples = pass.nearest(&sets.second, &sets.first);
    let covered = own
        .iter()
        .zip(&samples)
        .filter(|(own, samples)| samples[0].square <= own[neighbours - 1].square)
        .count();
    DensityCoverage {
        density: Estimate::of_mean(&densities),
        coverage: Estimate::of_share(covered as f64 / own.len() as f64, own.len()),
    }
}

/// The expected coverage of `data` rows by as many as `samples` rows of the same continuous distribution:
/// `1 - prod_(i = 1..k) (N - i) / (M + N - i)` with N data rows and M samples (Naeem et al. 2020, lemma 2):
/// a row stays uncovered if its k nearest rows of both sets are all data.
pub fn expected_coverage(samples: usize, data: usize, neighbours: usize) -> f64 {
    let (n, m) = (data as f64, samples as f64);
    1.0 - (1..=neighbours)
        .map(|i| (n - i as f64).max(0.0) / (m + n - i as f64))
        .product::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::testing::{lattice, normals, radii, repeated, square};
    use ndarray::{ArrayView2, array};

    fn values(x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>, k: usize) -> (f64, f64) {
        let both = density_coverage(x, y, k).expect("defined");
        (both.density.value, both.coverage.value)
    }

    #[test]
    fn points_on_a_line_by_hand() {
        // Balls of radius 1, 1, 1, 8; the first two samples lie in two of them each, the first on a border.
        let data = array![[0.0], [1.0], [2.0], [10.0]];
        let samples = array![[3.0], [2.5], [30.0]];
        assert_eq!(values(samples.view(), data.view(), 1), (4.0 / 3.0, 0.5));
    }

    #[test]
    fn the_definition_on_a_lattice() {
        let (x, y) = (lattice(530, 4, 1), lattice(300, 4, 2) * 1.5);
        let (x, y) = (x.view(), y.view());
        let radii = radii(y, 5);
        let inside = |i: usize, j: usize| square(x, i, y, j) <= radii[j];
        let count: usize = (0..530).map(|i| (0..300).filter(|&j| inside(i, j)).count()).sum();
        let covered = (0..300).filter(|&j| (0..530).any(|i| inside(i, j))).count();
        let (density, coverage) = values(x, y, 5);
        assert!((density - count as f64 / 5.0 / 530.0).abs() < 1e-12);
        assert_eq!(coverage, covered as f64 / 300.0);
    }

    #[test]
    fn a_set_against_itself() {
        // Each ball holds its centre and the k neighbours.
        let x = normals(80, 2, 4);
        let (density, coverage) = values(x.view(), x.view(), 4);
        assert!((density - 5.0 / 4.0).abs() < 1e-12 && coverage == 1.0);
        assert_eq!(values((&x + 1e3).view(), x.view(), 4), (0.0, 0.0));
    }

    #[test]
    fn real_against_real_has_closed_forms() {
        for (n, m, k) in [(30, 40, 3), (60, 25, 5)] {
            let run = |seed: u64| {
                values(
                    normals(n, 2, 2 * seed).view(),
                    normals(m, 2, 2 * seed + 1).view(),
                    k,
                )
            };
            let (density, error) = repeated(500, |seed| run(seed).0);
            assert!((density - 1.0).abs() < 4.0 * error, "{density} ± {error}");
            let expected = expected_coverage(n, m, k);
            let (coverage, error) = repeated(500, |seed| run(seed).1);
            assert!(
                (coverage - expected).abs() < 4.0 * error,
                "{coverage} ± {error} against {expected}"
            );
        }
        // As many of each: about 1 - 2^-k.
        assert!((expected_coverage(100_000, 100_000, 5) - 31.0 / 32.0).abs() < 1e-4);
        // One data row beside k others can be uncovered by no one.
        assert_eq!(expected_coverage(10, 3, 3), 1.0);
    }
}
