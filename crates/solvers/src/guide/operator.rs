//! Linear measurements of a row, `y = A x`.

use std::fmt::Debug;

use super::work::refuse_value;
use crate::SolveError;
use crate::score::eigen;

/// A linear map `A` from a row to what is measured of it. Slices have the lengths that the operator states.
pub trait LinearOperator: Send + Sync + Debug {
    /// Values of a row, `dim`.
    fn input_len(&self) -> usize;

    /// Values of a measurement.
    fn output_len(&self) -> usize;

    /// `out <- A x`.
    fn apply(&self, x: &[f64], out: &mut [f64]);

    /// `out <- A^T y`.
    fn adjoint(&self, y: &[f64], out: &mut [f64]);

    /// `y <- (a A A^T + b I)^+ y` for `a, b >= 0`, the pseudoinverse where the matrix is singular. `work` is memory.
    fn solve(&self, a: f64, b: f64, y: &mut [f64], work: &mut Vec<f64>);
}

/// A map with orthonormal rows, `A A^T = I`: some coordinates of an orthonormal transform. Then `A x` can be replaced without a change
/// to what is orthogonal to it.
pub trait OrthonormalRows: LinearOperator {
    /// `x <- x + A^T (y - A x)`: afterwards `A x = y`. `work` is memory.
    fn replace(&self, y: &[f64], x: &mut [f64], work: &mut Vec<f64>) {
        let (m, n) = (self.output_len(), self.input_len());
        work.clear();
        work.resize(m + n, 0.0);
        let (missing, back) = work.split_at_mut(m);
        self.apply(x, missing);
        missing.iter_mut().zip(y).for_each(|(at, y)| *at = y - *at);
        self.adjoint(missing, back);
        x.iter_mut().zip(back).for_each(|(x, back)| *x += *back);
    }
}

/// `y <- (a + b)^+ y`, what [`LinearOperator::solve`] is for orthonormal rows.
fn divide(sum: f64, y: &mut [f64]) {
    let factor = if sum > 0.0 { 1.0 / sum } else { 0.0 };
    y.iter_mut().for_each(|y| *y *= factor);
}

/// Some coordinates of a row as they are: inpainting. `y` holds the known values in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    dim: usize,
    known: Vec<usize>,
}

impl Mask {
    /// The coordinates that are known.
    ///
    /// # Errors
    /// [`SolveError::Config`] at `guide.mask` where nothing is known.
    pub fn new(known: &[bool]) -> Result<Self, SolveError> {
        Ok(Self {
            dim: known.len(),
            known: places(known)?,
        })
    }
}

fn places(known: &[bool]) -> Result<Vec<usize>, SolveError> {
    let places: Vec<usize> = (0..known.len()).filter(|at| known[*at]).collect();
    if places.is_empty() {
        let reason = "nothing is known: run the sampler without guidance";
        return Err(refuse_value(
            "mask",
            format!("{} values, all unknown", known.len()),
            reason,
        ));
    }
    Ok(places)
}

impl LinearOperator for Mask {
    fn input_len(&self) -> usize {
        self.dim
    }

    fn output_len(&self) -> usize {
        self.known.len()
    }

    fn apply(&self, x: &[f64], out: &mut [f64]) {
        out.iter_mut()
            .zip(&self.known)
            .for_each(|(out, at)| *out = x[*at]);
    }

    fn adjoint(&self, y: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        y.iter().zip(&self.known).for_each(|(y, at)| out[*at] = *y);
    }

    fn solve(&self, a: f64, b: f64, y: &mut [f64], _work: &mut Vec<f64>) {
        divide(a + b, y);
    }
}

impl OrthonormalRows for Mask {
    /// Known coordinates are set, to the bit.
    fn replace(&self, y: &[f64], x: &mut [f64], _work: &mut Vec<f64>) {
        y.iter().zip(&self.known).for_each(|(y, at)| x[*at] = *y);
    }
}

/// Some coordinates of a row after an orthonormal rotation of its channels: colourisation, where the mean over the channels is known.
///
/// A row is `channels` planes of equally many pixels; at each pixel the vector of channels is multiplied by an orthonormal matrix, and
/// `known` (in the layout of the row) tells which of the results are measured. With as many channels as values the matrix acts on the whole
/// row. Source: Song et al. 2021, arXiv:2011.13456, appendix I.2.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotated {
    channels: usize,
    pixels: usize,
    /// Row-major, orthonormal.
    matrix: Vec<f64>,
    known: Vec<usize>,
}

impl Rotated {
    /// The rotation by a row-major matrix `[channels, channels]`, and what is known after it.
    ///
    /// # Errors
    /// [`SolveError::Config`] at `guide.matrix` where it is not orthonormal (to 1e-10), and at `guide.mask` where nothing is known or
    /// the length is no multiple of the channels.
    pub fn new(matrix: &[f64], channels: usize, known: &[bool]) -> Result<Self, SolveError> {
        if channels == 0 || matrix.len() != channels * channels {
            let reason = format!("must be {channels} x {channels}, with at least one channel");
            return Err(refuse_value(
                "matrix",
                format!("{} entries", matrix.len()),
                reason,
            ));
        }
        if !known.len().is_multiple_of(channels) {
            let reason = format!("a row must hold as many values for each of the {channels} channels");
            return Err(refuse_value("mask", format!("{} values", known.len()), reason));
        }
        for i in 0..channels {
            for j in 0..=i {
                let row = |k: usize| &matrix[k * channels..(k + 1) * channels];
                let dot: f64 = row(i).iter().zip(row(j)).map(|(a, b)| a * b).sum();
                let error = (dot - if i == j { 1.0 } else { 0.0 }).abs();
                if error.is_nan() || error > 1e-10 {
                    let value = format!("rows {i} and {j} have the product {dot}");
                    return Err(refuse_value("matrix", value, "its rows must be orthonormal"));
                }
            }
        }
        Ok(Self {
            channels,
            pixels: known.len() / channels,
            matrix: matrix.to_vec(),
            known: places(known)?,
        })
    }

