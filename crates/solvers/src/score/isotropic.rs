//! The mixture score for isotropic components, any number, any dimension: `L` rows at a time, read and written where they lie; all
//! sums stay in registers.
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
use std::ops::Range;

use pulp::Simd;

use super::coefs::Coefs;
use super::kernels::{Batch, UNSCALE, softmax};
use super::per_row::Spectra;
use super::small_rows::Piece;
use crate::real::Real;
use crate::simd::{self, Kernel};
use crate::vectors::{BLOCK_BYTES, Block, by_width, copy_few};

/// Components, and dimensions, taken at a time: as many independent sums as hide the latency of an addition.
const TILE: usize = 4;
/// Components whose weights lie on the stack.
const FEW: usize = 16;

/// Means in the order in which scores are summed: for each `TILE` dimensions those of all components.
#[derive(Debug)]
pub(super) struct Tiles<T>(Vec<[T; TILE]>);

impl<T: Real> Tiles<T> {
    /// From the means of the components, all of one length.
    pub(super) fn new(means: &[&[T]]) -> Self {
        let mut tiles = Vec::new();
        for first in (0..means.first().map_or(0, |mean| mean.len())).step_by(TILE) {
            tiles.extend(
                means
                    .iter()
                    .map(|mean| from_fn(|i| mean.get(first + i).map_or(T::ZERO, |value| *value))),
            );
        }
        Self(tiles)
    }
}

/// At most `L` rows: dimension `d` lies from `d * stride` on.
struct Strip<'a, T> {
    x: &'a [T],
    out: &'a mut [T],
    stride: usize,
}

/// From a cache line on.
#[repr(align(64))]
struct Lines<T>(T);

/// What strips need besides the batch.
struct Room<T, const L: usize> {
    components: usize,
    /// One a component: squared distances, then weights.
    few: Lines<[[T; L]; FEW]>,
    many: Vec<[T; L]>,
    /// Rows and scores of a strip of fewer than `L` rows, `[dim][L]`.
    partial: [Vec<T>; 2],
}

impl<T: Real, const L: usize> Room<T, L> {
    #[inline(always)]
    fn new(dim: usize, components: usize, rows: usize) -> Self {
        let many = if components > FEW { components } else { 0 };
        let partial = if rows.is_multiple_of(L) { 0 } else { dim * L };
        Self {
            components,
            few: Lines([[T::ZERO; L]; FEW]),
            many: vec![[T::ZERO; L]; many],
            partial: from_fn(|_| vec![T::ZERO; partial]),
        }
    }

    /// `n` rows of `x` and `out` from `start` on, and room for weights.
    #[inline(always)]
    fn open<'a>(
        &'a mut self,
        (x, out, rows): Batch<'a, T>,
        start: usize,
        n: usize,
    ) -> (Strip<'a, T>, &'a mut [[T; L]]) {
        let weights = match self.many.is_empty() {
            true => &mut self.few.0[..self.components],
            false => &mut self.many[..],
        };
        if n == L {
            let (x, out) = (&x[start..], &mut out[start..]);
            return (Strip { x, out, stride: rows }, weights);
        }
        let [copy, out] = &mut self.partial;
        // Idle lanes are zero.
        for (block, plane) in copy.chunks_exact_mut(L).zip(x.chunks_exact(rows)) {
            copy_few(&plane[start..start + n], block);
        }
        let strip = Strip {
            x: copy,
            out,
            stride: L,
        };
        (strip, weights)
    }

    /// Writes the `n` rows from `start` on where they were not written in place.
    #[inline(always)]
    fn close(&self, out: &mut [T], rows: usize, start: usize, n: usize) {
        if n < L {
            let blocks = self.partial[1].chunks_exact(L);
            for (block, plane) in blocks.zip(out.chunks_exact_mut(rows)) {
                copy_few(&block[..n], &mut plane[start..]);
            }
        }
    }
}

/// Scales the means: all rows have one kernel, whose `m mu` is at hand, or each its own.
trait Centre<S: Simd, T: Real, const W: usize>: Copy {
    /// `m mu` in all lanes.
    fn at(self, simd: S, mean: T) -> Block<S, T, W>;
}

#[derive(Clone, Copy)]
struct Shared;

impl<S: Simd, T: Real, const W: usize> Centre<S, T, W> for Shared {
    #[inline(always)]
    fn at(self, simd: S, mean: T) -> Block<S, T, W> {
        Block::all(simd, mean)
    }
}

