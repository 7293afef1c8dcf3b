//! One Gaussian, for which more is known than for mixtures.

use super::Mixture;
use crate::{ConfigError, Marginal, Sde};

/// `N(mu, Sigma)` in `dim` dimensions. As data of a linear SDE its marginals are Gaussian at all times.
#[derive(Debug, Clone, PartialEq)]
pub struct Gaussian {
    mixture: Mixture,
}

impl Gaussian {
    /// The Gaussian with this mean and row-major covariance.
    ///
    /// # Errors
    /// As [`Mixture::new`], at `gaussian.mean` or `gaussian.cov`.
    pub fn new(mean: &[f64], cov: &[f64]) -> Result<Self, ConfigError> {
        super::mixture::check_mean("gaussian.mean", mean, mean.len())?;
        super::mixture::check_cov("gaussian.cov", cov, mean.len())?;
        Ok(Self {
            mixture: Mixture::new(&[1.0], &[mean.to_vec()], &[cov.to_vec()])?,
        })
    }

    /// The Gaussian `N(mean, std^2 I)`.
    ///
    /// # Errors
    /// As [`Gaussian::new`].
    pub fn isotropic(mean: &[f64], std: f64) -> Result<Self, ConfigError> {
        let dim = mean.len();
        let mut cov = vec![0.0; dim * dim];
        cov.iter_mut().step_by(dim + 1).for_each(|c| *c = std * std);
        Self::new(mean, &cov)
    }

    /// The same as a mixture of one component: noised density, score, samples and so on.
    pub fn mixture(&self) -> &Mixture {
        &self.mixture
    }

    /// Number of dimensions.
    pub fn dim(&self) -> usize {
        self.mixture.dim()
    }

    /// The mean.
    pub fn mean(&self) -> &[f64] {
        self.mixture.component_mean(0)
    }

    /// The covariance, row-major.
    pub fn cov(&self) -> &[f64] {
        self.mixture.component_cov(0)
    }

    /// The Gaussian `N(m mu, m^2 Sigma + s^2 I)` of the noised data.
    pub fn noised(&self, marginal: Marginal) -> Self {
        let dim = self.dim();
        let mean: Vec<f64> = self.mean().iter().map(|mu| marginal.mean_coef * mu).collect();
        let mut cov: Vec<f64> = self
            .cov()
            .iter()
            .map(|c| marginal.mean_coef * marginal.mean_coef * c)
            .collect();
        cov.iter_mut()
            .step_by(dim + 1)
            .for_each(|c| *c += marginal.std * marginal.std);
        Self::new(&mean, &cov).expect("adding noise keeps a covariance positive definite")
    }

    /// The exact solution of the probability-flow ODE for this data: where the state `x` at the kernel `from`
    /// arrives at the kernel `to`, `m' mu + S'^{1/2} S^{-1/2} (x - m mu)` with `S = m^2 Sigma + s^2 I`.
    ///
    /// `S` and `S'` share their eigenvectors, those of `Sigma`: found here by Jacobi rotations, cubic in
    /// `dim` a call.
    ///
    /// # Panics
    /// Where `x` or `out` is not of length `dim`.
    pub fn flow(&self, from: Marginal, to: Marginal, x: &[f64], out: &mut [f64]) {
        let dim = self.dim();
        assert!(x.len() == dim && out.len() == dim, "x and out hold dim values");
        let (values, vectors) = symmetric_eigen(self.cov(), dim);
        let mean = self.mean();
        for i in 0..dim {
            out[i] = to.mean_coef * mean[i];
        }
        for k in 0..dim {
            let axis = &vectors[k * dim..(k + 1) * dim];
            let along: f64 = (0..dim)
                .map(|i| axis[i] * (x[i] - from.mean_coef * mean[i]))
                .sum();
            let var = |at: Marginal| at.mean_coef * at.mean_coef * values[k] + at.std * at.std;
            let factor = (var(to) / var(from)).sqrt();
            for i in 0..dim {
                out[i] += factor * along * axis[i];
            }
        }
    }

    /// `KL(p_T || N(0, prior_std^2 I))` in nats, `p_T` the noised data at the SDE's `t_end`: what a sampler
    /// that starts from the prior cannot make up for.
    pub fn prior_kl(&self, sde: &dyn Sde) -> f64 {
        let (dim, at, prior) = (self.dim(), sde.marginal(sde.domain().t_end), sde.prior_std());
        let (values, _) = symmetric_eigen(self.cov(), dim);
        let mean_sq: f64 = self
            .mean()
            .iter()
            .map(|mu| (at.mean_coef * mu / prior).powi(2))
            .sum();
        let spread: f64 = values
            .iter()
            .map(|value| {
                // ratio of variances less one
                let gain = (at.mean_coef * at.mean_coef * value + (at.std - prior) * (at.std + prior))
                    / (prior * prior);
                gain - gain.ln_1p()
            })
            .sum();
        0.5 * (mean_sq + spread)
    }
}

/// Eigenvalues of a symmetric matrix and its eigenvectors as rows, by cyclic Jacobi rotations (Golub and Van
/// Loan 2013, section 8.5).
fn symmetric_eigen(a: &[f64], dim: usize) -> (Vec<f64>, Vec<f64>) {
    let mut a = a.to_vec();
    let mut vectors = vec![0.0; dim * dim];
    vectors.iter_mut().step_by(dim + 1).for_each(|v| *v = 1.0);
    for _sweep in 0..60 {
        let mut off = 0.0;
        for p in 0..dim {
            for q in p + 1..dim {
                let apq = a[p * dim + q];
                let (app, aqq) = (a[p * dim + p], a[q * dim + q]);
                if apq.abs() <= 1e-17 * (app * aqq).abs().sqrt() {
                    continue;
                }
                off += apq.abs();
                let theta = 0.5 * (aqq - app) / apq;
                let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
                let c = 1.0 / t.hypot(1.0);
                let s = t * c;
                for k in 0..dim {
                    let (akp, akq) = (a[k * dim + p], a[k * dim + q]);
                    a[k * dim + p] = c * akp - s * akq;
                    a[k * dim + q] = s * akp + c * akq;
                }
                for k in 0..dim {
                    let (apk, aqk) = (a[p * dim + k], a[q * dim + k]);
                    a[p * dim + k] = c * apk - s * aqk;
                    a[q * dim + k] = s * apk + c * aqk;
                    let (vp, vq) = (vectors[p * dim + k], vectors[q * dim + k]);
                    vectors[p * dim + k] = c * vp - s * vq;
                    vectors[q * dim + k] = s * vp + c * vq;
                }
            }
        }
        if off == 0.0 {
            break;
        }
    }
    ((0..dim).map(|i| a[i * dim + i]).collect(), vectors)
}
