//! The mixture score with one time a row for few components in one or two dimensions: all in registers, rows in lanes.
//!
//! With the noised eigenvalues `n_i = m^2 lambda_i + s^2` of a component and `u = V^T (x - m mu)` its score is `-V (u_i/n_i)`. All
//! `n_i` of a row are scaled by one power of two, so that their product neither over- nor underflows: then one reciprocal serves
//! both eigenvalues and, by its root, the determinant.

#![allow(
    clippy::needless_range_loop,
    reason = "index loops are what the vectoriser reads best"
)]

use std::array::from_fn;

use super::per_row::Spectra;
use crate::real::Real;

/// Rows a pass.
const STRIP: usize = 64;

/// A piece of a batch: planes in and out, where it starts in them, and the kernel of each of its rows.
pub(super) struct Piece<'a, T> {
    pub(super) x: &'a [T],
    pub(super) out: &'a mut [T],
    pub(super) rows: usize,
    pub(super) start: usize,
    pub(super) mean_coef: &'a [f64],
    pub(super) var: &'a [f64],
}

/// A number for each row of a strip.
type Lanes<T> = [T; STRIP];

/// A component in the numbers of the state.
#[derive(Clone, Copy)]
struct Part<T, const D: usize> {
    weight: T,
    mean: [T; D],
    values: [T; D],
    /// Eigenvectors in columns.
    vectors: [[T; D]; D],
}

/// What a strip has of a component: scores over the scale, squares of distances over the scale, weights with determinants.
#[derive(Clone, Copy)]
struct Share<T, const D: usize> {
    scores: [Lanes<T>; D],
    squares: Lanes<T>,
    weights: Lanes<T>,
}

/// Short loops one after the other, each over a strip in local arrays: one loop would be a single chain of some two hundred cycles
/// a vector, of which too few fit into a processor's window.
#[inline(always)]
pub(super) fn small_rows<T: Real, const D: usize, const K: usize>((spectra, piece): (&Spectra<T>, Piece<T>)) {
    let unit = |i: usize, j: usize| if i == j { T::ONE } else { T::ZERO };
    let parts: [Part<T, D>; K] = from_fn(|k| {
        let component = &spectra.components[k];
        let vector = |i, j| {
            let vectors = component.vectors.as_ref();
            vectors.map_or(unit(i, j), |vectors| vectors[i * D + j])
        };
        Part {
            weight: component.weight,
            mean: from_fn(|d| component.mean[d]),
            values: from_fn(|d| component.values[d]),
            vectors: from_fn(|i| from_fn(|j| vector(i, j))),
        }
    });
    let mut largest = T::ZERO;
    for value in parts.iter().flat_map(|part| &part.values) {
        largest = if *value > largest { *value } else { largest };
    }
    let half_log2_e = T::from_f64(0.5 * std::f64::consts::LOG2_E);
    let zero = [T::ZERO; STRIP];
    let mut shares = [Share {
        scores: [zero; D],
        squares: zero,
        weights: zero,
    }; K];
    for from in (0..piece.var.len()).step_by(STRIP) {
        let n = STRIP.min(piece.var.len() - from);
        let at = piece.start + from;
        let (mut scale, mut square) = (zero, zero);
        let mut x = [zero; D];
        for d in 0..D {
            x[d] = fill(&piece.x[d * piece.rows + at..][..n], |x| x);
        }
        let m = fill(&piece.mean_coef[from..from + n], T::from_f64);
        let mut v = fill(&piece.var[from..from + n], T::from_f64);
        for r in 0..STRIP {
            scale[r] = (m[r] * m[r] * largest + v[r]).exponent_scale();
            square[r] = m[r] * m[r] * scale[r];
            v[r] *= scale[r];
        }
        for (part, share) in parts.iter().zip(&mut shares) {
            component(part, &x, &m, [&square, &v], share);
        }
        let mut smallest = shares[0].squares;
        for share in &shares[1..] {
            for r in 0..STRIP {
                let square = share.squares[r];
                smallest[r] = if square < smallest[r] { square } else { smallest[r] };
            }
        }
        let mut total = zero;
        for share in &mut shares {
            for r in 0..STRIP {
                let exponent = half_log2_e * scale[r] * (smallest[r] - share.squares[r]);
                share.weights[r] *= exponent.exp2_nonpositive();
                total[r] += share.weights[r];
            }
        }
        for r in 0..STRIP {
            scale[r] = -scale[r] / total[r];
        }
        for d in 0..D {
            let mut score = zero;
            for r in 0..STRIP {
                let mut sum = shares[0].weights[r] * shares[0].scores[d][r];
                for k in 1..K {
                    sum += shares[k].weights[r] * shares[k].scores[d][r];
                }
                score[r] = sum * scale[r];
            }
            let out = &mut piece.out[d * piece.rows + at..][..n];
            match out.first_chunk_mut() {
                Some(whole) => *whole = score,
                None => (0..n).for_each(|r| out[r] = score[r]),
            }
        }
    }
}

#[inline(always)]
fn component<T: Real, const D: usize>(
    part: &Part<T, D>,
    x: &[Lanes<T>; D],
    m: &Lanes<T>,
    [square, v]: [&Lanes<T>; 2],
    out: &mut Share<T, D>,
) {
    for r in 0..STRIP {
        let (mut u, mut noised) = ([T::ZERO; D], [T::ZERO; D]);
        for i in 0..D {
            let mut sum = part.vectors[0][i] * (x[0][r] - m[r] * part.mean[0]);
            for j in 1..D {
                sum += part.vectors[j][i] * (x[j][r] - m[r] * part.mean[j]);
            }
            u[i] = sum;
            noised[i] = square[r] * part.values[i] + v[r];
        }
        let mut product = noised[0];
        for i in 1..D {
            product *= noised[i];
        }
        let inverse = T::ONE / product;
        let mut y = [T::ZERO; D];
        let mut squares = T::ZERO;
        for i in 0..D {
            y[i] = u[i] * inverse;
            for j in 0..D {
                if j != i {
                    y[i] *= noised[j];
                }
            }
            squares += u[i] * y[i];
        }
        for i in 0..D {
            let mut sum = part.vectors[i][0] * y[0];
            for j in 1..D {
                sum += part.vectors[i][j] * y[j];
            }
            out.scores[i][r] = sum;
        }
        out.squares[r] = squares;
        out.weights[r] = part.weight * inverse.sqrt();
    }
}

/// The numbers of a strip, filled up with the last one: loops of a fixed length have no remainder, which would take as long as the
/// rest.
#[inline(always)]
fn fill<F: Copy, T: Real>(values: &[F], cast: impl Fn(F) -> T) -> Lanes<T> {
    let mut out = [cast(values[values.len() - 1]); STRIP];
    match values.first_chunk::<STRIP>() {
        Some(whole) => {
            for r in 0..STRIP {
                out[r] = cast(whole[r]);
            }
        }
        None => {
            for (out, value) in out.iter_mut().zip(values) {
                *out = cast(*value);
            }
        }
    }
    out
}
