//! The host driver: cuts the rows into chunks, takes each chunk through all steps while it lies in cache, and runs
//! chunks side by side. Rows, noise and kernels are independent of the cut, so the result has the same bits for any
//! number of threads and any chunk size.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::{Array2, Array3, ArrayView2, s};
use rayon::prelude::*;
use sde_core::Sde;

use crate::real::Real;
use crate::sampler::draw_prior;
use crate::{
    HostBatch, HostNoise, Job, NoiseSource, Observer, PresetNoise, Sampler, ScoreFn, SolveError, SolveStats,
    StopReason,
};

/// Bytes that the states of a chunk may take together: a quarter of a usual second-level cache. Chunks that fit the first level are so
/// small that the calls of a step, one of each kind a chunk, cost a tenth.
const CHUNK_BYTES: usize = 128 << 10;
/// States that a sampler keeps: the state, its successor, score and noise.
const STATES: usize = 4;
/// Largest and smallest default chunk; a multiple of the latter.
const MAX_CHUNK: usize = 1024;
const MIN_CHUNK: usize = 32;
/// Chunks a thread, so that no thread waits long for the last one.
const CHUNKS_PER_THREAD: usize = 3;
/// Row numbers that the address of the noise has room for.
const MOST_ROWS: u64 = 1 << 56;
/// Threads that a run may ask for.
const MOST_THREADS: usize = 4096;

/// How a run on the host is started and cut. `HostOptions::default()` starts from the prior with seed 0 on all cores.
#[derive(Debug, Clone, Default)]
pub struct HostOptions<'a, T: Real> {
    /// Seed of all noise of the run.
    pub seed: u64,
    /// Row of a larger run at which this one starts: rows `R..R + n` of a run are the run of `n` rows with
    /// `first_row = R`, for samplers that do not couple rows. At most 2^56 rows in all.
    pub first_row: u64,
    /// Number of threads; all cores where absent.
    pub threads: Option<NonZeroUsize>,
    /// Rows a chunk; chosen so that a chunk stays in the second-level cache where absent.
    pub chunk: Option<NonZeroUsize>,
    /// The state at the start time, `[rows, dim]`, in place of a draw from the prior.
    pub init: Option<ArrayView2<'a, T>>,
    /// Noise `[draws, rows, dim]` in place of generated noise, see [`PresetNoise`].
    pub noise: Option<Arc<Array3<f64>>>,
}

/// What a run gave.
#[derive(Debug, Clone)]
pub struct HostRun<T, O> {
    /// The final states, `[rows, dim]`.
    pub rows: Array2<T>,
    /// `nfe`, `steps` and `t` are the largest of any chunk, `rejected` and `row_evaluations` sums over chunks; stopped if
    /// any chunk was.
    pub stats: SolveStats,
    /// The observers of the chunks, in the order of their rows.
    pub observers: Vec<O>,
}

/// `rows` samples of dimension `dim`, from the prior, on all cores: the common case of [`sample_chunks`].
///
/// # Errors
/// As [`sample_chunks`].
pub fn sample_host<T: Real>(
    sampler: &dyn Sampler<HostBatch<T>>,
    sde: &dyn Sde,
    score: &(dyn ScoreFn<HostBatch<T>> + Sync),
    rows: usize,
    dim: usize,
    seed: u64,
) -> Result<(Array2<T>, SolveStats), SolveError> {
    let options = HostOptions {
        seed,
        ..HostOptions::default()
    };
    let run = sample_chunks(sampler, sde, score, rows, dim, &options, |_| ())?;
    Ok((run.rows, run.stats))
}

