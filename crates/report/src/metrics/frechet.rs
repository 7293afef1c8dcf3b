//! The Fréchet distance between Gaussian fits.

use ndarray::{Array2, ArrayView2, Axis};

use super::eigen::symmetric_eigen;
use super::{MetricError, rows};

/// Mean and covariance of a set of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct GaussianFit {
    /// Mean of each column.
    pub mean: Vec<f64>,
    /// Unbiased covariance (divided by n - 1), as rows of a symmetric matrix.
    pub covariance: Vec<Vec<f64>>,
}

impl GaussianFit {
    /// Of two rows or more, all finite.
    pub(super) fn of_rows(rows: ArrayView2<'_, f64>) -> Result<Self, MetricError> {
        let overflow = || MetricError::Overflow {
            quantity: "the covariance",
        };
        let mean = rows.mean_axis(Axis(0)).ok_or_else(overflow)?;
        let centred = &rows - &mean;
        let covariance = centred.t().dot(&centred) / (rows.nrows() as f64 - 1.0);
        if !mean.iter().chain(&covariance).all(|value| value.is_finite()) {
            return Err(overflow());
        }
        Ok(Self {
            mean: mean.to_vec(),
            covariance: covariance.rows().into_iter().map(|row| row.to_vec()).collect(),
        })
    }

    /// Fits the mean and the unbiased covariance of `rows`, `[n, d]` with n >= 2. Cost n d^2.
    ///
    /// # Errors
    /// [`MetricError`] for fewer than two rows, no columns, a value that is not finite, or overflow.
    pub fn fit<T: Copy + Into<f64>>(rows: ArrayView2<'_, T>) -> Result<Self, MetricError> {
        rows::check(rows, super::Set::First, 2)?;
        Self::of_rows(rows.mapv(Into::into).view())
    }

    /// The squared 2-Wasserstein distance between two Gaussians,
    /// |m1 - m2|^2 + tr(C1 + C2 - 2 (C1^{1/2} C2 C1^{1/2})^{1/2})
    /// (D. C. Dowson and B. V. Landau, The Fréchet distance between multivariate normal distributions, 1982;
    /// the quantity called FID by M. Heusel et al., 2017, arXiv:1706.08500, there on Inception features).
    ///
    /// The matrix under the root is symmetric, so both roots come from symmetric eigenvalue problems; negative
    /// eigenvalues, which rounding makes of zeros when a covariance is singular, count as 0. Cost about 13 d^3.
    ///
    /// # Errors
    /// [`MetricError::Lengths`] for different dimensions, [`MetricError::Overflow`] if the result is not finite.
    pub fn distance(&self, other: &Self) -> Result<f64, MetricError> {
        self.root()?.distance(other)
    }

    /// The eigenvectors of the covariance, for the distances to several others.
    pub(super) fn root(&self) -> Result<Root<'_>, MetricError> {
        let eigen = symmetric_eigen(self.covariance.clone(), true).ok_or_else(overflow)?;
        // Rows with an eigenvalue 0 vanish and are left out.
        let kept: Vec<usize> = (0..eigen.values.len())
            .filter(|&k| eigen.values[k] > 0.0)
            .collect();
        let dimension = self.mean.len();
        let vectors = Array2::from_shape_fn((kept.len(), dimension), |(k, i)| {
            eigen.values[kept[k]].sqrt() * eigen.vectors[kept[k]][i]
        });
        Ok(Root { fit: self, vectors })
    }

    fn trace(&self) -> f64 {
        self.covariance.iter().enumerate().map(|(i, row)| row[i]).sum()
    }
}

fn overflow() -> MetricError {
    MetricError::Overflow {
        quantity: "the Fréchet distance",
    }
}

/// A fit with its eigenvectors, each times the root of its eigenvalue, as rows.
pub(super) struct Root<'a> {
    fit: &'a GaussianFit,
    vectors: Array2<f64>,
}

impl Root<'_> {
    /// [`GaussianFit::distance`], without the first of its two eigenvalue problems.
    pub fn distance(&self, other: &GaussianFit) -> Result<f64, MetricError> {
        let dimension = self.fit.mean.len();
        if other.mean.len() != dimension {
            return Err(MetricError::Lengths {
                first: dimension,
                second: other.mean.len(),
            });
        }
        // In the eigenbasis of C1 the matrix C1^{1/2} C2 C1^{1/2} has the entries sqrt(l_i l_j) v_i^T C2 v_j.
        let covariance = Array2::from_shape_fn((dimension, dimension), |(i, j)| other.covariance[i][j]);
        let product = self.vectors.dot(&covariance).dot(&self.vectors.t());
        let symmetric = |i: usize, j: usize| 0.5 * (product[[i, j]] + product[[j, i]]);
        let size = product.nrows();
        let rows = (0..size)
            .map(|i| (0..size).map(|j| symmetric(i, j)).collect())
            .collect();
        let roots = symmetric_eigen(rows, false).ok_or_else(overflow)?.values;
        let trace_of_root: f64 = roots.iter().map(|value| value.max(0.0).sqrt()).sum();
        let means: f64 = self
            .fit
            .mean
            .iter()
            .zip(&other.mean)
            .map(|(a, b)| (a - b) * (a - b))
            .sum();
        let distance = means + self.fit.trace() + other.trace() - 2.0 * trace_of_root;
        if distance.is_finite() {
            Ok(distance.max(0.0))
        } else {
            Err(overflow())
        }
    }
}

