//! The exact density, score, Jacobian and posterior of a noised Gaussian mixture.

use super::cholesky;
use super::mixture::Component;
use crate::Marginal;

/// One component of a [`NoisedMixture`].
#[derive(Debug, Clone, PartialEq)]
pub struct NoisedComponent {
    log_weight: f64,
    mean: Vec<f64>,
    inv_chol: Vec<f64>,
    precision: Option<f64>,
    // of the clean component
    clean_mean: Vec<f64>,
    clean_cov: Vec<f64>,
}

impl NoisedComponent {
    /// Log weight plus log normaliser: the component's part of the log density at its mean.
    pub fn log_weight(&self) -> f64 {
        self.log_weight
    }

    /// The scaled mean `m mu_k`.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// `W = L^{-1}`, lower-triangular and row-major, where `m^2 Sigma_k + s^2 I = L L^T`; the precision is
    /// `W^T W`.
    pub fn inv_chol(&self) -> &[f64] {
        &self.inv_chol
    }

    /// `1 / (m^2 var + s^2)` where the component is isotropic.
    pub fn isotropic(&self) -> Option<f64> {
        self.precision
    }
}

/// A Gaussian mixture under the kernel `N(m x_0, s^2 I)`: `p_t(x) = sum_k w_k N(x; m mu_k, m^2 Sigma_k + s^2
/// I)`.
///
/// With responsibilities `r_k(x)` and component scores `q_k = -P_k (x - m mu_k)`: the score is `sum_k r_k
/// q_k` and its (symmetric) Jacobian `sum_k r_k (-P_k + (q_k - score) (q_k - score)^T)`, a form in which
/// nothing cancels. Every method costs `O(components dim^2)` and allocates its scratch, unless it says
/// otherwise.
///
/// Slices of another length than `dim` are a programming error and panic.
#[derive(Debug, Clone, PartialEq)]
pub struct NoisedMixture {
    dim: usize,
    marginal: Marginal,
    components: Vec<NoisedComponent>,
}

/// `value I`, row-major.
fn scaled_identity(value: f64, dim: usize) -> Vec<f64> {
    let mut matrix = vec![0.0; dim * dim];
    matrix
        .iter_mut()
        .step_by(dim + 1)
        .for_each(|diagonal| *diagonal = value);
    matrix
}

/// Responsibilities, and component scores one after the other.
struct Parts {
    resp: Vec<f64>,
    scores: Vec<f64>,
    log_density: f64,
}

impl NoisedMixture {
    pub(super) fn new(dim: usize, components: &[Component], marginal: Marginal) -> Self {
        let (m, s) = (marginal.mean_coef, marginal.std);
        let noise = |component: &Component| {
            let noised_var = component.isotropic.map(|var| m * m * var + s * s);
            let (chol, inv_chol) = match noised_var {
                Some(var) => (
                    scaled_identity(var.sqrt(), dim),
                    scaled_identity(1.0 / var.sqrt(), dim),
                ),
                None => {
                    let mut cov: Vec<f64> = component.cov.iter().map(|c| m * m * c).collect();
                    cov.iter_mut().step_by(dim + 1).for_each(|c| *c += s * s);
                    // positive definite for m > 0, as the clean covariance is, and for s > 0; NaN otherwise
                    let chol = cholesky::factor(&cov, dim).unwrap_or_else(|_| vec![f64::NAN; dim * dim]);
                    let inverse = cholesky::invert(&chol, dim);
                    (chol, inverse)
                }
            };
            let log_det: f64 = (0..dim).map(|i| chol[i * dim + i].ln()).sum();
            NoisedComponent {
                log_weight: component.weight.ln() - log_det - 0.5 * dim as f64 * std::f64::consts::TAU.ln(),
                mean: component.mean.iter().map(|mean| m * mean).collect(),
                inv_chol,
                precision: noised_var.map(|var| 1.0 / var),
                clean_mean: component.mean.clone(),
                clean_cov: component.cov.clone(),
            }
        };
        Self {
            dim,
            marginal,
            components: components.iter().map(noise).collect(),
        }
    }

    /// Number of dimensions.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The kernel.
    pub fn marginal(&self) -> Marginal {
        self.marginal
    }

    /// The components.
    pub fn components(&self) -> &[NoisedComponent] {
        &self.components
    }

    /// `ln p_t(x)` in nats.
    pub fn log_density(&self, x: &[f64]) -> f64 {
        self.parts(x).log_density
    }

    /// `out <- grad_x ln p_t(x)`.
    pub fn score(&self, x: &[f64], out: &mut [f64]) {
        self.mean_score(&self.parts(x), out);
    }

    /// `jv <- J v` with `J` the Jacobian of the score, which is symmetric: `v^T J` as well. Also writes the
    /// score.
    pub fn score_jvp(&self, x: &[f64], v: &[f64], score: &mut [f64], jv: &mut [f64]) {
        let (dim, parts) = (self.dim, self.parts(x));
        assert!(v.len() == dim && jv.len() == dim, "v and jv hold dim values");
        self.mean_score(&parts, score);
        jv.fill(0.0);
        let (mut half, mut full) = (vec![0.0; dim], vec![0.0; dim]);
        for (k, component) in self.components.iter().enumerate() {
            cholesky::lower_times(&component.inv_chol, v, &mut half);
            cholesky::lower_transposed_times(&component.inv_chol, &half, &mut full);
            let q = &parts.scores[k * dim..(k + 1) * dim];
            let along: f64 = q.iter().zip(&*score).zip(v).map(|((q, s), v)| (q - s) * v).sum();
            for i in 0..dim {
                jv[i] += parts.resp[k] * ((q[i] - score[i]) * along - full[i]);
            }
        }
    }

