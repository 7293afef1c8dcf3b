//! The tables that belong to training itself.

use serde::{Deserialize, Serialize};

use super::Precision;

/// `[optim]`: AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) and its learning-rate schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimConfig {
    /// Peak learning rate, positive.
    pub lr: f64,
    /// Decay rates of the first and second moment, each in [0, 1).
    pub betas: [f64; 2],
    /// Added to the root of the second moment, positive.
    pub eps: f64,
    /// Decoupled weight decay, 0 or more.
    pub weight_decay: f64,
    /// Largest 2-norm of the whole gradient; 0 switches clipping off.
    pub clip: f64,
    /// Images over which the learning rate rises linearly from 0 to `lr`; the first step already moves.
    pub warmup_images: u64,
    /// What the learning rate does after the warm-up.
    pub schedule: LrSchedule,
    /// Learning rate at the end of the budget as a fraction of `lr`, in [0, 1]; `cosine` and `linear` only.
    pub final_lr: f64,
}

impl Default for OptimConfig {
    fn default() -> Self {
        OptimConfig {
            lr: 1e-3,
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: 0.0,
            clip: 1.0,
            warmup_images: 10_000,
            schedule: LrSchedule::Cosine,
            final_lr: 0.0,
        }
    }
}

/// The learning rate after the warm-up, as a function of the part of the budget that is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LrSchedule {
    /// Stays.
    Constant,
    /// Falls along half a cosine to `final_lr`.
    Cosine,
    /// Falls along a line to `final_lr`.
    Linear,
    /// Falls with one over the root of the images seen, counted in warm-ups.
    InverseSqrt,
}

/// `[ema]`: exponential moving average of the weights, the ones that sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmaConfig {
    /// Decay a step after the warm-up, in [0, 1); 0 keeps no average.
    pub decay: f64,
    /// Whether the decay starts as `min(decay, (1 + n) / (10 + n))` at step n.
    pub warmup: bool,
    /// Lengths, as parts of the run, of power-function averages kept besides, from which one of any length can be made afterwards
    /// (Karras et al. 2024, arXiv:2312.02696), each above 0 and up to 0.288; they recommend `[0.05, 0.1]`. A snapshot of each is
    /// kept at every checkpoint.
    pub power: Vec<f64>,
    /// Length of such an average that `sde sample` and the other commands on a run take instead of the exponential one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<f64>,
}

impl Default for EmaConfig {
    fn default() -> Self {
        EmaConfig {
            decay: 0.999,
            warmup: true,
            power: Vec::new(),
            length: None,
        }
    }
}

/// `[train]`: budget, batch, checkpoints, sample grids.
///
/// One of `images`, `steps` and `seconds` is the budget. Given as an argument, it replaces the file's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Budget in images (rows of the data set, counted with repetition).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<u64>,
    /// Budget in optimiser steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Budget in seconds of training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Rows a step, 1 or more, at most as many as the data set has.
    pub batch: u64,
    /// Of the network in training steps: `f32`, or `bf16` for products and convolutions ([`score_nets::precision`]). Weights,
    /// gradients, optimiser, validation and samples are f32 either way.
    pub precision: Precision,
    /// Batches whose gradients are averaged before the weights change, 1 or more: a step then sees `batch * accumulate` rows in
    /// the memory of `batch`.
    pub accumulate: u64,
    /// Steps between checkpoints; 0 saves at the end only.
    pub checkpoint_every: u64,
    /// How many of the newest checkpoints stay, 1 or more.
    pub keep: u64,
    /// Steps between sample grids; 0 draws none while training.
    pub sample_every: u64,
    /// Samples drawn at the end of the run; 0 draws none.
    pub samples: u64,
    /// Share of the rows that is kept out of training and on which the validation loss is computed, in [0, 1/2].
    pub holdout: f64,
    /// Steps between validation losses; 0 computes none.
    pub validate_every: u64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        TrainConfig {
            images: None,
            steps: None,
            seconds: None,
            batch: 128,
            accumulate: 1,
            precision: Precision::F32,
            checkpoint_every: 500,
            keep: 2,
            sample_every: 0,
            samples: 1024,
            holdout: 0.0,
            validate_every: 100,
        }
    }
}

impl TrainConfig {
    /// Budget of a configuration that names none.
    pub const DEFAULT_IMAGES: u64 = 100_000;

    /// The budget: the one given, `seconds` before `steps` before `images` should there be several (the loader
    /// refuses that), [`Self::DEFAULT_IMAGES`] should there be none.
    pub fn budget(&self) -> Budget {
        match (self.seconds, self.steps, self.images) {
            (Some(seconds), _, _) => Budget::Seconds(seconds),
            (None, Some(steps), _) => Budget::Steps(steps),
            (None, None, Some(images)) => Budget::Images(images),
            (None, None, None) => Budget::Images(Self::DEFAULT_IMAGES),
        }
    }
}

/// How long a run trains.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Budget {
    /// Images seen, counted with repetition.
    Images(u64),
    /// Optimiser steps.
    Steps(u64),
    /// Seconds of training on the wall clock.
    Seconds(f64),
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// Steps between lines of `metrics.jsonl`, 1 or more.
    pub every: u64,
    /// Whether the event file gets histograms of the weights at every checkpoint.
    pub histograms: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig {
            every: 10,
            histograms: true,
        }
    }
}
