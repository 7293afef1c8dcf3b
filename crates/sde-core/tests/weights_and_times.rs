//! Weightings and the densities of training times.

use std::sync::Arc;

use sde_core::sde::{Edm, SubVp, Ve, VeKernel, Vp};
use sde_core::time_density::{golden, stratified};
use sde_core::{Sde, TimeDensity, TimeDensityConfig, WeightingConfig};

fn sdes() -> Vec<Arc<dyn Sde>> {
    vec![
        Arc::new(Vp::linear(0.1, 20.0).expect("vp")),
        Arc::new(Vp::cosine().expect("cosine")),
        Arc::new(SubVp::linear(0.1, 20.0).expect("subvp")),
        Arc::new(Ve::new(0.01, 50.0, VeKernel::Song, Ve::DOMAIN).expect("ve")),
        Arc::new(Ve::new(0.01, 50.0, VeKernel::Exact, Ve::DOMAIN).expect("ve")),
        Arc::new(Edm::new(0.002, 80.0, 0.5).expect("edm")),
    ]
}

const KINDS: [TimeDensityConfig; 6] = [
    TimeDensityConfig::Uniform {},
    TimeDensityConfig::Importance {},
    TimeDensityConfig::LogUniform {},
    TimeDensityConfig::LogNormal { mean: -1.2, std: 1.2 },
    // centred below the smallest noise of most SDEs: only its upper tail is left
    TimeDensityConfig::LogNormal { mean: -8.0, std: 2.0 },
    TimeDensityConfig::LogNormal { mean: 2.5, std: 0.7 },
];

/// SplitMix64 (Steele, Lea and Flood 2014), for tests that need numbers at random.
fn uniforms(seed: u64) -> impl Iterator<Item = f64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 * 2.0_f64.powi(-53)
    })
}

/// Integral of `f` over the training times, by Simpson's rule in the log-SNR, in which all the densities are
/// smooth.
fn over_times(sde: &dyn Sde, f: impl Fn(f64) -> f64) -> f64 {
    let domain = sde.domain();
    let (from, to) = (sde.lambda(domain.train_eps), sde.lambda(domain.t_end));
    let n = 20_000;
    let g = |i: i32| {
        let t = sde.time_at_lambda(from + (to - from) * f64::from(i) / f64::from(n));
        // dt = -2 std^2 / g^2 d lambda
        let t = t.clamp(domain.train_eps, domain.t_end);
        f(t) * 2.0 * sde.marginal(t).std.powi(2) / sde.diffusion_sq(t)
    };
    let sum: f64 = (0..=n).map(|i| if i == 0 || i == n { 1.0 } else if i % 2 == 1 { 4.0 } else { 2.0 } * g(i)).sum();
    sum * (from - to) / f64::from(n) / 3.0
}

#[test]
fn importance_masses() {
    let mass = |sde: &Arc<dyn Sde>| {
        TimeDensityConfig::Importance {}
            .build(sde.clone())
            .expect("importance")
            .importance_mass()
    };
    let all = sdes();
    assert!((mass(&all[0]) - 23.8645).abs() < 5e-5);
    assert!((mass(&all[2]) - 37.6789).abs() < 5e-5);
    // the share below t = 1e-3, which uniform times hardly ever visit
    let share = |sde: &Arc<dyn Sde>| (sde.log_snr(1e-5) - sde.log_snr(1e-3)) / mass(sde);
    assert!((share(&all[0]) - 0.197).abs() < 5e-4);
    assert!((share(&all[2]) - 0.249).abs() < 5e-4);
    for sde in &all {
        let numeric = over_times(&**sde, |t| sde.diffusion_sq(t) / sde.marginal(t).std.powi(2));
        assert!((mass(sde) / numeric - 1.0).abs() < 1e-9, "{sde:?}");
    }
}

