//! Kernels of linear combinations: sums of scaled batches, factor by batch or by row.

#![allow(
    clippy::needless_range_loop,
    reason = "index loops are what the vectoriser reads best"
)]

use super::strips::{LANES, coefs, copy_few, factors, for_planes, lanes, whole_mut, wholes};
use super::{Coef, HostBatch};
use crate::real::Real;
use crate::simd::{self, kernels};

kernels! {
    Lincomb<'a, T, const N: usize, const ADD: bool>((&'a mut [T], usize, [Term<'a, T>; N])) -> () = lincomb;
    LincombThrough<'a, T, const N: usize>((
        &'a mut [T], &'a mut [T], [&'a [T]; 2], [f64; 4], [(f64, &'a [T]); N]
    )) -> () = lincomb_through;
}

/// Terms of one pass.
const FUSED: usize = 4;
/// Terms of [`run_lincomb_through`] besides the state and what lies between.
pub(super) const THROUGH: usize = 3;

/// `y <- sum_k a_k x_k`, any number of terms.
pub(super) fn run_lincomb<T: Real>(y: &mut [T], rows: usize, terms: &[(Coef, &HostBatch<T>)]) {
    let (head, tail) = terms.split_at(terms.len().min(FUSED));
    match *head {
        [] => y.fill(T::ZERO),
        [a] => simd::dispatch(Lincomb::<T, 1, false>((y, rows, [a].map(slices)))),
        [a, b] => simd::dispatch(Lincomb::<T, 2, false>((y, rows, [a, b].map(slices)))),
        [a, b, c] => simd::dispatch(Lincomb::<T, 3, false>((y, rows, [a, b, c].map(slices)))),
        [a, b, c, d, ..] => {
            simd::dispatch(Lincomb::<T, FUSED, false>((y, rows, [a, b, c, d].map(slices))));
        }
    }
    run_add(y, rows, tail);
}

/// `y <- y + sum_k a_k x_k`, added in order.
pub(super) fn run_add<T: Real>(y: &mut [T], rows: usize, terms: &[(Coef, &HostBatch<T>)]) {
    for group in terms.chunks(FUSED) {
        match *group {
            [a] => simd::dispatch(Lincomb::<T, 1, true>((y, rows, [a].map(slices)))),
            [a, b] => simd::dispatch(Lincomb::<T, 2, true>((y, rows, [a, b].map(slices)))),
            [a, b, c] => simd::dispatch(Lincomb::<T, 3, true>((y, rows, [a, b, c].map(slices)))),
            [a, b, c, d, ..] => {
                simd::dispatch(Lincomb::<T, FUSED, true>((y, rows, [a, b, c, d].map(slices))));
            }
            [] => {}
        }
    }
}

/// As [`State::lincomb_through`](super::State::lincomb_through), with at most [`THROUGH`] terms behind.
pub(super) fn run_lincomb_through<T: Real>(
    out: &mut [T],
    between: &mut [T],
    [ax, by]: [(f64, &HostBatch<T>); 2],
    [c, d]: [f64; 2],
    rest: &[(f64, &HostBatch<T>)],
) {
    let states = [ax.1.planes(), by.1.planes()];
    let factors = [ax.0, by.0, c, d];
    match *rest {
        [] => simd::dispatch(LincombThrough::<T, 0>((out, between, states, factors, []))),
        [z] => simd::dispatch(LincombThrough::<T, 1>((
            out,
            between,
            states,
            factors,
            [factored(z)],
        ))),
        [z, y] => {
            simd::dispatch(LincombThrough::<T, 2>((
                out,
                between,
                states,
                factors,
                [z, y].map(factored),
            )));
        }
        [z, y, x] => {
            simd::dispatch(LincombThrough::<T, 3>((
                out,
                between,
                states,
                factors,
                [z, y, x].map(factored),
            )));
        }
        _ => unreachable!("{} terms behind", rest.len()),
    }
}

fn factored<T: Real>((a, x): (f64, &HostBatch<T>)) -> (f64, &[T]) {
    (a, x.planes())
}

pub(super) fn slices<'a, T: Real>((a, x): (Coef<'a>, &'a HostBatch<T>)) -> Term<'a, T> {
    (a, x.planes())
}

/// A coefficient and the planes it belongs to.
pub(super) type Term<'a, T> = (Coef<'a>, &'a [T]);

/// `y <- [y +] sum_k a_k x_k` in one pass, added in order.
#[inline(always)]
pub(super) fn lincomb<T: Real, const N: usize, const ADD: bool>(
    (y, rows, terms): (&mut [T], usize, [Term<T>; N]),
) {
    let len = y.len();
    let xs = terms.map(|(_, x)| &x[..len]);
    if terms.iter().all(|(a, _)| matches!(a, Coef::All(_))) {
        let a = terms.map(|(a, _)| T::from_f64(a.at(0)));
        for i in 0..len {
            let mut sum = if ADD {
                y[i] + a[0] * xs[0][i]
            } else {
                a[0] * xs[0][i]
            };
            for k in 1..N {
                sum += a[k] * xs[k][i];
            }
            y[i] = sum;
        }
        return;
    }
    for start in (0..rows).step_by(LANES) {
        let n = LANES.min(rows - start);
        let a = factors(&terms, start, n);
        for_planes!((start, n, rows, len); xs => x; y => own; {
            let mut sums = [T::ZERO; LANES];
            for i in 0..LANES {
                let mut sum = if ADD {
                    own[i] + a[0][i] * x[0][i]
                } else {
                    a[0][i] * x[0][i]
                };
                for k in 1..N {
                    sum += a[k][i] * x[k][i];
                }
                sums[i] = sum;
            }
            *own = sums;
        });
    }
}

/// `p <- a x + b y`, then `out <- c x + d p + sum_k e_k z_k`, in one pass.
#[allow(clippy::type_complexity)]
#[inline(always)]
pub(super) fn lincomb_through<T: Real, const N: usize>(
    (out, p, [x, y], [a, b, c, d], rest): (&mut [T], &mut [T], [&[T]; 2], [f64; 4], [(f64, &[T]); N]),
) {
    let len = out.len();
    let (p, x, y) = (&mut p[..len], &x[..len], &y[..len]);
    let [a, b, c, d] = [a, b, c, d].map(T::from_f64);
    let e = rest.map(|(e, _)| T::from_f64(e));
    let z = rest.map(|(_, z)| &z[..len]);
    for i in 0..len {
        let predicted = a * x[i] + b * y[i];
        let mut sum = c * x[i] + d * predicted;
        for k in 0..N {
            sum += e[k] * z[k][i];
        }
        p[i] = predicted;
        out[i] = sum;
    }
}

/// `y <- a y`.
#[inline(always)]
pub(super) fn scale<T: Real>((y, rows, a): (&mut [T], usize, Coef)) {
    match a {
        Coef::All(a) => {
            let a = T::from_f64(a);
            for value in y {
                *value *= a;
            }
        }
        Coef::PerRow(_) => {
            let len = y.len();
            for start in (0..rows).step_by(LANES) {
                let n = LANES.min(rows - start);
                let a: [T; LANES] = coefs(a, start, n);
                for_planes!((start, n, rows, len); ; y => own; {
                    for i in 0..LANES {
                        own[i] *= a[i];
                    }
                });
            }
        }
    }
}
