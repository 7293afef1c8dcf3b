//! Samplers for score-based generative models over a score-function trait, on the host, without libtorch.
//!
//! A [`Sampler`] is built from a [`config::SamplerConfig`] for an SDE and moves a batch, a [`State`], from noise to data with a
//! [`ScoreFn`]. On the host the common case is one call:
//!
//! ```
//! use sde_core::sde::Vp;
//! use solvers::config::{PcConfig, SamplerConfig};
//! use solvers::{RowFnScore, sample_host};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sde = Vp::linear(0.1, 20.0)?;
//! // Standard normal data: under VP all marginals are standard normal.
//! let score = RowFnScore(|x: &[f64], _t: f64, out: &mut [f64]| {
//!     for (out, x) in out.iter_mut().zip(x) {
//!         *out = -x;
//!     }
//! });
//! let table = SamplerConfig::Pc(PcConfig { steps: Some(100), ..PcConfig::default() });
//! let (samples, stats) = sample_host::<f64>(&*table.build(&sde)?, &sde, &score, 1000, 3, 0)?;
//! assert_eq!((samples.dim(), stats.nfe), ((1000, 3), 101));
//! # Ok(())
//! # }
//! ```
//!
//! | kind | what it is | evaluations for `N` steps |
//! |---|---|---|
//! | `pc` | predictor ([`predict`]) and corrector ([`correct`]) on the reverse SDE | `N (1 + corrector_steps)` |
//! | `ode` | probability flow ([`flow`]) by a Runge-Kutta method ([`rk`]), with given steps or adaptive, a step size a row | `N` times those of a step |
//! | `heun` | algorithm 2 of Karras et al. (2022), with churn | `2 N` |
//! | `ddim` | DDIM ([`exponential`]), `eta` from the flow to the ancestral step | `N` |
//! | `dpm-solver` | DPM-Solver and DPM-Solver++ ([`exponential`]), singlestep, multistep, adaptive | `N`, singlestep `order N` |
//! | `langevin` | annealed Langevin dynamics | `(N + 1) corrector_steps` |
//! | `euler` | Euler's method in the noise level ([`sigma::euler`]), with churn | `N` |
//! | `dpm-2` | midpoint method in the noise level ([`sigma::dpm2`]), with churn | `2 N` |
//! | `lms` | linear multistep in the noise level ([`sigma::lms`]) | `N` |
//! | `deis` | exponential multistep, polynomials in time ([`exponential::deis`]) | `N` |
//! | `ipndm` | fixed Adams-Bashforth combinations ([`exponential::ipndm`]) | `N` |
//! | `unipc` | multistep predictor and corrector ([`exponential::Unipc`]) | `N` |
//! | `euler-ancestral`, `dpmpp-2m-sde`, `dpmpp-3m-sde` | reverse SDE in `sigma` or `lambda` ([`stochastic`]) | `N` |
//! | `dpm-2-ancestral`, `dpmpp-2s-ancestral`, `dpmpp-sde` | the same, singlestep of order 2 | `2 N` |
//! | `adaptive-sde` | reverse SDE, steps by tolerance, one step size per row | 2 an attempt |
//!
//! Each takes one evaluation more for `final = "tweedie"`, the default. A row's samples depend on that row alone (the exception is
//! named `batch-*`), and have the same bits for any number of threads, any chunk size and any subset of the rows.
//!
//! Log densities, bits per dimension and the latent space of the flow: [`likelihood`].

pub mod config;
pub mod correct;
pub mod error;
pub mod exponential;
pub mod flow;
pub mod guide;
pub mod likelihood;
pub mod noise;
pub mod observe;
pub mod parallel;
pub mod predict;
pub mod real;
pub mod rk;
pub mod sampler;
pub mod score;
pub mod sigma;
pub mod simd;
pub mod state;
pub mod stochastic;
pub mod testing;
mod vectors;

pub use error::SolveError;
pub use noise::{Draw, HostNoise, NoiseSource, PresetNoise, Purpose};
pub use observe::{Observer, StepInfo};
pub use parallel::{HostOptions, HostRun, sample_chunks, sample_host};
pub use real::Real;
pub use sampler::{Job, MethodInfo, Sampler, SolveStats, StopReason};
pub use score::{FnScore, MixtureScore, RowFnScore, ScoreFn, ScoreVjp};
pub use state::{Coef, HostBatch, State, Tolerance};