/// The closed inverses in their own variables: `w = ln(e^B - 1)`, `2 ln sinh(B/2)` and `ln(sigma^2 -
/// sigma_min^2)` run linearly in `u`, and the VE times themselves for the `song` kernel.
#[test]
fn importance_inverses_are_the_closed_forms() {
    let vp = Vp::linear(0.1, 20.0).expect("vp");
    let subvp = SubVp::linear(0.1, 20.0).expect("subvp");
    let exact = Ve::new(0.01, 50.0, VeKernel::Exact, Ve::DOMAIN).expect("ve");
    let song = Ve::new(0.01, 50.0, VeKernel::Song, Ve::DOMAIN).expect("ve");
    let b = |t: f64| 0.1 * t + 0.5 * 19.9 * t * t;
    let linear = |sde: Arc<dyn Sde>, w: &dyn Fn(f64) -> f64| {
        let density = TimeDensityConfig::Importance {}
            .build(sde.clone())
            .expect("importance");
        let (low, high) = (w(1e-5), w(1.0));
        for k in 1..100 {
            let u = f64::from(k) / 100.0;
            let got = w(density.time_at(u));
            assert!(
                (got - (low + u * (high - low))).abs() < 1e-10,
                "{sde:?} u = {u}: {got}"
            );
        }
    };
    linear(Arc::new(vp), &|t| b(t).exp_m1().ln());
    linear(Arc::new(subvp), &|t| 2.0 * (0.5 * b(t)).sinh().ln());
    linear(Arc::new(exact), &|t| (exact.noise_level(t).powi(2) - 1e-4).ln());
    linear(Arc::new(song), &|t| t);
}

#[test]
fn densities_have_mass_one_and_quantiles_invert() {
    for sde in sdes() {
        let domain = sde.domain();
        for kind in KINDS {
            let density = kind.build(sde.clone()).expect("a density");
            let mass = over_times(&*sde, |t| density.density(t));
            assert!((mass - 1.0).abs() < 2e-6, "{kind:?} on {sde:?}: mass {mass}");
            assert_eq!(density.time_at(0.0), domain.train_eps);
            assert_eq!(density.time_at(1.0), domain.t_end);
            assert_eq!(density.time_at(-0.5), domain.train_eps);
            assert_eq!(density.density(0.5 * domain.train_eps), 0.0);
            assert_eq!(density.density(2.0 * domain.t_end), 0.0);
            let mut last = 0.0;
            for k in 1..200 {
                let u = f64::from(k) / 200.0;
                let t = density.time_at(u);
                assert!(t > last && t <= domain.t_end, "{kind:?} on {sde:?} u = {u}");
                last = t;
                // du/dt = p(t)
                let h = 1e-5;
                let slope = (density.time_at(u + h) - density.time_at(u - h)) / (2.0 * h);
                assert!(
                    (slope * density.density(t) - 1.0).abs() < 2e-4,
                    "{kind:?} on {sde:?} u = {u}: {slope}"
                );
            }
        }
    }
}

/// Drawn times follow the density: chi-square over 64 cells of equal probability, whose edges come from the
/// density's integral and not from the quantile function. Bound: the mean 63 plus 5 standard deviations.
#[test]
fn drawn_times_pass_a_chi_square_test() {
    for sde in sdes() {
        for kind in KINDS {
            let density = kind.build(sde.clone()).expect("a density");
            let edges = edges(&*sde, &density);
            let mut cells = [0_u32; 64];
            let draws = 6400;
            for u in uniforms(11).take(draws) {
                let t = density.time_at(u);
                cells[edges.partition_point(|edge| *edge < t)] += 1;
            }
            let chi_square: f64 = cells
                .iter()
                .map(|n| (f64::from(*n) - 100.0).powi(2) / 100.0)
                .sum();
            assert!(
                chi_square < 63.0 + 5.0 * (2.0_f64 * 63.0).sqrt(),
                "{kind:?} on {sde:?}: {chi_square}"
            );
        }
    }
}

/// The 63 inner edges of 64 cells, by cumulating the density in log-SNR.
fn edges(sde: &dyn Sde, density: &TimeDensity) -> Vec<f64> {
    let domain = sde.domain();
    let (from, to) = (sde.lambda(domain.train_eps), sde.lambda(domain.t_end));
    let n = 40_000;
    let (mut sum, mut edges) = (0.0, Vec::new());
    for i in 0..n {
        let t = sde.time_at_lambda(from + (to - from) * (f64::from(i) + 0.5) / f64::from(n));
        sum += density.density(t) * 2.0 * sde.marginal(t).std.powi(2) / sde.diffusion_sq(t) * (from - to)
            / f64::from(n);
        if sum >= (edges.len() + 1) as f64 / 64.0 && edges.len() < 63 {
            edges.push(t);
        }
    }
    assert_eq!(edges.len(), 63);
    edges
}

