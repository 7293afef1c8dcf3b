use super::work::{Pool, refuse_value};
use crate::score::{evaluate, same_shape};
use crate::{Coef, ScoreFn, ScoreVjp, SolveError, State};

/// Classifier guidance: `score + scale grad_x ln p(y | x_t)`, the sum of a score and of any gradient that is given as a function of
/// state and time, like a score. Scale 1 with the exact gradient is the score of `p_t(x | y)`; scale 0 leaves the gradient
/// out and saves its evaluation.
///
/// One evaluation of each. Sources: Song et al. 2021, arXiv:2011.13456, equation 14; Dhariwal and Nichol 2021,
/// arXiv:2105.05233, section 4 (scale).
#[derive(Debug)]
pub struct Classifier<S, F, G> {
    score: F,
    gradient: G,
    scale: f64,
    pool: Pool<S>,
    vjp_pool: Pool<S>,
}

impl<S: State, F, G> Classifier<S, F, G> {
    /// The sum of `score` and `scale gradient`.
    ///
    /// # Errors
    /// [`SolveError::Config`] at `guide.scale` where it is not finite.
    pub fn new(score: F, gradient: G, scale: f64) -> Result<Self, SolveError> {
        if !scale.is_finite() {
            return Err(refuse_value("scale", scale, "must be a finite number"));
        }
        Ok(Self {
            score,
            gradient,
            scale,
            pool: Pool::new(1),
            vjp_pool: Pool::new(2),
        })
    }
}

impl<S: State, F: ScoreFn<S>, G: ScoreFn<S>> ScoreFn<S> for Classifier<S, F, G> {
    fn score(&self, x: &S, t: Coef, out: &mut S) -> Result<(), SolveError> {
        evaluate(&self.score, x, t, out)?;
        if self.scale == 0.0 {
            return Ok(());
        }
        self.pool.with(x, |work| {
            let gradient = &mut work.states[0];
            evaluate(&self.gradient, x, t, gradient)?;
            out.axpy(Coef::All(self.scale), gradient);
            Ok(())
        })
    }

    fn takes_any_rows(&self) -> bool {
        self.score.takes_any_rows() && self.gradient.takes_any_rows()
    }
}

impl<S: State, F: ScoreVjp<S>, G: ScoreVjp<S>> ScoreVjp<S> for Classifier<S, F, G> {
    fn score_vjp(&self, x: &S, t: Coef, v: &S, score: &mut S, vjp: &mut S) -> Result<(), SolveError> {
        self.score.score_vjp(x, t, v, score, vjp)?;
        if self.scale == 0.0 {
            return Ok(());
        }
        self.vjp_pool.with(x, |work| {
            let (first, second) = work.states.split_at_mut(1);
            let (gradient, gradient_vjp) = (&mut first[0], &mut second[0]);
            self.gradient.score_vjp(x, t, v, gradient, gradient_vjp)?;
            for (own, added) in [(score, gradient), (vjp, gradient_vjp)] {
                same_shape(x, own, "output of the score function")?;
                same_shape(x, added, "output of the gradient")?;
                own.axpy(Coef::All(self.scale), added);
            }
            Ok(())
        })
    }
}
