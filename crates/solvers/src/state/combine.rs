//! Kernels of linear combinations: sums of scaled batches, factor by batch or by row.

#![allow(
    clippy::needless_range_loop,
    reason = "index loops are what the vectoriser reads best"
)]

use super::Coef;
use super::strips::{LANES, coefs, factors, for_planes, lanes, whole_mut, wholes};
use crate::real::Real;

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
