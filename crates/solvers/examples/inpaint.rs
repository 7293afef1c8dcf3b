//! Inpainting on a mixture: the first coordinate is known, what is the second? Three ways, beside the exact answer.
//! `cargo run --release --example inpaint`
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::sync::Arc;

use sde_core::{GridConfig, Mixture, Sde, sde::Vp};
use solvers::config::SamplerConfig;
use solvers::guide::{Jumps, Known, Mask, Measurement, Pseudoinverse, RePaint, Replacement};
use solvers::predict::EulerMaruyama;
use solvers::{HostBatch, MixtureScore, Sampler, ScoreFn, SolveError, sample_host};

fn main() -> Result<(), Box<dyn Error>> {
    let sde: Arc<dyn Sde> = Arc::new(Vp::linear(0.1, 20.0)?);
    let data = Mixture::new(
        &[0.6, 0.4],
        &[vec![-0.5, -1.0], vec![0.5, 1.0]],
        &[vec![0.3, 0.2, 0.2, 0.3], vec![0.3, -0.1, -0.1, 0.2]],
    )?;
    let (mask, y, noise_std) = (Mask::new(&[true, false])?, [0.4], 0.01);
    let exact = data.posterior(&[1.0, 0.0], &y, noise_std)?;
    let (mean, std) = (exact.mean()[1], exact.cov()[3].sqrt());
    println!("exact posterior        mean {mean:6.3}, std {std:.3}");

    let score = MixtureScore::<f64>::new(data, Arc::clone(&sde));
    type Samples<'a> = &'a dyn Sampler<HostBatch<f64>>;
    let show = |name: &str, sampler: Samples, score: &(dyn ScoreFn<HostBatch<f64>> + Sync)| {
        let (x, stats) = sample_host(sampler, &*sde, score, 4000, 2, 1)?;
        let (mean, std) = (x.column(1).sum() / 4000.0, x.column(1).std(0.0));
        println!(
            "{name:22} mean {mean:6.3}, std {std:.3}, {} evaluations",
            stats.nfe
        );
        Ok::<_, SolveError>(())
    };

    // A sampler whose known part is noised data at every time; any sampler with a grid will do.
    let known = Known::new(mask.clone(), &y)?;
    let table: SamplerConfig = toml::from_str("kind = \"pc\"\nsteps = 200")?;
    show(
        "replacement",
        &Replacement::new(table.build(&*sde)?, known.clone()),
        &score,
    )?;

    // The same with jumps back in time.
    let grid = GridConfig::LogSnr {}.build(&*sde, 50, 1.0, 1e-3)?;
    let repaint = RePaint::new(EulerMaruyama { eta: 1.0 }, grid, known, Jumps::default())?;
    show("RePaint", &repaint, &score)?;

    // A score that knows the measurement, for any sampler at all.
    let measured = Measurement::new(mask, &y, noise_std)?;
    let guided = Pseudoinverse::new(&score, &*sde, measured, 0.8)?;
    let table: SamplerConfig = toml::from_str("kind = \"heun\"\nsteps = 40")?;
    show("pseudoinverse guidance", &*table.build(&*sde)?, &guided)?;
    Ok(())
}
