//! The oracles check themselves: derivatives, Tweedie, sampling moments, the flow.

use std::sync::Arc;

use proptest::prelude::*;
use sde_core::oracle::{Mixture, MixtureConfig};
use sde_core::sde::{Edm, SubVp, Ve, VeKernel, Vp};
use sde_core::{Marginal, Sde};

fn mixture() -> Mixture {
    MixtureConfig {
        weights: vec![1.0, 2.0, 3.0],
        means: vec![vec![-1.5, 0.2], vec![1.0, 1.0], vec![0.5, -1.2]],
        covs: Some(vec![
            vec![vec![0.3, 0.1], vec![0.1, 0.2]],
            vec![vec![0.1, -0.05], vec![-0.05, 0.4]],
            vec![vec![0.25, 0.0], vec![0.0, 0.25]],
        ]),
        vars: None,
    }
    .build()
    .expect("a mixture")
}

fn one_dimensional() -> Mixture {
    MixtureConfig {
        weights: vec![0.3, 0.7],
        means: vec![vec![-1.0], vec![0.8]],
        covs: None,
        vars: Some(vec![0.04, 0.25]),
    }
    .build()
    .expect("a mixture")
}

fn sdes() -> Vec<Arc<dyn Sde>> {
    vec![
        Arc::new(Vp::linear(0.1, 20.0).expect("vp")),
        Arc::new(SubVp::linear(0.1, 20.0).expect("subvp")),
        Arc::new(Ve::new(0.01, 50.0, VeKernel::Exact, Ve::DOMAIN).expect("ve")),
        Arc::new(Edm::new(0.002, 80.0, 0.5).expect("edm")),
    ]
}

/// SplitMix64 and Box-Muller, for tests that need normals.
struct Normals(u64);

impl Normals {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 * 2.0_f64.powi(-53)
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// Fourth-order central difference along one axis.
fn difference(f: impl Fn(&[f64]) -> f64, x: &[f64], axis: usize, h: f64) -> f64 {
    let at = |k: f64| {
        let mut x = x.to_vec();
        x[axis] += k * h;
        f(&x)
    };
    (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * h)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(3),
        ..ProptestConfig::default()
    })]

    /// The score is the gradient of the log density, its Jacobian-vector product the derivative of the score,
    /// the divergence the trace of the Jacobian, the posterior mean Tweedie's.
    #[test]
    fn derivatives(a in -2.0_f64..2.0, b in -2.0_f64..2.0, m in 0.05_f64..1.0, s in 0.05_f64..3.0, v0 in -1.0_f64..1.0) {
        let marginal = Marginal { mean_coef: m, std: s };
        for (mixture, x) in [(mixture(), vec![a, b]), (one_dimensional(), vec![a])] {
            let dim = x.len();
            let noised = mixture.noised(marginal);
            let (mut score, mut jv) = (vec![0.0; dim], vec![0.0; dim]);
            let v: Vec<f64> = [v0, 0.6][..dim].to_vec();
            noised.score_jvp(&x, &v, &mut score, &mut jv);
            let mut alone = vec![0.0; dim];
            noised.score(&x, &mut alone);
            prop_assert_eq!(&alone, &score);
            // smallest width of the density
            let width = (0.04 * m * m + s * s).sqrt();
            let h = 2e-3 * width;
            let score_scale = 1.0 / width + score.iter().map(|q| q.abs()).fold(0.0, f64::max);
            let mut trace = 0.0;
            for i in 0..dim {
                let slope = difference(|x| noised.log_density(x), &x, i, h);
                prop_assert!((slope - score[i]).abs() <= 1e-8 * score_scale * (1.0 + score_scale * width), "{slope} {}", score[i]);
                let mut unit = vec![0.0; dim];
                unit[i] = 1.0;
                let (mut q, mut column) = (vec![0.0; dim], vec![0.0; dim]);
                noised.score_jvp(&x, &unit, &mut q, &mut column);
                trace += column[i];
                for j in 0..dim {
                    let component = |x: &[f64]| {
                        let mut out = vec![0.0; dim];
                        noised.score(x, &mut out);
                        out[j]
                    };
                    let slope = difference(component, &x, i, h);
                    prop_assert!((slope - column[j]).abs() <= 1e-6 * score_scale * score_scale, "{slope} {}", column[j]);
                }
            }
            let scale = score_scale * score_scale;
            prop_assert!((noised.divergence(&x) - trace).abs() <= 1e-12 * scale);
            // symmetric: u^T (J v) = v^T (J u)
            let u: Vec<f64> = [0.3, -0.9][..dim].to_vec();
            let (mut q, mut ju) = (vec![0.0; dim], vec![0.0; dim]);
            noised.score_jvp(&x, &u, &mut q, &mut ju);
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            prop_assert!((dot(&u, &jv) - dot(&v, &ju)).abs() <= 1e-12 * scale);
            // Tweedie, and its second-order form: Cov[x_0 | x] = (s^2 / m^2) (I + s^2 J)
            let mut mean = vec![0.0; dim];
            noised.posterior_mean(&x, &mut mean);
            let mut cov = vec![0.0; dim * dim];
            noised.posterior_cov(&x, &mut cov);
            for i in 0..dim {
                let tweedie = (x[i] + s * s * score[i]) / m;
                let size = (x[i].abs() + s * s * score_scale) / m;
                prop_assert!((mean[i] - tweedie).abs() <= 1e-12 * (1.0 + size), "{} {tweedie}", mean[i]);
                let mut unit = vec![0.0; dim];
                unit[i] = 1.0;
                let (mut q, mut column) = (vec![0.0; dim], vec![0.0; dim]);
                noised.score_jvp(&x, &unit, &mut q, &mut column);
                for j in 0..dim {
                    let want = (s * s / (m * m)) * (unit[j] + s * s * column[j]);
                    let size = (s * s / (m * m)) * (1.0 + s * s * scale);
                    prop_assert!((cov[i * dim + j] - want).abs() <= 1e-11 * (1.0 + size), "{} {want}", cov[i * dim + j]);
                }
            }
        }
    }
}

