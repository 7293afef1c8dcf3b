//! What is known of the data, and the score that takes it into account.

use std::sync::Arc;

use sde_core::{Marginal, Sde};

use super::operator::{LinearOperator, OrthonormalRows};
use super::work::{Pool, Work, refuse_value};
use crate::score::{evaluate, same_shape};
use crate::{Coef, ScoreVjp, SolveError, State};

/// A noisy linear measurement `y = A x_0 + noise_std n`, `n` standard normal: the same for all rows of a batch.
#[derive(Debug, Clone)]
pub struct Measurement {
    operator: Arc<dyn LinearOperator>,
    values: Vec<f64>,
    noise_std: f64,
}

impl Measurement {
    /// The measured values (as many as the operator puts out) and the standard deviation of their noise, in data units.
    ///
    /// # Errors
    /// [`SolveError::Config`] at `guide.noise_std` where it is negative or not finite, at `guide.y` where a value is not finite;
    /// [`SolveError::Shape`] where their number does not fit.
    pub fn new(
        operator: impl LinearOperator + 'static,
        values: &[f64],
        noise_std: f64,
    ) -> Result<Self, SolveError> {
        check_values(&operator, values)?;
        if !(noise_std.is_finite() && noise_std >= 0.0) {
            return Err(refuse_value(
                "noise_std",
                noise_std,
                "must be a finite number >= 0",
            ));
        }
        Ok(Self {
            operator: Arc::new(operator),
            values: values.to_vec(),
            noise_std,
        })
    }

    /// Standard deviation of the noise.
    pub fn noise_std(&self) -> f64 {
        self.noise_std
    }

    /// Refuses rows that the operator does not take.
    pub(super) fn check_rows<S: State>(&self, x: &S) -> Result<(), SolveError> {
        check_rows(&*self.operator, x)
    }

    /// `out <- score + scale grad_x ln N(y; A x0(x), spread A A^T + noise_std^2 I)`, the covariance held constant, with `x0(x) = (x
    /// + std^2 score)/mean_coef` and `spread` a function of the noise level `std/mean_coef`.
    ///
    /// One score and one vector-Jacobian product: the vector depends on the score.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn guided<S: State>(
        &self,
        score: &impl ScoreVjp<S>,
        sde: &dyn Sde,
        spread: impl Fn(f64) -> f64,
        scale: f64,
        (x, t): (&S, Coef),
        out: &mut S,
        pool: &Pool<S>,
    ) -> Result<(), SolveError> {
        self.check_rows(x)?;
        evaluate(score, x, t, out)?;
        let noise_var = self.noise_std * self.noise_std;
        let solve = |sigma: f64, residual: &mut [f64], memory: &mut Vec<f64>| {
            self.operator.solve(spread(sigma), noise_var, residual, memory);
        };
        pool.with(x, |work| {
            work.states[0].copy_from(out);
            self.add_pull(score, sde, solve, scale, (x, t), out, work)
        })
    }

    /// `out <- out + scale (d x0/d x)^T A^T w`, `w` what `weigh(std/mean_coef, residual, memory)` makes of the residual `y - A x0(x)` of a
    /// row. The first state of `work` holds the score at `x`; one vector-Jacobian product.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn add_pull<S: State>(
        &self,
        score: &impl ScoreVjp<S>,
        sde: &dyn Sde,
        weigh: impl Fn(f64, &mut [f64], &mut Vec<f64>),
        scale: f64,
        (x, t): (&S, Coef),
        out: &mut S,
        work: &mut Work<S>,
    ) -> Result<(), SolveError> {
        let [pull, again, pushed] = &mut work.states[..] else {
            unreachable!("the pool makes three states")
        };
        let outputs = self.operator.output_len();
        work.rows.clear();
        work.rows.resize(outputs + x.row_len(), 0.0);
        let (residual, estimate) = work.rows.split_at_mut(outputs);
        let mut known: Option<(f64, Marginal)> = None;
        pull.update_rows(x, &mut work.numbers, &mut |row, x, values| {
            let at = match known {
                Some((time, at)) if time == t.at(row) => at,
                _ => sde.marginal(t.at(row)),
            };
            known = Some((t.at(row), at));
            let var = at.std * at.std;
            for ((estimate, x), score) in estimate.iter_mut().zip(x).zip(&*values) {
                *estimate = (x + var * score) / at.mean_coef;
            }
            self.operator.apply(estimate, residual);
            for (residual, y) in residual.iter_mut().zip(&self.values) {
                *residual = y - *residual;
            }
            weigh(at.std / at.mean_coef, residual, &mut work.more);
            self.operator.adjoint(residual, values);
            values.iter_mut().for_each(|v| *v /= at.mean_coef);
        });
        // The Jacobian of x0 is (I + std^2 J)/mean_coef, J that of the score.
        score.score_vjp(x, t, pull, again, pushed)?;
        same_shape(x, pushed, "product of the score function")?;
        out.axpy(Coef::All(scale), pull);
        let factor = |t: f64| scale * sde.marginal(t).std.powi(2);
        match t {
            Coef::All(t) => out.axpy(Coef::All(factor(t)), pushed),
            Coef::PerRow(times) => {
                work.rows.clear();
                work.rows.extend(times.iter().map(|t| factor(*t)));
                out.axpy(Coef::PerRow(&work.rows), pushed);
            }
        }
        Ok(())
    }
}

