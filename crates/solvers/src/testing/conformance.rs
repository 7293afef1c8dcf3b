//! Every [`State`] method against plain `f64` loops: what an implementor must pass.

mod rows;

use crate::{Coef, State, Tolerance};

/// Rows of a batch as plain numbers.
type Rows = Vec<Vec<f64>>;

/// Checks an implementation of [`State`]: `make` builds a state from rows of equal length (`row_len` is given apart
/// since there may be no rows), `epsilon` is the spacing of its numbers at 1 (`f32::EPSILON`, `f64::EPSILON`).
///
/// ```
/// use solvers::{HostBatch, State, testing::conformance};
/// conformance::state(f64::from(f32::EPSILON), |rows: &[Vec<f64>], row_len| {
///     let mut x = HostBatch::<f32>::zeros(rows.len(), row_len);
///     x.fill_rows(&mut |row, values| values.copy_from_slice(&rows[row]));
///     x
/// });
/// ```
///
/// # Panics
/// Where a method breaks its contract; the message names it.
pub fn state<S: State>(epsilon: f64, make: impl Fn(&[Vec<f64>], usize) -> S) {
    for rows in [0, 1, 2, 3, 7, 64, 65, 130] {
        for row_len in [1, 2, 3, 17] {
            let suite = Suite {
                epsilon,
                make: &make,
                rows,
                row_len,
            };
            suite.shapes();
            suite.copies();
            suite.arithmetic();
            suite.sums_through_another();
            suite.reductions();
            suite.selection();
            suite.steps_per_row();
            suite.distances();
            suite.moved_rows();
            suite.not_a_number();
            suite.rows_are_independent();
        }
    }
}

struct Suite<'a, F> {
    epsilon: f64,
    make: &'a F,
    rows: usize,
    row_len: usize,
}

impl<F> Suite<'_, F> {
    /// Numbers in (-2, 2) that both precisions hold exactly.
    fn data(&self, salt: usize) -> Rows {
        let value = |row: usize, d: usize| {
            let mixed =
                (row * 7919 + d * 104_729 + salt * 1_299_709 + 12_345).wrapping_mul(2_654_435_761) >> 7;
            (mixed % 4095) as f64 / 1024.0 - 2.0
        };
        (0..self.rows)
            .map(|row| (0..self.row_len).map(|d| value(row, d)).collect())
            .collect()
    }

    /// One coefficient a row.
    fn coefs(&self, salt: usize) -> Vec<f64> {
        (0..self.rows)
            .map(|row| ((row * 37 + salt * 11) % 64) as f64 / 32.0 - 1.0)
            .collect()
    }
}

/// The rows that a state holds, read through [`State::read_rows`].
fn read<S: State>(x: &S) -> Rows {
    let mut rows = Vec::new();
    x.read_rows(&mut |row, values| {
        assert_eq!(row, rows.len(), "read_rows: rows come in order");
        rows.push(values.to_vec());
    });
    rows
}

