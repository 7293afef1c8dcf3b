//! Dense lower-triangular algebra for small symmetric positive definite matrices, row-major.

/// The lower Cholesky factor `L`, `A = L L^T`, or the index of the first pivot that is not positive. Reads
/// the lower triangle only.
pub(super) fn factor(a: &[f64], dim: usize) -> Result<Vec<f64>, usize> {
    let mut l = vec![0.0; dim * dim];
    for i in 0..dim {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| l[i * dim + k] * l[j * dim + k]).sum();
            let rest = a[i * dim + j] - dot;
            if i == j {
                if !(rest.is_finite() && rest > 0.0) {
                    return Err(i);
                }
                l[i * dim + i] = rest.sqrt();
            } else {
                l[i * dim + j] = rest / l[j * dim + j];
            }
        }
    }
    Ok(l)
}

/// The inverse of a lower-triangular matrix.
pub(super) fn invert(l: &[f64], dim: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; dim * dim];
    for j in 0..dim {
        inverse[j * dim + j] = 1.0 / l[j * dim + j];
        for i in j + 1..dim {
            let dot: f64 = (j..i).map(|k| l[i * dim + k] * inverse[k * dim + j]).sum();
            inverse[i * dim + j] = -dot / l[i * dim + i];
        }
    }
    inverse
}

/// `out <- L x` for lower-triangular `L`.
pub(super) fn lower_times(l: &[f64], x: &[f64], out: &mut [f64]) {
    let dim = x.len();
    for i in 0..dim {
        out[i] = (0..=i).map(|k| l[i * dim + k] * x[k]).sum();
    }
}

/// `out <- L^T x` for lower-triangular `L`.
pub(super) fn lower_transposed_times(l: &[f64], x: &[f64], out: &mut [f64]) {
    let dim = x.len();
    for i in 0..dim {
        out[i] = (i..dim).map(|k| l[k * dim + i] * x[k]).sum();
    }
}

/// `out <- A x`.
pub(super) fn matrix_times(a: &[f64], x: &[f64], out: &mut [f64]) {
    for (row, out) in a.chunks_exact(x.len()).zip(out) {
        *out = row.iter().zip(x).map(|(a, x)| a * x).sum();
    }
}
