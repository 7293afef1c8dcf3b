//! Moving averages of the weights, in place on the flat parameter buffer.

pub mod power;
pub mod snapshots;

pub use power::PowerAverages;

use std::ops::Range;

use tch::{Tensor, no_grad};

/// The exponential one: `average <- decay_n average + (1 - decay_n) values`. With warm-up `decay_n = min(decay, (1 + n) / (10 + n))`, `n` the
/// number of updates done before: young averages forget their random start (the rule of the TensorFlow moving
/// averages that Song et al. 2021 train with). Without, `decay_n = decay`.
#[derive(Debug)]
pub struct Ema {
    decay: f64,
    warmup: bool,
    updates: u64,
    average: Tensor,
}

impl Ema {
    /// Starts at the values themselves. `decay` in [0, 1).
    pub fn new(decay: f64, warmup: bool, values: &Tensor) -> Self {
        Self {
            decay,
            warmup,
            updates: 0,
            average: no_grad(|| values.detach().copy()),
        }
    }

    /// The decay of the update after `updates` earlier ones, with warm-up.
    pub fn decay_at(decay: f64, updates: u64) -> f64 {
        let n = updates as f64;
        decay.min((1.0 + n) / (10.0 + n))
    }

    /// The decay that the next update will use.
    pub fn next_decay(&self) -> f64 {
        if self.warmup {
            Self::decay_at(self.decay, self.updates)
        } else {
            self.decay
        }
    }

    /// One update in place; no host synchronisation.
    pub fn update(&mut self, values: &Tensor) {
        let all = values.size1().expect("invariant: parameters are flat");
        self.blocks(values)(0..all);
        self.count();
    }

    /// The same update range by range of elements, in any order; [`Ema::count`] ends it.
    pub fn blocks(&mut self, values: &Tensor) -> impl FnMut(Range<i64>) {
        let keep = self.next_decay();
        move |range| {
            let block = |flat: &Tensor| flat.narrow(0, range.start, range.end - range.start);
            no_grad(|| {
                let _ = block(&self.average).lerp_(&block(values), 1.0 - keep);
            });
        }
    }

    /// Counts an update whose ranges have all been done.
    pub fn count(&mut self) {
        self.updates += 1;
    }

    /// Updates done so far.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Sets the number of updates, when a checkpoint is loaded into [`Ema::average_mut`].
    pub fn set_updates(&mut self, updates: u64) {
        self.updates = updates;
    }

    /// The averaged values, laid out like the parameters.
    pub fn average(&self) -> &Tensor {
        &self.average
    }

    /// The averaged values for writing: loading, or exchange with the network's while it samples.
    pub fn average_mut(&mut self) -> &mut Tensor {
        &mut self.average
    }
}
