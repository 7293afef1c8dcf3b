use crate::{SolveError, State};

/// Finds the first value that is not finite and names its row in the whole batch, its time and its step.
///
/// Every sampler checks its state after each step, one vectorised pass; the score is looked at only when that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NanGuard {
    first_row: u64,
}

impl NanGuard {
    /// The guard of a chunk that starts at this row of the whole batch.
    pub fn new(first_row: u64) -> Self {
        Self { first_row }
    }

    /// Checks the state `x` of time `t_state`; where it fails, the score that was evaluated at `t_score` is searched first.
    ///
    /// # Errors
    /// [`SolveError::NonFinite`] for `score` or `state`.
    pub fn check<S: State>(
        &self,
        x: &S,
        score: Option<&S>,
        t_score: f64,
        t_state: f64,
        step: u64,
    ) -> Result<(), SolveError> {
        let Some(row) = x.first_non_finite_row() else {
            return Ok(());
        };
        let (what, row, t) = match score.and_then(State::first_non_finite_row) {
            Some(row) => ("score", row, t_score),
            None => ("state", row, t_state),
        };
        Err(SolveError::NonFinite {
            what,
            row: self.first_row + row as u64,
            t,
            step,
        })
    }
}
