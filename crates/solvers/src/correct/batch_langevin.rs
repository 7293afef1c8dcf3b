use std::mem;

use super::Corrector;
use crate::sampler::{Scratch, StepCtx};
use crate::{Coef, Draw, MethodInfo, SolveError, State};

/// The Langevin corrector as published: step `2 step_ratio (snr |z| / |score|)^2`, both norms means over the rows of the batch.
///
/// A row's result depends on the other rows, so that chunking drivers refuse it. Means are summed in `f64` in row order. Where
/// the score vanishes on the whole batch the step has no size and nothing moves. One evaluation a step. Source: Song et al. 2021,
/// arXiv:2011.13456, algorithms 4 and 5, with the batch means of the published code.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchLangevin {
    /// Signal-to-noise ratio of a step, dimensionless; 0.16 in the literature.
    pub snr: f64,
}

impl<S: State> Corrector<S> for BatchLangevin {
    fn info(&self) -> MethodInfo {
        MethodInfo {
            name: "batch-langevin",
            order: 1.0,
            evaluations: 1,
            stochastic: true,
            couples_rows: true,
        }
    }

    fn step(
        &self,
        ctx: &StepCtx<S>,
        t: f64,
        step_ratio: f64,
        draw: Draw,
        x: &mut S,
        w: &mut Scratch<S>,
    ) -> Result<(), SolveError> {
        if x.rows() == 0 {
            return Ok(());
        }
        ctx.score.evaluate(x, Coef::All(t), &mut w.score)?;
        ctx.noise.normal(draw, &mut w.noise)?;
        w.rows.resize(x.rows(), 0.0);
        let score_norm = mean_norm(&w.score, &mut w.rows);
        let noise_norm = mean_norm(&w.noise, &mut w.rows);
        if score_norm == 0.0 {
            return Ok(());
        }
        let ratio = self.snr * noise_norm / score_norm;
        let step = 2.0 * step_ratio * ratio * ratio;
        w.next.lincomb(&[
            (Coef::All(1.0), &*x),
            (Coef::All(step), &w.score),
            (Coef::All((2.0 * step).sqrt()), &w.noise),
        ]);
        mem::swap(x, &mut w.next);
        Ok(())
    }
}

/// Mean over the rows of the Euclidean norm of a row.
fn mean_norm<S: State>(batch: &S, rows: &mut [f64]) -> f64 {
    batch.dot_rows(batch, rows);
    rows.iter().map(|square| square.sqrt()).sum::<f64>() / rows.len() as f64
}
