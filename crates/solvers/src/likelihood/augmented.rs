//! A batch with running integrals beside each row.

use crate::{Coef, State, Tolerance};

/// Most terms of a linear combination that are added in one pass.
const FUSED: usize = 8;

/// A batch `x` and `width` integrals a row, `q[k * rows + row]`, always in `f64`. It is itself a [`State`], so that every integrator
/// moves both together; its error norm is the larger one of those of `x` and of `q`, so that the tolerance of the integrals does
/// not depend on the dimension.
#[derive(Debug, Clone)]
pub(super) struct Augmented<S> {
    /// The batch.
    pub x: S,
    /// The integrals.
    pub q: Vec<f64>,
}

impl<S: State> Augmented<S> {
    /// All integrals zero.
    pub fn new(x: S, width: usize) -> Self {
        let q = vec![0.0; x.rows() * width];
        Self { x, q }
    }

    fn width(&self) -> usize {
        self.q.len() / self.x.rows().max(1)
    }

    /// `q <- q + a other`, row by row.
    fn add(&mut self, a: Coef, other: &[f64]) {
        let rows = self.x.rows().max(1);
        for (q, other) in self.q.chunks_exact_mut(rows).zip(other.chunks_exact(rows)) {
            for (row, (q, other)) in q.iter_mut().zip(other).enumerate() {
                *q += a.at(row) * other;
            }
        }
    }
}

impl<S: State> State for Augmented<S> {
    const ROUNDING: f64 = S::ROUNDING;

    fn rows(&self) -> usize {
        self.x.rows()
    }

    fn row_len(&self) -> usize {
        self.x.row_len() + self.width()
    }

    fn zeros_like(&self) -> Self {
        Self {
            x: self.x.zeros_like(),
            q: vec![0.0; self.q.len()],
        }
    }

    fn copy_from(&mut self, src: &Self) {
        self.x.copy_from(&src.x);
        self.q.copy_from_slice(&src.q);
    }

    fn scale(&mut self, a: Coef) {
        self.x.scale(a);
        let rows = self.x.rows().max(1);
        for (at, q) in self.q.iter_mut().enumerate() {
            *q *= a.at(at % rows);
        }
    }

    fn axpy(&mut self, a: Coef, x: &Self) {
        self.x.axpy(a, &x.x);
        self.add(a, &x.q);
    }

    fn dot_rows(&self, other: &Self, out: &mut [f64]) {
        self.x.dot_rows(&other.x, out);
        for (at, (a, b)) in self.q.iter().zip(&other.q).enumerate() {
            out[at % self.x.rows()] += a * b;
        }
    }

    fn error_rows(&self, y0: &Self, y1: &Self, tol: Tolerance, out: &mut [f64]) {
        self.x.error_rows(&y0.x, &y1.x, tol, out);
        let (rows, width) = (self.x.rows(), self.width());
        for (row, out) in out.iter_mut().enumerate() {
            let mut sum = 0.0;
            for at in (0..width).map(|k| k * rows + row) {
                let (a, b) = (y0.q[at].abs(), y1.q[at].abs());
                let ratio = self.q[at] / (tol.atol + tol.rtol * if a.is_nan() { a } else { a.max(b) });
                sum += ratio * ratio;
            }
            let of_integrals = (sum / width.max(1) as f64).sqrt();
            if !out.is_nan() && (of_integrals > *out || of_integrals.is_nan()) {
                *out = of_integrals;
            }
        }
    }

    fn select_rows(&mut self, take: &[bool], src: &Self) {
        self.x.select_rows(take, &src.x);
        for (at, (q, from)) in self.q.iter_mut().zip(&src.q).enumerate() {
            if take[at % take.len()] {
                *q = *from;
            }
        }
    }

    fn fill_rows(&mut self, f: &mut dyn FnMut(usize, &mut [f64])) {
        let (rows, dim, width) = (self.x.rows(), self.x.row_len(), self.width());
        let mut staging = vec![0.0; dim + width];
        let q = &mut self.q;
        self.x.fill_rows(&mut |row, values| {
            f(row, &mut staging);
            values.copy_from_slice(&staging[..dim]);
            for (k, value) in staging[dim..].iter().enumerate() {
                q[k * rows + row] = *value;
            }
        });
    }

    fn read_rows(&self, f: &mut dyn FnMut(usize, &[f64])) {
        let (rows, dim, width) = (self.x.rows(), self.x.row_len(), self.width());
        let mut staging = vec![0.0; dim + width];
        self.x.read_rows(&mut |row, values| {
            staging[..dim].copy_from_slice(values);
            for (k, value) in staging[dim..].iter_mut().enumerate() {
                *value = self.q[k * rows + row];
            }
            f(row, &staging);
        });
    }

