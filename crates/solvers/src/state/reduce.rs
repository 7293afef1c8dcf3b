//! Kernels of [`HostBatch`](super::HostBatch) that look at each row as a whole.

#![allow(
    clippy::needless_range_loop,
    reason = "index loops are what the vectoriser reads best"
)]

use super::strips::{LANES, coefs, factors, for_planes, lanes, whole_mut, wholes};
use super::{Coef, Tolerance};
use crate::real::Real;

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
    scaled_rows(args, |scale: Scale<T>, a, b| scale.sum(a, b));
}

#[inline(always)]
pub(super) fn error_rows_max<T: Real>(args: (&[T], &[T], &[T], Tolerance, &mut [f64])) {
    scaled_rows(args, |scale: Scale<T>, a, b| scale.larger(a, b));
}

/// Root mean square of each row in units of `unit(|y0|, |y1|)`: ratios in the numbers of the state, squares and sums in `f64`.
#[inline(always)]
fn scaled_rows<T: Real>(
    (error, y0, y1, tol, out): (&[T], &[T], &[T], Tolerance, &mut [f64]),
    unit: impl Fn(Scale<T>, T, T) -> T,
) {
    let (rows, len, scale) = (out.len(), error.len(), Scale::new(tol));
    for start in (0..rows).step_by(LANES) {
        let n = LANES.min(rows - start);
        let mut sums = [0.0; LANES];
        for_planes!((start, n, rows, len); [error, y0, y1] => x;; {
            let [error, y0, y1] = x;
            for i in 0..LANES {
                let ratio = (error[i] / unit(scale, y0[i].abs(), y1[i].abs())).to_f64();
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

/// `y <- a y + sum_k a_k x_k`, added in order, and the root mean square of each row of `y - y1` in units of `atol + rtol max(|y0|,
/// |y1|)`.
#[allow(clippy::type_complexity)]
#[inline(always)]
pub(super) fn accumulate_error<T: Real, const N: usize>(
    (y, a, terms, [y0, y1], tol, out): (
        &mut [T],
        Coef,
        [(Coef, &[T]); N],
        [&[T]; 2],
        Tolerance,
        &mut [f64],
    ),
) {
    let (rows, len, scale) = (out.len(), y.len(), Scale::new(tol));
    let xs = terms.map(|(_, x)| x);
    for start in (0..rows).step_by(LANES) {
        let n = LANES.min(rows - start);
        let own: [T; LANES] = coefs(a, start, n);
        let a = factors(&terms, start, n);
        let mut sums = [0.0; LANES];
        for_planes!((start, n, rows, len); xs => x, [y0, y1] => ends; y => state; {
            let mut next = [T::ZERO; LANES];
            for i in 0..LANES {
                let mut sum = own[i] * state[i];
                for k in 0..N {
                    sum += a[k][i] * x[k][i];
                }
                next[i] = sum;
            }
            *state = next;
            let [y0, y1] = ends;
            for i in 0..LANES {
                let ratio = ((next[i] - y1[i]) / scale.sum(y0[i].abs(), y1[i].abs())).to_f64();
                sums[i] += ratio * ratio;
            }
        });
        root_mean(&sums, len / rows, &mut out[start..start + n]);
    }
}

#[inline(always)]
pub(super) fn select_rows<T: Real>((y, x, take): (&mut [T], &[T], &[bool])) {
    let (rows, len) = (take.len(), y.len());
    for start in (0..rows).step_by(LANES) {
        let n = LANES.min(rows - start);
        let mut chosen = [false; LANES];
        chosen[..n].copy_from_slice(&take[start..start + n]);
        for_planes!((start, n, rows, len); [x] => x; y => own; {
            let mut values = *own;
            for i in 0..LANES {
                values[i] = if chosen[i] { x[0][i] } else { values[i] };
            }
            *own = values;
        });
    }
}

#[inline(always)]
pub(super) fn all_finite<T: Real>(values: &[T]) -> bool {
    let mut bad = false;
    for value in values {
        bad |= !value.is_finite();
    }
    !bad
}
