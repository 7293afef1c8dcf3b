//! How much importance sampling of the times takes out of the likelihood-weighted loss, for each SDE: the variance of the loss of a
//! row with uniform times over that with times drawn by `g^2/std^2`, in closed form and by draws. The data are `N(0.7, 0.3^2)`; the
//! score is zero, as at the start of training, or the exact one, as at its end.
//!
//! `cargo run --release -p sde-core --example time_sampling`
#![allow(clippy::print_stdout)]

use std::sync::Arc;

use sde_core::sde::{Edm, SubVp, Ve, VeKernel, Vp};
use sde_core::{ConfigError, Sde, TimeDensityConfig, WeightingConfig};

/// Variance of the data.
const DATA_VAR: f64 = 0.09;

/// `E (std s + z)^2` at one time: 1 for the score 0, the smallest value there is for the exact score. The residual is Gaussian.
fn residual(sde: &dyn Sde, t: f64, exact: bool) -> f64 {
    let at = sde.marginal(t);
    let signal = at.mean_coef * at.mean_coef * DATA_VAR;
    if exact {
        signal / (signal + at.std * at.std)
    } else {
        1.0
    }
}

/// Integral over the times, by the midpoint rule in the log-SNR.
fn over_times(sde: &dyn Sde, f: impl Fn(f64) -> f64) -> f64 {
    let domain = sde.domain();
    let (from, to) = (sde.lambda(domain.train_eps), sde.lambda(domain.t_end));
    let n = 100_000;
    let at = |i: i32| {
        let t = sde.time_at_lambda(from + (to - from) * (f64::from(i) + 0.5) / f64::from(n));
        // dt = -2 std^2/g^2 d lambda
        f(t) * 2.0 * sde.marginal(t).std.powi(2) / sde.diffusion_sq(t)
    };
    (0..n).map(at).sum::<f64>() * (from - to) / f64::from(n)
}

/// SplitMix64 (Steele, Lea and Flood 2014).
fn uniforms(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 * 2.0_f64.powi(-53)
    }
}

fn main() -> Result<(), ConfigError> {
    let sdes: [(&str, Arc<dyn Sde>); 6] = [
        ("vp, linear", Arc::new(Vp::linear(0.1, 20.0)?)),
        ("vp, cosine", Arc::new(Vp::cosine()?)),
        ("subvp, linear", Arc::new(SubVp::linear(0.1, 20.0)?)),
        (
            "ve, song",
            Arc::new(Ve::new(0.01, 50.0, VeKernel::Song, Ve::DOMAIN)?),
        ),
        (
            "ve, exact",
            Arc::new(Ve::new(0.01, 50.0, VeKernel::Exact, Ve::DOMAIN)?),
        ),
        ("edm", Arc::new(Edm::new(0.002, 80.0, 0.5)?)),
    ];
    println!("variance of a row's loss with likelihood weighting, uniform times over importance");
    println!(
        "{:<14} {:>9} {:>16} {:>16} {:>16}",
        "sde", "mass", "score 0", "drawn", "exact score"
    );
    for (name, sde) in sdes {
        let importance = TimeDensityConfig::Importance {}.build(Arc::clone(&sde))?;
        let uniform = TimeDensityConfig::Uniform {}.build(Arc::clone(&sde))?;
        let weighting = WeightingConfig::Likelihood {}.build(Arc::clone(&sde))?;
        // E of the squared loss is three times the square of its mean at each time.
        let variance = |ratio: &dyn Fn(f64) -> f64, density: &dyn Fn(f64) -> f64, exact: bool| {
            let loss = |t: f64| weighting.weight(t) * ratio(t) * residual(&*sde, t, exact);
            let mean = over_times(&*sde, |t| density(t) * loss(t));
            over_times(&*sde, |t| density(t) * 3.0 * loss(t).powi(2)) - mean * mean
        };
        let factor = |exact| {
            variance(&|_| 1.0, &|t| uniform.density(t), exact)
                / variance(&|t| importance.correction(t), &|t| importance.density(t), exact)
        };
        let mut next = uniforms(1);
        let n = 2_000_000;
        // Draws by importance tell both: uniform times meet the ones that matter too rarely.
        let (mut sum, mut square, mut of_uniform) = (0.0, 0.0, 0.0);
        for _ in 0..n {
            let t = importance.time_at(next());
            let z = (-2.0 * (1.0 - next()).ln()).sqrt() * (std::f64::consts::TAU * next()).cos();
            let (ratio, loss) = (importance.likelihood_ratio(t), weighting.weight(t) * z * z);
            sum += ratio * loss;
            square += (ratio * loss).powi(2);
            of_uniform += ratio * loss * loss;
        }
        let [sum, square, of_uniform] = [sum, square, of_uniform].map(|sum| sum / f64::from(n));
        let by_draws = (of_uniform - sum * sum) / (square - sum * sum);
        println!(
            "{name:<14} {:>9.4} {:>16.1} {by_draws:>16.1} {:>16.1}",
            importance.importance_mass(),
            factor(false),
            factor(true)
        );
    }
    Ok(())
}
