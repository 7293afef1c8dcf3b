//! The density of a model: log likelihoods by the probability flow, bits per dimension, and the latent space of the flow.
//!
//! Along a path of the probability flow `dx/dt = f(x, t)` the log density changes by the divergence, so that
//!
//! ```text
//! ln p_eps(x_eps) = ln p_T(x_T) + int_eps^T div f(x_t, t) dt
//! ```
//!
//! with `eps` the SDE's `likelihood_eps` and `T` its `t_end` (Chen et al. 2018, arXiv:1806.07366, theorem 1; Grathwohl et al. 2019,
//! arXiv:1810.01367; Song et al. 2021, arXiv:2011.13456, section 4.3 and appendix D.2). The integration goes from data to prior; there
//! is no other way to ask for it. What comes out is the density of the data as noised up to `eps`, not that of the clean data, and
//! for a trained network it is the density of the network's own flow: neither a bound nor what the reverse SDE samples.
//!
//! Runs can be watched and stopped ([`Likelihood::run_observed`], [`log_density_chunks`]); a stopped one is an error.
//!
//! ```
//! use std::sync::Arc;
//!
//! use ndarray::array;
//! use sde_core::{Mixture, Sde, sde::Vp};
//! use solvers::likelihood::{GaussianPrior, LikelihoodConfig, log_density_host};
//! use solvers::{HostOptions, MixtureScore};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sde: Arc<dyn Sde> = Arc::new(Vp::linear(0.1, 20.0)?);
//! let data = Mixture::new(&[1.0], &[vec![0.3, -0.2]], &[vec![0.5, 0.2, 0.2, 0.4]])?;
//! let model = MixtureScore::<f64>::new(data.clone(), sde.clone());
//! let likelihood = LikelihoodConfig::default().build(&*sde)?;
//! let points = array![[0.0, 0.0], [1.0, 0.5]];
//! let (prior, options) = (GaussianPrior::of(&*sde), HostOptions::default());
//! let run = log_density_host(&likelihood, &*sde, &model, &prior, points.view(), &options)?;
//! let exact = data.noised(sde.marginal(run.t)).log_density(&[0.0, 0.0]);
//! // The difference is what the Gaussian prior leaves out, not error of the solver.
//! assert!((run.nats[0] - exact).abs() < 2e-2);
//! # Ok(())
//! # }
//! ```

mod ascent;
mod augmented;
mod bits;
mod bound;
mod config;
mod flow;
mod host;
mod latent;
mod probes;
mod terminal;

pub use bits::{BitsAverage, BitsPerDim, Quantisation};
pub use bound::{Bound, BoundJob};
pub use config::LikelihoodConfig;
pub use host::{HostLogDensities, log_density_chunks, log_density_host};
pub use latent::{Encode, lerp, slerp};
pub use probes::ProbeLaw;
use sde_core::Sde;
pub use terminal::{GaussianPrior, RowDensity, TerminalDensity};

use self::ascent::Ascent;
use self::augmented::Augmented;
use self::flow::{DensityFlow, Trace};
use crate::{NoiseSource, Observer, ScoreVjp, SolveError, SolveStats, State, StopReason};

/// How the divergence of the score is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Divergence {
    /// [`ScoreVjp::score_divergence`]: a closed form, or as many vector-Jacobian products as there are dimensions.
    Exact,
    /// The mean over random probes, each fixed along the whole path of its row: unbiased, since all probes share one path.
    Probes {
        /// Probes a row, at least 1; each costs one vector-Jacobian product an evaluation and one state of memory.
        count: u32,
        /// Their law.
        law: ProbeLaw,
    },
}

/// Log densities by the probability flow: Dormand and Prince's pair 5(4) with one step size a row, the divergence part of the
/// error norm. Made by [`LikelihoodConfig::build`].
///
/// An evaluation is the score with its divergence: one call in closed form, `d` products without, or `K` products for `K` probes.
/// Memory: 9 states of the integrator, and `K + 1` for `K` probes; with `save_at` two more, and one for every time that some rows have
/// passed and others not.
#[derive(Debug, Clone, PartialEq)]
pub struct Likelihood {
    divergence: Divergence,
    ascent: Ascent,
}

/// What a likelihood is taken of.
#[derive(Clone, Copy)]
pub struct LikelihoodJob<'a, S: State> {
    /// The forward process.
    pub sde: &'a dyn Sde,
    /// The model.
    pub model: &'a dyn ScoreVjp<S>,
    /// The noise of the probes: probe `k` is the draw `(k, Purpose::Probe)`, asked for in this order. Not used otherwise.
    pub noise: &'a dyn NoiseSource<S>,
    /// The density at `t_end`; usually [`GaussianPrior::of`] the SDE.
    pub terminal: &'a dyn TerminalDensity<S>,
    /// Row of the whole batch at which this chunk starts; names rows in errors.
    pub first_row: u64,
}