#[derive(Clone, Copy)]
struct Own<S: Simd, T: Real, const W: usize>(Block<S, T, W>);

impl<S: Simd, T: Real, const W: usize> Centre<S, T, W> for Own<S, T, W> {
    #[inline(always)]
    fn at(self, simd: S, mean: T) -> Block<S, T, W> {
        self.0 * Block::all(simd, mean)
    }
}

/// Scores to find.
pub(super) enum Work<'a, T> {
    /// One time for all rows.
    OneTime(&'a Coefs<T>, Batch<'a, T>),
    /// One time a row.
    ByRows(&'a Spectra<T>, Piece<'a, T>),
}

/// Finds them.
pub(super) fn isotropic<T: Real>(work: Work<T>) {
    match BLOCK_BYTES / size_of::<T>() {
        16 => simd::dispatch(Isotropic::<T, 16, 32>(work)),
        _ => simd::dispatch(Isotropic::<T, 8, 16>(work)),
    }
}

/// `L` lanes are a block, `TWO` are two: where a block is one vector, two at a time hide the latency of their softmax.
struct Isotropic<'a, T, const L: usize, const TWO: usize>(Work<'a, T>);

impl<T: Real, const L: usize, const TWO: usize> Kernel for Isotropic<'_, T, L, TWO> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let one_vector = size_of::<T::Vector<S>>() == BLOCK_BYTES;
        match self.0 {
            Work::OneTime(coefs, (x, out, rows)) => {
                let pairs = if one_vector { rows / TWO * TWO } else { 0 };
                if pairs > 0 {
                    one_time::<S, T, TWO, 2>(simd, coefs, (x, &mut *out, rows), 0..pairs);
                }
                by_width!(one_time::<S, T, L>(simd, coefs, (x, out, rows), pairs..rows));
            }
            Work::ByRows(spectra, mut piece) => {
                let len = piece.mean_coef.len();
                let pairs = if one_vector { len / TWO * TWO } else { 0 };
                if pairs > 0 {
                    by_rows::<S, T, TWO, 2>(simd, spectra, &mut piece, 0..pairs);
                }
                by_width!(by_rows::<S, T, L>(simd, spectra, &mut piece, pairs..len));
            }
        }
    }
}

#[inline(always)]
fn one_time<S: Simd, T: Real, const L: usize, const W: usize>(
    simd: S,
    coefs: &Coefs<T>,
    (x, out, rows): Batch<T>,
    range: Range<usize>,
) {
    let (dim, stride) = (coefs.dim, coefs.stride());
    let unscale = T::from_f64(UNSCALE);
    let mean = |k: usize| &coefs.parts[k * stride..][..dim];
    let mut room = Room::<T, L>::new(dim, coefs.log_weights.len(), range.len());
    for start in range.clone().step_by(L) {
        let n = L.min(range.end - start);
        let (mut strip, weights) = room.open((x, out, rows), start, n);
        squares::<S, T, _, W, L>(simd, mean, &strip, Shared, weights);
        for (k, weight) in weights.iter_mut().enumerate() {
            let (root, log_weight) = (coefs.parts[k * stride + dim], coefs.log_weights[k]);
            let precision = root * root;
            for l in 0..L {
                weight[l] = log_weight - precision * weight[l];
            }
        }
        let total = softmax(weights);
        let mut share = [T::ZERO; L];
        for l in 0..L {
            share[l] = unscale / total[l];
        }
        // score = pull x + sum_k w_k m mu_k, w_k = r_k/n_k, pull = -sum_k w_k
        let mut pull = [T::ZERO; L];
        for (k, weight) in weights.iter_mut().enumerate() {
            let root = coefs.parts[k * stride + dim];
            let precision = root * root;
            for l in 0..L {
                let signed = weight[l] * precision * share[l];
                pull[l] += signed;
                weight[l] = -signed;
            }
        }
        pulled::<S, T, W, L>(simd, &coefs.tiles, dim, &mut strip, &pull, weights);
        room.close(out, rows, start, n);
    }
}

