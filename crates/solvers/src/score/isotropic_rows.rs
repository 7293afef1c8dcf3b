//! The mixture score with one time a row for isotropic components: no basis to turn to, `L` rows at a time in registers.
//!
//! With `n_k = m^2 lambda_k + s^2` the score is `-sum_k r_k (x - m mu_k)/n_k`, `r = softmax_k(log2 w_k - dim/2 log2 n_k - log2(e)/2
//! |x - m mu_k|^2/n_k)` in base 2.

#![allow(
    clippy::needless_range_loop,
    reason = "index loops are what the vectoriser reads best"
)]

use std::array::from_fn;
use std::f64::consts::LOG2_E;

use super::kernels::{lanes, put, softmax};
use super::per_row::{Spectra, Spectrum};
use super::small_rows::Piece;
use crate::real::Real;

/// Components, and dimensions, taken at a time: as many independent sums as hide the latency of an addition.
const TILE: usize = 4;

/// Some rows of a piece.
struct Strip<'a, T, const L: usize> {
    planes: &'a [T],
    rows: usize,
    start: usize,
    n: usize,
    mean_coef: [T; L],
}

impl<T: Real, const L: usize> Strip<'_, T, L> {
    #[inline(always)]
    fn values(&self, d: usize) -> [T; L] {
        lanes(self.planes, d * self.rows + self.start, self.n)
    }
}

/// `weights` holds a lane block for each component.
#[inline(always)]
pub(super) fn isotropic_rows<T: Real, const L: usize>(
    (spectra, piece, weights): (&Spectra<T>, Piece<T>, &mut [[T; L]]),
) {
    let (dim, parts) = (spectra.dim, &spectra.components[..]);
    let (half_dim, half_log2_e) = (T::from_f64(0.5 * dim as f64), T::from_f64(0.5 * LOG2_E));
    let (whole_d, whole_k) = (dim - dim % TILE, parts.len() - parts.len() % TILE);
    let len = piece.mean_coef.len();
    for first in (0..len).step_by(L) {
        let n = L.min(len - first);
        let strip = Strip {
            planes: piece.x,
            rows: piece.rows,
            start: piece.start + first,
            n,
            mean_coef: cast(&piece.mean_coef[first..first + n]),
        };
        let var: [T; L] = cast(&piece.var[first..first + n]);
        for k in (0..whole_k).step_by(TILE) {
            let sums = squares::<T, L, TILE>(&parts[k..], dim, &strip);
            weights[k..k + TILE].copy_from_slice(&sums);
        }
        for k in whole_k..parts.len() {
            [weights[k]] = squares::<T, L, 1>(&parts[k..], dim, &strip);
        }
        for (weight, part) in weights.iter_mut().zip(parts) {
            for l in 0..L {
                let noised = strip.mean_coef[l] * strip.mean_coef[l] * part.values[0] + var[l];
                let exponent = half_dim * noised.log2_positive() + half_log2_e * weight[l] / noised;
                weight[l] = part.log_weight - exponent;
            }
        }
        let total = softmax(weights);
        // score = sum_k w_k m mu_k - pull x with w_k = r_k/n_k and pull their sum
        let mut pull = [T::ZERO; L];
        for (weight, part) in weights.iter_mut().zip(parts) {
            for l in 0..L {
                let noised = strip.mean_coef[l] * strip.mean_coef[l] * part.values[0] + var[l];
                let share = weight[l] / (total[l] * noised);
                pull[l] += share;
                weight[l] = share * strip.mean_coef[l];
            }
        }
        for d in (0..whole_d).step_by(TILE) {
            let sums = pulled::<T, L, TILE>(parts, d, &strip, &pull, weights);
            for i in 0..TILE {
                put(piece.out, (d + i) * piece.rows + strip.start, n, &sums[i]);
            }
        }
        for d in whole_d..dim {
            let [sum] = pulled::<T, L, 1>(parts, d, &strip, &pull, weights);
            put(piece.out, d * piece.rows + strip.start, n, &sum);
        }
    }
}

/// The numbers of some rows, filled up with the last one.
#[inline(always)]
fn cast<T: Real, const L: usize>(values: &[f64]) -> [T; L] {
    let mut all = [T::ZERO; L];
    for l in 0..L {
        all[l] = T::from_f64(values[l.min(values.len() - 1)]);
    }
    all
}

/// `|x - m mu|^2` for the first `K` components.
#[inline(always)]
fn squares<T: Real, const L: usize, const K: usize>(
    parts: &[Spectrum<T>],
    dim: usize,
    strip: &Strip<T, L>,
) -> [[T; L]; K] {
    let means: [&[T]; K] = from_fn(|i| &parts[i].mean[..dim]);
    let mut sums = [[T::ZERO; L]; K];
    for d in 0..dim {
        let x = strip.values(d);
        for i in 0..K {
            let mean = means[i][d];
            for l in 0..L {
                let centred = x[l] - strip.mean_coef[l] * mean;
                sums[i][l] += centred * centred;
            }
        }
    }
    sums
}

/// `sum_k w_k mu_kd - pull x_d` for `D` dimensions from `d` on.
#[inline(always)]
fn pulled<T: Real, const L: usize, const D: usize>(
    parts: &[Spectrum<T>],
    d: usize,
    strip: &Strip<T, L>,
    pull: &[T; L],
    weights: &[[T; L]],
) -> [[T; L]; D] {
    let mut sums = [[T::ZERO; L]; D];
    for i in 0..D {
        let x = strip.values(d + i);
        for l in 0..L {
            sums[i][l] = -(pull[l] * x[l]);
        }
    }
    for (weight, part) in weights.iter().zip(parts) {
        let means: [T; D] = from_fn(|i| part.mean[d + i]);
        for i in 0..D {
            for l in 0..L {
                sums[i][l] += weight[l] * means[i];
            }
        }
    }
    sums
}
