//! One explicit Runge-Kutta step with the same step size for all rows.

use std::mem;

use super::Rhs;
use super::tableau::{MAX_STAGES, Tableau};
use crate::{Coef, SolveError, State};

/// The slopes and the state under construction, made once a run.
#[derive(Debug)]
pub struct Stages<S> {
    /// One slope a stage.
    pub slopes: Vec<S>,
    /// Argument of the next evaluation.
    pub next: S,
}

impl<S: State> Stages<S> {
    /// `evaluations() + 1` states of the shape of `x`.
    pub fn new(tableau: &Tableau, x: &S) -> Self {
        Self {
            slopes: (0..tableau.evaluations()).map(|_| x.zeros_like()).collect(),
            next: x.zeros_like(),
        }
    }
}

/// `x <- x + h sum_i b_i k_i` over the step from `from` to `to`, `h = to - from` of either sign. Stage times with `c = 1` are
/// `to` itself, so that nothing is evaluated outside the step. The stage that a first-same-as-last pair has for its error estimate
/// is left out.
///
/// # Errors
/// Those of the right-hand side.
pub fn step<S: State, R: Rhs<S>>(
    tableau: &Tableau,
    rhs: &mut R,
    from: f64,
    to: f64,
    x: &mut S,
    w: &mut Stages<S>,
) -> Result<(), SolveError> {
    let h = to - from;
    for (stage, row) in tableau.a.iter().enumerate().take(tableau.evaluations()) {
        let t = if tableau.c[stage] == 1.0 {
            to
        } else {
            from + tableau.c[stage] * h
        };
        if row.iter().all(|&a| a == 0.0) {
            rhs.eval(x, Coef::All(t), &mut w.slopes[stage])?;
        } else {
            combine(&mut w.next, x, h, row, &w.slopes);
            rhs.eval(&w.next, Coef::All(t), &mut w.slopes[stage])?;
        }
    }
    combine(&mut w.next, x, h, tableau.b, &w.slopes);
    mem::swap(x, &mut w.next);
    Ok(())
}

/// `out <- x + h sum_j weights_j slopes_j` in one pass; zero weights are left out.
fn combine<S: State>(out: &mut S, x: &S, h: f64, weights: &[f64], slopes: &[S]) {
    let mut terms = [(Coef::All(1.0), x); MAX_STAGES + 1];
    let mut used = 1;
    for (weight, slope) in weights.iter().zip(slopes).filter(|(weight, _)| **weight != 0.0) {
        terms[used] = (Coef::All(h * weight), slope);
        used += 1;
    }
    out.lincomb(&terms[..used]);
}
