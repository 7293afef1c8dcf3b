//! Eigenvalues and eigenvectors of a small symmetric matrix by cyclic Jacobi rotations
//! (Golub and Van Loan, Matrix Computations, section 8.5).

#![allow(
    clippy::needless_range_loop,
    reason = "index loops are what the vectoriser reads best"
)]

/// `A = V diag(values) V^T`, `A` symmetric and row-major. Returns the eigenvalues and `V`, row-major, eigenvectors in
/// its columns. Cubic in `dim` a sweep; some six to ten sweeps.
pub(crate) fn symmetric(a: &[f64], dim: usize) -> (Vec<f64>, Vec<f64>) {
    let mut a = a.to_vec();
    let mut v = vec![0.0; dim * dim];
    v.iter_mut().step_by(dim + 1).for_each(|value| *value = 1.0);
    // Convergence is quadratic; the bound only stops matrices that hold NaN.
    for _ in 0..50 {
        let mut rotated = false;
        for p in 0..dim {
            for q in p + 1..dim {
                let (app, aqq, apq) = (a[p * dim + p], a[q * dim + q], a[p * dim + q]);
                if apq.abs() <= f64::EPSILON * 1e-3 * (app.abs() * aqq.abs()).sqrt() {
                    continue;
                }
                rotated = true;
                let theta = (aqq - app) / (2.0 * apq);
                let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
                let c = 1.0 / t.hypot(1.0);
                rotate(&mut a, &mut v, dim, p, q, c, t * c);
            }
        }
        if !rotated {
            break;
        }
    }
    ((0..dim).map(|i| a[i * dim + i]).collect(), v)
}

/// `A <- J^T A J`, `V <- V J` with the rotation `J` in the plane of `p` and `q`.
fn rotate(a: &mut [f64], v: &mut [f64], dim: usize, p: usize, q: usize, c: f64, s: f64) {
    let turn = |m: &mut [f64], x: usize, y: usize| {
        let (from_p, from_q) = (m[x], m[y]);
        m[x] = c * from_p - s * from_q;
        m[y] = s * from_p + c * from_q;
    };
    for i in 0..dim {
        turn(a, i * dim + p, i * dim + q);
        turn(v, i * dim + p, i * dim + q);
    }
    for i in 0..dim {
        turn(a, p * dim + i, q * dim + i);
    }
}

#[cfg(test)]
mod tests {
    use super::symmetric;

    #[test]
    fn rebuilds_the_matrix_from_orthogonal_vectors() {
        for dim in [1, 2, 3, 8, 20] {
            let mut a = vec![0.0; dim * dim];
            for i in 0..dim {
                for j in 0..=i {
                    let value = ((i * 7 + j * 13) as f64).sin() + if i == j { 3.0 } else { 0.0 };
                    a[i * dim + j] = value;
                    a[j * dim + i] = value;
                }
            }
            let (values, v) = symmetric(&a, dim);
            for i in 0..dim {
                for j in 0..dim {
                    let rebuilt: f64 = (0..dim)
                        .map(|k| v[i * dim + k] * values[k] * v[j * dim + k])
                        .sum();
                    let gram: f64 = (0..dim).map(|k| v[k * dim + i] * v[k * dim + j]).sum();
                    assert!((rebuilt - a[i * dim + j]).abs() < 1e-13 * dim as f64);
                    assert!((gram - if i == j { 1.0 } else { 0.0 }).abs() < 1e-14 * dim as f64);
                }
            }
        }
    }
}
