//! Laws that every SDE and every schedule obeys, at random times and parameters.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use sde_core::schedule::{Cosine, Exponential, Linear, Numeric, ScaledLinear, Schedule, Steps, Table};
use sde_core::sde::{Additive, Edm, SubVp, Ve, VeKernel, Vp};
use sde_core::{Sde, Span};

fn schedules() -> Vec<Arc<dyn Schedule>> {
    vec![
        Arc::new(Linear::new(0.1, 20.0).expect("linear")),
        Arc::new(Linear::new(0.0, 20.0).expect("linear from 0")),
        Arc::new(Linear::new(12.0, 12.0).expect("constant")),
        Arc::new(Cosine::new(0.008, -5.1).expect("cosine")),
        Arc::new(Cosine::new(0.05, -8.0).expect("another cosine")),
        Arc::new(Exponential::new(0.01, 60.0).expect("exponential")),
        Arc::new(ScaledLinear::new(0.85, 24.0).expect("scaled linear")),
        Arc::new(Table::new(vec![0.0, 0.3, 0.7, 1.0], vec![0.2, 3.0, 3.0, 40.0]).expect("table")),
        Arc::new(Steps::new(vec![0.0, 0.25, 0.5, 1.0], vec![0.5, 4.0, 30.0]).expect("steps")),
        Arc::new(Numeric::new(|t| 0.1 + 25.0 * t * t, 1.0).expect("numeric")),
    ]
}

fn sdes() -> &'static [Arc<dyn Sde>] {
    static SDES: LazyLock<Vec<Arc<dyn Sde>>> = LazyLock::new(build_sdes);
    &SDES
}

fn build_sdes() -> Vec<Arc<dyn Sde>> {
    let mut sdes: Vec<Arc<dyn Sde>> = Vec::new();
    for schedule in schedules() {
        sdes.push(Arc::new(Vp::new(schedule.clone(), Vp::DOMAIN).expect("vp")));
        sdes.push(Arc::new(
            SubVp::new(schedule.clone(), SubVp::DOMAIN).expect("subvp"),
        ));
        sdes.push(Arc::new(
            Additive::new(schedule, 0.0, Ve::DOMAIN).expect("additive"),
        ));
    }
    sdes.push(Arc::new(
        Ve::new(0.01, 50.0, VeKernel::Song, Ve::DOMAIN).expect("ve"),
    ));
    sdes.push(Arc::new(
        Ve::new(0.01, 50.0, VeKernel::Exact, Ve::DOMAIN).expect("ve"),
    ));
    sdes.push(Arc::new(
        Ve::new(0.2, 1348.0, VeKernel::Exact, Ve::DOMAIN).expect("ve"),
    ));
    sdes.push(Arc::new(Edm::new(0.002, 80.0, 0.5).expect("edm")));
    sdes
}

/// Fourth-order central difference; `None` where a schedule has a kink within reach.
fn slope(f: impl Fn(f64) -> f64, t: f64, h: f64) -> f64 {
    (8.0 * (f(t + h) - f(t - h)) - (f(t + 2.0 * h) - f(t - 2.0 * h))) / (12.0 * h)
}

