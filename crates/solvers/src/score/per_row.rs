//! The mixture score with one time a row, and its Jacobian: in the eigenbasis of each clean covariance the noised
//! precision of a row is diagonal, `1/(m^2 lambda_i + s^2)`, so that no row needs a factorisation.

#![allow(
    clippy::needless_range_loop,
    reason = "index loops are what the vectoriser reads best"
)]

use std::f64::consts::LOG2_E;

use sde_core::Mixture;

use super::eigen;
use super::isotropic::Tiles;
use super::kernels::{LANES, block, softmax};
use crate::real::Real;

/// The clean mixture in eigenbases.
#[derive(Debug)]
pub(super) struct Spectra<T> {
    pub(super) dim: usize,
    /// Whether each covariance is a multiple of the identity.
    pub(super) isotropic: bool,
    pub(super) components: Vec<Spectrum<T>>,
    /// Their means once more.
    pub(super) tiles: Tiles<T>,
}

/// One component.
#[derive(Debug)]
pub(super) struct Spectrum<T> {
    pub(super) weight: T,
    pub(super) log_weight: T,
    pub(super) mean: Vec<T>,
    pub(super) values: Vec<T>,
    /// Row-major, eigenvectors in columns; `None` where the covariance is diagonal.
    pub(super) vectors: Option<Vec<T>>,
}

impl<T: Real> Spectra<T> {
    pub(super) fn new(mixture: &Mixture) -> Self {
        let dim = mixture.dim();
        let cast = |values: &[f64]| values.iter().map(|v| T::from_f64(*v)).collect::<Vec<T>>();
        let components = (0..mixture.components())
            .map(|k| {
                let cov = mixture.component_cov(k);
                let diagonal = cov
                    .iter()
                    .enumerate()
                    .all(|(at, c)| at % (dim + 1) == 0 || *c == 0.0);
                let (values, vectors) = eigen::symmetric(cov, dim);
                Spectrum {
                    weight: T::from_f64(mixture.weight(k)),
                    log_weight: T::from_f64(mixture.weight(k).log2()),
                    mean: cast(mixture.component_mean(k)),
                    values: cast(&values),
                    vectors: (!diagonal).then(|| cast(&vectors)),
                }
            })
            .collect::<Vec<Spectrum<T>>>();
        let means: Vec<&[T]> = components.iter().map(|part| &part.mean[..]).collect();
        Self {
            dim,
            tiles: Tiles::new(&means),
            isotropic: components.iter().all(|part| part.only_value().is_some()),
            components,
        }
    }

    /// Room for one strip of rows.
    pub(super) fn scratch(&self, wanted: &Wanted<T>) -> Scratch<T> {
        let (dim, count) = (self.dim, self.components.len());
        let blocks = |n: usize| vec![[T::ZERO; LANES]; n];
        Scratch {
            weights: blocks(count),
            scores: blocks(count * dim),
            turned: blocks(2 * dim),
            pushed: blocks(match wanted {
                Wanted::Score => 0,
                Wanted::Product(..) => count * dim,
                Wanted::Divergence(_) => count,
            }),
        }
    }
}

impl<T: Real> Spectrum<T> {
    /// The one eigenvalue of a multiple of the identity in more than one dimension.
    fn only_value(&self) -> Option<T> {
        let first = self.values[0];
        let isotropic = self.values.len() > 1 && self.vectors.is_none();
        (isotropic && self.values.iter().all(|value| *value == first)).then_some(first)
    }

    /// `out_i = sum_j V_ji in_j`: into the eigenbasis.
    #[inline(always)]
    fn turn(&self, from: &[[T; LANES]], out: &mut [[T; LANES]]) {
        let dim = out.len();
        let Some(vectors) = &self.vectors else {
            out.copy_from_slice(from);
            return;
        };
        for (i, out) in out.iter_mut().enumerate() {
            let mut sum = [T::ZERO; LANES];
            for (j, from) in from.iter().enumerate() {
                let v = vectors[j * dim + i];
                for l in 0..LANES {
                    sum[l] += v * from[l];
                }
            }
            *out = sum;
        }
    }

