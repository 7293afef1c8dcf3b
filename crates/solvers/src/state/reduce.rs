//! Kernels of [`HostBatch`](super::HostBatch) that look at each row as a whole.

#![allow(
    clippy::needless_range_loop,
    reason = "index loops are what the vectoriser reads best"
)]

use pulp::Simd;

use super::Tolerance;
use super::strips::{LANES, for_planes, lanes, wholes};
use crate::real::Real;
use crate::simd::Kernel;
use crate::vectors::{BLOCK_BYTES, Block, by_width, copy_few};

#[inline(always)]
pub(super) fn dot_rows<T: Real>((x, y, out): (&[T], &[T], &mut [f64])) {
    let rows = out.len();
    out.fill(0.0);
    for (x, y) in x.chunks_exact(rows).zip(y.chunks_exact(rows)) {
        for i in 0..rows {
            out[i] += x[i].to_f64() * y[i].to_f64();
        }
    }
}

/// A [`Tolerance`] in the numbers of the state.
#[derive(Clone, Copy)]
struct Scale<T> {
    atol: T,
    rtol: T,
}

impl<T: Real> Scale<T> {
    #[inline(always)]
    fn new(tol: Tolerance) -> Self {
        Self {
            atol: T::from_f64(tol.atol),
            rtol: T::from_f64(tol.rtol),
        }
    }

    /// `atol + rtol max(a, b)`, or the NaN if there is one.
    #[inline(always)]
    fn sum(self, a: T, b: T) -> T {
        #[allow(clippy::eq_op)]
        let larger = if a > b || a != a { a } else { b };
        self.atol + self.rtol * larger
    }

    /// `max(atol, rtol max(a, b))`, or the NaN if there is one.
    #[inline(always)]
    fn larger(self, a: T, b: T) -> T {
        #[allow(clippy::eq_op)]
        let larger = self.rtol * if a > b || a != a { a } else { b };
        #[allow(clippy::eq_op)]
        if larger > self.atol || larger != larger {
            larger
        } else {
            self.atol
        }
    }
}

#[inline(always)]
pub(super) fn error_rows<T: Real>(args: (&[T], &[T], &[T], Tolerance, &mut [f64])) {
    scaled_rows(args, |scale: Scale<T>, error, y0, y1| {
        error / scale.sum(y0.abs(), y1.abs())
    });
}

#[inline(always)]
pub(super) fn error_rows_max<T: Real>(args: (&[T], &[T], &[T], Tolerance, &mut [f64])) {
    scaled_rows(args, |scale: Scale<T>, error, y0, y1| {
        error / scale.larger(y0.abs(), y1.abs())
    });
}

#[inline(always)]
pub(super) fn distance_rows<T: Real>(args: (&[T], &[T], &[T], Tolerance, &mut [f64])) {
    scaled_rows(args, |scale: Scale<T>, y, y0, y1| {
        (y - y1) / scale.sum(y0.abs(), y1.abs())
    });
}

/// Root mean square of each row of `ratio(y, y0, y1)`: ratios in the numbers of the state, squares and sums in `f64`.
#[inline(always)]
fn scaled_rows<T: Real>(
    (y, y0, y1, tol, out): (&[T], &[T], &[T], Tolerance, &mut [f64]),
    ratio: impl Fn(Scale<T>, T, T, T) -> T,
) {
    let (rows, len, scale) = (out.len(), y.len(), Scale::new(tol));
    for start in (0..rows).step_by(LANES) {
        let n = LANES.min(rows - start);
        let mut sums = [0.0; LANES];
        for_planes!((start, n, rows, len); [y, y0, y1] => x;; {
            let [y, y0, y1] = x;
            for i in 0..LANES {
                let ratio = ratio(scale, y[i], y0[i], y1[i]).to_f64();
                sums[i] += ratio * ratio;
            }
        });
        root_mean(&sums, len / rows, &mut out[start..start + n]);
    }
}

#[inline(always)]
fn root_mean(sums: &[f64; LANES], dim: usize, out: &mut [f64]) {
    let mut roots = [0.0; LANES];
    for i in 0..LANES {
        roots[i] = (sums[i] / dim as f64).sqrt();
    }
    out.copy_from_slice(&roots[..out.len()]);
}

/// `y[row] <- x[row]` where the flag of the row is set.
pub(super) struct SelectRows<'a, T> {
    pub(super) y: &'a mut [T],
    pub(super) x: &'a [T],
    pub(super) take: &'a [bool],
}

impl<T: Real> Kernel for SelectRows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match BLOCK_BYTES / size_of::<T>() {
            16 => by_width!(select_rows::<S, T, 16>(simd, self)),
            _ => by_width!(select_rows::<S, T, 8>(simd, self)),
        }
    }
}

/// Vectors written out: the compiler makes branches of a choice between numbers in memory.
#[inline(always)]
fn select_rows<S: Simd, T: Real, const L: usize, const W: usize>(
    simd: S,
    SelectRows { y, x, take }: SelectRows<T>,
) {
    let (rows, len) = (take.len(), y.len());
    for start in (0..rows).step_by(L) {
        let n = L.min(rows - start);
        let mut flags = [T::ZERO; L];
        for (flag, take) in flags.iter_mut().zip(&take[start..start + n]) {
            *flag = if *take { T::ONE } else { T::ZERO };
        }
        let chosen = Block::<S, T, W>::load(simd, &flags);
        for from in (start..len).step_by(rows) {
            let (y, x) = (&mut y[from..], &x[from..]);
            if n == L {
                chosen.choose(Block::load(simd, x), Block::load(simd, y)).store(y);
            } else {
                let [mut own, mut other] = [[T::ZERO; L]; 2];
                copy_few(&y[..n], &mut own);
                copy_few(&x[..n], &mut other);
                chosen
                    .choose(Block::load(simd, &other), Block::load(simd, &own))
                    .store(&mut own);
                copy_few(&own[..n], y);
            }
        }
    }
}

/// Whether all values are finite.
pub(super) struct AllFinite<'a, T>(pub(super) &'a [T]);

impl<T: Real> Kernel for AllFinite<'_, T> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> bool {
        match BLOCK_BYTES / size_of::<T>() {
            16 => by_width!(all_finite::<S, T, 16>(simd, self.0)),
            _ => by_width!(all_finite::<S, T, 8>(simd, self.0)),
        }
    }
}

/// `v - v` is zero for finite numbers alone, and sums of zeros and NaN need no mask.
#[allow(clippy::eq_op, reason = "NaN for what is not finite")]
#[inline(always)]
fn all_finite<S: Simd, T: Real, const L: usize, const W: usize>(simd: S, values: &[T]) -> bool {
    const SUMS: usize = 4;
    let mut sums = [Block::<S, T, W>::all(simd, T::ZERO); SUMS];
    let mut tiles = values.chunks_exact(SUMS * L);
    for tile in &mut tiles {
        for i in 0..SUMS {
            let v = Block::load(simd, &tile[i * L..]);
            sums[i] = sums[i] + (v - v);
        }
    }
    let mut lanes = [T::ZERO; L];
    let [a, b, c, d] = sums;
    (a + b + (c + d)).store(&mut lanes);
    tiles.remainder().iter().all(|value| value.is_finite()) && lanes.iter().all(|sum| *sum == T::ZERO)
}
