//! Denoising score matching against closed forms on Gaussian data, and the draws of training steps.
#![allow(clippy::print_stdout)]

use std::sync::Arc;

use score_nets::{Given, NetError, ScoreNet};
use sde_core::{PrecondConfig, Sde, SdeConfig, TimeDensityConfig, WeightingConfig};
use tch::{Device, Kind, Tensor};
use train::config::Reduction;
use train::loss::{DrawSource, Dsm, Loss, Origin, TrainDraw};

const MEAN: f64 = 0.7;
const STD: f64 = 0.3;
const ROWS: usize = 20_000;

fn sdes() -> Vec<Arc<dyn Sde>> {
    [
        "kind = 'vp'",
        "kind = 'subvp'",
        "kind = 've'",
        "kind = 'edm'",
        "kind = 'vp'\nschedule = 'cosine'",
    ]
    .iter()
    .map(|text| {
        toml::from_str::<SdeConfig>(text)
            .expect("a valid table")
            .build()
            .expect("usual values")
    })
    .collect()
}

fn preconds() -> Vec<PrecondConfig> {
    ["score", "eps", "x0", "v", "edm"]
        .iter()
        .map(|kind| toml::from_str(&format!("kind = '{kind}'")).expect("a valid table"))
        .collect()
}

/// `scale * input + shift`: enough for the optimal network on Gaussian data at one time.
#[derive(Debug)]
struct Affine {
    scale: f64,
    shift: f64,
}

impl ScoreNet for Affine {
    fn forward(&self, x: &Tensor, _time: &Tensor, _train: bool) -> Result<Tensor, NetError> {
        Ok(x * self.scale + self.shift)
    }
}

/// Normals of mean 0 and standard deviation 1, `[rows, dim]`.
fn normals(seed: i64, rows: usize, dim: i64) -> Tensor {
    score_nets::seeded(seed, || {
        Tensor::randn([rows as i64, dim], (Kind::Float, Device::Cpu))
    })
}

fn at_time(t: f64, rows: usize, dim: i64) -> TrainDraw {
    TrainDraw {
        times: vec![t; rows],
        ratios: vec![1.0; rows],
        noise: normals(2, rows, dim),
        train: true,
        given: Given::default(),
        origin: Origin::default(),
    }
}

/// With data `N(mu, s^2)` the optimal score is `-(x - m mu) / (m^2 s^2 + std^2)`, and `E (std score + z)^2` is
/// `m^2 s^2 / (m^2 s^2 + std^2)` for each time: the smallest value that denoising score matching can reach.
#[test]
fn the_optimal_score_reaches_the_known_minimum() {
    tch::set_num_threads(1);
    let x0 = normals(1, ROWS, 2) * STD + MEAN;
    for sde in sdes() {
        let domain = sde.domain();
        for share in [0.01, 0.2, 0.6, 1.0] {
            let t = domain.train_eps + share * share * (domain.t_end - domain.train_eps);
            let kernel = sde.marginal(t);
            let signal = kernel.mean_coef * kernel.mean_coef * STD * STD;
            let total = signal + kernel.std * kernel.std;
            let minimum = signal / total;
            for config in preconds() {
                let precond = config.build(Arc::clone(&sde)).expect("usual values");
                let coefs = precond.coefs(t);
                // score = score_skip x + score_out F(input x), solved for F.
                let net = Affine {
                    scale: (-1.0 / total - coefs.score_skip) / coefs.score_out / coefs.input,
                    shift: kernel.mean_coef * MEAN / total / coefs.score_out,
                };
                let weighting = WeightingConfig::default()
                    .build(Arc::clone(&sde))
                    .expect("usual values");
                let loss = Dsm::new(Arc::clone(&sde), precond, weighting, Reduction::Mean);
                let per_row = loss.per_row(&net, &x0, &at_time(t, ROWS, 2)).expect("shapes fit");
                assert_eq!(per_row.size(), [ROWS as i64]);
                let got = per_row.mean(Kind::Double).double_value(&[]);
                // The residual is Gaussian: its square has variance 2 minimum^2; 2 ROWS squares, 5 standard errors,
                // and the rounding of f32 in front of the smallest minima.
                let bound = 5.0 * minimum * (2.0 / (2.0 * ROWS as f64)).sqrt() + 1e-9;
                assert!(
                    (got - minimum).abs() < bound,
                    "{sde:?} {config:?} t = {t}: {got} against {minimum}"
                );
            }
        }
    }
}