/// `d/dt ln p_t` obeys the Fokker-Planck equation of each SDE: the noised mixture belongs to the process.
#[test]
fn densities_solve_fokker_planck() {
    let (mixture, x) = (mixture(), [0.4, -0.3]);
    for sde in sdes() {
        for u in [0.05, 0.3, 0.7] {
            let t = u * sde.domain().t_end;
            let log_density = |t: &[f64]| mixture.noised(sde.marginal(t[0])).log_density(&x);
            let left = difference(log_density, &[t], 0, 1e-3 * t);
            let noised = mixture.noised(sde.marginal(t));
            let mut score = [0.0; 2];
            noised.score(&x, &mut score);
            let (a, g2) = (sde.drift_coef(t), sde.diffusion_sq(t));
            let score_sq = score[0] * score[0] + score[1] * score[1];
            let along = x[0] * score[0] + x[1] * score[1];
            let right = -a * (2.0 + along) + 0.5 * g2 * (noised.divergence(&x) + score_sq);
            let scale = a.abs() * (2.0 + along.abs()) + g2 * (score_sq + noised.divergence(&x).abs());
            assert!(
                (left - right).abs() < 1e-7 * scale,
                "{sde:?} t = {t}: {left} {right}"
            );
        }
    }
}

/// The density integrates to one (Simpson's rule, one dimension).
#[test]
fn density_has_mass_one() {
    let noised = one_dimensional().noised(Marginal {
        mean_coef: 0.8,
        std: 0.3,
    });
    let n = 4000;
    let h = 16.0 / f64::from(n);
    let sum: f64 = (0..=n)
        .map(|i| {
            let weight = if i == 0 || i == n {
                1.0
            } else if i % 2 == 1 {
                4.0
            } else {
                2.0
            };
            weight * noised.log_density(&[-8.0 + h * f64::from(i)]).exp()
        })
        .sum();
    assert!((sum * h / 3.0 - 1.0).abs() < 1e-10);
}

/// Means, covariances and shares of 40,000 exact samples within five standard errors of the exact ones.
#[test]
fn samples_have_the_exact_moments() {
    let mixture = mixture();
    let mut random = Normals(5);
    let n = 40_000;
    let (mean, cov) = (mixture.mean(), mixture.cov());
    let (mut sum, mut squares, mut fourth, mut left) = ([0.0; 2], [0.0; 4], [0.0; 4], 0_u32);
    let mut x = [0.0; 2];
    for _ in 0..n {
        let u = random.uniform();
        left += u32::from(u < mixture.weight(0));
        let z = [random.normal(), random.normal()];
        mixture.sample_from_normals(u, &z, &mut x);
        for i in 0..2 {
            sum[i] += x[i];
            for j in 0..2 {
                let product = (x[i] - mean[i]) * (x[j] - mean[j]);
                squares[i * 2 + j] += product;
                fourth[i * 2 + j] += product * product;
            }
        }
    }
    let n = f64::from(n);
    for i in 0..2 {
        let error = 5.0 * (cov[i * 2 + i] / n).sqrt();
        assert!((sum[i] / n - mean[i]).abs() < error, "mean {i}");
        for j in 0..2 {
            let k = i * 2 + j;
            let error = 5.0 * ((fourth[k] / n - (squares[k] / n).powi(2)) / n).sqrt();
            assert!((squares[k] / n - cov[k]).abs() < error, "covariance {i} {j}");
        }
    }
    let share = mixture.weight(0);
    assert!((f64::from(left) / n - share).abs() < 5.0 * (share * (1.0 - share) / n).sqrt());
}

/// The component changes at the cumulated weights; the last one takes what rounding leaves.
#[test]
fn sampling_is_a_function_of_its_numbers() {
    let mixture = one_dimensional();
    let mut x = [0.0];
    for (u, want) in [
        (0.0, -1.0 + 0.2),
        (0.299, -1.0 + 0.2),
        (0.301, 0.8 + 0.5),
        (1.0, 0.8 + 0.5),
    ] {
        mixture.sample_from_normals(u, &[1.0], &mut x);
        assert!((x[0] - want).abs() < 1e-15);
    }
}

