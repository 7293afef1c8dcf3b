//! `lab throughput`: evaluations a second of a sampler on a problem.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args as ClapArgs;
use serde_json::json;
use solvers::{HostBatch, HostOptions, MixtureScore, Real, Sampler, SolveStats, sample_chunks, simd};

use crate::files::{Failure, Problem, read_sampler};

/// Samples a problem several times and prints the median time.
#[derive(ClapArgs)]
pub struct Args {
    /// TOML file with [sde] and [mixture].
    #[arg(long)]
    problem: PathBuf,
    /// TOML file with [sampler].
    #[arg(long)]
    sampler: PathBuf,
    /// Rows to sample.
    #[arg(long)]
    rows: NonZeroUsize,
    /// Threads.
    #[arg(long, default_value = "1")]
    threads: NonZeroUsize,
    /// Rows taken through all steps at a time; fitted to the cache where absent.
    #[arg(long)]
    chunk: Option<NonZeroUsize>,
    /// Runs; the median counts. One more goes before, uncounted.
    #[arg(long, default_value = "5")]
    repeat: NonZeroUsize,
    /// Single precision.
    #[arg(long)]
    f32: bool,
    /// Run without AVX2, with what the program was compiled for.
    #[arg(long)]
    baseline: bool,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    if args.baseline {
        simd::set_level(simd::Level::Baseline);
    }
    let (mut seconds, stats) = if args.f32 {
        measure::<f32>(args)?
    } else {
        measure::<f64>(args)?
    };
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    let rate = stats.row_evaluations as f64 / median;
    if args.json {
        let line = json!({
            "seconds": median, "sample_nfe_per_s": rate, "nfe": stats.nfe, "threads": args.threads,
            "rows": args.rows, "fastest_seconds": seconds[0], "instruction_set": simd::level_name(),
        });
        println!("{line}");
    } else {
        println!(
            "{:.3e} row evaluations/s: {} evaluations of {} rows in {median:.4} s",
            rate, stats.nfe, args.rows
        );
    }
    Ok(())
}

/// Seconds of each run.
fn measure<T: Real>(args: &Args) -> Result<(Vec<f64>, SolveStats), Failure> {
    let problem = Problem::read(&args.problem)?;
    let mixture = problem.mixture(&args.problem)?;
    let sampler: Box<dyn Sampler<HostBatch<T>>> = read_sampler(&args.sampler)?
        .build(&*problem.sde)
        .map_err(|error| format!("{}: {error}", args.sampler.display()))?;
    let score = MixtureScore::<T>::new(mixture.clone(), problem.sde.clone());
    let options = HostOptions {
        threads: Some(args.threads),
        chunk: args.chunk,
        ..HostOptions::default()
    };
    let run = || {
        let start = Instant::now();
        let run = sample_chunks(
            &*sampler,
            &*problem.sde,
            &score,
            args.rows.get(),
            mixture.dim(),
            &options,
            |_| (),
        );
        let seconds = start.elapsed().as_secs_f64();
        run.map(|run| (seconds, run.stats))
            .map_err(|error| error.to_string())
    };
    let (_, stats) = run()?;
    let seconds = (0..args.repeat.get())
        .map(|_| Ok(run()?.0))
        .collect::<Result<_, Failure>>()?;
    Ok((seconds, stats))
}