/// Log densities of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct LogDensities {
    /// `ln p_t(x)` of each row, nats.
    pub nats: Vec<f64>,
    /// Standard error of each row over its probes: `s/sqrt(K)`, `s^2` the sample variance over the `K >= 2` probes. `None` where the
    /// divergence is exact and for one probe.
    pub std_errors: Option<Vec<f64>>,
    /// The time `t` whose density this is: the SDE's `likelihood_eps`.
    pub t: f64,
    /// What it cost; evaluations as [`Likelihood`] counts them.
    pub stats: SolveStats,
}

impl Likelihood {
    /// How the divergence is found.
    pub fn divergence(&self) -> Divergence {
        self.divergence
    }

    /// The log densities of the rows of `x`, which the run takes to their latents at `t_end`.
    ///
    /// # Errors
    /// [`SolveError::Shape`] for a batch without rows or without dimensions; those of the integrator, the model, the noise and the
    /// terminal density; [`SolveError::NonFinite`] for a terminal density that is not finite.
    pub fn run<S: State>(&self, job: &LikelihoodJob<S>, x: &mut S) -> Result<LogDensities, SolveError> {
        self.run_observed(job, x, &mut ())
    }

    /// [`Likelihood::run`] with an observer, which sees the path of the rows from data to prior: a round of attempts as a step, the rows
    /// at times of their own (the smallest is told), or, with `save_at`, all rows at the times given there. It changes no bit.
    ///
    /// # Errors
    /// As [`Likelihood::run`]; [`SolveError::Stopped`] where the observer stops the run, be it at the last step. A part of the integral
    /// is the log density of nothing, so there is an error and no number that could be taken for one. [`Observer::end`] is called
    /// before, and `x` is the state that was shown last.
    pub fn run_observed<S: State>(
        &self,
        job: &LikelihoodJob<S>,
        x: &mut S,
        observer: &mut dyn Observer<S>,
    ) -> Result<LogDensities, SolveError> {
        let (rows, dim) = (x.rows(), x.row_len());
        if rows == 0 || dim == 0 {
            return Err(no_points(rows, dim));
        }
        let (trace, width) = match self.divergence {
            Divergence::Exact => {
                let scratch = Box::new([x.zeros_like(), x.zeros_like()]);
                let divergence = vec![0.0; rows];
                (Trace::Exact { scratch, divergence }, 1)
            }
            Divergence::Probes { count, law } => (law.trace(count, job.noise, x)?, count as usize),
        };
        let mut y = Augmented::new(x.clone(), width);
        let flow = DensityFlow::new(job.sde, job.model, trace);
        let mut last = self.ascent.start(job.first_row);
        observer.start(&last, x);
        let stats = self.ascent.run(flow, job.first_row, &mut y, &mut |info, y| {
            last = *info;
            observer.step(info, &y.x)
        })?;
        x.copy_from(&y.x);
        if stats.stop == StopReason::Stopped {
            observer.end(&stats, x);
            return Err(SolveError::Stopped {
                first_row: job.first_row,
                t: last.t,
                steps: last.step + 1,
            });
        }

        let mut nats = vec![0.0; rows];
        job.terminal.log_density_rows(x, &mut nats)?;
        if let Some(row) = nats.iter().position(|value| !value.is_finite()) {
            return Err(SolveError::NonFinite {
                what: "terminal density",
                row: job.first_row + row as u64,
                t: self.ascent.to,
                step: stats.steps,
            });
        }
        let mut errors = vec![0.0; rows];
        for row in 0..rows {
            let (mean, error) = mean_and_error(y.q.iter().skip(row).step_by(rows).copied());
            nats[row] += mean;
            errors[row] = error.unwrap_or_default();
        }
        observer.end(&stats, x);
        Ok(LogDensities {
            nats,
            std_errors: (width > 1).then_some(errors),
            t: self.ascent.from,
            stats,
        })
    }
}

fn no_points(rows: usize, dim: usize) -> SolveError {
    SolveError::Shape {
        what: "points [rows, dim]",
        got: format!("[{rows}, {dim}]"),
        need: "at least one row and one dimension".into(),
    }
}

/// Mean, and its standard error for two values or more.
fn mean_and_error(values: impl Iterator<Item = f64> + Clone) -> (f64, Option<f64>) {
    let (count, sum) = (values.clone()).fold((0.0, 0.0), |(count, sum), value| (count + 1.0, sum + value));
    let mean = sum / count;
    let squares: f64 = values.map(|value| (value - mean) * (value - mean)).sum();
    let error = (count > 1.0).then(|| (squares / (count - 1.0) / count).sqrt());
    (mean, error)
}