#[test]
fn weightings_and_reductions_are_factors() {
    tch::set_num_threads(1);
    let sde = sdes().remove(0);
    let x0 = normals(1, 8, 5);
    let t = 0.3;
    let value = |weighting: &WeightingConfig, reduction| {
        let precond = PrecondConfig::default()
            .build(Arc::clone(&sde))
            .expect("usual values");
        let weighting = weighting.build(Arc::clone(&sde)).expect("usual values");
        let loss = Dsm::new(Arc::clone(&sde), precond, weighting, reduction);
        let per_row = loss
            .per_row(
                &Affine {
                    scale: 0.5,
                    shift: 0.1,
                },
                &x0,
                &at_time(t, 8, 5),
            )
            .expect("shapes fit");
        Vec::<f32>::try_from(&per_row).expect("one axis")
    };
    let plain = value(&WeightingConfig::default(), Reduction::Mean);
    let kernel = sde.marginal(t);
    for (kind, factor) in [
        ("likelihood", sde.diffusion_sq(t) / (kernel.std * kernel.std)),
        ("uniform", 1.0 / (kernel.std * kernel.std)),
        ("x0", (-sde.log_snr(t)).exp()),
    ] {
        let weighting: WeightingConfig = toml::from_str(&format!("kind = '{kind}'")).expect("a valid table");
        for (got, plain) in value(&weighting, Reduction::Mean).iter().zip(&plain) {
            let want = f64::from(*plain) * factor;
            assert!(
                (f64::from(*got) - want).abs() < 1e-5 * want,
                "{kind}: {got} against {want}"
            );
        }
    }
    for (sum, mean) in value(&WeightingConfig::default(), Reduction::Sum)
        .iter()
        .zip(&plain)
    {
        assert!((sum - 5.0 * mean).abs() < 1e-5 * sum);
    }
}

