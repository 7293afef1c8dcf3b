//! Samplers that are steered: by clipping, by conditions and by measurements.

mod clip;
mod work;

pub use clip::{Clip, ClippedSampler, ClippedScore};
