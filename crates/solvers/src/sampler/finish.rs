//! The last act of a run, at the true end time.

use std::mem;

use sde_core::Sde;
use serde::{Deserialize, Serialize};

use super::{CountedScore, Scratch};
use crate::observe::NanGuard;
use crate::{Coef, SolveError, State};

/// What a sampler returns at its end time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Final {
    /// The posterior mean `(x + std^2 score)/mean_coef` at the end time (Tweedie): one more evaluation. Without it the samples
    /// keep the noise of the end time (Jolicoeur-Martineau et al. 2021, arXiv:2009.05475, section 3).
    #[default]
    Tweedie,
    /// The last step without its noise, as the code of Song et al. 2021 returns it. The state itself where the method draws none.
    Mean,
    /// The state as it is.
    None,
}

impl Final {
    /// The last act at time `t`, as step number `step`, checked. [`Final::Mean`] is the business of the last step.
    ///
    /// # Errors
    /// Those of the score function, and [`SolveError::NonFinite`].
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn apply<S: State>(
        self,
        sde: &dyn Sde,
        score: &CountedScore<S>,
        guard: NanGuard,
        t: f64,
        step: u64,
        x: &mut S,
        w: &mut Scratch<S>,
    ) -> Result<(), SolveError> {
        if self != Final::Tweedie {
            return Ok(());
        }
        tweedie(sde, score, t, x, w)?;
        guard.check(x, Some(&w.score), t, t, step)
    }
}

/// `x <- (x + std^2 score(x, t))/mean_coef`. Where the kernel has no noise left, there is nothing to evaluate.
fn tweedie<S: State>(
    sde: &dyn Sde,
    score: &CountedScore<S>,
    t: f64,
    x: &mut S,
    w: &mut Scratch<S>,
) -> Result<(), SolveError> {
    let kernel = sde.marginal(t);
    if kernel.std == 0.0 {
        if kernel.mean_coef != 1.0 {
            x.scale(Coef::All(1.0 / kernel.mean_coef));
        }
        return Ok(());
    }
    score.evaluate(x, Coef::All(t), &mut w.score)?;
    let score_coef = kernel.std * kernel.std / kernel.mean_coef;
    w.next.lincomb(&[
        (Coef::All(1.0 / kernel.mean_coef), &*x),
        (Coef::All(score_coef), &w.score),
    ]);
    mem::swap(x, &mut w.next);
    Ok(())
}
