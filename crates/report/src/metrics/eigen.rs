//! Eigenvalues of a real symmetric matrix: Householder reduction to tridiagonal form, then the implicit QL
//! iteration with Wilkinson's shift (J. H. Wilkinson and C. Reinsch, Handbook for Automatic Computation,
//! vol. II, Linear Algebra, 1971, contributions II/2 and II/4; G. H. Golub and C. F. Van Loan, Matrix
//! Computations, sections 8.3.1 and 8.3.3).
//!
//! The two functions here need about 3 n^3 and 8 n^3 operations without and with eigenvectors, which for
//! images of some thousand values is seconds; a linear algebra library would be the crate's largest
//! dependency.

/// The eigenvalues of a symmetric matrix, and the orthonormal eigenvectors if they were asked for.
pub(super) struct Eigen {
    /// Eigenvalues in no particular order.
    pub values: Vec<f64>,
    /// Row `k` is the unit eigenvector of `values[k]`; empty if not asked for.
    pub vectors: Vec<Vec<f64>>,
}

/// Decomposes a symmetric matrix given as rows. `None` if it holds a value that is not finite (the only way
/// in which the iteration, which converges for every symmetric matrix, could run on).
pub(super) fn symmetric_eigen(matrix: Vec<Vec<f64>>, with_vectors: bool) -> Option<Eigen> {
    if matrix.iter().flatten().any(|value| !value.is_finite()) {
        return None;
    }
    let (mut diagonal, mut off_diagonal, mut vectors) = tridiagonalise(matrix, with_vectors);
    implicit_ql(&mut diagonal, &mut off_diagonal, &mut vectors)?;
    Some(Eigen {
        values: diagonal,
        vectors,
    })
}

/// Reduces A to T = Q^T A Q. Returns T's diagonal, its subdiagonal (last entry 0), and the rows of Q^T.
fn tridiagonalise(mut a: Vec<Vec<f64>>, with_vectors: bool) -> (Vec<f64>, Vec<f64>, Vec<Vec<f64>>) {
    let n = a.len();
    let mut subdiagonal = vec![0.0; n];
    // Householder vector k acts on the coordinates k + 1 .. n: H = I - factor v v^T.
    let mut reflections: Vec<(Vec<f64>, f64)> = Vec::with_capacity(n.saturating_sub(2));
    for k in 0..n.saturating_sub(1) {
        let column: Vec<f64> = a[k + 1..].iter().map(|row| row[k]).collect();
        let (v, factor, length) = reflection(column);
        subdiagonal[k] = length;
        if factor != 0.0 {
            reflect_both_sides(&mut a, k + 1, &v, factor);
        }
        reflections.push((v, factor));
    }
    let diagonal = (0..n).map(|k| a[k][k]).collect();
    let mut vectors = Vec::new();
    if with_vectors {
        vectors = (0..n)
            .map(|i| (0..n).map(|j| if i == j { 1.0 } else { 0.0 }).collect())
            .collect();
        // Q^T = H_last ... H_1 H_0, applied to the identity: built from the left in the order of the vectors,
        // as a product of rows: Q = H_0 H_1 ..., so each row of Q^T is a column of Q.
        for (k, (v, factor)) in reflections.iter().enumerate().rev() {
            apply_to_columns(&mut vectors, k + 1, v, *factor);
        }
        transpose(&mut vectors);
    }
    (diagonal, subdiagonal, vectors)
}

/// v and factor with (I - factor v v^T) x = (length, 0, 0, ...).
fn reflection(mut x: Vec<f64>) -> (Vec<f64>, f64, f64) {
    let scale = x.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
    if x.len() < 2 || x[1..].iter().all(|&value| value == 0.0) {
        let first = x.first().copied().unwrap_or(0.0);
        return (x, 0.0, first);
    }
    // Scaled, so that the squares neither overflow nor vanish.
    x.iter_mut().for_each(|value| *value /= scale);
    let norm = x.iter().map(|value| value * value).sum::<f64>().sqrt();
    // The sign that avoids cancellation.
    let length = if x[0] > 0.0 { -norm } else { norm };
    x[0] -= length;
    let factor = 2.0 / x.iter().map(|value| value * value).sum::<f64>();
    (x, factor, length * scale)
}

