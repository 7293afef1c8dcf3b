//! Kernels of [`HostBatch`](super::HostBatch) for methods in which each row has a step size of its own.

#![allow(
    clippy::needless_range_loop,
    reason = "index loops are what the vectoriser reads best"
)]

use super::strips::{LANES, coefs, copy_few, factors, for_planes, lanes, whole_mut, wholes};
use super::{Coef, HostBatch};
use crate::real::Real;
use crate::simd::{self, kernels};

/// A weight and the planes it belongs to.
type Weighted<'a, T> = (f64, &'a [T]);
/// A coefficient, of all rows or of each, and the planes it belongs to.
type Term<'a, T> = (Coef<'a>, &'a [T]);

kernels! {
    Stage<'a, T, const N: usize>((&'a mut [T], &'a [T], &'a [f64], [Weighted<'a, T>; N])) -> () = stage;
    Accumulate<'a, T, const N: usize>((&'a mut [T], usize, Coef<'a>, [Term<'a, T>; N])) -> () = accumulate;
}

/// Terms of one pass.
pub(super) const FUSED: usize = 7;

/// `y <- x + h sum_k w_k k_k`, any number of terms up to [`FUSED`].
pub(super) fn run_stage<T: Real>(y: &mut [T], x: &[T], h: &[f64], terms: &[(f64, &HostBatch<T>)]) {
    let slice = |k: usize| (terms[k].0, terms[k].1.planes());
    macro_rules! pick {
        ($($n:literal)*) => {
            match terms.len() {
                $($n => simd::dispatch(Stage::<T, $n>((y, x, h, std::array::from_fn(slice)))),)*
                count => unreachable!("{count} terms of a stage"),
            }
        };
    }
    pick!(1 2 3 4 5 6 7);
}

/// `y <- a y + sum_k a_k x_k`, any number of terms up to [`FUSED`].
pub(super) fn run_accumulate<T: Real>(y: &mut [T], rows: usize, a: Coef, terms: &[(Coef, &HostBatch<T>)]) {
    let slice = |k: usize| (terms[k].0, terms[k].1.planes());
    macro_rules! pick {
        ($($n:literal)*) => {
            match terms.len() {
                $($n => simd::dispatch(Accumulate::<T, $n>((y, rows, a, std::array::from_fn(slice)))),)*
                count => unreachable!("{count} terms of a sum"),
            }
        };
    }
    pick!(1 2 3 4 5 6 7);
}

#[allow(clippy::type_complexity)]
#[inline(always)]
fn stage<T: Real, const N: usize>((y, x, h, terms): (&mut [T], &[T], &[f64], [Weighted<T>; N])) {
    let (rows, len) = (h.len(), y.len());
    let w = terms.map(|(w, _)| T::from_f64(w));
    let ks = terms.map(|(_, k)| k);
    for start in (0..rows).step_by(LANES) {
        let n = LANES.min(rows - start);
        let h: [T; LANES] = coefs(Coef::PerRow(h), start, n);
        for_planes!((start, n, rows, len); ks => k, [x] => x; y => own; {
            let mut sums = [T::ZERO; LANES];
            for i in 0..LANES {
                let mut sum = w[0] * k[0][i];
                for j in 1..N {
                    sum += w[j] * k[j][i];
                }
                sums[i] = sum * h[i] + x[0][i];
            }
            *own = sums;
        });
    }
}

#[inline(always)]
fn accumulate<T: Real, const N: usize>((y, rows, a, terms): (&mut [T], usize, Coef, [Term<T>; N])) {
    let (xs, len) = (terms.map(|(_, x)| x), y.len());
    for start in (0..rows).step_by(LANES) {
        let n = LANES.min(rows - start);
        let scale: [T; LANES] = coefs(a, start, n);
        let a = factors(&terms, start, n);
        for_planes!((start, n, rows, len); xs => x; y => own; {
            let mut sums = [T::ZERO; LANES];
            for i in 0..LANES {
                let mut sum = scale[i] * own[i];
                for k in 0..N {
                    sum += a[k][i] * x[k][i];
                }
                sums[i] = sum;
            }
            *own = sums;
        });
    }
}