/// The gradient of the loss with likelihood weighting, estimated with times drawn uniformly and by importance: the
/// means agree, and importance sampling has the smaller variance.
#[test]
fn importance_sampling_estimates_the_same_gradient_with_less_variance() {
    tch::set_num_threads(1);
    let sde = sdes().remove(0);
    let precond = PrecondConfig::default()
        .build(Arc::clone(&sde))
        .expect("usual values");
    let weighting: WeightingConfig = toml::from_str("kind = 'likelihood'").expect("a valid table");
    let weighting = weighting.build(Arc::clone(&sde)).expect("usual values");
    let loss = Dsm::new(Arc::clone(&sde), precond, weighting, Reduction::Mean);
    let rows = 200_000;
    let x0 = normals(1, rows, 1) * STD + MEAN;
    let moments = |density: TimeDensityConfig| {
        let density = density.build(Arc::clone(&sde)).expect("usual values");
        let draw = DrawSource {
            seed: 5,
            density,
            stratified: false,
            low_discrepancy: false,
        };
        let draw = draw.draw(0, 0, rows, rows as u64, &[1], Device::Cpu);
        // A parameter of its own for every row: the gradient of the sum is then one gradient a row.
        let scale = Tensor::full([rows as i64, 1], 0.5, (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let net = PerRow(scale.shallow_clone());
        loss.per_row(&net, &x0, &draw)
            .expect("shapes fit")
            .sum(Kind::Float)
            .backward();
        let gradient = scale.grad().to_kind(Kind::Double);
        (
            gradient.mean(Kind::Double).double_value(&[]),
            gradient.std(true).double_value(&[]),
        )
    };
    let (uniform, uniform_std) = moments(TimeDensityConfig::Uniform {});
    let (importance, importance_std) = moments(TimeDensityConfig::Importance {});
    // E over uniform times of w(t) d/da (a input x_t - z)^2 at a = 1/2, by the midpoint rule in ln t.
    let domain = sde.domain();
    let (low, high, points) = (domain.train_eps.ln(), domain.t_end.ln(), 100_000);
    let gap = (high - low) / f64::from(points);
    let exact: f64 = (0..points)
        .map(|i| {
            let t = (low + (f64::from(i) + 0.5) * gap).exp();
            let kernel = sde.marginal(t);
            let input = 1.0;
            let square = kernel.mean_coef.powi(2) * (MEAN * MEAN + STD * STD) + kernel.std * kernel.std;
            let weight = sde.diffusion_sq(t) / (kernel.std * kernel.std);
            2.0 * weight * (0.5 * input * input * square - input * kernel.std) * t * gap
        })
        .sum::<f64>()
        / (domain.t_end - domain.train_eps);
    for (name, mean, std) in [
        ("uniform", uniform, uniform_std),
        ("importance", importance, importance_std),
    ] {
        let standard_error = std / (rows as f64).sqrt();
        assert!(
            (mean - exact).abs() < 5.0 * standard_error,
            "{name}: {mean} +- {standard_error}, exact {exact}"
        );
    }
    assert!(
        importance_std / (rows as f64).sqrt() < 0.05 * exact.abs(),
        "the bound can fail"
    );
    println!(
        "variance of the gradient, uniform over importance: {:.1}",
        (uniform_std / importance_std).powi(2)
    );
    assert!(
        uniform_std > 2.0 * importance_std,
        "{uniform_std} against {importance_std}"
    );
}

#[derive(Debug)]
struct PerRow(Tensor);

impl ScoreNet for PerRow {
    fn forward(&self, x: &Tensor, _time: &Tensor, _train: bool) -> Result<Tensor, NetError> {
        Ok(x * &self.0)
    }
}

fn source(stratified: bool) -> DrawSource {
    let sde = sdes().remove(0);
    DrawSource {
        seed: 9,
        density: TimeDensityConfig::Uniform {}.build(sde).expect("usual values"),
        stratified,
        low_discrepancy: false,
    }
}

#[test]
fn draws_depend_on_seed_step_and_slot_alone() {
    tch::set_num_threads(1);
    for stratified in [true, false] {
        let source = source(stratified);
        let values = |draw: &TrainDraw| Vec::<f32>::try_from(draw.noise.view(-1)).expect("one axis");
        let whole = source.draw(7, 0, 12, 12, &[3], Device::Cpu);
        let (head, tail) = (
            source.draw(7, 0, 5, 12, &[3], Device::Cpu),
            source.draw(7, 5, 7, 12, &[3], Device::Cpu),
        );
        assert_eq!([head.times.clone(), tail.times.clone()].concat(), whole.times);
        assert_eq!([values(&head), values(&tail)].concat(), values(&whole));
        let next = source.draw(8, 0, 12, 12, &[3], Device::Cpu);
        assert!(whole.times.iter().zip(&next.times).all(|(a, b)| a != b));
        assert!(values(&whole).iter().zip(&values(&next)).all(|(a, b)| a != b));
    }
}

#[test]
fn stratified_times_fall_one_into_each_stratum() {
    let source = source(true);
    let domain = sdes()[0].domain();
    for step in 0..20 {
        let mut strata: Vec<usize> = source
            .draw(step, 0, 64, 64, &[1], Device::Cpu)
            .times
            .iter()
            .map(|t| ((t - domain.train_eps) / (domain.t_end - domain.train_eps) * 64.0) as usize)
            .collect();
        strata.sort_unstable();
        strata.dedup();
        assert_eq!(strata.len(), 64);
    }
}
