//! Log densities of a mixture by its probability flow, exactly and with random probes, beside the density itself.
//! `cargo run --release --example likelihood`
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::sync::Arc;

use ndarray::array;
use sde_core::{Mixture, Sde, sde::Vp};
use solvers::likelihood::{GaussianPrior, LikelihoodConfig, log_density_host};
use solvers::{HostOptions, MixtureScore};

fn main() -> Result<(), Box<dyn Error>> {
    let sde: Arc<dyn Sde> = Arc::new(Vp::linear(0.1, 20.0)?);
    let data = Mixture::new(
        &[0.6, 0.4],
        &[vec![-1.0, 0.5], vec![1.2, 0.8]],
        &[vec![0.10, 0.05, 0.05, 0.08], vec![0.06, -0.03, -0.03, 0.12]],
    )?;
    let model = MixtureScore::<f64>::new(data.clone(), sde.clone());
    let points = array![[-1.0, 0.5], [1.0, 1.0], [0.2, 0.4]];

    // The flow runs to the SDE's own prior; the mixture's density there would close the integral without any mismatch.
    let prior = GaussianPrior::of(&*sde);
    let log_density = |config: LikelihoodConfig| {
        let likelihood = config.build(&*sde)?;
        let options = HostOptions::default();
        log_density_host(&likelihood, &*sde, &model, &prior, points.view(), &options)
    };
    let exact = log_density(LikelihoodConfig::default())?;
    let probed = log_density(LikelihoodConfig {
        probes: Some(200),
        ..LikelihoodConfig::default()
    })?;

    let truth = data.noised(sde.marginal(exact.t));
    let errors = probed.std_errors.ok_or("two probes or more tell an error")?;
    println!("ln p at t = {}, {} evaluations", exact.t, exact.stats.nfe);
    println!(
        "{:>14}{:>12}{:>12}{:>22}",
        "point", "density", "flow", "with 200 probes"
    );
    for (row, x) in points.rows().into_iter().enumerate() {
        println!(
            "{:>14}{:>12.5}{:>12.5}{:>12.2} +- {:<6.2}",
            x.to_string(),
            truth.log_density(&x.to_vec()),
            exact.nats[row],
            probed.nats[row],
            errors[row]
        );
    }
    Ok(())
}
