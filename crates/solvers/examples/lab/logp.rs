//! `lab logp`: log densities of the mixture by the probability flow.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use clap::ValueEnum;
use ndarray::{Array1, Ix2};
use serde_json::json;
use solvers::likelihood::{GaussianPrior, LikelihoodConfig, ProbeLaw, TerminalDensity, log_density_host};
use solvers::{HostBatch, HostOptions, MixtureScore};

use crate::files::{Failure, Problem, read_npy, write_npy};

/// Arguments of `lab logp`.
#[derive(clap::Args)]
pub struct Args {
    /// Problem file with [sde] and [mixture].
    #[arg(long)]
    problem: PathBuf,
    /// Points, float64 [rows, dim]: data as noised up to the SDE's likelihood_eps.
    #[arg(long)]
    points: PathBuf,
    /// Probes a row; the exact divergence where absent.
    #[arg(long)]
    probes: Option<u32>,
    /// Law of the probes.
    #[arg(long, value_enum, default_value = "rademacher", requires = "probes")]
    law: Law,
    /// Seed of the probes.
    #[arg(long, default_value_t = 0, requires = "probes")]
    seed: u64,
    /// Density that closes the integral: the SDE's prior, or the mixture's own at t_end.
    #[arg(long, value_enum, default_value = "gaussian")]
    prior: Prior,
    /// Relative tolerance.
    #[arg(long, default_value_t = 1e-5, allow_hyphen_values = true)]
    rtol: f64,
    /// Absolute tolerance, in data units and nats.
    #[arg(long, default_value_t = 1e-5, allow_hyphen_values = true)]
    atol: f64,
    /// First row in a larger run.
    #[arg(long, default_value_t = 0)]
    first_row: u64,
    /// Threads; all cores where absent.
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// Rows a chunk; never changes the result.
    #[arg(long)]
    chunk: Option<NonZeroUsize>,
    /// Where the log densities go, float64 [rows], nats.
    #[arg(long)]
    out: PathBuf,
    /// Where the standard errors over the probes go, float64 [rows].
    #[arg(long, requires = "probes")]
    stderr_out: Option<PathBuf>,
    /// Accepted for symmetry: the last line is JSON in any case.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Law {
    Rademacher,
    Gaussian,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Prior {
    Gaussian,
    Exact,
}

/// Writes the log densities and prints what they cost.
pub fn run(args: &Args) -> Result<(), Failure> {
    let problem = Problem::read(&args.problem)?;
    let mixture = problem.mixture(&args.problem)?;
    let points = read_npy::<Ix2>(&args.points, "[rows, dim]")?;
    let (rows, dim) = points.dim();
    if rows == 0 || dim != mixture.dim() {
        return Err(format!(
            "{}: points are [{rows}, {dim}]; need at least one row and the mixture's {} dimensions",
            args.points.display(),
            mixture.dim()
        ));
    }
    if args.stderr_out.is_some() && args.probes == Some(1) {
        return Err("--stderr-out: one probe tells no standard error; give --probes at least 2".into());
    }
    let config = LikelihoodConfig {
        probes: args.probes,
        probe_law: match args.law {
            Law::Rademacher => ProbeLaw::Rademacher,
            Law::Gaussian => ProbeLaw::Gaussian,
        },
        rtol: args.rtol,
        atol: args.atol,
        ..LikelihoodConfig::default()
    };
    let sde = &*problem.sde;
    let likelihood = config.build(sde).map_err(|error| error.to_string())?;
    let model = MixtureScore::<f64>::new(mixture.clone(), problem.sde.clone());
    let (gaussian, own) = (
        GaussianPrior::of(sde),
        mixture.noised(sde.marginal(sde.domain().t_end)),
    );
    let terminal: &(dyn TerminalDensity<HostBatch<f64>> + Sync) = match args.prior {
        Prior::Gaussian => &gaussian,
        Prior::Exact => &own,
    };
    let options = HostOptions {
        seed: args.seed,
        first_row: args.first_row,
        threads: args.threads,
        chunk: args.chunk,
        ..HostOptions::default()
    };
    let begin = Instant::now();
    let run = log_density_host(&likelihood, sde, &model, terminal, points.view(), &options)
        .map_err(|error| error.to_string())?;
    let seconds = begin.elapsed().as_secs_f64();

    write_npy(&args.out, &Array1::from_vec(run.nats.clone()))?;
    if let (Some(path), Some(errors)) = (&args.stderr_out, &run.std_errors) {
        write_npy(path, &Array1::from_vec(errors.clone()))?;
    }
    let latents = HostBatch::from_rows(run.latents.view());
    let [mut mismatch, mut exact] = [(); 2].map(|()| vec![0.0; rows]);
    for (density, out) in [
        (&gaussian as &dyn TerminalDensity<HostBatch<f64>>, &mut mismatch),
        (&own, &mut exact),
    ] {
        density
            .log_density_rows(&latents, out)
            .map_err(|error| error.to_string())?;
    }
    for (gaussian, own) in mismatch.iter_mut().zip(&exact) {
        *gaussian -= own;
    }
    let line = json!({
        "rows": rows,
        "dim": dim,
        "t": run.t,
        "mean": mean(&run.nats),
        "mean_stderr": run.std_errors.as_deref().map(mean),
        "probes": args.probes,
        "prior": if args.prior == Prior::Gaussian { "gaussian" } else { "exact" },
        "prior_mismatch_mean": mean(&mismatch),
        "prior_mismatch_max": mismatch.iter().fold(0.0, |most: f64, value| most.max(value.abs())),
        "nfe": run.stats.nfe,
        "steps": run.stats.steps,
        "rejected": run.stats.rejected,
        "row_evaluations": run.stats.row_evaluations,
        "seconds": seconds,
    });
    println!("{line}");
    Ok(())
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
