//! Learning-rate schedules: a warm-up counted in images, then one of several shapes.

use crate::config::{LrSchedule, OptimConfig};

/// Where a run stands when it asks for a learning rate: before the step in question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Images seen before this step.
    pub images: u64,
    /// Images of this step.
    pub batch: u64,
    /// Done fraction of the budget before this step, in [0, 1].
    pub fraction: f64,
}

/// The learning rate of a step.
///
/// The warm-up counts the step's own images, `min(1, (images + batch) / warmup_images)`, so that the first step moves.
/// `cosine` falls as `(1 + cos(pi f)) / 2` from the peak to `final_lr` times the peak (Loshchilov and Hutter 2017,
/// arXiv:1608.03983, without restarts), `linear` as `1 - f`; `f` is the done fraction of the budget.
/// `inverse-sqrt` is `sqrt(warmup_images / max(images + batch, warmup_images))` (Vaswani et al. 2017,
/// arXiv:1706.03762, section 5.3).
pub fn learning_rate(config: &OptimConfig, at: Progress) -> f64 {
    let seen = (at.images + at.batch) as f64;
    let warmup_images = config.warmup_images as f64;
    let warmup = if config.warmup_images == 0 {
        1.0
    } else {
        (seen / warmup_images).min(1.0)
    };
    let fraction = at.fraction.clamp(0.0, 1.0);
    let fall = |shape: f64| config.final_lr + (1.0 - config.final_lr) * shape;
    let shape = match config.schedule {
        LrSchedule::Constant => 1.0,
        LrSchedule::Cosine => fall(0.5 * (1.0 + (std::f64::consts::PI * fraction).cos())),
        LrSchedule::Linear => fall(1.0 - fraction),
        LrSchedule::InverseSqrt => {
            let from = warmup_images.max(at.batch as f64);
            (from / seen.max(from)).sqrt()
        }
    };
    config.lr * warmup * shape
}
