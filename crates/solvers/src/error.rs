//! What can go wrong in a solve. Every variant names the place.

use thiserror::Error;

/// An error of a solver, a score function or their configuration.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum SolveError {
    /// A value of the configuration is refused; `key` is its dotted key.
    #[error("{key} = {value}: {reason}")]
    Config {
        /// Dotted key, for example `sampler.steps`.
        key: String,
        /// The value as given.
        value: String,
        /// Why it is refused and what would do.
        reason: String,
    },
    /// A state, noise or score batch has another shape than the solver needs.
    #[error("{what}: got {got}, need {need}")]
    Shape {
        /// Which batch.
        what: &'static str,
        /// Its shape.
        got: String,
        /// The shape needed.
        need: String,
    },
    /// A value stopped being finite.
    #[error("{what} is not finite in row {row} at t = {t} (step {step})")]
    NonFinite {
        /// `score` or `state`.
        what: &'static str,
        /// Row in the whole batch.
        row: u64,
        /// Time of the state.
        t: f64,
        /// Step number, from 0.
        step: u64,
    },
    /// The model failed.
    #[error("the score function failed at t = {t}: {reason}")]
    Score {
        /// Time of the call.
        t: f64,
        /// What it said.
        reason: String,
    },
    /// An adaptive method ran into its step limit.
    #[error(
        "row {row}: no end after {steps} steps, stopped at t = {t}; loosen rtol and atol or raise max_steps"
    )]
    StepLimit {
        /// Row in the whole batch.
        row: u64,
        /// Time reached.
        t: f64,
        /// The limit.
        steps: u64,
    },
    /// An adaptive method's step shrank below what the time axis resolves.
    #[error(
        "row {row}: step size {step_size:e} at t = {t} is below the smallest allowed; the score may be discontinuous or the tolerance too tight"
    )]
    StepTooSmall {
        /// Row in the whole batch.
        row: u64,
        /// Time reached.
        t: f64,
        /// The step asked for.
        step_size: f64,
    },
    /// Data that were said to be quantised hold another value.
    #[error(
        "value {value} in row {row}, position {position} is none of the {levels} levels from {low} to {high}"
    )]
    NotQuantised {
        /// The value.
        value: f64,
        /// Row in the whole batch.
        row: u64,
        /// Position in the row.
        position: usize,
        /// Number of levels.
        levels: u32,
        /// The lowest level.
        low: f64,
        /// The highest level.
        high: f64,
    },
    /// An observer stopped a run that has no result before its end.
    #[error(
        "an observer stopped rows {first_row} and on at t = {t} after {steps} steps: there is no result before the end"
    )]
    Stopped {
        /// Row in the whole batch at which the stopped chunk starts.
        first_row: u64,
        /// Time that was shown last.
        t: f64,
        /// Steps shown.
        steps: u64,
    },
    /// Preset noise ran out.
    #[error("preset noise has {have} draws, the sampler asks for draw {asked}")]
    NoiseExhausted {
        /// Draws given.
        have: usize,
        /// Number of the draw asked for, from 0.
        asked: usize,
    },
}
