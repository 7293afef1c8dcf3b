//! `lab sample`: a sampler on a mixture.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use ndarray::{Array2, Array3, Axis, Ix2, Ix3, stack};
use serde_json::json;
use solvers::observe::Trajectory;
use solvers::parallel::{HostOptions, sample_chunks};
use solvers::score::MixtureScore;
use solvers::{HostBatch, Observer, Real, SolveStats, StopReason};

use crate::files::{Failure, Problem, read_npy, read_sampler, write_npy};

/// Arguments of `lab sample`.
#[derive(clap::Args)]
pub struct Args {
    /// Problem file with [sde] and [mixture].
    #[arg(long)]
    problem: PathBuf,
    /// File with a [sampler] table.
    #[arg(long)]
    sampler: PathBuf,
    /// Number of rows; those of --init where absent.
    #[arg(long, required_unless_present = "init")]
    rows: Option<usize>,
    /// Seed of the noise.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// State at the start of the integration, float64 [rows, dim], in place of a draw from the prior.
    #[arg(long)]
    init: Option<PathBuf>,
    /// Noise, float64 [draws, rows, dim]: the k-th batch of normals that is asked for is slice k.
    #[arg(long)]
    noise: Option<PathBuf>,
    /// First row in a larger run: its rows R to R + N.
    #[arg(long, default_value_t = 0)]
    first_row: u64,
    /// Threads; all cores where absent.
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// Rows a chunk; never changes the samples.
    #[arg(long)]
    chunk: Option<NonZeroUsize>,
    /// Compute in single precision.
    #[arg(long)]
    f32: bool,
    /// Write [times, rows, dim]: the start, each step and the end, taken in one chunk.
    #[arg(long)]
    trajectory: bool,
    /// Where the samples go, float64 [rows, dim].
    #[arg(long)]
    out: PathBuf,
    /// Accepted for symmetry: the last line is JSON in any case.
    #[arg(long)]
    json: bool,
}

/// Draws the samples and prints what they cost.
pub fn run(args: &Args) -> Result<(), Failure> {
    if args.f32 {
        typed::<f32>(args)
    } else {
        typed::<f64>(args)
    }
}

fn typed<T: Real>(args: &Args) -> Result<(), Failure> {
    let problem = Problem::read(&args.problem)?;
    let config = read_sampler(&args.sampler)?;
    let mixture = problem.mixture(&args.problem)?;
    let init = args
        .init
        .as_ref()
        .map(|path| read_npy::<Ix2>(path, "[rows, dim]"))
        .transpose()?;
    let init: Option<Array2<T>> = init.map(|init| init.mapv(T::from_f64));
    let noise = args
        .noise
        .as_ref()
        .map(|path| read_npy::<Ix3>(path, "[draws, rows, dim]"))
        .transpose()?;
    let rows = args.rows.or(init.as_ref().map(Array2::nrows)).unwrap_or_default();
    let dim = mixture.dim();

    let sde = &*problem.sde;
    let sampler = config
        .build::<HostBatch<T>>(sde)
        .map_err(|error| format!("{}: {error}", args.sampler.display()))?;
    let score = MixtureScore::<T>::new(mixture.clone(), Arc::clone(&problem.sde));
    let whole = args.trajectory || (sampler.info().couples_rows && args.chunk.is_none());
    let options = HostOptions {
        seed: args.seed,
        first_row: args.first_row,
        threads: args.threads,
        chunk: if whole {
            NonZeroUsize::new(rows)
        } else {
            args.chunk
        },
        init: init.as_ref().map(|init| init.view()),
        noise: noise.map(Arc::new),
    };
    let begin = Instant::now();
    let watch = |_| Watch(args.trajectory.then(|| Trajectory::new(1)));
    let run = sample_chunks(&*sampler, sde, &score, rows, dim, &options, watch).map_err(|e| e.to_string())?;
    let seconds = begin.elapsed().as_secs_f64();

    if args.trajectory {
        write_npy(&args.out, &trajectory(run.observers, rows, dim)?)?;
    } else {
        write_npy(&args.out, &run.rows.mapv(T::to_f64))?;
    }
    let line = json!({
        "kind": config.kind(),
        "rows": rows,
        "dim": dim,
        "nfe": run.stats.nfe,
        "steps": run.stats.steps,
        "rejected": run.stats.rejected,
        "row_evaluations": run.stats.row_evaluations,
        "finished": run.stats.stop == StopReason::Finished,
        "seconds": seconds,
    });
    println!("{line}");
    Ok(())
}

/// A trajectory where one is wanted.
struct Watch<T: Real>(Option<Trajectory<HostBatch<T>>>);

impl<T: Real> Observer<HostBatch<T>> for Watch<T> {
    fn start(&mut self, info: &solvers::StepInfo, x: &HostBatch<T>) {
        if let Some(trajectory) = &mut self.0 {
            trajectory.start(info, x);
        }
    }

    fn step(&mut self, info: &solvers::StepInfo, x: &HostBatch<T>) -> std::ops::ControlFlow<()> {
        match &mut self.0 {
            Some(trajectory) => trajectory.step(info, x),
            None => std::ops::ControlFlow::Continue(()),
        }
    }

    fn end(&mut self, stats: &SolveStats, x: &HostBatch<T>) {
        if let Some(trajectory) = &mut self.0 {
            trajectory.end(stats, x);
        }
    }
}

fn trajectory<T: Real>(watches: Vec<Watch<T>>, rows: usize, dim: usize) -> Result<Array3<f64>, Failure> {
    let Some(kept) = watches.into_iter().next().and_then(|watch| watch.0) else {
        return Ok(Array3::zeros((0, rows, dim)));
    };
    let states: Vec<_> = kept
        .states()
        .iter()
        .map(|x| x.to_rows().mapv(T::to_f64))
        .collect();
    let views: Vec<_> = states.iter().map(|state| state.view()).collect();
    stack(Axis(0), &views).map_err(|error| error.to_string())
}