    /// The divergence of the score, `tr J`, the Laplacian of `ln p_t`.
    pub fn divergence(&self, x: &[f64]) -> f64 {
        let (dim, parts) = (self.dim, self.parts(x));
        let mut score = vec![0.0; dim];
        self.mean_score(&parts, &mut score);
        let mut sum = 0.0;
        for (k, component) in self.components.iter().enumerate() {
            let q = &parts.scores[k * dim..(k + 1) * dim];
            let spread: f64 = q.iter().zip(&score).map(|(q, s)| (q - s) * (q - s)).sum();
            let trace: f64 = component.inv_chol.iter().map(|w| w * w).sum();
            sum += parts.resp[k] * (spread - trace);
        }
        sum
    }

    /// `out <- E[x_0 | x]`, from the components: `sum_k r_k (mu_k + m Sigma_k P_k (x - m mu_k))`.
    pub fn posterior_mean(&self, x: &[f64], out: &mut [f64]) {
        let (dim, parts) = (self.dim, self.parts(x));
        assert!(out.len() == dim, "out holds dim values");
        out.fill(0.0);
        for k in 0..self.components.len() {
            for (out, mean) in out.iter_mut().zip(self.component_posterior_mean(&parts, k)) {
                *out += parts.resp[k] * mean;
            }
        }
    }

    /// `out <- Cov[x_0 | x]`, row-major: `sum_k r_k (s^2 Sigma_k P_k + d_k d_k^T)` with `d_k` the distance of
    /// the component's posterior mean from the whole one. Cubic in `dim`.
    pub fn posterior_cov(&self, x: &[f64], out: &mut [f64]) {
        let (dim, parts) = (self.dim, self.parts(x));
        assert!(out.len() == dim * dim, "out holds dim * dim values");
        out.fill(0.0);
        let means: Vec<Vec<f64>> = (0..self.components.len())
            .map(|k| self.component_posterior_mean(&parts, k))
            .collect();
        let mut mean = vec![0.0; dim];
        for (resp, part) in parts.resp.iter().zip(&means) {
            mean.iter_mut()
                .zip(part)
                .for_each(|(mean, part)| *mean += resp * part);
        }
        let var = self.marginal.std * self.marginal.std;
        let (mut half, mut full) = (vec![0.0; dim], vec![0.0; dim]);
        for (k, component) in self.components.iter().enumerate() {
            for i in 0..dim {
                // row i of Sigma P: P is symmetric
                let row = &component.clean_cov[i * dim..(i + 1) * dim];
                cholesky::lower_times(&component.inv_chol, row, &mut half);
                cholesky::lower_transposed_times(&component.inv_chol, &half, &mut full);
                for j in 0..dim {
                    let spread = (means[k][i] - mean[i]) * (means[k][j] - mean[j]);
                    out[i * dim + j] += parts.resp[k] * (var * full[j] + spread);
                }
            }
        }
    }

    /// `mu_k + m Sigma_k P_k (x - m mu_k) = mu_k - m Sigma_k q_k`.
    fn component_posterior_mean(&self, parts: &Parts, k: usize) -> Vec<f64> {
        let (dim, component) = (self.dim, &self.components[k]);
        let mut shift = vec![0.0; dim];
        cholesky::matrix_times(
            &component.clean_cov,
            &parts.scores[k * dim..(k + 1) * dim],
            &mut shift,
        );
        component
            .clean_mean
            .iter()
            .zip(shift)
            .map(|(mean, s)| mean - self.marginal.mean_coef * s)
            .collect()
    }

    fn mean_score(&self, parts: &Parts, out: &mut [f64]) {
        assert!(out.len() == self.dim, "out holds dim values");
        out.fill(0.0);
        for (resp, score) in parts.resp.iter().zip(parts.scores.chunks_exact(self.dim)) {
            for (out, q) in out.iter_mut().zip(score) {
                *out += resp * q;
            }
        }
    }

    fn parts(&self, x: &[f64]) -> Parts {
        let dim = self.dim;
        assert!(x.len() == dim, "x holds dim values");
        let mut scores = vec![0.0; dim * self.components.len()];
        let (mut centred, mut half) = (vec![0.0; dim], vec![0.0; dim]);
        let mut resp = Vec::with_capacity(self.components.len());
        for (component, score) in self.components.iter().zip(scores.chunks_exact_mut(dim)) {
            for i in 0..dim {
                centred[i] = x[i] - component.mean[i];
            }
            cholesky::lower_times(&component.inv_chol, &centred, &mut half);
            cholesky::lower_transposed_times(&component.inv_chol, &half, score);
            score.iter_mut().for_each(|q| *q = -*q);
            let distance_sq: f64 = half.iter().map(|h| h * h).sum();
            resp.push(component.log_weight - 0.5 * distance_sq);
        }
        let largest = resp.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        resp.iter_mut().for_each(|r| *r = (*r - largest).exp());
        let total: f64 = resp.iter().sum();
        resp.iter_mut().for_each(|r| *r /= total);
        Parts {
            resp,
            scores,
            log_density: largest + total.ln(),
        }
    }
}
