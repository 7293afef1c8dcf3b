//! Kernels of the mixture score for one time: rows in lanes, coefficients as scalars.
//!
//! With `y_k = W_k (x - m_k)` the score is `-sum_k r_k W_k^T y_k`, `r = softmax_k(log_weight_k - |y_k|^2)` in base 2
//! after the scaling of [`Coefs`]; the largest exponent is subtracted first, and one division a row ends it.

#![allow(
    clippy::needless_range_loop,
    reason = "index loops are what the vectoriser reads best"
)]

use std::array::from_fn;

use super::coefs::Coefs;
use crate::real::Real;

/// Undoes the scaling of both factors of the precision: `W^T W` is held times `log2(e)/2`.
pub(super) const UNSCALE: f64 = -2.0 * std::f64::consts::LN_2;
/// Rows that the general kernels take at a time.
pub(super) const LANES: usize = 64;

/// Batch in and out: planes of `rows` values.
pub(super) type Batch<'a, T> = (&'a [T], &'a mut [T], usize);

/// Few components in few dimensions: everything in registers.
#[inline(always)]
pub(super) fn small<T: Real, const D: usize, const K: usize>((coefs, (x, out, rows)): (&Coefs<T>, Batch<T>)) {
    let log_weights: [T; K] = from_fn(|k| coefs.log_weights[k]);
    let mut means = [[T::ZERO; D]; K];
    let mut factors = [[[T::ZERO; D]; D]; K];
    for (k, part) in coefs.parts.chunks_exact(coefs.stride()).enumerate().take(K) {
        means[k].copy_from_slice(&part[..D]);
        let mut at = D;
        for i in 0..D {
            for j in 0..=i {
                factors[k][i][j] = match (coefs.isotropic, i == j) {
                    (true, true) => part[D],
                    (true, false) => T::ZERO,
                    (false, _) => part[at],
                };
                at += 1;
            }
        }
    }
    let unscale = T::from_f64(UNSCALE);
    let x: [&[T]; D] = from_fn(|d| &x[d * rows..(d + 1) * rows]);
    let mut planes = out.chunks_exact_mut(rows);
    let out: [&mut [T]; D] = from_fn(|_| planes.next().expect("a plane for each dimension"));
    for r in 0..rows {
        let mut y = [[T::ZERO; D]; K];
        let mut exponents = log_weights;
        for k in 0..K {
            for i in 0..D {
                let mut sum = factors[k][i][0] * (x[0][r] - means[k][0]);
                for j in 1..=i {
                    sum += factors[k][i][j] * (x[j][r] - means[k][j]);
                }
                y[k][i] = sum;
                exponents[k] -= sum * sum;
            }
        }
        let mut largest = exponents[0];
        for k in 1..K {
            largest = if exponents[k] > largest {
                exponents[k]
            } else {
                largest
            };
        }
        let mut total = T::ZERO;
        let mut score = [T::ZERO; D];
        for k in 0..K {
            let weight = if K == 1 {
                T::ONE
            } else {
                (exponents[k] - largest).exp2_nonpositive()
            };
            total += weight;
            for j in 0..D {
                let mut sum = factors[k][j][j] * y[k][j];
                for i in j + 1..D {
                    sum += factors[k][i][j] * y[k][i];
                }
                score[j] += weight * sum;
            }
        }
        let scale = unscale / total;
        for d in 0..D {
            out[d][r] = score[d] * scale;
        }
    }
}

/// Full covariances, any number, any dimension. `y` holds a lane block for each component and dimension, `weights`
/// one for each component.
#[allow(clippy::type_complexity)]
#[inline(always)]
pub(super) fn full<T: Real>(
    (coefs, (x, out, rows), y, weights): (&Coefs<T>, Batch<T>, &mut [[T; LANES]], &mut [[T; LANES]]),
) {
    let (dim, stride) = (coefs.dim, coefs.stride());
    let unscale = T::from_f64(UNSCALE);
    for start in (0..rows).step_by(LANES) {
        let n = LANES.min(rows - start);
        for (k, part) in coefs.parts.chunks_exact(stride).enumerate() {
            let mut exponent = [coefs.log_weights[k]; LANES];
            let mut at = dim;
            for i in 0..dim {
                let mut sum = [T::ZERO; LANES];
                for j in 0..=i {
                    let (w, mean) = (part[at], part[j]);
                    at += 1;
                    let x = block(x, j * rows + start, n);
                    for l in 0..LANES {
                        sum[l] += w * (x[l] - mean);
                    }
                }
                for l in 0..LANES {
                    exponent[l] -= sum[l] * sum[l];
                }
                y[k * dim + i] = sum;
            }
            weights[k] = exponent;
        }
        let total = softmax(weights);
        let mut scale = [T::ZERO; LANES];
        for l in 0..LANES {
            scale[l] = unscale / total[l];
        }
        for (k, weight) in weights.iter().enumerate() {
            for y in &mut y[k * dim..(k + 1) * dim] {
                for l in 0..LANES {
                    y[l] *= weight[l];
                }
            }
        }
        for j in 0..dim {
            let mut sum = [T::ZERO; LANES];
            for (k, part) in coefs.parts.chunks_exact(stride).enumerate() {
                for i in j..dim {
                    let w = part[dim + i * (i + 1) / 2 + j];
                    for l in 0..LANES {
                        sum[l] += w * y[k * dim + i][l];
                    }
                }
            }
            for l in 0..LANES {
                sum[l] *= scale[l];
            }
            out[j * rows + start..j * rows + start + n].copy_from_slice(&sum[..n]);
        }
    }
}

/// `n` values from `at` on, filled up with the last one so that idle lanes compute something harmless.
#[inline(always)]
pub(super) fn block<T: Real>(x: &[T], at: usize, n: usize) -> [T; LANES] {
    let x = &x[at..at + n];
    match x.try_into() {
        Ok(whole) => whole,
        Err(_) => {
            let mut filled = [x[n - 1]; LANES];
            filled[..n].copy_from_slice(x);
            filled
        }
    }
}

/// Exponents of 2 to weights relative to the largest one; returns their sum.
#[inline(always)]
pub(super) fn softmax<T: Real, const L: usize>(exponents: &mut [[T; L]]) -> [T; L] {
    let mut largest = exponents[0];
    for exponent in &exponents[1..] {
        for l in 0..L {
            largest[l] = if exponent[l] > largest[l] {
                exponent[l]
            } else {
                largest[l]
            };
        }
    }
    let mut total = [T::ZERO; L];
    for exponent in exponents {
        for l in 0..L {
            exponent[l] = (exponent[l] - largest[l]).exp2_nonpositive();
            total[l] += exponent[l];
        }
    }
    total
}
