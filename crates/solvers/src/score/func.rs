//! Score functions from closures.

use crate::real::Real;
use crate::{Coef, HostBatch, ScoreFn, SolveError, State};

/// A score given as a function of one row: `f(x, t, out)` writes the score of the row `x` at time `t`. Any host
/// precision; values pass through `f64`.
///
/// ```
/// use solvers::{Coef, HostBatch, RowFnScore, ScoreFn, State};
/// // The score of N(0, 1 + t) in every coordinate.
/// let score = RowFnScore(|x: &[f64], t: f64, out: &mut [f64]| {
///     for (out, x) in out.iter_mut().zip(x) {
///         *out = -x / (1.0 + t);
///     }
/// });
/// let x = HostBatch::<f64>::from_rows(ndarray::array![[2.0, 4.0]].view());
/// let mut out = x.zeros_like();
/// score.score(&x, Coef::All(1.0), &mut out).unwrap();
/// assert_eq!(out.to_rows(), ndarray::array![[-1.0, -2.0]]);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct RowFnScore<F>(
    /// The function.
    pub F,
);

impl<T: Real, F: Fn(&[f64], f64, &mut [f64])> ScoreFn<HostBatch<T>> for RowFnScore<F> {
    fn score(&self, x: &HostBatch<T>, t: Coef, out: &mut HostBatch<T>) -> Result<(), SolveError> {
        let (rows, dim) = (x.rows(), x.row_len());
        let mut staged = vec![0.0; dim];
        let planes = x.planes();
        out.fill_rows(&mut |row, out| {
            for (d, value) in staged.iter_mut().enumerate() {
                *value = planes[d * rows + row].to_f64();
            }
            (self.0)(&staged, t.at(row), out);
        });
        Ok(())
    }

    fn takes_any_rows(&self) -> bool {
        true
    }
}

/// A score given as a function of the whole batch, `f(x, t, out)`: the form in which a closure can use the planes
/// and report errors. A row of `out` must depend on that row of `x` only.
#[derive(Debug, Clone, Copy)]
pub struct FnScore<F>(
    /// The function.
    pub F,
);

impl<S: State, F: Fn(&S, Coef, &mut S) -> Result<(), SolveError>> ScoreFn<S> for FnScore<F> {
    fn score(&self, x: &S, t: Coef, out: &mut S) -> Result<(), SolveError> {
        (self.0)(x, t, out)
    }
}