    /// The grey value of each of `pixels` pixels, `sum_c x_c/sqrt(channels)` (so `sqrt(channels)` times the mean over the channels).
    ///
    /// # Errors
    /// As [`Rotated::new`].
    pub fn grey(channels: usize, pixels: usize) -> Result<Self, SolveError> {
        // The reflection that swaps the first axis and the grey one: I - 2 v v^T/|v|^2, v = e_1 - u.
        let grey = 1.0 / (channels as f64).sqrt();
        let v = |c: usize| if c == 0 { 1.0 - grey } else { -grey };
        let length_sq: f64 = (0..channels).map(|c| v(c) * v(c)).sum();
        let matrix: Vec<f64> = (0..channels * channels)
            .map(|at| (at / channels, at % channels))
            .map(|(i, j)| {
                let reflected = if length_sq > 0.0 {
                    2.0 * v(i) * v(j) / length_sq
                } else {
                    0.0
                };
                f64::from(u8::from(i == j)) - reflected
            })
            .collect();
        let known: Vec<bool> = (0..channels * pixels).map(|at| at < pixels).collect();
        Self::new(&matrix, channels, &known)
    }
}

impl LinearOperator for Rotated {
    fn input_len(&self) -> usize {
        self.channels * self.pixels
    }

    fn output_len(&self) -> usize {
        self.known.len()
    }

    fn apply(&self, x: &[f64], out: &mut [f64]) {
        for (out, at) in out.iter_mut().zip(&self.known) {
            let (channel, pixel) = (at / self.pixels, at % self.pixels);
            let row = &self.matrix[channel * self.channels..(channel + 1) * self.channels];
            *out = row
                .iter()
                .enumerate()
                .map(|(c, m)| m * x[c * self.pixels + pixel])
                .sum();
        }
    }

    fn adjoint(&self, y: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        for (y, at) in y.iter().zip(&self.known) {
            let (channel, pixel) = (at / self.pixels, at % self.pixels);
            let row = &self.matrix[channel * self.channels..(channel + 1) * self.channels];
            for (c, m) in row.iter().enumerate() {
                out[c * self.pixels + pixel] += m * y;
            }
        }
    }

    fn solve(&self, a: f64, b: f64, y: &mut [f64], _work: &mut Vec<f64>) {
        divide(a + b, y);
    }
}

impl OrthonormalRows for Rotated {}

/// Any matrix, for small problems: `A A^T` is diagonalised once, cubic in the number of its rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    dim: usize,
    values: Vec<f64>,
    /// Eigenvalues of `A A^T`, and its eigenvectors in columns.
    squares: Vec<f64>,
    vectors: Vec<f64>,
}

impl Matrix {
    /// The row-major matrix `[outputs, dim]`.
    ///
    /// # Errors
    /// [`SolveError::Config`] at `guide.matrix` where it has no entries, entries that are not finite, or no whole number of rows.
    pub fn new(values: &[f64], dim: usize) -> Result<Self, SolveError> {
        let refuse = |value: String, reason: &str| Err(refuse_value("matrix", value, reason));
        if values.is_empty() || dim == 0 || !values.len().is_multiple_of(dim) {
            return refuse(
                format!("{} entries", values.len()),
                "must be whole rows, at least one",
            );
        }
        if let Some(bad) = values.iter().find(|value| !value.is_finite()) {
            return refuse(bad.to_string(), "its entries must be finite");
        }
        let outputs = values.len() / dim;
        let row = |k: usize| &values[k * dim..(k + 1) * dim];
        let gram: Vec<f64> = (0..outputs * outputs)
            .map(|at| {
                row(at / outputs)
                    .iter()
                    .zip(row(at % outputs))
                    .map(|(a, b)| a * b)
                    .sum()
            })
            .collect();
        let (mut squares, vectors) = eigen::symmetric(&gram, outputs);
        let largest = squares.iter().copied().fold(0.0, f64::max);
        // What is rounding of zero is zero.
        for square in &mut squares {
            if *square <= 1e-14 * largest {
                *square = 0.0;
            }
        }
        Ok(Self {
            dim,
            values: values.to_vec(),
            squares,
            vectors,
        })
    }
}

impl LinearOperator for Matrix {
    fn input_len(&self) -> usize {
        self.dim
    }

    fn output_len(&self) -> usize {
        self.squares.len()
    }

    fn apply(&self, x: &[f64], out: &mut [f64]) {
        for (row, out) in self.values.chunks_exact(self.dim).zip(out) {
            *out = row.iter().zip(x).map(|(a, x)| a * x).sum();
        }
    }

    fn adjoint(&self, y: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        for (row, y) in self.values.chunks_exact(self.dim).zip(y) {
            out.iter_mut().zip(row).for_each(|(out, a)| *out += a * y);
        }
    }

    fn solve(&self, a: f64, b: f64, y: &mut [f64], work: &mut Vec<f64>) {
        let count = self.squares.len();
        work.clear();
        work.resize(count, 0.0);
        for (k, turned) in work.iter_mut().enumerate() {
            *turned = (0..count).map(|i| self.vectors[i * count + k] * y[i]).sum();
            divide(a * self.squares[k] + b, std::slice::from_mut(turned));
        }
        for (i, y) in y.iter_mut().enumerate() {
            *y = (0..count).map(|k| self.vectors[i * count + k] * work[k]).sum();
        }
    }
}