/// What is known of the data without noise: `A x_0 = y` for an `A` with orthonormal rows, the same for all rows of a batch.
#[derive(Debug, Clone)]
pub struct Known {
    operator: Arc<dyn OrthonormalRows>,
    values: Vec<f64>,
}

impl Known {
    /// The known values, as many as the operator puts out.
    ///
    /// # Errors
    /// As [`Measurement::new`].
    pub fn new(operator: impl OrthonormalRows + 'static, values: &[f64]) -> Result<Self, SolveError> {
        check_values(&operator, values)?;
        Ok(Self {
            operator: Arc::new(operator),
            values: values.to_vec(),
        })
    }

    /// Replaces `A x` by a sample of the noised known part, `mean_coef y + std A z`, with `z` standard normals of the shape of `x`.
    pub(super) fn replace<S: State>(
        &self,
        at: Marginal,
        z: &S,
        x: &mut S,
        memory: &mut Memory,
    ) -> Result<(), SolveError> {
        check_rows(&*self.operator, x)?;
        let Memory { staged, target, work } = memory;
        target.clear();
        target.resize(self.values.len(), 0.0);
        x.update_rows(z, staged, &mut |_, z, x| {
            self.operator.apply(z, target);
            for (target, y) in target.iter_mut().zip(&self.values) {
                *target = at.mean_coef * y + at.std * *target;
            }
            self.operator.replace(target, x, work);
        });
        Ok(())
    }
}

/// Memory of [`Known::replace`].
#[derive(Debug, Default)]
pub(super) struct Memory {
    staged: Vec<f64>,
    target: Vec<f64>,
    work: Vec<f64>,
}

fn check_values(operator: &impl LinearOperator, values: &[f64]) -> Result<(), SolveError> {
    if values.len() != operator.output_len() {
        return Err(SolveError::Shape {
            what: "measured values",
            got: values.len().to_string(),
            need: operator.output_len().to_string(),
        });
    }
    match values.iter().find(|value| !value.is_finite()) {
        None => Ok(()),
        Some(value) => Err(refuse_value("y", value, "measured values must be finite")),
    }
}

fn check_rows<S: State>(operator: &(impl LinearOperator + ?Sized), x: &S) -> Result<(), SolveError> {
    if x.row_len() == operator.input_len() {
        return Ok(());
    }
    Err(SolveError::Shape {
        what: "rows that are measured",
        got: x.row_len().to_string(),
        need: operator.input_len().to_string(),
    })
}
