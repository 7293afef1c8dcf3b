//! `lab score`: the exact score of the noised mixture at given points.

use std::path::PathBuf;

use ndarray::{Array2, Ix2};
use solvers::score::MixtureScore;
use solvers::{Coef, HostBatch, Real, ScoreFn, State};

use crate::files::{Failure, Problem, read_npy, write_npy};

/// Arguments of `lab score`.
#[derive(clap::Args)]
pub struct Args {
    /// Problem file with [sde] and [mixture].
    #[arg(long)]
    problem: PathBuf,
    /// Points, float64 [rows, dim].
    #[arg(long)]
    points: PathBuf,
    /// Time.
    #[arg(long, allow_negative_numbers = true)]
    t: f64,
    /// Compute in single precision.
    #[arg(long)]
    f32: bool,
    /// Where the scores go, float64 [rows, dim].
    #[arg(long)]
    out: PathBuf,
}

/// Writes the scores.
pub fn run(args: &Args) -> Result<(), Failure> {
    let problem = Problem::read(&args.problem)?;
    let points = read_npy::<Ix2>(&args.points, "[rows, dim]")?;
    let dim = problem.mixture(&args.problem)?.dim();
    if points.ncols() != dim {
        let (rows, cols) = points.dim();
        return Err(format!(
            "{}: points are [{rows}, {cols}], the mixture has {dim} dimensions",
            args.points.display()
        ));
    }
    let last = problem.sde.domain().t_end;
    if !(0.0..=last).contains(&args.t) {
        return Err(format!(
            "--t: {} lies outside 0 to {last}, the domain of the SDE",
            args.t
        ));
    }
    let scores = if args.f32 {
        scores::<f32>(args, &problem, &points)
    } else {
        scores::<f64>(args, &problem, &points)
    }?;
    write_npy(&args.out, &scores)
}

fn scores<T: Real>(args: &Args, problem: &Problem, points: &Array2<f64>) -> Result<Array2<f64>, Failure> {
    let mixture = problem.mixture(&args.problem)?.clone();
    let score = MixtureScore::<T>::new(mixture, problem.sde.clone());
    let x = HostBatch::<T>::from_rows(points.mapv(T::from_f64).view());
    let mut out = x.zeros_like();
    score
        .score(&x, Coef::All(args.t), &mut out)
        .map_err(|error| error.to_string())?;
    Ok(out.to_rows().mapv(T::to_f64))
}
