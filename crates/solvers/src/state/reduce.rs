//! Kernels of [`HostBatch`](super::HostBatch) that look at each row as a whole.

#![allow(
    clippy::needless_range_loop,
    reason = "index loops are what the vectoriser reads best"
)]

use super::Tolerance;
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

#[inline(always)]
pub(super) fn error_rows<T: Real>(args: (&[T], &[T], &[T], Tolerance, &mut [f64])) {
    scaled_rows(args, |tol, a, b| {
        // The larger one, or the NaN if there is one.
        #[allow(clippy::eq_op)]
        let larger = if a > b || a != a { a } else { b };
        tol.atol + tol.rtol * larger
    });
}

#[inline(always)]
pub(super) fn error_rows_max<T: Real>(args: (&[T], &[T], &[T], Tolerance, &mut [f64])) {
    scaled_rows(args, |tol, a, b| tol.larger(a, b));
}

/// Root mean square of each row in units of `scale(tol, |y0|, |y1|)`.
#[inline(always)]
fn scaled_rows<T: Real>(
    (error, y0, y1, tol, out): (&[T], &[T], &[T], Tolerance, &mut [f64]),
    scale: impl Fn(Tolerance, f64, f64) -> f64,
) {
    let rows = out.len();
    out.fill(0.0);
    let planes = error
        .chunks_exact(rows)
        .zip(y0.chunks_exact(rows))
        .zip(y1.chunks_exact(rows));
    for ((error, y0), y1) in planes {
        for i in 0..rows {
            let ratio = error[i].to_f64() / scale(tol, y0[i].to_f64().abs(), y1[i].to_f64().abs());
            out[i] += ratio * ratio;
        }
    }
    let dim = (error.len() / rows) as f64;
    for value in out {
        *value = (*value / dim).sqrt();
    }
}

#[inline(always)]
pub(super) fn select_rows<T: Real>((y, x, take): (&mut [T], &[T], &[bool])) {
    let rows = take.len();
    for (y, x) in y.chunks_exact_mut(rows).zip(x.chunks_exact(rows)) {
        for i in 0..rows {
            y[i] = if take[i] { x[i] } else { y[i] };
        }
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
