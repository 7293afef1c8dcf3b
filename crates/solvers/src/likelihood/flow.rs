//! The probability flow with its divergence, and the direction in which it is integrated.

use sde_core::Sde;

use super::augmented::Augmented;
use crate::rk::Rhs;
use crate::{Coef, ScoreVjp, SolveError, State};

/// What estimates the trace.
pub(super) enum Trace<S> {
    /// [`ScoreVjp::score_divergence`].
    Exact {
        /// Its two scratch states.
        scratch: Box<[S; 2]>,
        /// One number a row.
        divergence: Vec<f64>,
    },
    /// `v^T J v`, one integral a probe.
    Probes {
        /// The probes, fixed for the whole path.
        probes: Vec<S>,
        /// `|v|^2`, as the integrals lie: `[probe * rows + row]`.
        squares: Vec<f64>,
        /// The last product.
        product: S,
    },
}

/// `dx/dt = a x - g^2 score/2` and `dq/dt = a d - g^2 (tr J)/2`, `J` the Jacobian of the score; with probes, one `dq_k/dt = a |v_k|^2
/// - g^2 v_k^T J v_k / 2` each (Song et al. 2021, arXiv:2011.13456, equations 39 and 40).
pub(super) struct DensityFlow<'a, S: State> {
    sde: &'a dyn Sde,
    model: &'a dyn ScoreVjp<S>,
    trace: Trace<S>,
    drift: Vec<f64>,
    score_coef: Vec<f64>,
}

impl<'a, S: State> DensityFlow<'a, S> {
    pub fn new(sde: &'a dyn Sde, model: &'a dyn ScoreVjp<S>, trace: Trace<S>) -> Self {
        Self {
            sde,
            model,
            trace,
            drift: Vec::new(),
            score_coef: Vec::new(),
        }
    }
}

impl<S: State> Rhs<Augmented<S>> for DensityFlow<'_, S> {
    fn eval(&mut self, y: &Augmented<S>, t: Coef, dy: &mut Augmented<S>) -> Result<(), SolveError> {
        let (rows, dim) = (y.x.rows(), y.x.row_len() as f64);
        self.drift.clear();
        self.drift
            .extend((0..rows).map(|row| self.sde.drift_coef(t.at(row))));
        self.score_coef.clear();
        self.score_coef
            .extend((0..rows).map(|row| -0.5 * self.sde.diffusion_sq(t.at(row))));
        match &mut self.trace {
            Trace::Exact { scratch, divergence } => {
                let [a, b] = &mut **scratch;
                self.model
                    .score_divergence(&y.x, t, &mut dy.x, divergence, [a, b])?;
                for (row, dq) in dy.q.iter_mut().enumerate() {
                    *dq = self.drift[row] * dim + self.score_coef[row] * divergence[row];
                }
            }
            Trace::Probes {
                probes,
                squares,
                product,
            } => {
                for ((probe, dq), squares) in probes
                    .iter()
                    .zip(dy.q.chunks_exact_mut(rows))
                    .zip(squares.chunks_exact(rows))
                {
                    self.model.score_vjp(&y.x, t, probe, &mut dy.x, product)?;
                    probe.dot_rows(product, dq);
                    for (row, dq) in dq.iter_mut().enumerate() {
                        *dq = self.drift[row] * squares[row] + self.score_coef[row] * *dq;
                    }
                }
            }
        }
        dy.x.scale(Coef::PerRow(&self.score_coef));
        if self.drift.iter().any(|drift| *drift != 0.0) {
            dy.x.axpy(Coef::PerRow(&self.drift), &y.x);
        }
        Ok(())
    }
}

/// A right-hand side in `-t`: what [`crate::rk::adaptive::integrate`], which runs down, takes up from data to prior.
pub(super) struct Upwards<R> {
    inner: R,
    times: Vec<f64>,
}

impl<R> Upwards<R> {
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            times: Vec::new(),
        }
    }
}

impl<S: State, R: Rhs<S>> Rhs<S> for Upwards<R> {
    fn eval(&mut self, x: &S, minus_t: Coef, dx: &mut S) -> Result<(), SolveError> {
        match minus_t {
            Coef::All(minus_t) => self.inner.eval(x, Coef::All(-minus_t), dx)?,
            Coef::PerRow(minus_t) => {
                self.times.clear();
                self.times.extend(minus_t.iter().map(|t| -t));
                self.inner.eval(x, Coef::PerRow(&self.times), dx)?;
            }
        }
        dx.scale(Coef::All(-1.0));
        Ok(())
    }
}

/// Turns the times of an error of the integrator round.
pub(super) fn in_time(error: SolveError) -> SolveError {
    match error {
        SolveError::NonFinite { what, row, t, step } => SolveError::NonFinite {
            what,
            row,
            t: t.abs(),
            step,
        },
        SolveError::StepLimit { row, t, steps } => SolveError::StepLimit {
            row,
            t: t.abs(),
            steps,
        },
        SolveError::StepTooSmall { row, t, step_size } => SolveError::StepTooSmall {
            row,
            t: t.abs(),
            step_size,
        },
        other => other,
    }
}
