//! Explicit Runge-Kutta methods for `dx/dt = f(x, t)`: tableaus as data, one engine with fixed steps and one with a step
//! size per row.

pub mod adaptive;
pub mod controller;
mod dense;
pub mod engine;
mod rows;
mod start;
pub mod tableau;

use crate::{Coef, SolveError, State};

/// The right-hand side of an ordinary differential equation.
pub trait Rhs<S: State> {
    /// `dx <- f(x, t)`, with one time for all rows or one a row. `&mut self` for scratch only: equal arguments give equal
    /// results.
    ///
    /// # Errors
    /// Those of the score function behind it.
    fn eval(&mut self, x: &S, t: Coef, dx: &mut S) -> Result<(), SolveError>;

    /// As [`crate::ScoreFn::takes_any_rows`].
    fn takes_any_rows(&self) -> bool {
        false
    }
}