/// Runs `sampler` on `rows` rows of `dim` values, chunk by chunk. `observer` makes the observer of a chunk from the
/// row at which the chunk starts, in the numbering of the larger run.
///
/// A run of no rows does nothing and succeeds.
///
/// # Errors
/// Those of the sampler; where several chunks fail, that of the chunk with the smallest rows, so
/// for a given chunk size the error does not depend on the number of threads. An observer that stops ends its chunk only. [`SolveError::Config`] for a sampler that couples rows when there is more than one chunk;
/// [`SolveError::Shape`] for `init` of another shape, for `dim = 0`, and for preset noise that does not fit.
pub fn sample_chunks<T: Real, O: Observer<HostBatch<T>> + Send>(
    sampler: &dyn Sampler<HostBatch<T>>,
    sde: &dyn Sde,
    score: &(dyn ScoreFn<HostBatch<T>> + Sync),
    rows: usize,
    dim: usize,
    options: &HostOptions<T>,
    observer: impl Fn(u64) -> O + Sync,
) -> Result<HostRun<T, O>, SolveError> {
    check(rows, dim, options)?;
    let chunk = chunk_rows(rows, dim, options);
    let info = sampler.info();
    if info.couples_rows && chunk < rows {
        return Err(SolveError::Config {
            key: "chunk".into(),
            value: chunk.to_string(),
            reason: format!(
                "rows of {} influence each other: set chunk to the number of rows, {rows}, or choose a method not named batch-*",
                info.name
            ),
        });
    }

    let mut values = Vec::new();
    values
        .try_reserve_exact(rows * dim)
        .map_err(|_| SolveError::Shape {
            what: "batch [rows, dim]",
            got: format!("[{rows}, {dim}]"),
            need: "to fit memory".into(),
        })?;
    values.resize(rows * dim, T::ZERO);
    let results = run_chunks(options.threads, &mut values, chunk * dim, |index, out| {
        let start = index * chunk;
        let watch = observer(options.first_row + start as u64);
        one_chunk(sampler, sde, score, options, start, out, dim, watch)
    })?;

    let mut stats = SolveStats::NOTHING;
    let mut observers = Vec::with_capacity(results.len());
    for (part, watch) in results {
        stats = stats.and(part);
        observers.push(watch);
    }
    let rows = Array2::from_shape_vec((rows, dim), values).expect("made with rows * dim values");
    Ok(HostRun {
        rows,
        stats,
        observers,
    })
}

impl SolveStats {
    /// What a run of no rows costs.
    pub(crate) const NOTHING: Self = Self {
        nfe: 0,
        steps: 0,
        rejected: 0,
        row_evaluations: 0,
        stop: StopReason::Finished,
        t: 0.0,
    };

    /// The cost of this chunk and another one: the most evaluations and steps, the larger
    /// time, the sums of the rest.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            nfe: self.nfe.max(other.nfe),
            steps: self.steps.max(other.steps),
            rejected: self.rejected + other.rejected,
            row_evaluations: self.row_evaluations + other.row_evaluations,
            stop: if other.stop == StopReason::Stopped {
                other.stop
            } else {
                self.stop
            },
            t: self.t.max(other.t),
        }
    }
}

/// Hands pieces of `size` values to `run`, with their number, on so many threads; the results in order.
///
/// # Errors
/// That of the first piece that fails, whatever the number of threads: pieces behind a failed one may be skipped, none before it
/// is. [`SolveError::Config`] where the system starts no such number of threads.
pub(crate) fn run_chunks<T: Send, R: Send>(
    threads: Option<NonZeroUsize>,
    values: &mut [T],
    size: usize,
    run: impl Fn(usize, &mut [T]) -> Result<R, SolveError> + Sync,
) -> Result<Vec<R>, SolveError> {
    let first_failed = AtomicUsize::new(usize::MAX);
    let run = |(index, piece): (usize, &mut [T])| -> Option<Result<R, SolveError>> {
        if index > first_failed.load(Ordering::Relaxed) {
            return None;
        }
        let result = run(index, piece);
        if result.is_err() {
            first_failed.fetch_min(index, Ordering::Relaxed);
        }
        Some(result)
    };
    let size = size.max(1);
    let results: Vec<_> = match threads {
        Some(threads) if threads.get() == 1 => values.chunks_mut(size).enumerate().map(run).collect(),
        // Another number of threads than the common pool has takes a pool of its own, made and ended for this run.
        Some(threads) if threads.get() != rayon::current_num_threads() => {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.get()).build();
            let pool = pool.map_err(|error| SolveError::Config {
                key: "threads".into(),
                value: threads.to_string(),
                reason: format!("the system starts no such number of threads: {error}"),
            })?;
            pool.install(|| values.par_chunks_mut(size).enumerate().map(run).collect())
        }
        _ => values.par_chunks_mut(size).enumerate().map(run).collect(),
    };
    // A piece is skipped only when an earlier one failed, and that one comes first here.
    results.into_iter().flatten().collect()
}

