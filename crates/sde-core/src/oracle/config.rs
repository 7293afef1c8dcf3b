//! The `[mixture]` table.

use super::Mixture;
use crate::ConfigError;

/// The `[mixture]` table: a Gaussian mixture with full covariances (`covs`) or isotropic ones (`vars`).
///
/// ```toml
/// [mixture]
/// weights = [0.5, 0.5]
/// means = [[-1.0, 0.0], [1.0, 0.0]]
/// covs = [[[0.2, 0.1], [0.1, 0.3]], [[0.2, 0.0], [0.0, 0.2]]]
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields)
)]
pub struct MixtureConfig {
    /// Weights of the components, positive; normalised to sum 1.
    pub weights: Vec<f64>,
    /// Means of the components, all of the same length.
    pub means: Vec<Vec<f64>>,
    /// Covariances, symmetric positive definite.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub covs: Option<Vec<Vec<Vec<f64>>>>,
    /// Variances of isotropic components, positive.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub vars: Option<Vec<f64>>,
}

impl MixtureConfig {
    /// The checked mixture.
    ///
    /// # Errors
    /// [`ConfigError`] at `mixture.weights`, `mixture.means[k]`, `mixture.covs[k]` or `mixture.vars[k]`.
    pub fn build(&self) -> Result<Mixture, ConfigError> {
        let dim = self.means.first().map_or(0, Vec::len);
        let covs: Vec<Vec<f64>> = match (&self.covs, &self.vars) {
            (Some(covs), None) => covs
                .iter()
                .enumerate()
                .map(|(k, cov)| flatten(k, cov, dim))
                .collect::<Result<_, _>>()?,
            (None, Some(vars)) => {
                let mut covs = Vec::with_capacity(vars.len());
                for (k, var) in vars.iter().enumerate() {
                    crate::error::positive(&format!("mixture.vars[{k}]"), *var)?;
                    let mut cov = vec![0.0; dim * dim];
                    cov.iter_mut().step_by(dim + 1).for_each(|c| *c = *var);
                    covs.push(cov);
                }
                covs
            }
            (Some(_), Some(_)) => {
                return Err(ConfigError::new(
                    "mixture.vars",
                    "given",
                    "give either covs or vars, not both",
                ));
            }
            (None, None) => {
                return Err(ConfigError::new(
                    "mixture.covs",
                    "absent",
                    "give either covs or vars",
                ));
            }
        };
        Mixture::new(&self.weights, &self.means, &covs)
    }
}

fn flatten(k: usize, cov: &[Vec<f64>], dim: usize) -> Result<Vec<f64>, ConfigError> {
    let square = cov.len() == dim && cov.iter().all(|row| row.len() == dim);
    if square {
        Ok(cov.concat())
    } else {
        let widths: Vec<usize> = cov.iter().map(Vec::len).collect();
        Err(ConfigError::new(
            format!("mixture.covs[{k}]"),
            format!("{} rows of lengths {widths:?}", cov.len()),
            format!("must be {dim} x {dim}, as mixture.means[0] has {dim} entries"),
        ))
    }
}
