//! Gaussian noise that is addressed, never consumed: the value depends on (seed, row, draw, position) alone, so
//! chunks, threads, batches and resumed runs see the same numbers.

mod addressed;
mod brownian;
mod host;
mod increments;
mod normal;
pub mod philox;
mod rng;

pub use addressed::{fill_planes_f32, fill_rows_f32, fill_rows_f64, normal_at, uniform, uniform_at};
pub use brownian::BrownianTree;
pub(crate) use brownian::Walk;
pub use host::{HostNoise, PresetNoise};
pub use increments::{Increments, Split};
pub use normal::MAX_ABS;
pub use rng::PhiloxRng;

use crate::{Coef, SolveError, State};

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
    /// A Brownian path: `Draw::step` is the node of a [`BrownianTree`].
    Path = 7,
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

    /// `noise <- correlation noise + sqrt(1 - correlation^2) z` with the normals `z` of `draw`: where `noise` is the normalised
    /// increment of a Brownian path over an interval, the one over a longer interval with the same start. `spare` is overwritten.
    /// Preset noise gives its next slice as it is: to the sampler it is the increment.
    ///
    /// # Errors
    /// As [`NoiseSource::normal`].
    fn extend(&self, draw: Draw, correlation: f64, noise: &mut S, spare: &mut S) -> Result<(), SolveError> {
        self.normal(draw, spare)?;
        noise.scale(Coef::All(correlation));
        let rest = (1.0 - correlation) * (1.0 + correlation);
        noise.axpy(Coef::All(rest.max(0.0).sqrt()), spare);
        Ok(())
    }

    /// Increments of Brownian paths for the rows of a batch like `like`, `slots` a row, whose splits draw from this source, each row at
    /// addresses of its own (purpose [`Purpose::Path`]).
    ///
    /// By default by [`NoiseSource::normal`], one batch for each address that occurs: sources that can address rows on their own
    /// do better.
    ///
    /// # Errors
    /// Preset noise has no addresses and refuses.
    fn increments<'a>(&'a self, like: &S, slots: u8) -> Result<Box<dyn Increments<S> + 'a>, SolveError>
    where
        S: 'a,
    {
        Ok(Box::new(increments::Batches::new(self, like, slots)))
    }
}
