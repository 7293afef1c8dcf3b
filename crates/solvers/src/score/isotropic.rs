//! The mixture score for isotropic components, any number, any dimension: `L` rows at a time. A strip of rows is copied into
//! one block a dimension, which becomes the score in place; all sums stay in registers.
//!
//! With means `mu_k`, variances `lambda_k`, kernel `(m, s)` and `n_k = m^2 lambda_k + s^2` the score is
//! `-sum_k r_k (x - m mu_k)/n_k`, `r = softmax_k(log w_k - dim/2 log n_k - |x - m mu_k|^2/(2 n_k))`.
//! Sums run over dimensions and components in their order, whatever `L` is.

#![allow(
    clippy::needless_range_loop,
    reason = "index loops are what the vectoriser reads best"
)]

use std::array::from_fn;
use std::f64::consts::LOG2_E;

use super::coefs::Coefs;
use super::kernels::{Batch, UNSCALE, softmax};
use super::per_row::Spectra;
use super::small_rows::Piece;
use crate::real::Real;

/// Components, and dimensions, taken at a time: as many independent sums as hide the latency of an addition.
const TILE: usize = 4;

/// Lane blocks that a strip needs.
pub(super) struct Room<T, const L: usize> {
    /// One a dimension: the rows, then their scores.
    rows: Vec<[T; L]>,
    /// One a component: squared distances, then weights.
    weights: Vec<[T; L]>,
}

impl<T: Real, const L: usize> Room<T, L> {
    pub(super) fn new(dim: usize, components: usize) -> Self {
        Self {
            rows: vec![[T::ZERO; L]; dim],
            weights: vec![[T::ZERO; L]; components],
        }
    }
}

/// Scales the means: all rows have one kernel, whose `m mu` is at hand, or each its own.
trait Centre<T, const L: usize>: Copy {
    /// `m mu` in lane `l`.
    fn at(self, mean: T, l: usize) -> T;
}

#[derive(Clone, Copy)]
struct Shared;

impl<T: Real, const L: usize> Centre<T, L> for Shared {
    #[inline(always)]
    fn at(self, mean: T, _: usize) -> T {
        mean
    }
}

#[derive(Clone, Copy)]
struct Own<T, const L: usize>([T; L]);

impl<T: Real, const L: usize> Centre<T, L> for Own<T, L> {
    #[inline(always)]
    fn at(self, mean: T, l: usize) -> T {
        self.0[l] * mean
    }
}

/// One time for all rows.
#[inline(always)]
pub(super) fn isotropic<T: Real, const L: usize>(
    (coefs, (x, out, rows), room): (&Coefs<T>, Batch<T>, &mut Room<T, L>),
) {
    let (dim, stride) = (coefs.dim, coefs.stride());
    let unscale = T::from_f64(UNSCALE);
    let mean = |k: usize| &coefs.parts[k * stride..][..dim];
    for start in (0..rows).step_by(L) {
        let n = L.min(rows - start);
        gather(x, rows, start, n, &mut room.rows);
        squares(mean, &room.rows, Shared, &mut room.weights);
        for (k, weight) in room.weights.iter_mut().enumerate() {
            let (root, log_weight) = (coefs.parts[k * stride + dim], coefs.log_weights[k]);
            let precision = root * root;
            for l in 0..L {
                weight[l] = log_weight - precision * weight[l];
            }
        }
        let total = softmax(&mut room.weights);
        let mut share = [T::ZERO; L];
        for l in 0..L {
            share[l] = unscale / total[l];
        }
        // score = pull x + sum_k w_k m mu_k, w_k = r_k/n_k, pull = -sum_k w_k
        let mut pull = [T::ZERO; L];
        for (k, weight) in room.weights.iter_mut().enumerate() {
            let root = coefs.parts[k * stride + dim];
            let precision = root * root;
            for l in 0..L {
                let signed = weight[l] * precision * share[l];
                pull[l] += signed;
                weight[l] = -signed;
            }
        }
        pulled(mean, &mut room.rows, &pull, &room.weights);
        scatter(&room.rows, out, rows, start, n);
    }
}

