//! What the steps of a run share: the counted score, the noise, and states made once.

use std::cell::Cell;

use sde_core::Sde;

use super::Job;
use crate::{Coef, NoiseSource, ScoreFn, SolveError, State, score};

/// The score function of a run: counts evaluations and refuses outputs of another shape.
pub struct CountedScore<'a, S: State> {
    score: &'a dyn ScoreFn<S>,
    nfe: Cell<u64>,
}

impl<'a, S: State> CountedScore<'a, S> {
    /// Starts at zero evaluations.
    pub fn new(score: &'a dyn ScoreFn<S>) -> Self {
        Self {
            score,
            nfe: Cell::new(0),
        }
    }

    /// `out <- score(x, t)`.
    ///
    /// # Errors
    /// Those of the score function, and [`SolveError::Shape`] where it returned another shape than that of `x`.
    pub fn evaluate(&self, x: &S, t: Coef, out: &mut S) -> Result<(), SolveError> {
        self.nfe.set(self.nfe.get() + 1);
        score::evaluate(self.score, x, t, out)
    }

    /// As [`ScoreFn::takes_any_rows`].
    pub fn takes_any_rows(&self) -> bool {
        self.score.takes_any_rows()
    }

    /// Evaluations so far.
    pub fn nfe(&self) -> u64 {
        self.nfe.get()
    }
}

/// What a predictor or corrector step gets besides the state.
#[derive(Clone, Copy)]
pub struct StepCtx<'a, S: State> {
    /// The forward process.
    pub sde: &'a dyn Sde,
    /// The model.
    pub score: &'a CountedScore<'a, S>,
    /// The noise.
    pub noise: &'a dyn NoiseSource<S>,
    /// Number of the step, from 0: the address of a predictor's noise.
    pub step: u32,
    /// Return the mean of the step and draw no noise (the last step of a run with `final = "mean"`).
    pub mean_only: bool,
}

impl<'a, S: State> StepCtx<'a, S> {
    /// The context of one step of a job.
    pub fn new(job: &Job<'a, S>, score: &'a CountedScore<'a, S>, step: u32) -> Self {
        Self {
            sde: job.sde,
            score,
            noise: job.noise,
            step,
            mean_only: false,
        }
    }
}

/// States made once a run; steps write them and may swap them with the state.
#[derive(Debug)]
pub struct Scratch<S> {
    /// The last score.
    pub score: S,
    /// The last normals.
    pub noise: S,
    /// The state under construction.
    pub next: S,
    /// One number a row.
    pub rows: Vec<f64>,
}

impl<S: State> Scratch<S> {
    /// Three states of the shape of `x`.
    pub fn new(x: &S) -> Self {
        Self {
            score: x.zeros_like(),
            noise: x.zeros_like(),
            next: x.zeros_like(),
            rows: Vec::new(),
        }
    }
}
