//! Samples of a Gaussian mixture by three methods, with the score in closed form: `cargo run --release --example mixture`.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::sync::Arc;

use sde_core::{Mixture, Sde, sde::Vp};
use solvers::config::SamplerConfig;
use solvers::parallel::sample_host;
use solvers::score::MixtureScore;

fn main() -> Result<(), Box<dyn Error>> {
    let sde: Arc<dyn Sde> = Arc::new(Vp::linear(0.1, 20.0)?);
    let data = Mixture::new(
        &[0.7, 0.3],
        &[vec![-1.0, 0.5], vec![1.5, -0.5]],
        &[vec![0.2, 0.1, 0.1, 0.1], vec![0.05, 0.0, 0.0, 0.3]],
    )?;
    println!(
        "the data: mean {:.3?}, covariance {:.3?}",
        data.mean(),
        data.cov()
    );

    let score = MixtureScore::<f32>::new(data, Arc::clone(&sde));
    for table in [
        "kind = \"pc\"\npredictor = \"euler-maruyama\"\nsteps = 500",
        "kind = \"heun\"\nsteps = 20",
        "kind = \"ode\"\nmethod = \"dp5\"\nrtol = 1e-4\natol = 1e-4",
    ] {
        let config: SamplerConfig = toml::from_str(table)?;
        let sampler = config.build(&*sde)?;
        let (samples, stats) = sample_host(&*sampler, &*sde, &score, 20_000, 2, 7)?;
        let n = samples.nrows() as f32;
        let (mx, my) = (samples.column(0).sum() / n, samples.column(1).sum() / n);
        let moment = |i: usize, j: usize, mi: f32, mj: f32| {
            samples
                .rows()
                .into_iter()
                .map(|row| (row[i] - mi) * (row[j] - mj))
                .sum::<f32>()
                / n
        };
        let cov = [moment(0, 0, mx, mx), moment(0, 1, mx, my), moment(1, 1, my, my)];
        println!(
            "{:5} {:4} evaluations: mean {mx:.3} {my:.3}, covariance {cov:.3?}",
            config.kind(),
            stats.nfe
        );
    }
    Ok(())
}