#[inline(always)]
fn by_rows<S: Simd, T: Real, const L: usize, const W: usize>(
    simd: S,
    spectra: &Spectra<T>,
    piece: &mut Piece<T>,
    range: Range<usize>,
) {
    let (dim, parts) = (spectra.dim, &spectra.components[..]);
    let (half_dim, half_log2_e) = (T::from_f64(0.5 * dim as f64), T::from_f64(0.5 * LOG2_E));
    let mean = |k: usize| &parts[k].mean[..dim];
    let rows = piece.rows;
    let mut room = Room::<T, L>::new(dim, parts.len(), range.len());
    for first in range.clone().step_by(L) {
        let n = L.min(range.end - first);
        let start = piece.start + first;
        let mean_coef: [T; L] = cast(&piece.mean_coef[first..first + n]);
        let var: [T; L] = cast(&piece.var[first..first + n]);
        let (mut strip, weights) = room.open((piece.x, &mut *piece.out, rows), start, n);
        let own = Own(Block::<S, T, W>::load(simd, &mean_coef));
        squares::<S, T, _, W, L>(simd, mean, &strip, own, weights);
        for (weight, part) in weights.iter_mut().zip(parts) {
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
        let total = softmax(weights);
        let mut pull = [T::ZERO; L];
        for (weight, part) in weights.iter_mut().zip(parts) {
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
        pulled::<S, T, W, L>(simd, &spectra.tiles, dim, &mut strip, &pull, weights);
        room.close(piece.out, rows, start, n);
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

/// `sum_d (x_d - m mu_kd)^2` for each component.
#[inline(always)]
fn squares<'a, S: Simd, T: Real, C: Centre<S, T, W>, const W: usize, const L: usize>(
    simd: S,
    mean: impl Fn(usize) -> &'a [T],
    strip: &Strip<T>,
    centre: C,
    sums: &mut [[T; L]],
) {
    let mut tiles = sums.chunks_exact_mut(TILE);
    let mut k = 0;
    for tile in &mut tiles {
        let means = [mean(k), mean(k + 1), mean(k + 2), mean(k + 3)];
        squares_of::<S, T, C, W, L, TILE>(simd, means, strip, centre, tile);
        k += TILE;
    }
    for sum in tiles.into_remainder().chunks_exact_mut(1) {
        squares_of::<S, T, C, W, L, 1>(simd, [mean(k)], strip, centre, sum);
        k += 1;
    }
}

#[inline(always)]
fn squares_of<S: Simd, T: Real, C: Centre<S, T, W>, const W: usize, const L: usize, const K: usize>(
    simd: S,
    means: [&[T]; K],
    strip: &Strip<T>,
    centre: C,
    out: &mut [[T; L]],
) {
    let dim = means[0].len();
    let means = means.map(|mean| &mean[..dim]);
    let mut sums = [Block::<S, T, W>::all(simd, T::ZERO); K];
    for d in 0..dim {
        let x = Block::load(simd, &strip.x[d * strip.stride..]);
        for i in 0..K {
            let centred = x - centre.at(simd, means[i][d]);
            sums[i] = sums[i] + centred * centred;
        }
    }
    for i in 0..K {
        sums[i].store(&mut out[i]);
    }
}

/// `out_d <- pull x_d + sum_k w_k mu_kd` for each dimension.
#[inline(always)]
fn pulled<S: Simd, T: Real, const W: usize, const L: usize>(
    simd: S,
    means: &Tiles<T>,
    dim: usize,
    strip: &mut Strip<T>,
    pull: &[T; L],
    weights: &[[T; L]],
) {
    let Strip { x, out, stride } = strip;
    let pull = Block::<S, T, W>::load(simd, pull);
    for (tile, means) in means.0.chunks_exact(weights.len()).enumerate() {
        let d = tile * TILE;
        let (x, out) = (&x[d * *stride..], &mut out[d * *stride..]);
        if d + TILE <= dim {
            let mut sums = [pull; TILE];
            for i in 0..TILE {
                sums[i] = pull * Block::load(simd, &x[i * *stride..]);
            }
            for (weight, means) in weights.iter().zip(means) {
                let weight = Block::load(simd, weight);
                for i in 0..TILE {
                    sums[i] = sums[i] + weight * Block::all(simd, means[i]);
                }
            }
            for i in 0..TILE {
                sums[i].store(&mut out[i * *stride..]);
            }
        } else {
            for i in 0..dim - d {
                let mut sum = pull * Block::load(simd, &x[i * *stride..]);
                for (weight, means) in weights.iter().zip(means) {
                    sum = sum + Block::load(simd, weight) * Block::all(simd, means[i]);
                }
                sum.store(&mut out[i * *stride..]);
            }
        }
    }
}
