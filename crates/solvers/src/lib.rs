//! Samplers for score-based generative models over a score-function trait, on the host, without libtorch.

pub mod config;
pub mod correct;
pub mod error;
pub mod flow;
pub mod noise;
pub mod observe;
pub mod parallel;
pub mod predict;
pub mod real;
pub mod rk;
pub mod sampler;
pub mod score;
pub mod simd;
pub mod state;
pub mod testing;

pub use error::SolveError;
pub use noise::{Draw, HostNoise, NoiseSource, PresetNoise, Purpose};
pub use observe::{Observer, StepInfo};
pub use parallel::{HostOptions, HostRun, sample_chunks, sample_host};
pub use real::Real;
pub use sampler::{Job, MethodInfo, Sampler, SolveStats, StopReason};
pub use score::{FnScore, MixtureScore, RowFnScore, ScoreFn, ScoreVjp};
pub use state::{Coef, HostBatch, State, Tolerance};