/// Far outside every component nothing overflows, and a responsibility that underflows does no harm.
#[test]
fn far_points_stay_finite() {
    let noised = mixture().noised(Marginal {
        mean_coef: 1.0,
        std: 0.01,
    });
    let x = [1e6, -1e6];
    let (mut score, mut mean, mut cov) = ([0.0; 2], [0.0; 2], [0.0; 4]);
    noised.score(&x, &mut score);
    noised.posterior_mean(&x, &mut mean);
    noised.posterior_cov(&x, &mut cov);
    assert!(noised.log_density(&x).is_finite() && noised.divergence(&x).is_finite());
    assert!(score.iter().chain(&mean).chain(&cov).all(|v| v.is_finite()));
    let mut nan = [0.0; 2];
    noised.score(&[f64::NAN, 0.0], &mut nan);
    assert!(nan.iter().all(|v| v.is_nan()));
}

#[test]
fn components_describe_the_density() {
    let noised = mixture().noised(Marginal {
        mean_coef: 0.7,
        std: 0.4,
    });
    let x = [0.1, 0.2];
    let density: f64 = noised
        .components()
        .iter()
        .map(|c| {
            let d = [x[0] - c.mean()[0], x[1] - c.mean()[1]];
            let w = c.inv_chol();
            assert_eq!(w[1], 0.0, "lower triangular");
            let (a, b) = (w[0] * d[0], w[2] * d[0] + w[3] * d[1]);
            (c.log_weight() - 0.5 * (a * a + b * b)).exp()
        })
        .sum();
    assert!((density.ln() - noised.log_density(&x)).abs() < 1e-13);
    let isotropic: Vec<Option<f64>> = noised.components().iter().map(|c| c.isotropic()).collect();
    assert_eq!(isotropic[..2], [None, None]);
    assert!((isotropic[2].expect("isotropic") - 1.0 / (0.49 * 0.25 + 0.16)).abs() < 1e-14);
}

#[test]
fn refusals_name_the_component() {
    let base = || MixtureConfig {
        weights: vec![0.5, 0.5],
        means: vec![vec![0.0, 0.0], vec![1.0, 1.0]],
        covs: None,
        vars: Some(vec![1.0, 1.0]),
    };
    let cov = |second: Vec<Vec<f64>>| MixtureConfig {
        covs: Some(vec![vec![vec![1.0, 0.0], vec![0.0, 1.0]], second]),
        vars: None,
        ..base()
    };
    let cases = [
        (
            MixtureConfig {
                weights: vec![],
                ..base()
            },
            "mixture.weights = []",
        ),
        (
            MixtureConfig {
                weights: vec![0.5, -0.5],
                ..base()
            },
            "mixture.weights = -0.5",
        ),
        (
            MixtureConfig {
                weights: vec![0.5, f64::NAN],
                ..base()
            },
            "mixture.weights = NaN",
        ),
        (
            MixtureConfig {
                weights: vec![1e308, 1e308],
                ..base()
            },
            "mixture.weights = inf",
        ),
        (
            MixtureConfig {
                weights: vec![1.0],
                ..base()
            },
            "mixture.means = 2 entries",
        ),
        (
            MixtureConfig {
                means: vec![vec![0.0, 0.0], vec![1.0]],
                ..base()
            },
            "mixture.means[1] = 1 entries",
        ),
        (
            MixtureConfig {
                means: vec![vec![], vec![]],
                ..base()
            },
            "mixture.means[0] = 0 entries",
        ),
        (
            MixtureConfig {
                means: vec![vec![0.0, f64::NAN], vec![1.0, 1.0]],
                ..base()
            },
            "mixture.means[0] = NaN",
        ),
        (
            MixtureConfig {
                vars: Some(vec![1.0]),
                ..base()
            },
            "mixture.covs = 1 entries",
        ),
        (
            MixtureConfig {
                vars: Some(vec![1.0, 0.0]),
                ..base()
            },
            "mixture.vars[1] = 0",
        ),
        (MixtureConfig { vars: None, ..base() }, "mixture.covs = absent"),
        (
            MixtureConfig {
                covs: Some(vec![]),
                ..base()
            },
            "mixture.vars = given",
        ),
        (cov(vec![vec![1.0, 0.0]]), "mixture.covs[1] = 1 rows"),
        (
            cov(vec![vec![1.0, 0.5], vec![0.4, 1.0]]),
            "mixture.covs[1] = 0.4 at [1][0]",
        ),
        (
            cov(vec![vec![1.0, 2.0], vec![2.0, 1.0]]),
            "mixture.covs[1] = [1.0, 2.0, 2.0, 1.0]",
        ),
        (
            cov(vec![vec![1.0, f64::NAN], vec![f64::NAN, 1.0]]),
            "mixture.covs[1] = NaN",
        ),
    ];
    for (config, start) in cases {
        let error = config.build().expect_err(start).to_string();
        assert!(error.starts_with(start), "{error}\nshould start with\n{start}");
    }
}
