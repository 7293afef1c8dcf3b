//! Rows in strips of a fixed number of lanes: a loop of fixed length needs no remainder, and that of a loop of variable length would
//! take all rows of a small batch, one by one.

#![allow(
    clippy::needless_range_loop,
    reason = "index loops are what the vectoriser reads best"
)]

use super::Coef;
use super::combine::Term;
use crate::real::Real;
pub(super) use crate::vectors::copy_few;

/// Rows at a time.
pub(super) const LANES: usize = 32;

/// `for_planes!((start, n, rows, len); xs => x, ..; y => own; { .. })` runs the block for each plane of `len / rows`, with references
/// `x` to the lanes of the planes `xs`, an array of slices, and `own` to those of `y`, which are written back: rows `start..start +
/// n`. Without `y` nothing is written. The block stands twice, so that whole strips go without copies. (A macro, since closures may
/// be compiled apart.)
macro_rules! for_planes {
    (($start:expr, $n:expr, $rows:expr, $len:expr); $($xs:expr => $x:ident),*; $($y:expr => $own:ident)?; $body:block) => {{
        let (start, n, rows, len) = ($start, $n, $rows, $len);
        if n == LANES {
            for from in (start..len).step_by(rows) {
                $(let $x = wholes($xs, from);)*
                $(let $own = whole_mut($y, from);)?
                $body
            }
        } else {
            for from in (start..len).step_by(rows) {
                $(let filled = $xs.map(|x| lanes(x, from, n));
                let $x = filled.each_ref();)*
                $(let mut own = lanes($y, from, n);
                let $own = &mut own;)?
                $body
                $(let done = *$own;
                copy_few(&done[..n], &mut $y[from..]);)?
            }
        }
    }};
}
pub(super) use for_planes;

#[inline(always)]
pub(super) fn whole<T>(x: &[T], at: usize) -> &[T; LANES] {
    x[at..].first_chunk().expect("a strip of rows lies in its plane")
}

#[inline(always)]
pub(super) fn whole_mut<T>(x: &mut [T], at: usize) -> &mut [T; LANES] {
    x[at..]
        .first_chunk_mut()
        .expect("a strip of rows lies in its plane")
}

/// `n` values from `at` on, and in the idle lanes what lies behind them, or the last one where nothing does.
#[inline(always)]
pub(super) fn lanes<T: Copy>(x: &[T], at: usize, n: usize) -> [T; LANES] {
    let x = &x[at..];
    match x.first_chunk() {
        Some(whole) => *whole,
        None => {
            let mut out = [x[n - 1]; LANES];
            copy_few(&x[..n], &mut out);
            out
        }
    }
}

/// As [`whole`] for each plane. (A loop, since the closures of `map` and `from_fn` may be compiled apart.)
#[inline(always)]
pub(super) fn wholes<T, const N: usize>(xs: [&[T]; N], at: usize) -> [&[T; LANES]; N] {
    let mut out = [whole(xs[0], at); N];
    for k in 1..N {
        out[k] = whole(xs[k], at);
    }
    out
}

/// The factors of all terms, each as by [`coefs`].
#[inline(always)]
pub(super) fn factors<T: Real, const N: usize>(
    terms: &[Term<T>; N],
    start: usize,
    n: usize,
) -> [[T; LANES]; N] {
    let mut out = [[T::ZERO; LANES]; N];
    for k in 0..N {
        out[k] = coefs(terms[k].0, start, n);
    }
    out
}

/// The factors of `n` rows from `start` on in the numbers of the state, filled up as by [`lanes`].
#[inline(always)]
pub(super) fn coefs<T: Real>(coef: Coef, start: usize, n: usize) -> [T; LANES] {
    let mut out = [T::ZERO; LANES];
    match coef {
        Coef::All(value) => out = [T::from_f64(value); LANES],
        Coef::PerRow(values) if n == LANES => {
            let values = whole(values, start);
            for i in 0..LANES {
                out[i] = T::from_f64(values[i]);
            }
        }
        Coef::PerRow(values) => {
            let values = lanes(values, start, n);
            for i in 0..LANES {
                out[i] = T::from_f64(values[i]);
            }
        }
    }
    out
}
