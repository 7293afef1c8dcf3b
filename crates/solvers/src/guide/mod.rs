//! Samplers that are steered: by clipping, by conditions and by measurements. No method here knows an SDE by name.
//!
//! Wrappers of score functions are score functions, so they go into each other and into every sampler; wrappers of samplers are samplers.
//!
//! | method | what it is | needs | evaluations for one | exact |
//! |---|---|---|---|---|
//! | [`ClippedScore`], [`ClippedSampler`] | the estimate of the clean data kept in its range | [`ScoreFn`](crate::ScoreFn) | 1 | |
//! | [`ClassifierFree`] | two scores, extrapolated | two `ScoreFn` | 2; 1 at scale 0, 1 and outside the interval | at scale 0 and 1 |
//! | [`Classifier`] | score and gradient of `ln p(y given x_t)` | two `ScoreFn` | 1 of each | at scale 1 |
//! | [`PosteriorSampling`] (DPS) | noisy `y = A x_0`, the likelihood of the estimate | [`ScoreVjp`](crate::ScoreVjp) | 1 and a vector-Jacobian product | no |
//! | [`PosteriorStep`] (DPS as published) | noisy `y = A x_0`, a correction after each step of a sampler | `ScoreVjp` | 1 and a vector-Jacobian product, besides the sampler's | no |
//! | [`Pseudoinverse`] (PiGDM) | the same with the estimate's spread | `ScoreVjp` | 1 and a vector-Jacobian product | for data `N(mean, data_std^2 I)` |
//! | [`Replacement`] | `A x_0 = y`, replaced after each step of a sampler | `ScoreFn` | 1 | for independent parts |
//! | [`RePaint`] | the same with jumps back in time | `ScoreFn` and a [`Predictor`](crate::predict::Predictor) | `resamplings` | for independent parts |
//!
//! Statistics of a run count evaluations of the wrapper. The exact posterior of a Gaussian mixture given a noisy linear measurement is
//! [`sde_core::Mixture::posterior`], a mixture again, whose score is [`MixtureScore`](crate::MixtureScore): what these are tested
//! against.

mod classifier;
mod classifier_free;
mod clip;
mod measurement;
mod operator;
mod posterior_sampling;
mod posterior_step;
mod pseudoinverse;
mod repaint;
mod replacement;
mod work;

pub use classifier::Classifier;
pub use classifier_free::ClassifierFree;
pub use clip::{Clip, ClippedSampler, ClippedScore};
pub use measurement::{Known, Measurement};
pub use operator::{LinearOperator, Mask, Matrix, OrthonormalRows, Rotated};
pub use posterior_sampling::PosteriorSampling;
pub use posterior_step::PosteriorStep;
pub use pseudoinverse::Pseudoinverse;
pub use repaint::{Jumps, RePaint};
pub use replacement::Replacement;
