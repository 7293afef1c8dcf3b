//! Data with known densities at every time.

use std::sync::Arc;

use ndarray::Array2;
use sde_core::{Mixture, NoisedMixture, Sde, SdeConfig};
use solvers::likelihood::{
    GaussianPrior, HostLogDensities, Likelihood, LikelihoodConfig, ProbeLaw, log_density_host,
};
use solvers::noise::{fill_rows_f64, uniform};
use solvers::{Draw, HostOptions, MixtureScore, Purpose, SolveError};

pub fn sde(table: &str) -> Arc<dyn Sde> {
    let config: SdeConfig = toml::from_str(table).expect("written in the test");
    config.build().expect("valid")
}

/// The four SDEs with their usual parameters, and VE with its other kernel.
pub fn sdes() -> [(&'static str, Arc<dyn Sde>); 5] {
    [
        ("vp", sde("kind = \"vp\"")),
        ("subvp", sde("kind = \"subvp\"")),
        ("ve", sde("kind = \"ve\"")),
        ("ve exact", sde("kind = \"ve\"\nkernel = \"exact\"")),
        ("edm", sde("kind = \"edm\"")),
    ]
}

/// One Gaussian in three dimensions, none of them independent of another.
pub fn gaussian() -> Mixture {
    let cov = vec![0.5, 0.2, -0.1, 0.2, 0.3, 0.15, -0.1, 0.15, 0.8];
    Mixture::new(&[1.0], &[vec![0.7, -0.2, 0.1]], &[cov]).expect("positive definite")
}

/// Three full-covariance Gaussians in the plane: the mixture of `configs/lab`.
pub fn mixture() -> Mixture {
    let means = [vec![-1.0, 0.5], vec![1.2, 0.8], vec![0.1, -1.1]];
    let covs = [
        vec![0.10, 0.05, 0.05, 0.08],
        vec![0.06, -0.03, -0.03, 0.12],
        vec![0.20, 0.0, 0.0, 0.04],
    ];
    Mixture::new(&[0.5, 0.3, 0.2], &means, &covs).expect("positive definite")
}

/// Draws of the data as noised up to `likelihood_eps`, every fourth one moved away from where data lie.
pub fn points(data: &Mixture, sde: &dyn Sde, rows: usize) -> Array2<f64> {
    let dim = data.dim();
    let kernel = sde.marginal(sde.domain().likelihood_eps);
    let draw = |step| Draw {
        step,
        purpose: Purpose::Data,
    };
    let (mut z, mut noise) = (vec![0.0; rows * dim], vec![0.0; rows * dim]);
    fill_rows_f64(11, draw(0), 0, dim, &mut z);
    fill_rows_f64(11, draw(1), 0, dim, &mut noise);
    let mut out = Array2::zeros((rows, dim));
    for (row, mut out) in out.rows_mut().into_iter().enumerate() {
        let mut clean = vec![0.0; dim];
        let u = uniform(11, draw(0), row as u64);
        data.sample_from_normals(u, &z[row * dim..(row + 1) * dim], &mut clean);
        for (d, out) in out.iter_mut().enumerate() {
            let away = if row % 4 == 3 { 1.0 } else { 0.0 };
            *out = kernel.mean_coef * clean[d] + kernel.std * noise[row * dim + d] + away;
        }
    }
    out
}

/// The density of the noised data at time `t`.
pub fn exact(data: &Mixture, sde: &dyn Sde, t: f64) -> NoisedMixture {
    data.noised(sde.marginal(t))
}

pub fn exact_nats(data: &Mixture, sde: &dyn Sde, t: f64, points: &Array2<f64>) -> Vec<f64> {
    let density = exact(data, sde, t);
    points
        .rows()
        .into_iter()
        .map(|x| density.log_density(&x.to_vec()))
        .collect()
}

/// Settings: tolerance, and probes where wanted.
pub fn likelihood(sde: &dyn Sde, tolerance: f64, probes: Option<(u32, ProbeLaw)>) -> Likelihood {
    let config = LikelihoodConfig {
        probes: probes.map(|(count, _)| count),
        probe_law: probes.map(|(_, law)| law).unwrap_or_default(),
        rtol: tolerance,
        atol: tolerance,
        ..LikelihoodConfig::default()
    };
    config.build(sde).expect("valid")
}

/// Log densities of the oracle's flow, closed by the oracle's own density at the end.
pub fn closed_by_the_oracle(
    data: &Mixture,
    sde: &Arc<dyn Sde>,
    likelihood: &Likelihood,
    points: &Array2<f64>,
    seed: u64,
) -> Result<HostLogDensities<f64>, SolveError> {
    let model = MixtureScore::<f64>::new(data.clone(), sde.clone());
    let terminal = exact(data, &**sde, sde.domain().t_end);
    let options = HostOptions {
        seed,
        ..HostOptions::default()
    };
    log_density_host(likelihood, &**sde, &model, &terminal, points.view(), &options)
}

/// The same, closed by the SDE's prior.
pub fn closed_by_the_prior(
    data: &Mixture,
    sde: &Arc<dyn Sde>,
    likelihood: &Likelihood,
    points: &Array2<f64>,
) -> HostLogDensities<f64> {
    let model = MixtureScore::<f64>::new(data.clone(), sde.clone());
    let prior = GaussianPrior::of(&**sde);
    let options = HostOptions::default();
    log_density_host(likelihood, &**sde, &model, &prior, points.view(), &options).expect("regular")
}

pub fn largest(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(0.0, |most: f64, value| {
        assert!(value.is_finite());
        most.max(value.abs())
    })
}