/// A <- H A H on the trailing block that starts at `start` (Golub and Van Loan, algorithm 8.3.1).
fn reflect_both_sides(a: &mut [Vec<f64>], start: usize, v: &[f64], factor: f64) {
    let p: Vec<f64> = a[start..]
        .iter()
        .map(|row| factor * dot(&row[start..], v))
        .collect();
    let half = 0.5 * factor * dot(&p, v);
    let w: Vec<f64> = p.iter().zip(v).map(|(p, v)| p - half * v).collect();
    for (row, (&v_i, &w_i)) in a[start..].iter_mut().zip(v.iter().zip(&w)) {
        for (value, (&v_j, &w_j)) in row[start..].iter_mut().zip(v.iter().zip(&w)) {
            *value -= v_i * w_j + w_i * v_j;
        }
    }
}

/// M <- H M on the rows from `start` on.
fn apply_to_columns(m: &mut [Vec<f64>], start: usize, v: &[f64], factor: f64) {
    if factor == 0.0 {
        return;
    }
    let mut sums = vec![0.0; m.len()];
    for (row, &v_i) in m[start..].iter().zip(v) {
        sums.iter_mut()
            .zip(row)
            .for_each(|(sum, value)| *sum += v_i * value);
    }
    for (row, &v_i) in m[start..].iter_mut().zip(v) {
        row.iter_mut()
            .zip(&sums)
            .for_each(|(value, sum)| *value -= factor * v_i * sum);
    }
}

fn transpose(m: &mut [Vec<f64>]) {
    for i in 0..m.len() {
        let (upper, lower) = m.split_at_mut(i + 1);
        for (j, row) in lower.iter_mut().enumerate() {
            std::mem::swap(&mut upper[i][i + 1 + j], &mut row[i]);
        }
    }
}

/// Four sums side by side, which the processor can keep in one vector; a fixed order, so a fixed result.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let (a_blocks, b_blocks) = (a.chunks_exact(4), b.chunks_exact(4));
    let tail: f64 = a_blocks
        .remainder()
        .iter()
        .zip(b_blocks.remainder())
        .map(|(a, b)| a * b)
        .sum();
    for (a, b) in a_blocks.zip(b_blocks) {
        for lane in 0..4 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + tail
}

/// Diagonalises a tridiagonal matrix in place and rotates the rows of `vectors` with it. The iteration takes
/// about two sweeps for each eigenvalue; `None` after fifty.
fn implicit_ql(d: &mut [f64], e: &mut [f64], vectors: &mut [Vec<f64>]) -> Option<()> {
    let n = d.len();
    // A subdiagonal entry below the rounding of the whole matrix is zero; without this absolute part a matrix
    // of low rank, whose neighbours d[m] are all noise, converges slowly.
    let norm = (0..n).fold(0.0f64, |largest, k| largest.max(d[k].abs() + e[k].abs()));
    let negligible = f64::EPSILON * norm * 1e-3;
    for l in 0..n {
        for sweep in 0.. {
            let is_split = |k: usize| e[k].abs() <= f64::EPSILON * (d[k].abs() + d[k + 1].abs()) + negligible;
            let m = (l..n - 1).find(|&k| is_split(k)).unwrap_or(n - 1);
            if m == l {
                break;
            }
            if sweep == 50 {
                return None;
            }
            let mut g = (d[l + 1] - d[l]) / (2.0 * e[l]);
            let root = g.hypot(1.0);
            g = d[m] - d[l] + e[l] / (g + root.copysign(g));
            let (mut sine, mut cosine, mut shift) = (1.0, 1.0, 0.0);
            let mut deflated = false;
            for i in (l..m).rev() {
                let f = sine * e[i];
                let b = cosine * e[i];
                let radius = f.hypot(g);
                e[i + 1] = radius;
                if radius == 0.0 {
                    // The matrix has split under way.
                    d[i + 1] -= shift;
                    e[m] = 0.0;
                    deflated = true;
                    break;
                }
                sine = f / radius;
                cosine = g / radius;
                g = d[i + 1] - shift;
                let r = (d[i] - g) * sine + 2.0 * cosine * b;
                shift = sine * r;
                d[i + 1] = g + shift;
                g = cosine * r - b;
                rotate(vectors, i, sine, cosine);
            }
            if !deflated {
                d[l] -= shift;
                e[l] = g;
                e[m] = 0.0;
            }
        }
    }
    Some(())
}