    /// `out_j = sum_i V_ji in_i`: back.
    #[inline(always)]
    fn turn_back(&self, from: &[[T; LANES]], out: &mut [[T; LANES]]) {
        let dim = from.len();
        let Some(vectors) = &self.vectors else {
            out.copy_from_slice(from);
            return;
        };
        for (out, row) in out.iter_mut().zip(vectors.chunks_exact(dim)) {
            let mut sum = [T::ZERO; LANES];
            for (v, from) in row.iter().zip(from) {
                for l in 0..LANES {
                    sum[l] += *v * from[l];
                }
            }
            *out = sum;
        }
    }
}

/// Lane blocks that one strip needs.
pub(super) struct Scratch<T> {
    weights: Vec<[T; LANES]>,
    scores: Vec<[T; LANES]>,
    turned: Vec<[T; LANES]>,
    /// For products: the vector times the precision of each component. For divergences: the trace of each precision.
    pushed: Vec<[T; LANES]>,
}

/// A strip of rows: where it starts in the planes, and the kernel of each of its rows.
pub(super) struct Strip<T> {
    pub(super) start: usize,
    pub(super) len: usize,
    pub(super) rows: usize,
    pub(super) mean_coef: [T; LANES],
    pub(super) var: [T; LANES],
}

/// What is wanted besides the score.
pub(super) enum Wanted<'a, T> {
    /// Nothing.
    Score,
    /// `(v, v^T J)` in planes.
    Product(&'a [T], &'a mut [T]),
    /// `tr J`, one number a row.
    Divergence(&'a mut [f64]),
}

impl<T> Wanted<'_, T> {
    /// The same for one of several calls.
    pub(super) fn again(&mut self) -> Wanted<'_, T> {
        match self {
            Self::Score => Wanted::Score,
            Self::Product(v, out) => Wanted::Product(v, out),
            Self::Divergence(out) => Wanted::Divergence(out),
        }
    }
}