/// Shapes that can be refused before anything is computed.
pub(crate) fn check<T: Real>(rows: usize, dim: usize, options: &HostOptions<T>) -> Result<(), SolveError> {
    let shape = |what, got: String, need: String| Err(SolveError::Shape { what, got, need });
    if dim == 0 || rows.checked_mul(dim).is_none() {
        return shape(
            "batch [rows, dim]",
            format!("[{rows}, {dim}]"),
            "at least one dimension, and to fit memory".into(),
        );
    }
    let end = options.first_row.checked_add(rows as u64);
    if end.is_none_or(|end| end > MOST_ROWS) {
        return Err(SolveError::Config {
            key: "first_row".into(),
            value: options.first_row.to_string(),
            reason: "rows are numbered up to 2^56".into(),
        });
    }
    if let Some(threads) = options.threads.filter(|threads| threads.get() > MOST_THREADS) {
        return Err(SolveError::Config {
            key: "threads".into(),
            value: threads.to_string(),
            reason: format!("give at most {MOST_THREADS}; more than the machine has cores gains nothing"),
        });
    }
    if let Some(init) = options.init.filter(|init| init.dim() != (rows, dim)) {
        let (r, d) = init.dim();
        return shape(
            "initial state [rows, dim]",
            format!("[{r}, {d}]"),
            format!("[{rows}, {dim}]"),
        );
    }
    if let Some(noise) = &options.noise {
        let (draws, r, d) = noise.dim();
        if (r, d) != (rows, dim) {
            let (got, need) = (format!("[{draws}, {r}, {d}]"), format!("[_, {rows}, {dim}]"));
            return shape("preset noise [draws, rows, dim]", got, need);
        }
    }
    Ok(())
}

/// Rows a chunk, as asked for or by default.
pub(crate) fn chunk_rows<T: Real>(rows: usize, dim: usize, options: &HostOptions<T>) -> usize {
    let threads = options
        .threads
        .map_or_else(rayon::current_num_threads, NonZeroUsize::get);
    options
        .chunk
        .map_or_else(|| default_chunk::<T>(rows, dim, threads), NonZeroUsize::get)
        .clamp(1, rows.max(1))
}

/// Rows a chunk such that its states stay in the second-level cache and every thread gets some chunks.
fn default_chunk<T>(rows: usize, dim: usize, threads: usize) -> usize {
    let cached = CHUNK_BYTES / (STATES * dim * size_of::<T>());
    let shared = rows.div_ceil(CHUNKS_PER_THREAD.saturating_mul(threads));
    cached
        .min(shared)
        .clamp(MIN_CHUNK, MAX_CHUNK)
        .next_multiple_of(MIN_CHUNK)
}

#[allow(clippy::too_many_arguments)]
fn one_chunk<T: Real, O: Observer<HostBatch<T>>>(
    sampler: &dyn Sampler<HostBatch<T>>,
    sde: &dyn Sde,
    score: &(dyn ScoreFn<HostBatch<T>> + Sync),
    options: &HostOptions<T>,
    start: usize,
    out: &mut [T],
    dim: usize,
    mut watch: O,
) -> Result<(SolveStats, O), SolveError> {
    let rows = out.len() / dim;
    let first_row = options.first_row + start as u64;
    let noise = chunk_noise(options, start);
    let mut x = match &options.init {
        Some(init) => HostBatch::from_rows(init.slice(s![start..start + rows, ..])),
        None => {
            let mut x = HostBatch::zeros(rows, dim);
            draw_prior(sde, sampler.t_start(), &*noise, &mut x)?;
            x
        }
    };
    let stats = sampler.run(
        &Job {
            sde,
            score,
            noise: &*noise,
            first_row,
        },
        &mut x,
        &mut watch,
    )?;
    x.write_rows(out);
    Ok((stats, watch))
}

/// The noise of a chunk that starts at row `start` of the run.
pub(crate) fn chunk_noise<T: Real>(
    options: &HostOptions<T>,
    start: usize,
) -> Box<dyn NoiseSource<HostBatch<T>>> {
    match &options.noise {
        Some(draws) => Box::new(PresetNoise::new(Arc::clone(draws), start)),
        None => Box::new(HostNoise {
            seed: options.seed,
            first_row: options.first_row + start as u64,
        }),
    }
}
