//! Mixtures of Gaussians with full covariances.

use super::cholesky;
use super::noised::NoisedMixture;
use crate::error::finite;
use crate::{ConfigError, Marginal};

/// `p(x) = sum_k w_k N(x; mu_k, Sigma_k)` in `dim` dimensions.
///
/// Under a linear SDE with scalar coefficients the noised density is the mixture with means `m mu_k` and
/// covariances `m^2 Sigma_k + s^2 I`: see [`Mixture::noised`].
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    dim: usize,
    components: Vec<Component>,
}

/// One component.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Component {
    pub(super) weight: f64,
    pub(super) mean: Vec<f64>,
    /// Row-major.
    pub(super) cov: Vec<f64>,
    /// Lower Cholesky factor of the covariance, row-major.
    pub(super) chol: Vec<f64>,
    /// The variance, where the covariance is a multiple of the identity.
    pub(super) isotropic: Option<f64>,
}

impl Mixture {
    /// The mixture with these weights (positive, normalised here to sum 1), means and row-major covariances.
    ///
    /// # Errors
    /// [`ConfigError`] at `mixture.weights`, `mixture.means[k]` or `mixture.covs[k]`: no component, dimension
    /// 0, lists of different lengths, values that are not finite, covariances that are not symmetric positive
    /// definite.
    pub fn new(weights: &[f64], means: &[Vec<f64>], covs: &[Vec<f64>]) -> Result<Self, ConfigError> {
        let count = weights.len();
        if count == 0 {
            return Err(ConfigError::new(
                "mixture.weights",
                "[]",
                "needs at least one component",
            ));
        }
        for (key, len) in [("mixture.means", means.len()), ("mixture.covs", covs.len())] {
            if len != count {
                return Err(ConfigError::new(
                    key,
                    format!("{len} entries"),
                    format!("needs one for each of the {count} weights"),
                ));
            }
        }
        let dim = means[0].len();
        for weight in weights {
            if !(weight.is_finite() && *weight > 0.0) {
                return Err(ConfigError::new(
                    "mixture.weights",
                    weight,
                    "every weight must be finite and > 0",
                ));
            }
        }
        let total: f64 = weights.iter().sum();
        finite("mixture.weights", total)?;
        let mut components = Vec::with_capacity(count);
        for k in 0..count {
            let (mean, cov) = (&means[k], &covs[k]);
            check_mean(&format!("mixture.means[{k}]"), mean, dim)?;
            let chol = check_cov(&format!("mixture.covs[{k}]"), cov, dim)?;
            components.push(Component {
                weight: weights[k] / total,
                mean: mean.clone(),
                cov: cov.clone(),
                chol,
                isotropic: isotropic(cov, dim),
            });
        }
        Ok(Self { dim, components })
    }

    /// Number of dimensions, at least 1.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Number of components, at least 1.
    pub fn components(&self) -> usize {
        self.components.len()
    }

    /// The normalised weight of a component.
    pub fn weight(&self, component: usize) -> f64 {
        self.components[component].weight
    }

    /// The mean of a component.
    pub fn component_mean(&self, component: usize) -> &[f64] {
        &self.components[component].mean
    }

    /// The covariance of a component, row-major.
    pub fn component_cov(&self, component: usize) -> &[f64] {
        &self.components[component].cov
    }

    /// The lower Cholesky factor of a component's covariance, row-major.
    pub(super) fn component_chol(&self, component: usize) -> &[f64] {
        &self.components[component].chol
    }

    /// The noised mixture under the kernel `N(mean_coef x_0, std^2 I)`. One Cholesky factorisation a
    /// component.
    pub fn noised(&self, marginal: Marginal) -> NoisedMixture {
        NoisedMixture::new(self.dim, &self.components, marginal)
    }

    /// Mean of the whole mixture.
    pub fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.dim];
        for component in &self.components {
            for (sum, m) in mean.iter_mut().zip(&component.mean) {
                *sum += component.weight * m;
            }
        }
        mean
    }

    /// Covariance of the whole mixture, row-major.
    pub fn cov(&self) -> Vec<f64> {
        let (dim, mean) = (self.dim, self.mean());
        let mut cov = vec![0.0; dim * dim];
        for component in &self.components {
            for i in 0..dim {
                for j in 0..dim {
                    let spread = (component.mean[i] - mean[i]) * (component.mean[j] - mean[j]);
                    cov[i * dim + j] += component.weight * (component.cov[i * dim + j] + spread);
                }
            }
        }
        cov
    }

    /// An exact sample from one uniform `u` in `[0, 1)`, which picks the component, and `dim` standard
    /// normals: `out = mu_k + L_k z`. No allocation.
    ///
    /// # Panics
    /// Where `z` or `out` is not of length `dim`.
    pub fn sample_from_normals(&self, u: f64, z: &[f64], out: &mut [f64]) {
        assert!(
            z.len() == self.dim && out.len() == self.dim,
            "z and out hold dim values"
        );
        let mut cumulated = 0.0;
        let mut chosen = &self.components[self.components.len() - 1];
        for component in &self.components {
            cumulated += component.weight;
            if u < cumulated {
                chosen = component;
                break;
            }
        }
        cholesky::lower_times(&chosen.chol, z, out);
        for (out, mean) in out.iter_mut().zip(&chosen.mean) {
            *out += mean;
        }
    }
}

/// Finite and of length `dim >= 1`.
pub(super) fn check_mean(key: &str, mean: &[f64], dim: usize) -> Result<(), ConfigError> {
    if mean.is_empty() || mean.len() != dim {
        return Err(ConfigError::new(
            key,
            format!("{} entries", mean.len()),
            format!("needs {} entries, as the first mean", dim.max(1)),
        ));
    }
    mean.iter().try_for_each(|m| finite(key, *m).map(drop))
}

/// Symmetric (to 1e-12 of its diagonal) and positive definite; its Cholesky factor.
pub(super) fn check_cov(key: &str, cov: &[f64], dim: usize) -> Result<Vec<f64>, ConfigError> {
    if cov.len() != dim * dim {
        return Err(ConfigError::new(
            key,
            format!("{} entries", cov.len()),
            format!("must be {dim} x {dim}"),
        ));
    }
    for i in 0..dim {
        for j in 0..=i {
            let (a, b) = (finite(key, cov[i * dim + j])?, finite(key, cov[j * dim + i])?);
            let scale = (cov[i * dim + i].abs() * cov[j * dim + j].abs()).sqrt();
            if (a - b).abs() > 1e-12 * scale {
                return Err(ConfigError::new(
                    key,
                    format!("{a} at [{i}][{j}] and {b} at [{j}][{i}]"),
                    "must be symmetric",
                ));
            }
        }
    }
    cholesky::factor(cov, dim).map_err(|pivot| {
        ConfigError::new(
            key,
            format!("{cov:?}"),
            format!(
                "must be positive definite; it is not in its leading {} rows",
                pivot + 1
            ),
        )
    })
}

/// The variance where `cov` is a multiple of the identity.
fn isotropic(cov: &[f64], dim: usize) -> Option<f64> {
    let var = cov[0];
    let fits = |(at, c): (usize, &f64)| *c == if at % (dim + 1) == 0 { var } else { 0.0 };
    cov.iter().enumerate().all(fits).then_some(var)
}
