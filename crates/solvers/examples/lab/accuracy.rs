//! `lab accuracy`: the error of every sampler against its number of evaluations, and the order that follows.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args as ClapArgs;
use ndarray::Array2;
use sde_core::{Gaussian, Mixture, Sde};
use serde_json::json;
use solvers::config::{OdeConfig, SamplerConfig};
use solvers::noise::{Draw, Purpose, normal_at, uniform};
use solvers::sampler::Final;
use solvers::{HostBatch, HostOptions, MixtureScore, Sampler, SolveError, sample_chunks};

use crate::catalogue::catalogue;
use crate::files::{Failure, Problem, read_sampler_table};

/// Error against a reference solution, evaluations and fitted order of every sampler, or of the one given.
///
/// Rows start from the exact density at the start time. Deterministic methods: the median over the rows of the root
/// mean square difference from the probability flow's solution (Dormand-Prince, tolerance 1e-12), without the final denoising step. Stochastic methods: the
/// distance of the whitened second moment `E[(x - m)^T C^-1 (x - m)]/dim` of the samples from 1, with mean m and covariance C
/// of the exact density at the end time, and its standard error.
#[derive(ClapArgs)]
pub struct Args {
    /// TOML file with [sde] and [mixture].
    #[arg(long)]
    problem: PathBuf,
    /// TOML file with [sampler]; every kind with its variants where absent.
    #[arg(long)]
    sampler: Option<PathBuf>,
    /// Numbers of steps, ascending.
    #[arg(long, value_delimiter = ',', default_value = "10,20,40,80,160")]
    steps: Vec<usize>,
    /// Rows for deterministic methods.
    #[arg(long, default_value_t = 256)]
    rows: usize,
    /// Rows for stochastic methods.
    #[arg(long, default_value_t = 100_000)]
    stochastic_rows: usize,
    /// Seed of starts and noise.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print one line of JSON a sampler.
    #[arg(long)]
    json: bool,
}

/// Tolerances of the methods that choose their steps, in place of numbers of steps.
const TOLERANCES: [f64; 5] = [1e-3, 1e-4, 1e-5, 1e-6, 1e-7];
/// The same for stochastic methods, whose steps shrink with the square of the tolerance.
const STOCHASTIC_TOLERANCES: [f64; 5] = [0.3, 0.1, 0.05, 0.02, 0.01];
/// Errors below this are rounding and say nothing of the order.
const ROUNDING: f64 = 1e-11;

/// One run of a sampler.
struct Point {
    /// Steps, or for adaptive methods the most of any row.
    steps: u64,
    /// Evaluations of a row, on average.
    nfe: f64,
    error: f64,
    /// Standard error of a stochastic method's error.
    stderr: Option<f64>,
}

/// Prints one row a sampler.
pub fn run(args: &Args) -> Result<(), Failure> {
    if args.rows == 0 || args.stochastic_rows < 2 {
        return Err("--rows: need 1 or more, --stochastic-rows 2 or more".to_owned());
    }
    if args.steps.is_empty() || !args.steps.is_sorted_by(|a, b| a < b) || args.steps[0] == 0 {
        return Err("--steps: need ascending numbers, 1 or more".to_owned());
    }
    let problem = Problem::read(&args.problem)?;
    let lab = Lab::new(&problem, &args.problem, args)?;
    let entries: Vec<(String, toml::Table)> = match &args.sampler {
        Some(path) => {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            vec![(name.into_owned(), read_sampler_table(path)?)]
        }
        None => catalogue(),
    };
    if !args.json {
        println!(
            "{:<28}{:>7}{:>9}  evaluations: error",
            "sampler", "order", "theory"
        );
    }
    let mut failed = Vec::new();
    for (name, table) in entries {
        match lab.measure(&table) {
            Ok(row) => print_row(&name, &row, args.json),
            Err(error) => failed.push(format!("{name}: {error}")),
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(failed.join("; "))
    }
}

/// What is known of a sampler after its runs.
struct Row {
    kind: &'static str,
    stochastic: bool,
    theory: f64,
    order: Option<f64>,
    points: Vec<Point>,
    /// Numbers of steps that the method refuses, with its reason.
    refused: Vec<(usize, String)>,
}

fn print_row(name: &str, row: &Row, as_json: bool) {
    let list = |of: fn(&Point) -> serde_json::Value| row.points.iter().map(of).collect::<Vec<_>>();
    if as_json {
        let line = json!({
            "sampler": name, "kind": row.kind, "stochastic": row.stochastic, "order": row.order, "theory": row.theory,
            "steps": list(|p| p.steps.into()), "nfe": list(|p| p.nfe.into()), "error": list(|p| p.error.into()),
            "refused": row.refused.iter().map(|(steps, reason)| json!({"steps": steps, "reason": reason})).collect::<Vec<_>>(),
            "stderr": if row.stochastic { json!(list(|p| p.stderr.into())) } else { json!(null) },
        });
        println!("{line}");
        return;
    }
    let order = row.order.map_or("-".to_owned(), |order| format!("{order:.2}"));
    let points: Vec<String> = row
        .points
        .iter()
        .map(|p| match p.stderr {
            Some(stderr) => format!("{:.0}: {:.1e} +- {stderr:.0e}", p.nfe, p.error),
            None => format!("{:.0}: {:.1e}", p.nfe, p.error),
        })
        .collect();
    println!("{name:<28}{order:>7}{:>9}  {}", row.theory, points.join("  "));
}

/// What building a sampler gives.
type Built = Result<Box<dyn Sampler<HostBatch<f64>>>, SolveError>;

/// The problem, and what its samples are compared with.
struct Lab<'a> {
    sde: Arc<dyn Sde>,
    mixture: &'a Mixture,
    /// A Gaussian with the mixture's mean and covariance: its score whitens.
    moments: Gaussian,
    score: MixtureScore<f64>,
    args: &'a Args,
}