/// Kinks and jumps of the rates above.
fn near_kink(t: f64, h: f64) -> bool {
    let cosines = [
        0.996_087_992_6,
        Cosine::new(0.05, -8.0).expect("cosine").cap_time(),
    ];
    [0.25, 0.3, 0.5, 0.7]
        .iter()
        .chain(&cosines)
        .any(|kink| (t - kink).abs() < 3.0 * h)
        || t > 1.0 - 3.0 * h
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(7),
        ..ProptestConfig::default()
    })]

    /// `mean_coef' = a mean_coef` and `(std^2)' = 2 a std^2 + g^2`.
    #[test]
    fn marginals_solve_their_equations(u in 0.001_f64..0.999) {
        for sde in sdes() {
            let t = u * sde.domain().t_end;
            let h = 1e-4 * t.min(sde.domain().t_end - t);
            if near_kink(t, h) {
                continue;
            }
            let at = sde.marginal(t);
            let a = sde.drift_coef(t);
            let mean_slope = slope(|t| sde.marginal(t).mean_coef, t, h);
            let scale = at.mean_coef * (a.abs() + 1.0 / t) ;
            prop_assert!((mean_slope - a * at.mean_coef).abs() <= 1e-9 * scale.max(1.0 / t), "{sde:?} t = {t}: {mean_slope}");
            let var = |t: f64| sde.marginal(t).std.powi(2);
            let var_slope = slope(var, t, h);
            let law = 2.0 * a * var(t) + sde.diffusion_sq(t);
            let scale = 2.0 * a.abs() * var(t) + sde.diffusion_sq(t) + var(t) / t;
            prop_assert!((var_slope - law).abs() <= 1e-8 * scale, "{sde:?} t = {t}: {var_slope} against {law}");
        }
    }

    /// `-2 lambda` has the derivative `g^2 / std^2`: what importance sampling rests on.
    #[test]
    fn log_snr_falls_by_the_importance_weight(u in 0.001_f64..0.999) {
        for sde in sdes() {
            let t = u * sde.domain().t_end;
            let h = 1e-4 * t.min(sde.domain().t_end - t);
            if near_kink(t, h) {
                continue;
            }
            let fall = -slope(|t| sde.log_snr(t), t, h);
            let weight = sde.diffusion_sq(t) / sde.marginal(t).std.powi(2);
            prop_assert!((fall - weight).abs() <= 1e-8 * (weight + 10.0 / t), "{sde:?} t = {t}: {fall} against {weight}");
        }
    }

    /// `t(lambda)`, `t(sigma)` and the schedule's `t(B)` invert to 1e-12, relative wherever the quantity
    /// itself still resolves `t` (a kernel that starts with noise does not, near 0).
    #[test]
    fn inverses_round_trip(e in -5.0_f64..0.0) {
        for sde in sdes() {
            let t = 10_f64.powf(e) * sde.domain().t_end;
            let lambda = sde.lambda(t);
            let resolution = {
                // change of t for a change of lambda by 4 units of its last place
                let fall = 0.5 * sde.diffusion_sq(t) / sde.marginal(t).std.powi(2);
                4.0 * f64::EPSILON * lambda.abs().max(1.0) / fall
            };
            let tolerance = 1e-12 * t + resolution;
            prop_assert!(resolution <= 1e-12 * sde.domain().t_end);
            let back = sde.time_at_lambda(lambda);
            prop_assert!((back - t).abs() <= tolerance, "{sde:?}: {t} came back from lambda as {back}");
            let back = sde.time_at_sigma(sde.sigma(t));
            prop_assert!((back - t).abs() <= tolerance, "{sde:?}: {t} came back from sigma as {back}");
            let ratio = sde.marginal(t).mean_coef / sde.marginal(t).std;
            prop_assert!((lambda - ratio.ln()).abs() <= 1e-12 * lambda.abs().max(1.0), "{sde:?} t = {t}");
            prop_assert!((sde.sigma(t) * ratio - 1.0).abs() <= 1e-12, "{sde:?} t = {t}");
        }
        for schedule in schedules() {
            let t = 10_f64.powf(e);
            let back = schedule.time_at(schedule.integral(t));
            prop_assert!((back - t).abs() <= 1e-12 * t.max(1e-1), "{schedule:?}: {t} came back as {back}");
        }
    }

    /// The closed form of the step's kernel equals the difference of the marginals where that does not
    /// cancel.
    #[test]
    fn transitions_compose_the_marginals(u in 0.01_f64..1.0, v in 0.01_f64..0.9) {
        for sde in sdes() {
            let from = u * sde.domain().t_end;
            let to = v * from;
            let (now, next, step) = (sde.marginal(from), sde.marginal(to), sde.transition(from, to));
            prop_assert!((step.mean_coef * next.mean_coef - now.mean_coef).abs() <= 1e-13 * next.mean_coef, "{sde:?}");
            let var = (step.mean_coef * next.std).powi(2) + step.std.powi(2);
            prop_assert!((var - now.std.powi(2)).abs() <= 1e-12 * now.std.powi(2), "{sde:?} {from} -> {to}");
        }
    }

    /// Over a tiny span the variance added is `g^2` times the gap to many digits: no cancellation.
    #[test]
    fn short_steps_keep_their_digits(u in 0.01_f64..0.9) {
        for sde in sdes() {
            let from = u * sde.domain().t_end;
            if near_kink(from, 1e-6) {
                continue;
            }
            let to = from * (1.0 - 1e-9);
            let step = sde.transition(from, to);
            let law = sde.diffusion_sq(from) * (from - to);
            let spread = if format!("{sde:?}").contains("Numeric") { 1e-5 } else { 3e-7 };
            prop_assert!((step.std.powi(2) / law - 1.0).abs() <= spread, "{sde:?} at {from}: {} {law}", step.std.powi(2));
        }
    }

    /// Mean and variance of data pass exactly through an ancestral step with the exact score, where the step
    /// is the posterior of the process: `E` and `Var` of `N(m mu, m^2 v + s^2)` at `to` follow from those at
    /// `from` as the step gets small.
    #[test]
    fn ancestral_steps_keep_gaussian_marginals(u in 0.05_f64..1.0, mu in -2.0_f64..2.0, var in 0.1_f64..4.0) {
        for sde in sdes() {
            let from = u * sde.domain().t_end;
            let to = from * (1.0 - 1e-4);
            if near_kink(from, 1e-3) {
                continue;
            }
            let moments = |t: f64| {
                let at = sde.marginal(t);
                (at.mean_coef * mu, at.mean_coef * at.mean_coef * var + at.std * at.std)
            };
            let ((mean_now, var_now), (mean_next, var_next)) = (moments(from), moments(to));
            let step = sde.ancestral(Span { from, to, gap: from - to });
            // score = -(x - mean) / var
            let slope = step.state_coef - step.score_coef / var_now;
            let mean = step.state_coef * mean_now;
            let spread = slope * slope * var_now + step.std * step.std;
            // local error of second order in the step
            let rate = sde.diffusion_sq(from) * (from - to) / sde.marginal(from).std.powi(2);
            let local = 40.0 * (rate + (from - to) * sde.drift_coef(from).abs() + 1e-4).powi(2);
            prop_assert!((mean - mean_next).abs() <= local * (1.0 + mean_now.abs()), "{sde:?} mean at {from}");
            prop_assert!((spread / var_next - 1.0).abs() <= local, "{sde:?} variance at {from}: {spread} {var_next}");
        }
    }

    /// For known data the posterior is exact over steps of any length: `N(m mu, s^2)` goes to `N(m' mu,
    /// s'^2)`. (VP's own step is DDPM's, which is not the posterior.)
    #[test]
    fn long_ancestral_steps_are_exact_for_known_data(u in 0.01_f64..1.0, v in 0.001_f64..0.99) {
        for sde in sdes().iter().filter(|sde| !format!("{sde:?}").starts_with("Vp")) {
            let from = u * sde.domain().t_end;
            let to = v * from;
            let (now, next) = (sde.marginal(from), sde.marginal(to));
            let step = sde.ancestral(Span { from, to, gap: from - to });
            // score = -(x - m mu) / s^2
            let slope = step.state_coef - step.score_coef / (now.std * now.std);
            prop_assert!((step.state_coef * now.mean_coef - next.mean_coef).abs() <= 1e-12 * next.mean_coef, "{sde:?}");
            let var = (slope * now.std).powi(2) + step.std.powi(2);
            let rounding = 1e-12 * (step.state_coef * now.std).powi(2);
            prop_assert!((var - next.std.powi(2)).abs() <= 1e-10 * next.std.powi(2) + rounding, "{sde:?} {from} -> {to}");
        }
    }

    /// Every schedule's increment is the difference of its integrals, and its rate the derivative.
    #[test]
    fn schedules_integrate_their_rates(u in 0.001_f64..0.999, v in 0.001_f64..0.999) {
        for schedule in schedules() {
            let (low, high) = (u.min(v), u.max(v));
            let increment = schedule.increment(low, high);
            let difference = schedule.integral(high) - schedule.integral(low);
            prop_assert!((increment - difference).abs() <= 1e-13 * schedule.integral(high).max(0.1), "{schedule:?}");
            let h = 1e-4 * u.min(1.0 - u);
            if near_kink(u, h) {
                continue;
            }
            let rate = slope(|t| schedule.integral(t), u, h);
            prop_assert!((rate - schedule.rate(u)).abs() <= 1e-8 * (schedule.rate(u) + 1.0), "{schedule:?} at {u}");
        }
    }

    /// Rates, levels and times at random: laws hold away from the usual parameters too.
    #[test]
    fn linear_vp_inverts_for_any_rates(beta_min in 0.0_f64..5.0, more in 14.0_f64..100.0, e in -5.0_f64..0.0) {
        let sde = Vp::linear(beta_min, beta_min + more).expect("rates in order");
        let t = 10_f64.powf(e);
        prop_assert!((sde.time_at_lambda(sde.lambda(t)) / t - 1.0).abs() <= 1e-12);
        let at = sde.marginal(t);
        prop_assert!((at.mean_coef.powi(2) + at.std.powi(2) - 1.0).abs() <= 1e-15);
    }
}

