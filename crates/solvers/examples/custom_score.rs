//! A score of your own: points on a ring of radius 1, by a closure that knows nothing of batches, layouts or precision.
//! `cargo run --release --example custom_score`
#![allow(clippy::print_stdout)]

use std::error::Error;

use sde_core::{Sde, sde::Edm};
use solvers::config::{HeunConfig, SamplerConfig};
use solvers::parallel::sample_host;
use solvers::score::RowFnScore;

fn main() -> Result<(), Box<dyn Error>> {
    let sde = Edm::new(0.002, 20.0, 0.7)?;
    // Data: 64 points on the circle. Noised by N(0, std^2) their score is (posterior mean - x)/std^2.
    let points: Vec<[f64; 2]> = (0..64)
        .map(|k| f64::from(k) * std::f64::consts::TAU / 64.0)
        .map(|angle| [angle.cos(), angle.sin()])
        .collect();
    let score = RowFnScore(|x: &[f64], t: f64, out: &mut [f64]| {
        let var = sde.marginal(t).std.powi(2);
        let distance = |p: &[f64; 2]| ((x[0] - p[0]).powi(2) + (x[1] - p[1]).powi(2)) / (2.0 * var);
        let nearest = points.iter().map(distance).fold(f64::INFINITY, f64::min);
        let (mut total, mut mean) = (0.0, [0.0; 2]);
        for p in &points {
            let weight = (nearest - distance(p)).exp();
            total += weight;
            mean[0] += weight * p[0];
            mean[1] += weight * p[1];
        }
        for (out, (mean, x)) in out.iter_mut().zip(mean.iter().zip(x)) {
            *out = (mean / total - x) / var;
        }
    });

    let table = HeunConfig {
        steps: Some(30),
        ..HeunConfig::default()
    };
    let sampler = SamplerConfig::Heun(table).build(&sde)?;
    let (samples, stats) = sample_host::<f64>(&*sampler, &sde, &score, 1000, 2, 1)?;
    let radii: Vec<f64> = samples
        .rows()
        .into_iter()
        .map(|row| row[0].hypot(row[1]))
        .collect();
    let (low, high) = radii
        .iter()
        .fold((f64::INFINITY, 0.0_f64), |(l, h), r| (l.min(*r), h.max(*r)));
    println!(
        "{} samples, {} evaluations each, radii from {low:.4} to {high:.4}",
        radii.len(),
        stats.nfe
    );
    Ok(())
}