impl<S: State, F: Fn(&[Vec<f64>], usize) -> S> Suite<'_, F> {
    fn make(&self, rows: &Rows) -> S {
        (self.make)(rows, self.row_len)
    }

    fn name(&self, method: &str) -> String {
        format!("{method} on {} rows of {}", self.rows, self.row_len)
    }

    /// `got` against `expected`, with room for `roundings` roundings of numbers below `size`.
    fn close(&self, method: &str, got: &S, expected: &Rows, roundings: f64, size: f64) {
        let got = read(got);
        assert_eq!(got.len(), expected.len(), "{}", self.name(method));
        for (row, (got, expected)) in got.iter().zip(expected).enumerate() {
            for (d, (g, e)) in got.iter().zip(expected).enumerate() {
                let error = (g - e).abs();
                assert!(
                    error <= roundings * self.epsilon * size,
                    "{}: row {row}, value {d} is {g}, not {e}",
                    self.name(method)
                );
            }
        }
    }

    fn shapes(&self) {
        let x = self.make(&self.data(1));
        assert_eq!(
            (x.rows(), x.row_len()),
            (self.rows, self.row_len),
            "rows and row_len"
        );
        let zeros = x.zeros_like();
        assert_eq!(
            (zeros.rows(), zeros.row_len()),
            (self.rows, self.row_len),
            "shape of zeros_like"
        );
        self.close(
            "zeros_like",
            &zeros,
            &vec![vec![0.0; self.row_len]; self.rows],
            0.0,
            1.0,
        );
    }

    fn copies(&self) {
        let (a, b) = (self.data(1), self.data(2));
        let mut x = self.make(&a);
        self.close("read_rows", &x, &a, 0.0, 1.0);
        let y = x.clone();
        x.copy_from(&self.make(&b));
        self.close("copy_from", &x, &b, 0.0, 1.0);
        self.close("clone, after the original was written", &y, &a, 0.0, 1.0);
        let mut next = 0;
        x.fill_rows(&mut |row, values| {
            assert_eq!(
                (row, values.len()),
                (next, self.row_len),
                "fill_rows: rows in order, of row_len values"
            );
            next += 1;
            values.copy_from_slice(&a[row]);
        });
        assert_eq!(next, self.rows, "fill_rows: every row once");
        self.close("fill_rows", &x, &a, 0.0, 1.0);
        let (mut next, mut work) = (0, vec![f64::NAN; 3]);
        x.update_rows(&self.make(&b), &mut work, &mut |row, other, own| {
            assert_eq!(
                (row, other.len()),
                (next, self.row_len),
                "update_rows: rows in order"
            );
            assert_eq!(
                (other, &*own),
                (&b[row][..], &a[row][..]),
                "update_rows: the rows of both"
            );
            next += 1;
            own[self.row_len - 1] = other[0];
        });
        assert_eq!(next, self.rows, "update_rows: every row once");
        let mut updated = a.clone();
        for (row, other) in updated.iter_mut().zip(&b) {
            row[self.row_len - 1] = other[0];
        }
        self.close("update_rows", &x, &updated, 0.0, 1.0);
    }

    fn arithmetic(&self) {
        let data: Vec<Rows> = (0..7).map(|k| self.data(k)).collect();
        let states: Vec<S> = data.iter().map(|rows| self.make(rows)).collect();
        let per_row: Vec<Vec<f64>> = (0..7).map(|k| self.coefs(k)).collect();
        for mask in 0..4_usize {
            // Every mixture of one coefficient for all and one a row.
            let coef = |k: usize| match (mask >> (k % 2)) & 1 {
                0 => Coef::All(0.75 - 0.5 * k as f64),
                _ => Coef::PerRow(&per_row[k]),
            };
            let sum = |first: Option<(f64, usize)>, terms: std::ops::Range<usize>| -> Rows {
                (0..self.rows)
                    .map(|row| {
                        let value = |d: usize| {
                            let start = first.map_or(0.0, |(a, k)| a * data[k][row][d]);
                            terms
                                .clone()
                                .fold(start, |sum, k| sum + coef(k).at(row) * data[k][row][d])
                        };
                        (0..self.row_len).map(value).collect()
                    })
                    .collect()
            };
            let mut x = states[1].clone();
            x.scale(coef(1));
            self.close("scale", &x, &sum(None, 1..2), 2.0, 8.0);
            let mut x = states[0].clone();
            x.axpy(coef(1), &states[1]);
            self.close("axpy", &x, &sum(Some((1.0, 0)), 1..2), 3.0, 8.0);
            for count in 0..=7 {
                let mut x = states[2].clone();
                let terms: Vec<(Coef, &S)> = (0..count).map(|k| (coef(k), &states[k])).collect();
                x.lincomb(&terms);
                self.close(
                    "lincomb",
                    &x,
                    &sum(None, 0..count),
                    2.0 + 2.0 * count as f64,
                    40.0,
                );
            }
        }
    }

    fn reductions(&self) {
        let (a, b, c) = (self.data(1), self.data(2), self.data(3));
        let (x, y, z) = (self.make(&a), self.make(&b), self.make(&c));
        let mut out = vec![f64::NAN; self.rows];
        x.dot_rows(&y, &mut out);
        for (row, got) in out.iter().enumerate() {
            let expected: f64 = a[row].iter().zip(&b[row]).map(|(a, b)| a * b).sum();
            let error = (got - expected).abs();
            assert!(
                error <= 1e-14 * 4.0 * self.row_len as f64,
                "{}: row {row}",
                self.name("dot_rows, in f64")
            );
        }
        let tol = Tolerance {
            atol: 0.25,
            rtol: 0.5,
        };
        let sum = |size: f64| tol.atol + tol.rtol * size;
        let max = |size: f64| tol.atol.max(tol.rtol * size);
        for (name, scale) in [
            ("error_rows", &sum as &dyn Fn(f64) -> f64),
            ("error_rows_max", &max),
        ] {
            if name == "error_rows" {
                x.error_rows(&y, &z, tol, &mut out);
            } else {
                x.error_rows_max(&y, &z, tol, &mut out);
            }
            for (row, got) in out.iter().enumerate() {
                let ratio = |d: usize| a[row][d] / scale(b[row][d].abs().max(c[row][d].abs()));
                let mean = (0..self.row_len).map(|d| ratio(d).powi(2)).sum::<f64>() / self.row_len as f64;
                let error = (got - mean.sqrt()).abs();
                assert!(
                    error <= 20.0 * self.epsilon * (1.0 + mean),
                    "{}: row {row}",
                    self.name(name)
                );
            }
        }
    }

    fn selection(&self) {
        let (a, b) = (self.data(1), self.data(2));
        let (mut x, y) = (self.make(&a), self.make(&b));
        let take: Vec<bool> = (0..self.rows).map(|row| row % 3 == 1).collect();
        x.select_rows(&take, &y);
        let expected: Rows = (0..self.rows)
            .map(|row| if take[row] { b[row].clone() } else { a[row].clone() })
            .collect();
        self.close("select_rows", &x, &expected, 0.0, 1.0);
    }

    fn not_a_number(&self) {
        let clean = self.make(&self.data(1));
        assert_eq!(
            clean.first_non_finite_row(),
            None,
            "{}",
            self.name("first_non_finite_row")
        );
        if self.rows == 0 {
            return;
        }
        let bad_row = self.rows / 2;
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut data = self.data(1);
            data[bad_row][self.row_len - 1] = value;
            data[self.rows - 1][0] = value;
            let bad = self.make(&data);
            assert_eq!(
                bad.first_non_finite_row(),
                Some(bad_row),
                "{}",
                self.name("first_non_finite_row")
            );
        }
        let mut data = self.data(1);
        data[bad_row][0] = f64::NAN;
        let (bad, tol) = (self.make(&data), Tolerance { atol: 1.0, rtol: 1.0 });
        let mut out = vec![0.0; self.rows];
        for (error, y0, y1) in [
            (&bad, &clean, &clean),
            (&clean, &bad, &clean),
            (&clean, &clean, &bad),
        ] {
            for name in ["error_rows", "error_rows_max"] {
                if name == "error_rows" {
                    error.error_rows(y0, y1, tol, &mut out);
                } else {
                    error.error_rows_max(y0, y1, tol, &mut out);
                }
                for (row, value) in out.iter().enumerate() {
                    assert_eq!(
                        value.is_nan(),
                        row == bad_row,
                        "{}: NaN stays NaN, in its row",
                        self.name(name)
                    );
                }
            }
        }
        bad.dot_rows(&clean, &mut out);
        assert!(out[bad_row].is_nan(), "{}: NaN stays NaN", self.name("dot_rows"));
        // A row that is not taken does not spill over, nor does one that is replaced.
        let mut x = bad.clone();
        let take: Vec<bool> = (0..self.rows).map(|row| row == bad_row).collect();
        x.select_rows(&take, &clean);
        self.close("select_rows in place of NaN", &x, &self.data(1), 0.0, 1.0);
        x.select_rows(&vec![false; self.rows], &bad);
        self.close("select_rows of nothing", &x, &self.data(1), 0.0, 1.0);
    }

    /// The first row alone gives what it gives in the batch, up to rounding (host batches promise the bits as well).
    fn rows_are_independent(&self) {
        if self.rows < 2 {
            return;
        }
        let alone = Suite {
            epsilon: self.epsilon,
            make: self.make,
            rows: 1,
            row_len: self.row_len,
        };
        let result = |suite: &Self| {
            let mut x = suite.make(&suite.data(1));
            let (y, coefs) = (suite.make(&suite.data(2)), suite.coefs(3));
            x.axpy(Coef::PerRow(&coefs), &y);
            let z = x.clone();
            x.lincomb(&[
                (Coef::All(0.3), &z),
                (Coef::All(1.7), &y),
                (Coef::PerRow(&coefs), &z),
            ]);
            x.scale(Coef::All(1.0 / 3.0));
            let mut dots = vec![0.0; suite.rows];
            x.dot_rows(&y, &mut dots);
            let mut errors = vec![0.0; suite.rows];
            x.error_rows(&y, &z, Tolerance { atol: 0.1, rtol: 0.3 }, &mut errors);
            (read(&x)[0].clone(), dots[0], errors[0])
        };
        let ((x, dot, error), (x_in, dot_in, error_in)) = (result(&alone), result(self));
        let near = |a: f64, b: f64, size: f64| (a - b).abs() <= 16.0 * self.epsilon * size;
        let values = x.iter().zip(&x_in).all(|(a, b)| near(*a, *b, 8.0));
        let numbers =
            near(dot, dot_in, 16.0 * self.row_len as f64) && near(error, error_in, 1.0 + error.abs());
        assert!(
            values && numbers,
            "{}",
            self.name("a row alone against the row in a batch")
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::{HostBatch, Real, State};

    fn make<T: Real>(rows: &[Vec<f64>], row_len: usize) -> HostBatch<T> {
        let mut x = HostBatch::zeros(rows.len(), row_len);
        x.fill_rows(&mut |row, values| values.copy_from_slice(&rows[row]));
        x
    }

    #[test]
    fn host_batches_conform() {
        super::state(f64::EPSILON, make::<f64>);
        super::state(f64::from(f32::EPSILON), make::<f32>);
    }
}
