//! The posterior of a mixture given a noisy linear measurement.

use super::{Mixture, cholesky};
use crate::ConfigError;
use crate::error::{finite, positive};

impl Mixture {
    /// The exact posterior of `x` given `y = A x + noise_std n`, `n` standard normal: a mixture again.
    ///
    /// `a` is row-major, `y.len()` rows of `dim` values. For a component `N(mu, L L^T)` the posterior is Gaussian with covariance
    /// `L M^{-1} L^T`, `M = I + L^T A^T A L/noise_std^2`, and mean `mu + L M^{-1} L^T A^T (y - A mu)/noise_std^2`; its weight is
    /// multiplied by `N(y; A mu, A L L^T A^T + noise_std^2 I)`, with the determinant of that covariance as `noise_std^{2 k} det M`.
    /// Components whose weight is below the smallest double against the largest are left out. Cubic in `dim` for each
    /// component. Source: Bishop 2006, Pattern recognition and machine learning, section 2.3.3.
    ///
    /// # Errors
    /// [`ConfigError`] at `measurement.noise_std` where it is not above 0, or so small (below some 1e-7 of the data's
    /// spread) that the posterior is flat in doubles; at `measurement.a` or `measurement.y` for lengths that do not
    /// fit and values that are not finite, and where no component makes the measurement likely to any degree.
    pub fn posterior(&self, a: &[f64], y: &[f64], noise_std: f64) -> Result<Self, ConfigError> {
        let dim = self.dim();
        positive("measurement.noise_std", noise_std)?;
        if y.is_empty() || a.len() != y.len() * dim {
            return Err(ConfigError::new(
                "measurement.a",
                format!("{} entries", a.len()),
                format!(
                    "needs {} rows of {dim}, one for each value of y, and at least one",
                    y.len()
                ),
            ));
        }
        a.iter().try_for_each(|v| finite("measurement.a", *v).map(drop))?;
        y.iter().try_for_each(|v| finite("measurement.y", *v).map(drop))?;
        let too_small = || {
            let reason = "too small beside the data's spread for doubles: take a larger one";
            ConfigError::new("measurement.noise_std", noise_std, reason)
        };
        let parts: Vec<Part> = (0..self.components())
            .map(|k| self.component_posterior(k, a, y, noise_std).ok_or_else(too_small))
            .collect::<Result<_, _>>()?;
        let largest = parts
            .iter()
            .map(|p| p.log_weight)
            .fold(f64::NEG_INFINITY, f64::max);
        let (mut weights, mut means, mut covs) = (Vec::new(), Vec::new(), Vec::new());
        for part in parts {
            let weight = (part.log_weight - largest).exp();
            if weight > 0.0 {
                weights.push(weight);
                means.push(part.mean);
                covs.push(part.cov);
            }
        }
        if weights.is_empty() {
            let reason = "no component comes near this measurement, in doubles";
            return Err(ConfigError::new("measurement.y", format!("{y:?}"), reason));
        }
        Self::new(&weights, &means, &covs).map_err(|_| too_small())
    }

    /// `None` where `M` holds more orders of magnitude than doubles do.
    fn component_posterior(&self, k: usize, a: &[f64], y: &[f64], noise_std: f64) -> Option<Part> {
        let (dim, mean) = (self.dim(), self.component_mean(k));
        let chol = self.component_chol(k);
        // B = A L/noise_std, row-major, and the residual in units of the noise.
        let mut b = vec![0.0; a.len()];
        let mut residual = vec![0.0; y.len()];
        for (i, row) in a.chunks_exact(dim).enumerate() {
            let seen: f64 = row.iter().zip(mean).map(|(a, mean)| a * mean).sum();
            residual[i] = (y[i] - seen) / noise_std;
            let out = &mut b[i * dim..(i + 1) * dim];
            cholesky::lower_transposed_times(chol, row, out);
            out.iter_mut().for_each(|b| *b /= noise_std);
        }
        let mut m = vec![0.0; dim * dim];
        let mut pull = vec![0.0; dim];
        for (row, r) in b.chunks_exact(dim).zip(&residual) {
            for i in 0..dim {
                pull[i] += row[i] * r;
                for j in 0..dim {
                    m[i * dim + j] += row[i] * row[j];
                }
            }
        }
        m.iter_mut().step_by(dim + 1).for_each(|m| *m += 1.0);
        // M = C C^T, all eigenvalues at least 1.
        let factor = cholesky::factor(&m, dim).ok()?;
        let largest = factor.iter().step_by(dim + 1).copied().fold(0.0, f64::max);
        if largest * largest > LARGEST_PIVOT {
            return None;
        }
        let inverse = cholesky::invert(&factor, dim);
        // u = M^{-1} B^T r; the mean moves by L u.
        let (mut half, mut turned, mut shift) = (vec![0.0; dim], vec![0.0; dim], vec![0.0; dim]);
        cholesky::lower_times(&inverse, &pull, &mut half);
        cholesky::lower_transposed_times(&inverse, &half, &mut turned);
        cholesky::lower_times(chol, &turned, &mut shift);
        // Cov = F F^T with F = L C^{-T}: row i of F is C^{-1} times row i of L.
        let mut f = vec![0.0; dim * dim];
        for i in 0..dim {
            cholesky::lower_times(
                &inverse,
                &chol[i * dim..(i + 1) * dim],
                &mut f[i * dim..(i + 1) * dim],
            );
        }
        let row = |i: usize| &f[i * dim..(i + 1) * dim];
        let cov = (0..dim * dim)
            .map(|at| row(at / dim).iter().zip(row(at % dim)).map(|(p, q)| p * q).sum())
            .collect();
        // The evidence's exponent is the least value of |r - B u|^2 + |u|^2, taken at u = M^{-1} B^T r.
        for (row, r) in b.chunks_exact(dim).zip(&mut residual) {
            *r -= row.iter().zip(&turned).map(|(b, u)| b * u).sum::<f64>();
        }
        let distance: f64 = residual.iter().chain(&turned).map(|r| r * r).sum();
        let log_det: f64 = (0..dim).map(|i| factor[i * dim + i].ln()).sum();
        Some(Part {
            log_weight: self.weight(k).ln() - 0.5 * distance - log_det,
            mean: mean.iter().zip(shift).map(|(mean, shift)| mean + shift).collect(),
            cov,
        })
    }
}

/// Variance in units of the noise above which a direction that is not measured loses its digits.
const LARGEST_PIVOT: f64 = 1e13;

/// One component of the posterior; the weight up to a common factor.
struct Part {
    log_weight: f64,
    mean: Vec<f64>,
    cov: Vec<f64>,
}
