//! A sampler takes a batch at the start time to a batch at the end time.

mod finish;
pub(crate) mod level;
pub(crate) mod march;
mod ode;
mod predictor_corrector;
mod step;

pub use finish::Final;
pub use ode::{AdaptiveOde, FixedOde};
pub use predictor_corrector::PredictorCorrector;
use sde_core::Sde;
pub use step::{CountedScore, Scratch, StepCtx};

use crate::{Coef, Draw, NoiseSource, Observer, Purpose, ScoreFn, SolveError, State};

/// What a sampler works on.
pub struct Job<'a, S: State> {
    /// The forward process.
    pub sde: &'a dyn Sde,
    /// The model.
    pub score: &'a dyn ScoreFn<S>,
    /// The noise.
    pub noise: &'a dyn NoiseSource<S>,
    /// Row of the whole batch at which this chunk starts; names rows in errors.
    pub first_row: u64,
}

/// Facts that a method declares about itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MethodInfo {
    /// Name as in the configuration.
    pub name: &'static str,
    /// Order of convergence in the literature (weak, for stochastic methods).
    pub order: f64,
    /// Network evaluations a step.
    pub evaluations: u32,
    /// Whether the method draws noise.
    pub stochastic: bool,
    /// Whether rows influence each other (only methods named `batch-*`): the chunking driver refuses these.
    pub couples_rows: bool,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// It reached the end time.
    Finished,
    /// An observer asked for it.
    Stopped,
}

/// What a run cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SolveStats {
    /// Evaluations of the score function on the whole batch (for per-row methods: the most of any row).
    pub nfe: u64,
    /// Steps accepted (the most of any row).
    pub steps: u64,
    /// Steps rejected, summed over rows.
    pub rejected: u64,
    /// Row evaluations: the sum over rows of the evaluations that each row needed.
    pub row_evaluations: u64,
    /// Why it ended.
    pub stop: StopReason,
    /// Time of the final state: the end time, or that of the last step where an observer stopped the run (for adaptive methods the
    /// largest over the rows). Of no meaning where there are no rows.
    pub t: f64,
}

/// A complete sampling method with its grid.
pub trait Sampler<S: State>: Send + Sync {
    /// Facts about the method.
    fn info(&self) -> MethodInfo;

    /// Time at which the integration starts: the time of the `x` that [`Sampler::run`] expects.
    fn t_start(&self) -> f64;

    /// Moves `x` from the start time to the end time in place.
    ///
    /// # Errors
    /// [`SolveError`], naming row, time and step; `x` is then unspecified.
    fn run(&self, job: &Job<S>, x: &mut S, observer: &mut dyn Observer<S>) -> Result<SolveStats, SolveError>;
}

/// Draws the state that a run starts from: independent normals of [`prior_std_at`], at the address that every run uses.
///
/// # Errors
/// Those of the noise.
pub fn draw_prior<S: State>(
    sde: &dyn Sde,
    t_start: f64,
    noise: &dyn NoiseSource<S>,
    x: &mut S,
) -> Result<(), SolveError> {
    let draw = Draw {
        step: 0,
        purpose: Purpose::Prior,
    };
    noise.normal(draw, x)?;
    x.scale(Coef::All(prior_std_at(sde, t_start)));
    Ok(())
}

/// Standard deviation of the normals that a run starts from: the SDE's prior at the end of its domain, and the kernel's
/// own noise where a run starts earlier.
pub fn prior_std_at(sde: &dyn Sde, t_start: f64) -> f64 {
    if t_start == sde.domain().t_end {
        sde.prior_std()
    } else {
        sde.marginal(t_start).std
    }
}