/// One time a row.
#[inline(always)]
pub(super) fn isotropic_rows<T: Real, const L: usize>(
    (spectra, piece, room): (&Spectra<T>, Piece<T>, &mut Room<T, L>),
) {
    let (dim, parts) = (spectra.dim, &spectra.components[..]);
    let (half_dim, half_log2_e) = (T::from_f64(0.5 * dim as f64), T::from_f64(0.5 * LOG2_E));
    let mean = |k: usize| &parts[k].mean[..dim];
    let len = piece.mean_coef.len();
    for first in (0..len).step_by(L) {
        let n = L.min(len - first);
        let start = piece.start + first;
        let mean_coef: [T; L] = cast(&piece.mean_coef[first..first + n]);
        let var: [T; L] = cast(&piece.var[first..first + n]);
        gather(piece.x, piece.rows, start, n, &mut room.rows);
        squares(mean, &room.rows, Own(mean_coef), &mut room.weights);
        for (weight, part) in room.weights.iter_mut().zip(parts) {
            let (value, log_weight, square) = (part.values[0], part.log_weight, *weight);
            // Blocks of their own, which need no check for overlap.
            let mut exponent = [T::ZERO; L];
            for l in 0..L {
                let noised = mean_coef[l] * mean_coef[l] * value + var[l];
                exponent[l] = half_dim * noised.log2_positive() + half_log2_e * square[l] / noised;
            }
            for l in 0..L {
                exponent[l] = log_weight - exponent[l];
            }
            *weight = exponent;
        }
        let total = softmax(&mut room.weights);
        let mut pull = [T::ZERO; L];
        for (weight, part) in room.weights.iter_mut().zip(parts) {
            let (value, mut share) = (part.values[0], *weight);
            for l in 0..L {
                let noised = mean_coef[l] * mean_coef[l] * value + var[l];
                share[l] = share[l] / (total[l] * noised);
            }
            for l in 0..L {
                pull[l] += -share[l];
                share[l] *= mean_coef[l];
            }
            *weight = share;
        }
        pulled(mean, &mut room.rows, &pull, &room.weights);
        scatter(&room.rows, piece.out, piece.rows, start, n);
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

/// `n` rows from `start` on into blocks, filled up with the last one so that idle lanes compute something harmless.
#[inline(always)]
fn gather<T: Real, const L: usize>(planes: &[T], rows: usize, start: usize, n: usize, blocks: &mut [[T; L]]) {
    for (block, plane) in blocks.iter_mut().zip(planes.chunks_exact(rows)) {
        *block = match plane[start..].first_chunk() {
            Some(whole) => *whole,
            None => from_fn(|l| plane[start + l.min(n - 1)]),
        };
    }
}

/// The first `n` lanes of the blocks to rows from `start` on.
#[inline(always)]
fn scatter<T: Real, const L: usize>(
    blocks: &[[T; L]],
    planes: &mut [T],
    rows: usize,
    start: usize,
    n: usize,
) {
    for (block, plane) in blocks.iter().zip(planes.chunks_exact_mut(rows)) {
        match plane[start..].first_chunk_mut() {
            Some(whole) if n == L => *whole = *block,
            _ => (0..n).for_each(|l| plane[start + l] = block[l]),
        }
    }
}

/// `sum_d (x_d - m mu_kd)^2` for each component.
#[inline(always)]
fn squares<'a, T: Real, C: Centre<T, L>, const L: usize>(
    mean: impl Fn(usize) -> &'a [T],
    x: &[[T; L]],
    centre: C,
    sums: &mut [[T; L]],
) {
    let mut tiles = sums.chunks_exact_mut(TILE);
    let mut k = 0;
    for tile in &mut tiles {
        tile.copy_from_slice(&squares_of::<T, C, L, TILE>(from_fn(|i| mean(k + i)), x, centre));
        k += TILE;
    }
    for sum in tiles.into_remainder() {
        [*sum] = squares_of([mean(k)], x, centre);
        k += 1;
    }
}

#[inline(always)]
fn squares_of<T: Real, C: Centre<T, L>, const L: usize, const K: usize>(
    means: [&[T]; K],
    x: &[[T; L]],
    centre: C,
) -> [[T; L]; K] {
    let means = means.map(|mean| &mean[..x.len()]);
    let mut sums = [[T::ZERO; L]; K];
    for d in 0..x.len() {
        let x = &x[d];
        for i in 0..K {
            let mean = means[i][d];
            for l in 0..L {
                let centred = x[l] - centre.at(mean, l);
                sums[i][l] += centred * centred;
            }
        }
    }
    sums
}

/// `x_d <- pull x_d + sum_k w_k mu_kd` for each dimension.
#[inline(always)]
fn pulled<'a, T: Real, const L: usize>(
    mean: impl Fn(usize) -> &'a [T],
    x: &mut [[T; L]],
    pull: &[T; L],
    weights: &[[T; L]],
) {
    let mut tiles = x.chunks_exact_mut(TILE);
    let mut d = 0;
    for tile in &mut tiles {
        let tile: &mut [[T; L]; TILE] = tile.try_into().expect("chunks of this size");
        pull_tile(|k| &mean(k)[d..], tile, pull, weights);
        d += TILE;
    }
    for x in tiles.into_remainder() {
        let mut one = [*x];
        pull_tile(|k| &mean(k)[d..], &mut one, pull, weights);
        [*x] = one;
        d += 1;
    }
}

#[inline(always)]
fn pull_tile<'a, T: Real, const L: usize, const D: usize>(
    mean: impl Fn(usize) -> &'a [T],
    x: &mut [[T; L]; D],
    pull: &[T; L],
    weights: &[[T; L]],
) {
    let mut sums = [[T::ZERO; L]; D];
    for i in 0..D {
        for l in 0..L {
            sums[i][l] = pull[l] * x[i][l];
        }
    }
    for k in 0..weights.len() {
        let mean = &mean(k)[..D];
        let weight = &weights[k];
        for i in 0..D {
            let mean = mean[i];
            for l in 0..L {
                let pulled = weight[l] * mean;
                sums[i][l] += pulled;
            }
        }
    }
    *x = sums;
}
