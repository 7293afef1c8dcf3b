//! The first step of a row.

use super::Rhs;
use super::tableau::Tableau;
use crate::{Coef, SolveError, State, Tolerance};

/// Step sizes to begin with, one a row (Hairer, Norsett and Wanner 1993, II.4, "starting step size"): one evaluation, into
/// `trial`, given the slope at the start; `next` and `t` are scratch. Positive and at most the time to cover.
#[allow(clippy::too_many_arguments)]
pub(super) fn first_steps<S: State, R: Rhs<S>>(
    tableau: &Tableau,
    rhs: &mut R,
    (start, end): (f64, f64),
    tolerance: Tolerance,
    x: &S,
    slope: &S,
    trial: &mut S,
    next: &mut S,
    t: &mut [f64],
) -> Result<Vec<f64>, SolveError> {
    let (rows, span) = (x.rows(), start - end);
    let [mut state_norm, mut slope_norm, mut h0, mut change] = [(); 4].map(|()| vec![0.0; rows]);
    x.error_rows(x, x, tolerance, &mut state_norm);
    slope.error_rows(x, x, tolerance, &mut slope_norm);
    for ((h, state), slope) in h0.iter_mut().zip(&state_norm).zip(&slope_norm) {
        let guess = if *state < 1e-5 || *slope < 1e-5 {
            1e-6 * span
        } else {
            0.01 * state / slope
        };
        *h = guess.min(span);
    }
    next.stage(x, &h0, &[(-1.0, slope)]);
    for (t, h) in t.iter_mut().zip(&h0) {
        *t = (start - h).max(end);
    }
    rhs.eval(next, Coef::PerRow(t), trial)?;
    trial.axpy(Coef::All(-1.0), slope);
    trial.error_rows(x, x, tolerance, &mut change);
    let order = f64::from(tableau.order);
    let first = |((h0, slope), change): ((&f64, &f64), &f64)| {
        let steepest = slope.max(change / h0);
        let h1 = if steepest <= 1e-15 {
            (1e-6 * span).max(1e-3 * h0)
        } else {
            (0.01 / steepest).powf(1.0 / order)
        };
        let h = if h1.is_finite() && h1 > 0.0 {
            (100.0 * h0).min(h1)
        } else {
            *h0
        };
        // Never zero, which would mean a finished row: an infinite slope ends as a step that is too small.
        h.min(span).max(f64::MIN_POSITIVE)
    };
    Ok(h0.iter().zip(&slope_norm).zip(&change).map(first).collect())
}