    fn lincomb(&mut self, terms: &[(Coef, &Self)]) {
        let (head, tail) = terms.split_at(terms.len().min(FUSED));
        if let Some((_, first)) = head.first() {
            let mut inner = [(Coef::All(0.0), &first.x); FUSED];
            for (slot, (a, term)) in inner.iter_mut().zip(head) {
                *slot = (*a, &term.x);
            }
            self.x.lincomb(&inner[..head.len()]);
        } else {
            self.x.lincomb(&[]);
        }
        self.q.fill(0.0);
        for (a, term) in head {
            self.add(*a, &term.q);
        }
        for (a, term) in tail {
            self.axpy(*a, term);
        }
    }

    fn first_non_finite_row(&self) -> Option<usize> {
        let of_integrals = (0..self.x.rows()).find(|row| {
            (self.q.iter().skip(*row))
                .step_by(self.x.rows())
                .any(|q| !q.is_finite())
        });
        match (self.x.first_non_finite_row(), of_integrals) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Augmented;
    use crate::{Coef, HostBatch, State, Tolerance};

    const ROWS: usize = 5;

    fn value(salt: usize) -> impl Fn(usize, usize) -> f64 {
        move |row, d| ((row * 31 + d * 7 + salt * 13) as f64).sin()
    }

    fn filled<S: State>(mut state: S, salt: usize) -> S {
        state.fill_rows(&mut |row, values| {
            for (d, slot) in values.iter_mut().enumerate() {
                *slot = value(salt)(row, d);
            }
        });
        state
    }

    fn read<S: State>(state: &S) -> Vec<Vec<f64>> {
        let mut rows = Vec::new();
        state.read_rows(&mut |_, values| rows.push(values.to_vec()));
        rows
    }

    /// What a run does to a state, all of it.
    fn exercise<S: State>(zero: S) -> (Vec<Vec<f64>>, Vec<f64>, usize) {
        let [x, y, z] = [1, 2, 3].map(|salt| filled(zero.clone(), salt));
        let each: Vec<f64> = (0..ROWS).map(|row| 0.5 + row as f64).collect();
        let terms: Vec<(Coef, &S)> = (0..11)
            .map(|k| match k % 3 {
                0 => (Coef::All(0.25 * f64::from(k)), &x),
                1 => (Coef::PerRow(&each), &y),
                _ => (Coef::All(-1.5), &z),
            })
            .collect();
        let mut out = zero.zeros_like();
        out.lincomb(&terms);
        out.axpy(Coef::PerRow(&each), &x);
        out.scale(Coef::PerRow(&each));
        out.scale(Coef::All(0.7));
        let mut mixed = zero.zeros_like();
        mixed.copy_from(&y);
        mixed.select_rows(&[true, false, false, true, false], &out);
        let mut dots = vec![0.0; ROWS];
        mixed.dot_rows(&z, &mut dots);
        assert_eq!(mixed.first_non_finite_row(), None);
        let mut bad = mixed.clone();
        let last = bad.row_len() - 1;
        bad.fill_rows(&mut |row, values| {
            values.fill(0.0);
            values[last] = if row < 2 { 1.0 } else { f64::NAN };
        });
        (
            read(&mixed),
            dots,
            bad.first_non_finite_row().expect("rows 2 and on"),
        )
    }

    /// Integrals are moved as coordinates of a wider batch would be.
    #[test]
    fn moves_as_a_wider_batch() {
        for (dim, width) in [(1, 1), (3, 2), (2, 5)] {
            let (rows, dots, bad) = exercise(Augmented::new(HostBatch::<f64>::zeros(ROWS, dim), width));
            let (same, same_dots, same_bad) = exercise(HostBatch::<f64>::zeros(ROWS, dim + width));
            assert_eq!((rows, bad), (same, same_bad));
            for (a, b) in dots.iter().zip(&same_dots) {
                assert!((a - b).abs() < 1e-12 * (1.0 + b.abs()), "{a} {b}");
            }
        }
        assert_eq!(
            Augmented::new(HostBatch::<f64>::zeros(0, 2), 3).first_non_finite_row(),
            None
        );
    }

    /// The larger norm of the two parts, and NaN from either.
    #[test]
    fn error_is_the_larger_one() {
        let tolerance = Tolerance { atol: 0.1, rtol: 0.0 };
        let zero = Augmented::new(HostBatch::<f64>::zeros(4, 2), 2);
        let mut error = zero.clone();
        let rows = [
            [0.1, 0.1, 0.2, 0.2],
            [0.3, 0.3, 0.1, 0.1],
            [f64::NAN, 0.0, 1.0, 1.0],
            [0.0, 0.0, 0.0, f64::NAN],
        ];
        error.fill_rows(&mut |row, values| values.copy_from_slice(&rows[row]));
        let mut out = [0.0; 4];
        error.error_rows(&zero, &zero, tolerance, &mut out);
        assert!((out[0] - 2.0).abs() < 1e-14 && (out[1] - 3.0).abs() < 1e-14);
        assert!(out[2].is_nan() && out[3].is_nan(), "{out:?}");
    }
}