/// Turns rows i and i + 1 by one Givens rotation.
fn rotate(vectors: &mut [Vec<f64>], i: usize, sine: f64, cosine: f64) {
    if let [low, high] = &mut vectors.get_mut(i..i + 2).unwrap_or_default() {
        for (low, high) in low.iter_mut().zip(high) {
            let f = *high;
            *high = sine * *low + cosine * f;
            *low = cosine * *low - sine * f;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(matrix: &[Vec<f64>]) -> Vec<f64> {
        let n = matrix.len();
        let norm = matrix
            .iter()
            .flatten()
            .fold(0.0f64, |largest, v| largest.max(v.abs()))
            * n as f64;
        let eigen = symmetric_eigen(matrix.to_vec(), true).expect("finite");
        for (k, (value, vector)) in eigen.values.iter().zip(&eigen.vectors).enumerate() {
            for (row, entry) in matrix.iter().zip(vector) {
                let residual = (dot(row, vector) - value * entry).abs();
                assert!(
                    residual <= 1e-13 * norm,
                    "A v - lambda v = {residual:e} of norm {norm:e}"
                );
            }
            for (j, other) in eigen.vectors.iter().enumerate() {
                let expected = if j == k { 1.0 } else { 0.0 };
                assert!(
                    (dot(vector, other) - expected).abs() < 1e-13 * (n as f64 + 10.0),
                    "not orthonormal"
                );
            }
        }
        let mut values = eigen.values;
        let mut alone = symmetric_eigen(matrix.to_vec(), false).expect("finite").values;
        values.sort_by(f64::total_cmp);
        alone.sort_by(f64::total_cmp);
        for (a, b) in values.iter().zip(&alone) {
            assert!((a - b).abs() <= 1e-13 * norm);
        }
        values
    }

    #[test]
    fn known_spectra() {
        assert_eq!(check(&[vec![3.0]]), [3.0]);
        let values = check(&[vec![2.0, 1.0], vec![1.0, 2.0]]);
        assert!((values[0] - 1.0).abs() < 1e-15 && (values[1] - 3.0).abs() < 1e-15);
        assert_eq!(check(&vec![vec![0.0; 5]; 5]), [0.0; 5]);
        // The second-difference matrix: lambda_k = 2 - 2 cos(pi k / (n + 1)).
        let n = 40;
        let entry = |i: usize, j: usize| match i.abs_diff(j) {
            0 => 2.0,
            1 => -1.0,
            _ => 0.0,
        };
        let matrix: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect();
        for (k, value) in check(&matrix).iter().enumerate() {
            let expected = 2.0 - 2.0 * (std::f64::consts::PI * (k + 1) as f64 / (n + 1) as f64).cos();
            assert!((value - expected).abs() < 1e-13, "{value} against {expected}");
        }
        // All ones: eigenvalue n once and 0 for the rest.
        let values = check(&vec![vec![1.0; 30]; 30]);
        assert!((values[29] - 30.0).abs() < 1e-12 && values[..29].iter().all(|v| v.abs() < 1e-13));
        assert!(symmetric_eigen(vec![vec![f64::NAN]], true).is_none());
        assert!(symmetric_eigen(Vec::new(), true).is_some());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn any_symmetric_matrix(n in 1usize..14, rank in 1usize..14, scale in -100i32..100,
                                entries in prop::collection::vec(-1.0f64..1.0, 14 * 14)) {
            // A sum of `rank` outer products with both signs.
            let mut matrix = vec![vec![0.0; n]; n];
            for k in 0..rank {
                let v = &entries[k * 14..k * 14 + n];
                let sign = if k % 2 == 0 { 10f64.powi(scale) } else { -10f64.powi(scale) };
                for i in 0..n {
                    for j in 0..n {
                        matrix[i][j] += sign * v[i] * v[j];
                    }
                }
            }
            check(&matrix);
        }
    }
}
