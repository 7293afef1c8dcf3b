//! `lab schedule`: the SDE at given times.

use std::path::PathBuf;

use serde_json::json;

use crate::files::{Failure, Problem};

/// Arguments of `lab schedule`.
#[derive(clap::Args)]
pub struct Args {
    /// Problem file with an [sde] table.
    #[arg(long)]
    problem: PathBuf,
    /// Times, separated by commas.
    #[arg(long, value_delimiter = ',', required = true, allow_negative_numbers = true)]
    times: Vec<f64>,
    /// Print one JSON object a time.
    #[arg(long)]
    json: bool,
}

/// Prints one row a time.
pub fn run(args: &Args) -> Result<(), Failure> {
    let sde = Problem::read(&args.problem)?.sde;
    let last = sde.domain().t_end;
    if let Some(t) = args.times.iter().find(|t| !(0.0..=last).contains(*t)) {
        return Err(format!(
            "--times: {t} lies outside 0 to {last}, the domain of the SDE"
        ));
    }
    if !args.json {
        println!(
            "{:>12} {:>14} {:>14} {:>14} {:>14} {:>14} {:>14} {:>10}",
            "t", "drift_coef", "diffusion", "mean_coef", "std", "lambda", "log_snr", "prior_std"
        );
    }
    for &t in &args.times {
        let kernel = sde.marginal(t);
        let row = [
            sde.drift_coef(t),
            sde.diffusion(t),
            kernel.mean_coef,
            kernel.std,
            sde.lambda(t),
            sde.log_snr(t),
            sde.prior_std(),
        ];
        if args.json {
            let [drift_coef, diffusion, mean_coef, std, lambda, log_snr, prior_std] = row;
            let row = json!({
                "t": t, "drift_coef": drift_coef, "diffusion": diffusion, "mean_coef": mean_coef, "std": std,
                "lambda": lambda, "log_snr": log_snr, "prior_std": prior_std,
            });
            println!("{row}");
        } else {
            let [drift_coef, diffusion, mean_coef, std, lambda, log_snr, prior_std] = row;
            println!(
                "{t:>12} {drift_coef:>14.7e} {diffusion:>14.7e} {mean_coef:>14.7e} {std:>14.7e} {lambda:>14.7} \
                 {log_snr:>14.7} {prior_std:>10}"
            );
        }
    }
    Ok(())
}
