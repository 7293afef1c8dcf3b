//! Kernels of [`HostBatch`](super::HostBatch) for methods in which each row has a step size of its own.

#![allow(
    clippy::needless_range_loop,
    reason = "index loops are what the vectoriser reads best"
)]

use super::host::STRIP;
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

/// A strip of coefficients in the numbers of the state.
#[inline(always)]
fn cast<T: Real>(coef: Coef, start: usize, n: usize, out: &mut [T; STRIP]) {
    match coef {
        Coef::All(value) => out.fill(T::from_f64(value)),
        Coef::PerRow(values) => {
            let values = &values[start..start + n];
            for i in 0..n {
                out[i] = T::from_f64(values[i]);
            }
        }
    }
}

#[allow(clippy::type_complexity)]
#[inline(always)]
fn stage<T: Real, const N: usize>((y, x, h, terms): (&mut [T], &[T], &[f64], [Weighted<T>; N])) {
    let (rows, len) = (h.len(), y.len());
    let w = terms.map(|(w, _)| T::from_f64(w));
    let ks = terms.map(|(_, k)| &k[..len]);
    let mut scale = [T::ZERO; STRIP];
    for start in (0..rows).step_by(STRIP) {
        let n = STRIP.min(rows - start);
        cast(Coef::PerRow(h), start, n, &mut scale);
        for from in (start..len).step_by(rows) {
            let y = &mut y[from..from + n];
            let (x, ks) = (&x[from..from + n], ks.map(|k| &k[from..from + n]));
            for i in 0..n {
                let mut sum = w[0] * ks[0][i];
                for k in 1..N {
                    sum += w[k] * ks[k][i];
                }
                y[i] = sum * scale[i] + x[i];
            }
        }
    }
}

#[inline(always)]
fn accumulate<T: Real, const N: usize>((y, rows, a, terms): (&mut [T], usize, Coef, [Term<T>; N])) {
    let len = y.len();
    let xs = terms.map(|(_, x)| &x[..len]);
    let (mut own, mut coefs) = ([T::ZERO; STRIP], [[T::ZERO; STRIP]; N]);
    for start in (0..rows).step_by(STRIP) {
        let n = STRIP.min(rows - start);
        cast(a, start, n, &mut own);
        for (out, (coef, _)) in coefs.iter_mut().zip(&terms) {
            cast(*coef, start, n, out);
        }
        for from in (start..len).step_by(rows) {
            let y = &mut y[from..from + n];
            let xs = xs.map(|x| &x[from..from + n]);
            for i in 0..n {
                let mut sum = own[i] * y[i];
                for k in 0..N {
                    sum += coefs[k][i] * xs[k][i];
                }
                y[i] = sum;
            }
        }
    }
}