/// Score of one strip, and what else is wanted of `J = sum_k r_k (-P_k + (q_k - s)(q_k - s)^T)`.
#[allow(clippy::type_complexity)]
#[inline(always)]
pub(super) fn strip<T: Real>(
    (spectra, strip, x, score, wanted, scratch): (
        &Spectra<T>,
        &Strip<T>,
        &[T],
        &mut [T],
        Wanted<T>,
        &mut Scratch<T>,
    ),
) {
    let (dim, rows, start, len) = (spectra.dim, strip.rows, strip.start, strip.len);
    let (mean_coef, var) = (&strip.mean_coef, &strip.var);
    let half_log2_e = T::from_f64(0.5 * LOG2_E);
    let half = T::from_f64(0.5);
    let (centred, turned) = scratch.turned.split_at_mut(dim);
    for (k, component) in spectra.components.iter().enumerate() {
        for (j, centred) in centred.iter_mut().enumerate() {
            let x = block(x, j * rows + start, len);
            for l in 0..LANES {
                centred[l] = x[l] - mean_coef[l] * component.mean[j];
            }
        }
        let scores = &mut scratch.scores[k * dim..(k + 1) * dim];
        let mut squares = [T::ZERO; LANES];
        let mut log_det = [T::ZERO; LANES];
        if let Some(value) = component.only_value() {
            // One precision for all dimensions.
            for centred in &*centred {
                for l in 0..LANES {
                    squares[l] += centred[l] * centred[l];
                }
            }
            let mut precision = [T::ZERO; LANES];
            for l in 0..LANES {
                let noised = mean_coef[l] * mean_coef[l] * value + var[l];
                precision[l] = T::ONE / noised;
                squares[l] = squares[l] / noised;
                log_det[l] = T::from_f64(dim as f64) * noised.log2_positive();
            }
            for (score, centred) in scores.iter_mut().zip(&*centred) {
                for l in 0..LANES {
                    score[l] = -centred[l] * precision[l];
                }
            }
        } else {
            component.turn(centred, turned);
            for (turned, value) in turned.iter_mut().zip(&component.values) {
                for l in 0..LANES {
                    let noised = mean_coef[l] * mean_coef[l] * *value + var[l];
                    let y = -turned[l] / noised;
                    squares[l] -= y * turned[l];
                    log_det[l] += noised.log2_positive();
                    turned[l] = y;
                }
            }
            component.turn_back(turned, scores);
        }
        for l in 0..LANES {
            scratch.weights[k][l] = component.log_weight - half * log_det[l] - half_log2_e * squares[l];
        }
        match &wanted {
            Wanted::Score => {}
            Wanted::Product(v, _) => {
                for (j, centred) in centred.iter_mut().enumerate() {
                    *centred = block(v, j * rows + start, len);
                }
                component.turn(centred, turned);
                for (turned, value) in turned.iter_mut().zip(&component.values) {
                    for l in 0..LANES {
                        turned[l] = turned[l] / (mean_coef[l] * mean_coef[l] * *value + var[l]);
                    }
                }
                component.turn_back(turned, &mut scratch.pushed[k * dim..(k + 1) * dim]);
            }
            Wanted::Divergence(_) => {
                let mut trace = [T::ZERO; LANES];
                for value in &component.values {
                    for l in 0..LANES {
                        trace[l] += T::ONE / (mean_coef[l] * mean_coef[l] * *value + var[l]);
                    }
                }
                scratch.pushed[k] = trace;
            }
        }
    }
    let total = softmax(&mut scratch.weights);
    for weight in &mut scratch.weights {
        for l in 0..LANES {
            weight[l] = weight[l] / total[l];
        }
    }
    for j in 0..dim {
        let mut sum = [T::ZERO; LANES];
        for (k, weight) in scratch.weights.iter().enumerate() {
            for l in 0..LANES {
                sum[l] += weight[l] * scratch.scores[k * dim + j][l];
            }
        }
        score[j * rows + start..j * rows + start + len].copy_from_slice(&sum[..len]);
        centred[j] = sum;
    }
    match wanted {
        Wanted::Score => {}
        Wanted::Product(v, out) => {
            turned.fill([T::ZERO; LANES]);
            for (k, weight) in scratch.weights.iter().enumerate() {
                let (scores, pushed) = (&scratch.scores[k * dim..], &scratch.pushed[k * dim..]);
                let mut along = [T::ZERO; LANES];
                for j in 0..dim {
                    let v = block(v, j * rows + start, len);
                    for l in 0..LANES {
                        along[l] += (scores[j][l] - centred[j][l]) * v[l];
                    }
                }
                for j in 0..dim {
                    for l in 0..LANES {
                        turned[j][l] +=
                            weight[l] * ((scores[j][l] - centred[j][l]) * along[l] - pushed[j][l]);
                    }
                }
            }
            for (j, sum) in turned.iter().enumerate() {
                out[j * rows + start..j * rows + start + len].copy_from_slice(&sum[..len]);
            }
        }
        Wanted::Divergence(out) => {
            let mut sum = [T::ZERO; LANES];
            for (k, weight) in scratch.weights.iter().enumerate() {
                let mut spread = [T::ZERO; LANES];
                for (q, mean) in scratch.scores[k * dim..(k + 1) * dim].iter().zip(&*centred) {
                    for l in 0..LANES {
                        spread[l] += (q[l] - mean[l]) * (q[l] - mean[l]);
                    }
                }
                for l in 0..LANES {
                    sum[l] += weight[l] * (spread[l] - scratch.pushed[k][l]);
                }
            }
            for (out, sum) in out[start..start + len].iter_mut().zip(&sum) {
                *out = sum.to_f64();
            }
        }
    }
}