/// Importance sampling with its correction estimates the uniform-time likelihood loss without bias, and the
/// weighted summand becomes constant; the other densities correct nothing.
#[test]
fn importance_is_unbiased_for_uniform_times() {
    for sde in sdes() {
        let density = TimeDensityConfig::Importance {}
            .build(sde.clone())
            .expect("importance");
        let weighting = WeightingConfig::Likelihood {}
            .build(sde.clone())
            .expect("likelihood");
        let domain = sde.domain();
        let want = density.importance_mass() / (domain.t_end - domain.train_eps);
        for k in 1..50 {
            let t = density.time_at(f64::from(k) / 50.0);
            assert!(
                (weighting.weight(t) * density.correction(t) / want - 1.0).abs() < 1e-10,
                "{sde:?}"
            );
        }
        // a loss that varies: E_uniform[t / t_end] = (1 + eps) / 2
        let loss = |t: f64| t / domain.t_end;
        let estimate = over_times(&*sde, |t| density.density(t) * density.correction(t) * loss(t));
        let uniform = 0.5 * (1.0 + domain.train_eps / domain.t_end);
        assert!((estimate - uniform).abs() < 1e-6, "{sde:?}: {estimate} {uniform}");
        for kind in [KINDS[0], KINDS[2], KINDS[3]] {
            assert_eq!(
                kind.build(sde.clone())
                    .expect("a density")
                    .correction(0.5 * domain.t_end),
                1.0
            );
        }
    }
}

#[test]
fn weightings_as_stated() {
    for sde in sdes() {
        let build = |config: WeightingConfig| config.build(sde.clone()).expect("a weighting");
        for u in [1e-4, 0.01, 0.3, 1.0] {
            let t = u * sde.domain().t_end;
            let at = sde.marginal(t);
            let sigma = at.std / at.mean_coef;
            let snr = 1.0 / (sigma * sigma);
            // (weighting, the factor it stands for on which error)
            let on_data = |w: f64| w * snr;
            let near = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-11, "{sde:?} at {t}: {a} {b}");
            near(build(WeightingConfig::Sigma2 {}).weight(t), 1.0);
            near(
                build(WeightingConfig::Uniform {}).weight(t) * at.std * at.std,
                1.0,
            );
            near(
                build(WeightingConfig::Likelihood {}).weight(t) * at.std * at.std,
                sde.diffusion_sq(t),
            );
            near(on_data(build(WeightingConfig::X0 {}).weight(t)), 1.0);
            near(on_data(build(WeightingConfig::Snr {}).weight(t)), snr);
            near(
                on_data(build(WeightingConfig::TruncatedSnr {}).weight(t)),
                snr.max(1.0),
            );
            near(
                on_data(build(WeightingConfig::MinSnr { gamma: 5.0 }).weight(t)),
                snr.min(5.0),
            );
            near(
                on_data(build(WeightingConfig::SoftMinSnr { gamma: 4.0 }).weight(t)),
                snr * 4.0 / (snr + 4.0),
            );
            let d = 0.7;
            let edm = build(WeightingConfig::Edm { sigma_data: Some(d) });
            near(
                on_data(edm.weight(t)),
                (sigma * sigma + d * d) / (sigma * d).powi(2),
            );
        }
    }
}

#[test]
fn stratified_draws_fill_every_stratum() {
    for n in [1, 2, 7, 128] {
        for u0 in [0.0, 0.3, 0.999_999_999_999_999_9, 1.0 - 1e-9] {
            let mut hit = vec![false; n];
            for i in 0..n {
                let u = stratified(u0, i, n);
                assert!((0.0..1.0).contains(&u));
                // rounding may move a point that sits on an edge; look a little inside
                hit[(((u + 1e-12) * n as f64) as usize) % n] = true;
            }
            assert!(hit.into_iter().all(|hit| hit), "n = {n}, u0 = {u0}");
        }
    }
    assert_eq!(stratified(0.5, 0, 0), 0.0);
}

