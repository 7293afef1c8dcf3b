//! Gaussian noise that is addressed, never consumed: the value depends on (seed, row, draw, position) alone, so
//! chunks, threads, batches and resumed runs see the same numbers.

mod addressed;
mod host;
mod normal;
pub mod philox;
mod rng;

pub use addressed::{fill_planes_f32, fill_rows_f32, fill_rows_f64, normal_at, uniform, uniform_at};
pub use host::{HostNoise, PresetNoise};
pub use normal::MAX_ABS;
pub use rng::PhiloxRng;

use crate::{SolveError, State};

/// What a draw is used for. Part of the address, so that switching one use on or off leaves the others alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Purpose {
    /// The state at the start of the integration.
    Prior = 0,
    /// The noise of a predictor (or single-step method).
    Predictor = 1,
    /// The noise of a corrector; inner repetitions follow each other in `Draw::step`.
    Corrector = 2,
    /// Probe vectors of a divergence estimate.
    Probe = 3,
    /// Diffusion times and noise of a training step, and other draws outside samplers.
    Training = 4,
    /// Exact samples of an oracle or a data set.
    Data = 5,
    /// The noise of what is known of the data, and of jumps back in time.
    Guidance = 6,
}

/// The address of one batch of normals inside a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Draw {
    /// Number of the step (or of the inner step, for correctors), from 0.
    pub step: u32,
    /// What it is used for.
    pub purpose: Purpose,
}

/// A source of standard normals for a batch.
pub trait NoiseSource<S: State> {
    /// `out <- z`, independent standard normals, the same for the same draw.
    ///
    /// # Errors
    /// Sources of preset noise run out; generators never fail.
    fn normal(&self, draw: Draw, out: &mut S) -> Result<(), SolveError>;
}