impl<'a> Lab<'a> {
    fn new(problem: &'a Problem, path: &Path, args: &'a Args) -> Result<Self, Failure> {
        let mixture = problem.mixture(path)?;
        Ok(Self {
            sde: Arc::clone(&problem.sde),
            mixture,
            moments: Gaussian::new(&mixture.mean(), &mixture.cov()).map_err(|error| error.to_string())?,
            score: MixtureScore::new(mixture.clone(), Arc::clone(&problem.sde)),
            args,
        })
    }

    /// Exact draws of the density at time `t`.
    fn exact(&self, t: f64, rows: usize) -> Array2<f64> {
        let (dim, kernel, seed) = (self.mixture.dim(), self.sde.marginal(t), self.args.seed);
        let draw = |step| Draw {
            step,
            purpose: Purpose::Data,
        };
        let mut all = Array2::zeros((rows, dim));
        let (mut z, mut x0) = (vec![0.0; dim], vec![0.0; dim]);
        for (row, mut out) in all.rows_mut().into_iter().enumerate() {
            let normal = |step, d| f64::from(normal_at(seed, draw(step), row as u64, dim, d));
            for (d, z) in z.iter_mut().enumerate() {
                *z = normal(0, d);
            }
            self.mixture
                .sample_from_normals(uniform(seed, draw(0), row as u64), &z, &mut x0);
            for (d, (out, x0)) in out.iter_mut().zip(&x0).enumerate() {
                *out = kernel.mean_coef * x0 + kernel.std * normal(1, d);
            }
        }
        all
    }

    /// The kind of a table of `[sampler]`, and the sampler unless this problem refuses it.
    fn build(&self, table: toml::Table) -> Result<(&'static str, Built), Failure> {
        let config: SamplerConfig = table
            .try_into()
            .map_err(|error: toml::de::Error| error.message().to_owned())?;
        Ok((config.kind(), config.build(&*self.sde)))
    }

    /// Runs a table of `[sampler]` for each number of steps, or for each tolerance where it takes no number.
    fn measure(&self, table: &toml::Table) -> Result<Row, Failure> {
        let adaptive =
            !table.contains_key("steps") && ["rtol", "atol"].iter().any(|key| table.contains_key(*key));
        let settings: Vec<(Option<usize>, toml::Table)> = if adaptive {
            let set = |tolerance: &f64| {
                let mut table = table.clone();
                table.insert("rtol".into(), (*tolerance).into());
                table.insert("atol".into(), (*tolerance).into());
                (None, table)
            };
            let (_, probe) = set(&TOLERANCES[0]);
            let sampler = self.build(probe)?.1.map_err(|error| error.to_string())?;
            let tolerances = if sampler.info().stochastic {
                STOCHASTIC_TOLERANCES
            } else {
                TOLERANCES
            };
            tolerances.iter().map(set).collect()
        } else {
            let set = |steps: &usize| {
                let mut table = table.clone();
                table.insert("steps".into(), (*steps as i64).into());
                (Some(*steps), table)
            };
            self.args.steps.iter().map(set).collect()
        };
        let mut row = Row {
            kind: "",
            stochastic: false,
            theory: 0.0,
            order: None,
            points: Vec::new(),
            refused: Vec::new(),
        };
        let (mut starts, mut reference) = (None, None);
        for (steps, mut table) in settings {
            table.insert("final".into(), "none".into());
            let fail = |error: SolveError| error.to_string();
            let (kind, sampler) = match (self.build(table)?, steps) {
                ((kind, Ok(sampler)), _) => (kind, sampler),
                ((_, Err(error)), Some(steps)) => {
                    row.refused.push((steps, error.to_string()));
                    continue;
                }
                ((_, Err(error)), None) => return Err(error.to_string()),
            };
            let info = sampler.info();
            (row.kind, row.stochastic, row.theory) = (kind, info.stochastic, info.order);
            let rows = if info.stochastic {
                self.args.stochastic_rows
            } else {
                self.args.rows
            };
            let x = starts.get_or_insert_with(|| self.exact(sampler.t_start(), rows));
            let options = HostOptions {
                seed: self.args.seed,
                init: Some(x.view()),
                chunk: NonZeroUsize::new(if info.couples_rows { rows } else { 0 }),
                ..HostOptions::default()
            };
            let dim = self.mixture.dim();
            let run = sample_chunks(&*sampler, &*self.sde, &self.score, rows, dim, &options, |_| ())
                .map_err(fail)?;
            let (error, stderr) = if info.stochastic {
                self.moment_error(&run.rows)
            } else {
                let exact = match &mut reference {
                    Some(exact) => exact,
                    slot => slot.insert(self.reference(x)?),
                };
                (median_distance(&run.rows, exact), None)
            };
            row.points.push(Point {
                steps: run.stats.steps,
                nfe: run.stats.row_evaluations as f64 / rows as f64,
                error,
                stderr,
            });
        }
        row.order = fitted_order(&row.points, adaptive);
        match row.refused.last() {
            Some((_, reason)) if row.points.is_empty() => Err(reason.clone()),
            _ => Ok(row),
        }
    }