/// The additive recurrence of the golden ratio: no gap of the first `m` points, or of `m` points from anywhere, is longer than `2/m`, and
/// digits do not run out for large numbers.
#[test]
fn golden_points_leave_no_long_gaps() {
    for (u0, first) in [
        (0.0, 0),
        (0.73, 12_345),
        (0.999_999_999_999_999_9, u64::MAX - 5_000),
    ] {
        for m in [1_u64, 2, 3, 5, 34, 100, 987, 4000] {
            let mut points: Vec<f64> = (0..m).map(|i| golden(u0, first.wrapping_add(i))).collect();
            assert!(points.iter().all(|u| (0.0..1.0).contains(u)));
            points.sort_by(f64::total_cmp);
            let around = points[0] + 1.0 - points[points.len() - 1];
            let longest = points
                .windows(2)
                .map(|two| two[1] - two[0])
                .fold(around, f64::max);
            assert!(longest <= 2.0 / m as f64, "{m} points from {first}: {longest}");
        }
    }
    // one step is the golden section
    let phi = (5.0_f64.sqrt() - 1.0) / 2.0;
    assert!((golden(0.25, 1) - (0.25 + phi)).abs() < 1e-15);
    assert!((golden(0.0, 1_000_000) - (1e6 * phi).fract()).abs() < 1e-9);
}

/// The variance of the likelihood-weighted loss falls by the factor that the integrals say: large where `g^2/std^2` runs to `1/t`, none for
/// the VE kernel whose importance density is uniform.
#[test]
fn importance_takes_out_the_variance_that_the_integrals_say() {
    for sde in sdes() {
        let weighting = WeightingConfig::Likelihood {}
            .build(sde.clone())
            .expect("a weighting");
        // a loss z^2, z normal: E z^4 = 3
        let spread = |kind: TimeDensityConfig| {
            let density = kind.build(sde.clone()).expect("a density");
            let loss = |t: f64| weighting.weight(t) * density.correction(t);
            let mean = over_times(&*sde, |t| density.density(t) * loss(t));
            let variance = over_times(&*sde, |t| 3.0 * density.density(t) * loss(t).powi(2)) - mean * mean;
            let draws = 40_000;
            let mut u = uniforms(7);
            let mut next = || u.next().expect("endless");
            let values: Vec<f64> = (0..draws)
                .map(|_| {
                    let (t, a, b) = (density.time_at(next()), next(), next());
                    loss(t) * -2.0 * (1.0 - a).ln() * (std::f64::consts::TAU * b).cos().powi(2)
                })
                .collect();
            let got = values.iter().sum::<f64>() / f64::from(draws);
            // unbiased, within five standard errors
            let bound = 5.0 * (variance / f64::from(draws)).sqrt();
            assert!(
                (got - mean).abs() < bound,
                "{kind:?} on {sde:?}: {got} {mean} {bound}"
            );
            (mean, variance)
        };
        let (mean, uniform) = spread(TimeDensityConfig::Uniform {});
        let (same, importance) = spread(TimeDensityConfig::Importance {});
        assert!((same / mean - 1.0).abs() < 1e-6, "{sde:?}: {same} {mean}");
        // what is left is the variance of z^2
        assert!(
            (importance / (2.0 * mean * mean) - 1.0).abs() < 1e-6,
            "{sde:?}: {importance}"
        );
        assert!(
            uniform > importance * 0.999_999,
            "{sde:?}: {uniform} {importance}"
        );
    }
}

#[test]
fn refusals() {
    let vp: Arc<dyn Sde> = Arc::new(Vp::linear(0.1, 20.0).expect("vp"));
    let time = |mean, std| {
        TimeDensityConfig::LogNormal { mean, std }
            .build(vp.clone())
            .expect_err("a refusal")
            .to_string()
    };
    assert!(time(f64::NAN, 1.0).starts_with("loss.time.mean = NaN"));
    assert!(time(0.0, 0.0).starts_with("loss.time.std = 0"));
    assert!(time(0.0, f64::NAN).starts_with("loss.time.std = NaN"));
    assert!(time(300.0, 1.0).contains("hardly any ln sigma"));
    assert!(time(-300.0, 1.0).contains("hardly any ln sigma"));
    for gamma in [0.0, -2.0, f64::NAN] {
        let error = WeightingConfig::MinSnr { gamma }
            .build(vp.clone())
            .expect_err("a refusal")
            .to_string();
        assert!(error.starts_with("loss.weighting.gamma = "), "{error}");
    }
    assert!(
        WeightingConfig::Edm {
            sigma_data: Some(0.0)
        }
        .build(vp)
        .is_err()
    );
}