/// Beginning of the time axis: no noise, all signal; and `R(0) = 0` exactly.
#[test]
fn everything_starts_at_the_data() {
    for schedule in schedules() {
        assert_eq!(schedule.integral(0.0), 0.0, "{schedule:?}");
        assert_eq!(schedule.time_at(0.0), 0.0, "{schedule:?}");
    }
    for sde in sdes() {
        let start = sde.marginal(0.0);
        assert_eq!(start.mean_coef, 1.0);
        let song = format!("{sde:?}").contains("Song");
        assert_eq!(start.std, if song { 0.01 } else { 0.0 }, "{sde:?}");
        let end = sde.marginal(sde.domain().t_end);
        assert!((end.std / sde.prior_std() - 1.0).abs() < 3e-3, "{sde:?}");
    }
    let ve = Ve::new(0.01, 50.0, VeKernel::Song, Ve::DOMAIN).expect("ve");
    assert!((ve.marginal(1.0).std / ve.prior_std() - 1.0).abs() < 1e-15);
}

/// subVP by integrating `dV/dt = -beta V + g^2` with a fourth-order Runge-Kutta method: Song et al. are
/// right, and neither `1 - e^{-2B}` nor `g^2 = beta (1 - abar) / abar` gives it.
#[test]
fn subvp_variance_by_integration() {
    let sde = SubVp::linear(0.1, 20.0).expect("subvp");
    let rhs = |t: f64, v: f64| 2.0 * sde.drift_coef(t) * v + sde.diffusion_sq(t);
    let (mut v, n) = (0.0, 3000);
    let h = 0.3 / f64::from(n);
    for k in 0..n {
        let t = f64::from(k) * h;
        let k1 = rhs(t, v);
        let k2 = rhs(t + 0.5 * h, v + 0.5 * h * k1);
        let k3 = rhs(t + 0.5 * h, v + 0.5 * h * k2);
        let k4 = rhs(t + h, v + h * k3);
        v += h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4);
    }
    assert!((v.sqrt() / 0.603_666_797_076 - 1.0).abs() < 1e-9, "{}", v.sqrt());
    assert!((sde.marginal(0.3).std - v.sqrt()).abs() < 1e-9);
}