    /// The probability flow's solution at the end time.
    fn reference(&self, starts: &Array2<f64>) -> Result<Array2<f64>, Failure> {
        let config: SamplerConfig = OdeConfig {
            rtol: Some(1e-12),
            atol: Some(1e-12),
            final_step: Some(Final::None),
            ..OdeConfig::default()
        }
        .into();
        let fail = |error: SolveError| format!("reference solution: {error}");
        let sampler = config.build::<HostBatch<f64>>(&*self.sde).map_err(fail)?;
        let options = HostOptions {
            init: Some(starts.view()),
            ..HostOptions::default()
        };
        let (rows, dim) = starts.dim();
        let run = sample_chunks(&*sampler, &*self.sde, &self.score, rows, dim, &options, |_| ());
        Ok(run.map_err(fail)?.rows)
    }

    /// Distance of the whitened second moment from 1, and its standard error.
    fn moment_error(&self, samples: &Array2<f64>) -> (f64, Option<f64>) {
        let kernel = self.sde.marginal(self.sde.domain().sample_eps);
        let exact = self.moments.mixture().noised(kernel);
        let mean: Vec<f64> = self.moments.mean().iter().map(|m| kernel.mean_coef * m).collect();
        let mut score = vec![0.0; samples.ncols()];
        let whitened: Vec<f64> = samples
            .rows()
            .into_iter()
            .map(|x| {
                let x = x.to_vec();
                exact.score(&x, &mut score);
                let terms = x.iter().zip(&mean).zip(&score);
                terms.map(|((x, mean), score)| -(x - mean) * score).sum::<f64>() / x.len() as f64
            })
            .collect();
        let n = whitened.len() as f64;
        let average = whitened.iter().sum::<f64>() / n;
        let var = whitened
            .iter()
            .map(|q| (q - average) * (q - average))
            .sum::<f64>()
            / (n - 1.0);
        ((average - 1.0).abs(), Some((var / n).sqrt()))
    }
}

/// Median over the rows of the root mean square of a row's difference: a row that starts near the watershed between two
/// components has an error that says little of the method, and would rule the mean.
fn median_distance(x: &Array2<f64>, exact: &Array2<f64>) -> f64 {
    let mut rows: Vec<f64> = (x - exact)
        .rows()
        .into_iter()
        .map(|row| row.mapv(|d| d * d).mean().unwrap_or(f64::NAN).sqrt())
        .collect();
    rows.sort_by(f64::total_cmp);
    rows[rows.len() / 2]
}

/// Slope of the logarithms over the last three points that are neither rounding nor sampling error; against the steps, or
/// against the evaluations where the method chooses its steps. `None` where fewer than two are left.
fn fitted_order(points: &[Point], adaptive: bool) -> Option<f64> {
    let known: Vec<(f64, f64)> = points
        .iter()
        .filter(|p| p.error > ROUNDING && p.stderr.is_none_or(|stderr| p.error > 4.0 * stderr))
        .map(|p| (if adaptive { p.nfe } else { p.steps as f64 }, p.error))
        .collect();
    let last = &known[known.len().saturating_sub(3)..];
    let (first, end) = (last.first()?, last.last()?);
    (last.len() > 1).then(|| (first.1 / end.1).ln() / (end.0 / first.0).ln())
}
