//! `lab throughput`: evaluations a second of a sampler on a problem.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Args as ClapArgs, ValueEnum};
use serde_json::json;
use solvers::simd::{self, Level};
use solvers::{HostBatch, HostOptions, MixtureScore, Real, Sampler, SolveStats, sample_chunks};

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
    /// Instruction set; the best of the processor where absent. The samples have the same bits with each.
    #[arg(long, value_enum)]
    instruction_set: Option<InstructionSet>,
    /// The same as --instruction-set baseline: what the program was compiled for.
    #[arg(long, conflicts_with = "instruction_set")]
    baseline: bool,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Values of `--instruction-set`.
#[derive(Clone, Copy, ValueEnum)]
enum InstructionSet {
    /// What the program was compiled for.
    Baseline,
    /// AVX2, without AVX-512.
    Avx2,
    /// AVX-512.
    Avx512,
}

/// Sets the level. A set that the processor lacks is refused: something else would be measured.
fn set_level(set: InstructionSet) -> Result<(), Failure> {
    let (level, name) = match set {
        InstructionSet::Baseline => (Level::Baseline, "baseline"),
        InstructionSet::Avx2 => (Level::Avx2, "avx2"),
        InstructionSet::Avx512 => (Level::Best, "avx512"),
    };
    simd::set_level(level);
    if simd::level_name() == name {
        return Ok(());
    }
    simd::set_level(Level::Best);
    Err(format!(
        "--instruction-set {name}: this processor lacks it; its best is {}",
        simd::level_name()
    ))
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    let baseline = args.baseline.then_some(InstructionSet::Baseline);
    if let Some(set) = args.instruction_set.or(baseline) {
        set_level(set)?;
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