/// The discretisations of the reference code, at its own spans.
#[test]
fn published_discretisations() {
    let vp = Vp::linear(0.1, 20.0).expect("vp");
    let span = Span {
        from: 0.5,
        to: 0.499,
        gap: 1e-3,
    };
    let beta: f64 = 10.05e-3;
    let step = vp.discretize(span);
    assert!(
        (step.drift - ((1.0 - beta).sqrt() - 1.0)).abs() < 1e-15 && (step.noise_var - beta).abs() < 1e-16
    );
    let step = vp.ancestral(span);
    assert!((step.state_coef - 1.0 / (1.0 - beta).sqrt()).abs() < 1e-15);
    assert!((step.score_coef - beta / (1.0 - beta).sqrt()).abs() < 1e-15);
    assert!((step.std - beta.sqrt()).abs() < 1e-15);

    for kernel in [VeKernel::Song, VeKernel::Exact] {
        let ve = Ve::new(0.01, 50.0, kernel, Ve::DOMAIN).expect("ve");
        let (from, to) = (ve.marginal(0.6).std, ve.marginal(0.5).std);
        let span = Span {
            from: 0.6,
            to: 0.5,
            gap: 0.1,
        };
        let added = from * from - to * to;
        assert_eq!(ve.discretize(span).drift, 0.0);
        assert!((ve.discretize(span).noise_var / added - 1.0).abs() < 1e-12);
        let step = ve.ancestral(span);
        assert_eq!(step.state_coef, 1.0);
        assert!((step.score_coef / added - 1.0).abs() < 1e-12);
        assert!((step.std / (to * to * added / (from * from)).sqrt() - 1.0).abs() < 1e-12);
        // below the last rung there is no noise
        let last = Span {
            from: 1e-3,
            to: 0.0,
            gap: 1e-3,
        };
        assert!((ve.discretize(last).noise_var / ve.marginal(1e-3).std.powi(2) - 1.0).abs() < 1e-15);
        assert_eq!(ve.ancestral(last).std, 0.0);
    }

    let edm = Edm::new(0.002, 80.0, 0.5).expect("edm");
    let span = Span {
        from: 3.0,
        to: 2.0,
        gap: 1.0,
    };
    assert_eq!(edm.discretize(span).noise_var, 5.0);
    let step = edm.ancestral(span);
    // sigma_up^2 + sigma_down^2 = sigma_to^2 with sigma_down = sigma_to^2 / sigma_from
    assert!((step.std.powi(2) + (4.0_f64 / 3.0).powi(2) - 4.0).abs() < 1e-15);
    let zero = edm.ancestral(Span {
        from: 3.0,
        to: 0.0,
        gap: 3.0,
    });
    assert_eq!((zero.score_coef, zero.std), (9.0, 0.0));
}