/// The Fréchet distance between Gaussian fits of two sets of rows, `[n, d]` and `[m, d]` with n, m >= 2: see
/// [`GaussianFit::distance`]. On pixels it is the "pixel Fréchet distance". It is biased upwards for small
/// sets: compare figures of the same n and m only.
///
/// # Errors
/// [`MetricError`].
pub fn frechet_distance<T: Copy + Into<f64>, U: Copy + Into<f64>>(
    first: ArrayView2<'_, T>,
    second: ArrayView2<'_, U>,
) -> Result<f64, MetricError> {
    rows::check_pair(first, second, [2, 2])?;
    let (x, y) = (first.mapv(Into::into), second.mapv(Into::into));
    GaussianFit::of_rows(x.view())?.distance(&GaussianFit::of_rows(y.view())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};
    use proptest::prelude::*;

    #[test]
    fn the_fit_is_the_unbiased_one() {
        let fit = GaussianFit::fit(array![[1.0, 2.0], [3.0, 2.0], [5.0, 8.0]].view()).expect("defined");
        assert_eq!(fit.mean, [3.0, 4.0]);
        assert_eq!(fit.covariance, [[4.0, 6.0], [6.0, 12.0]]);
        let bytes = GaussianFit::fit(array![[1u8, 2], [3, 2], [5, 8]].view()).expect("defined");
        assert_eq!(bytes, fit);
    }

    #[test]
    fn one_dimension_has_a_closed_form() {
        // (m1 - m2)^2 + (s1 - s2)^2
        let a = array![[0.0], [2.0]];
        let b = array![[10.0], [14.0]];
        let (s1, s2) = (2f64.sqrt(), 8f64.sqrt());
        let expected = 11.0 * 11.0 + (s1 - s2) * (s1 - s2);
        let distance = frechet_distance(a.view(), b.view()).expect("defined");
        assert!(
            (distance - expected).abs() < 1e-12,
            "{distance} against {expected}"
        );
    }

    #[test]
    fn two_dimensions_have_a_closed_form() {
        // For 2 x 2 matrices tr sqrt(M) = sqrt(tr M + 2 sqrt(det M)) with M = C1 C2.
        let (c1, c2) = ([[2.0, 0.5], [0.5, 1.0]], [[1.0, -0.3], [-0.3, 3.0]]);
        let fit = |mean: [f64; 2], c: [[f64; 2]; 2]| GaussianFit {
            mean: mean.to_vec(),
            covariance: c.iter().map(|row| row.to_vec()).collect(),
        };
        let trace: f64 = (0..2)
            .map(|i| (0..2).map(|k| c1[i][k] * c2[k][i]).sum::<f64>())
            .sum();
        let det = |c: [[f64; 2]; 2]| c[0][0] * c[1][1] - c[0][1] * c[1][0];
        let root = (trace + 2.0 * (det(c1) * det(c2)).sqrt()).sqrt();
        let expected = 1.0 + 4.0 + (2.0 + 1.0) + (1.0 + 3.0) - 2.0 * root;
        let (a, b) = (fit([0.0, 1.0], c1), fit([1.0, 3.0], c2));
        for distance in [a.distance(&b), b.distance(&a)] {
            assert!((distance.expect("defined") - expected).abs() < 1e-13);
        }
    }

    #[test]
    fn singular_covariances_are_fine() {
        // Columns 1 and 2 of the first set are constant, and the set has fewer rows than columns.
        let a = array![[0.0, 1.0, 5.0], [2.0, 1.0, 5.0]];
        assert!(frechet_distance(a.view(), a.view()).expect("defined") < 1e-12);
        let b = array![[0.0, 1.0, 5.0], [2.0, 1.0, 8.0]];
        // Covariances 2 e1 e1^T and w w^T with w = (2, 0, 3) / sqrt 2: the root's trace is sqrt(2) |w_1| = 2.
        let expected = 1.5 * 1.5 + 2.0 + 6.5 - 2.0 * 2.0;
        let distance = frechet_distance(a.view(), b.view()).expect("defined");
        assert!(
            (distance - expected).abs() < 1e-12,
            "{distance} against {expected}"
        );
    }

    proptest! {
        #[test]
        fn commuting_covariances(scales in prop::collection::vec((0.0f64..3.0, 0.0f64..3.0), 1..8), shift in -2.0f64..2.0) {
            // Diagonal covariances: the sum over columns of the one-dimensional closed form.
            let diagonal = |pick: fn(&(f64, f64)) -> f64, mean: f64| {
                let n = scales.len();
                let mut covariance = vec![vec![0.0; n]; n];
                for (i, pair) in scales.iter().enumerate() {
                    covariance[i][i] = pick(pair) * pick(pair);
                }
                GaussianFit { mean: vec![mean; n], covariance }
            };
            let (a, b) = (diagonal(|p| p.0, 0.0), diagonal(|p| p.1, shift));
            let expected: f64 = scales.iter().map(|(s, t)| shift * shift + (s - t) * (s - t)).sum();
            prop_assert!((a.distance(&b).expect("defined") - expected).abs() < 1e-11);
        }

        #[test]
        fn shifts_and_self(values in prop::collection::vec(-1.0f64..1.0, 30), shift in -3.0f64..3.0) {
            let a = Array2::from_shape_vec((10, 3), values).expect("30 values");
            let moved = a.mapv(|v| v + shift);
            prop_assert!((frechet_distance(a.view(), moved.view()).expect("defined") - 3.0 * shift * shift).abs() < 1e-11);
        }
    }
}
