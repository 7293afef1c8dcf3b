//! What a sampler needs to know of a model.

mod coefs;
pub(crate) mod eigen;
mod func;
mod isotropic;
mod kernels;
mod mixture;
mod per_row;
mod small_rows;

pub use func::{FnScore, RowFnScore};
pub use mixture::MixtureScore;

use crate::{Coef, SolveError, State};

/// `out <- grad_x log p_t(x)`, the score of the noised data.
///
/// `t` is one time for all rows (coefficients can then be computed once a call) or one time a row. A row of
/// `out` depends on that row of `x` and its time only. There is no `Sync` bound: libtorch networks have none; the
/// parallel host driver asks for it.
pub trait ScoreFn<S: State> {
    /// Evaluates the score.
    ///
    /// # Errors
    /// [`SolveError::Score`] when the model fails; samplers check for values that are not finite themselves.
    fn score(&self, x: &S, t: Coef, out: &mut S) -> Result<(), SolveError>;

    /// Whether a batch may hold any rows of the run, in any order: nothing is known by the number of a row, no label and no
    /// observation. Adaptive methods then stop evaluating rows that have reached the end. `false` unless a model says otherwise.
    fn takes_any_rows(&self) -> bool {
        false
    }
}

/// Score and `v^T J`, `J` the Jacobian of the score: what divergences and guidance are made of.
pub trait ScoreVjp<S: State>: ScoreFn<S> {
    /// Evaluates both; a row of `vjp` depends on that row of `x` and `v` only.
    ///
    /// # Errors
    /// As [`ScoreFn::score`].
    fn score_vjp(&self, x: &S, t: Coef, v: &S, score: &mut S, vjp: &mut S) -> Result<(), SolveError>;

    /// Score, and its divergence `tr J` exactly, one number a row. As provided: the sum of `e_i^T J e_i` over the `row_len` basis
    /// vectors, one product each. Models with a closed form replace it. `scratch`: two states of the shape of `x`, whose contents
    /// are lost.
    ///
    /// # Errors
    /// As [`ScoreFn::score`].
    fn score_divergence(
        &self,
        x: &S,
        t: Coef,
        score: &mut S,
        divergence: &mut [f64],
        scratch: [&mut S; 2],
    ) -> Result<(), SolveError> {
        let [basis, product] = scratch;
        divergence.fill(0.0);
        for axis in 0..x.row_len() {
            basis.fill_rows(&mut |_, values| {
                values.fill(0.0);
                values[axis] = 1.0;
            });
            self.score_vjp(x, t, basis, score, product)?;
            product.read_rows(&mut |row, values| divergence[row] += values[axis]);
        }
        Ok(())
    }
}

impl<S: State, F: ScoreFn<S> + ?Sized> ScoreFn<S> for &F {
    fn score(&self, x: &S, t: Coef, out: &mut S) -> Result<(), SolveError> {
        (**self).score(x, t, out)
    }

    fn takes_any_rows(&self) -> bool {
        (**self).takes_any_rows()
    }
}

impl<S: State, F: ScoreVjp<S> + ?Sized> ScoreVjp<S> for &F {
    fn score_vjp(&self, x: &S, t: Coef, v: &S, score: &mut S, vjp: &mut S) -> Result<(), SolveError> {
        (**self).score_vjp(x, t, v, score, vjp)
    }
}

/// `out <- score(x, t)`, and an error where `out` came back in another shape than that of `x`.
pub(crate) fn evaluate<S: State>(
    score: &(impl ScoreFn<S> + ?Sized),
    x: &S,
    t: Coef,
    out: &mut S,
) -> Result<(), SolveError> {
    score.score(x, t, out)?;
    same_shape(x, out, "output of the score function")
}

/// Refuses an `out` of another shape than that of `x`.
pub(crate) fn same_shape<S: State>(x: &S, out: &S, what: &'static str) -> Result<(), SolveError> {
    let (got, need) = ((out.rows(), out.row_len()), (x.rows(), x.row_len()));
    if got == need {
        return Ok(());
    }
    Err(SolveError::Shape {
        what,
        got: format!("{} x {}", got.0, got.1),
        need: format!("{} x {}", need.0, need.1),
    })
}