/// Many times at once give what one time gives, to rounding, and the same bits wherever a time stands in the batch.
#[test]
fn batches_of_times_agree_with_single_ones() {
    let times: Vec<f64> = (1..=997)
        .map(|i| f64::from(i) / 997.0)
        .chain([1e-5, 1e-4, 1e-3])
        .collect();
    let count = times.len();
    for sde in sdes() {
        let [mut drift, mut diffusion, mut mean, mut var] = [(); 4].map(|()| vec![f64::NAN; count]);
        sde.rates(&times, &mut drift, &mut diffusion);
        sde.marginals(&times, &mut mean, &mut var);
        for (i, t) in times.iter().enumerate() {
            let at = sde.marginal(*t);
            let pairs = [
                (drift[i], sde.drift_coef(*t)),
                (diffusion[i], sde.diffusion_sq(*t)),
                (mean[i], at.mean_coef),
                (var[i], at.std * at.std),
            ];
            for (got, expected) in pairs {
                assert!(
                    (got - expected).abs() <= 1e-14 * expected.abs(),
                    "{sde:?} {t}: {got} {expected}"
                );
            }
            let mut alone = [[0.0]; 4];
            let [a, b, c, d] = &mut alone;
            sde.rates(&times[i..=i], a, b);
            sde.marginals(&times[i..=i], c, d);
            let bits = |values: [f64; 4]| values.map(f64::to_bits);
            assert_eq!(
                bits(alone.map(|value| value[0])),
                bits([drift[i], diffusion[i], mean[i], var[i]])
            );
        }
    }
}
