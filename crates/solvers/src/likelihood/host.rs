//! Log densities of an array on the host, chunk by chunk.

use ndarray::{Array2, ArrayView2};
use sde_core::Sde;

use super::{Likelihood, LikelihoodJob, TerminalDensity, no_points};
use crate::parallel::{check, chunk_noise, chunk_rows, run_chunks};
use crate::{HostBatch, HostOptions, Observer, Real, ScoreVjp, SolveError, SolveStats};

/// Log densities of an array.
#[derive(Debug, Clone)]
pub struct HostLogDensities<T> {
    /// `ln p_t(x)` of each row, nats.
    pub nats: Vec<f64>,
    /// As in [`super::LogDensities`].
    pub std_errors: Option<Vec<f64>>,
    /// The time `t` whose density this is: the SDE's `likelihood_eps`.
    pub t: f64,
    /// Where the rows arrive at `t_end`, `[rows, dim]`.
    pub latents: Array2<T>,
    /// `nfe` and `steps` are the largest of any row, `rejected` and `row_evaluations` sums over rows.
    pub stats: SolveStats,
}

/// The log densities of `points`, `[rows, dim]`. The same bits for any number of threads, any chunk size and any subset of the rows
/// (with `options.first_row` at its start).
///
/// # Errors
/// Those of [`Likelihood::run`]; where several chunks fail, that of the one with the smallest rows. [`SolveError::Config`] for
/// `options.init`, whose place `points` takes; [`SolveError::Shape`] for preset noise that does not fit.
pub fn log_density_host<T: Real>(
    likelihood: &Likelihood,
    sde: &dyn Sde,
    model: &(dyn ScoreVjp<HostBatch<T>> + Sync),
    terminal: &(dyn TerminalDensity<HostBatch<T>> + Sync),
    points: ArrayView2<T>,
    options: &HostOptions<T>,
) -> Result<HostLogDensities<T>, SolveError> {
    let run = log_density_chunks(likelihood, sde, model, terminal, points, options, |_| ())?;
    Ok(run.0)
}

/// [`log_density_host`] with observers, which come back in the order of their rows. `observer` makes that of a chunk from the row at
/// which the chunk starts, in the numbering of the larger run.
///
/// # Errors
/// As [`log_density_host`]; [`SolveError::Stopped`] where an observer stops its chunk, for the reason given at
/// [`Likelihood::run_observed`].
pub fn log_density_chunks<T: Real, O: Observer<HostBatch<T>> + Send>(
    likelihood: &Likelihood,
    sde: &dyn Sde,
    model: &(dyn ScoreVjp<HostBatch<T>> + Sync),
    terminal: &(dyn TerminalDensity<HostBatch<T>> + Sync),
    points: ArrayView2<T>,
    options: &HostOptions<T>,
    observer: impl Fn(u64) -> O + Sync,
) -> Result<(HostLogDensities<T>, Vec<O>), SolveError> {
    let (rows, dim) = points.dim();
    if rows == 0 || dim == 0 {
        return Err(no_points(rows, dim));
    }
    if options.init.is_some() {
        return Err(SolveError::Config {
            key: "init".into(),
            value: "given".into(),
            reason: "a likelihood starts at its points; leave it out".into(),
        });
    }
    check(rows, dim, options)?;
    let chunk = chunk_rows(rows, dim, options);
    let mut values: Vec<T> = points.iter().copied().collect();
    let parts = run_chunks(options.threads, &mut values, chunk * dim, |index, values| {
        let start = index * chunk;
        let here = ArrayView2::from_shape((values.len() / dim, dim), &*values);
        let mut x = HostBatch::from_rows(here.expect("whole rows"));
        let job = LikelihoodJob {
            sde,
            model,
            noise: &*chunk_noise(options, start),
            terminal,
            first_row: options.first_row + start as u64,
        };
        let mut watch = observer(job.first_row);
        let part = likelihood.run_observed(&job, &mut x, &mut watch)?;
        x.write_rows(values);
        Ok((part, watch))
    })?;

    let mut all = HostLogDensities {
        nats: Vec::with_capacity(rows),
        std_errors: None,
        t: sde.domain().likelihood_eps,
        latents: Array2::from_shape_vec((rows, dim), values).expect("made from rows * dim values"),
        stats: SolveStats::NOTHING,
    };
    let mut observers = Vec::with_capacity(parts.len());
    for (part, watch) in parts {
        observers.push(watch);
        all.nats.extend(part.nats);
        all.stats = all.stats.and(part.stats);
        if let Some(errors) = part.std_errors {
            all.std_errors.get_or_insert_default().extend(errors);
        }
    }
    Ok((all, observers))
}
