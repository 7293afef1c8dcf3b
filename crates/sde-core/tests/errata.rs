//! What goes wrong with formulas found elsewhere: the figures that docs/CONVENTIONS.md states, recomputed.

use sde_core::oracle::Gaussian;
use sde_core::schedule::{Cosine, Linear, Schedule};
use sde_core::sde::{SubVp, Ve, VeKernel, Vp};
use sde_core::{Marginal, Sde};

#[track_caller]
fn near(value: f64, stated: f64, relative: f64) {
    assert!(
        (value / stated - 1.0).abs() <= relative,
        "{value} is not {stated}"
    );
}

/// `g^2 = beta (1 - abar) / abar` makes the variance `2 sinh^2(B/2)`, which explodes; `std = 1 - e^{-2B}` is
/// no better.
#[test]
fn other_subvp_formulas() {
    let rates = Linear::new(0.1, 20.0).expect("rates");
    let subvp = SubVp::linear(0.1, 20.0).expect("subvp");
    let exploding = |t: f64| 2.0 * (0.5 * rates.integral(t)).sinh().powi(2);
    for (t, stated) in [(0.1, 0.0060), (0.3, 0.46), (0.5, 5.36), (1.0, 11_577.0)] {
        near(exploding(t), stated, 0.02);
        assert!((exploding(t) / subvp.marginal(t).std.powi(2) - 1.0).abs() > 0.2);
        // V' = -beta V + beta (1 - abar) / abar
        let (h, b) = (1e-5, rates.integral(t));
        let slope = (exploding(t + h) - exploding(t - h)) / (2.0 * h);
        near(slope, rates.rate(t) * (b.exp_m1() - exploding(t)), 1e-6);
    }
    near(-(-2.0 * rates.integral(0.3)).exp_m1(), 0.843, 1e-3);
    near(subvp.marginal(0.3).std, 0.604, 1e-3);
}

/// `1 - exp(-B)` in single precision is a multiple of `2^-24`: at `t = 1e-5` the nearest two are 4.7 % below
/// and 1.2 % above the variance, at 1e-4 the nearest one is 0.26 % below.
#[test]
fn single_precision_cancels() {
    let vp = Vp::linear(0.1, 20.0).expect("vp");
    let grain = 2.0_f64.powi(-24);
    let var = |t: f64| vp.marginal(t).std.powi(2);
    near(
        (var(1e-5) / grain).floor() * grain / var(1e-5) - 1.0,
        -0.047,
        0.02,
    );
    near((var(1e-5) / grain).ceil() * grain / var(1e-5) - 1.0, 0.012, 0.05);
    near(
        (var(1e-4) / grain).round() * grain / var(1e-4) - 1.0,
        -0.0026,
        0.02,
    );
    // as written in single precision
    let single = |t: f32| 1.0 - (2.0 * (-0.25 * t * t * 19.9_f32 - 0.5 * t * 0.1)).exp();
    for t in [1e-5_f32, 1e-4] {
        let units = f64::from(single(t)) / grain;
        assert_eq!(units, units.round());
        assert!((f64::from(single(t)) / var(f64::from(t)) - 1.0).abs() > 2e-3);
    }
}

/// The two VE kernels are not interchangeable.
#[test]
fn ve_kernels_differ() {
    let ve = |kernel| Ve::new(0.01, 50.0, kernel, Ve::DOMAIN).expect("ve");
    let (song, exact) = (ve(VeKernel::Song), ve(VeKernel::Exact));
    for (t, ratio) in [(1e-5, 77.0), (1e-3, 7.7), (0.1, 1.106), (0.5, 1.0001)] {
        near(song.marginal(t).std / exact.marginal(t).std, ratio, 6e-3);
    }
}

/// A cosine schedule capped by its rate at 20 keeps too much signal; an integral continued as `beta_max t`
/// jumps; one without `f(0)` starts with noise.
#[test]
fn cosine_mistakes() {
    let schedule = Cosine::new(0.008, -12.0).expect("a late cap");
    let time_of_rate = |rate: f64| {
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if schedule.rate(middle) < rate {
                low = middle
            } else {
                high = middle
            }
        }
        low
    };
    let lambda = |integral: f64| -0.5 * integral.exp_m1().ln();
    let cap = time_of_rate(20.0);
    near(cap, 0.9008, 1e-4);
    near(lambda(schedule.integral(cap)), -1.86, 3e-3);
    let terminal = lambda(schedule.integral(cap) + 20.0 * (1.0 - cap));
    near(terminal, -2.9, 0.02);
    assert!(terminal > -3.0, "refused");
    near(time_of_rate(999.0), 0.998_00, 1e-5);
    // the primitive that jumps belongs to the rate pi tan(pi t / 2), without offset
    for (rate, before, after) in [(20.0_f64, 3.73, 18.02), (100.0, 6.92, 98.0)] {
        let tangent = rate / std::f64::consts::PI;
        near((tangent * tangent).ln_1p(), before, 1e-3);
        near(rate * tangent.atan() / std::f64::consts::FRAC_PI_2, after, 1e-3);
    }
    let at_zero = (0.008_f64 / 1.008 * std::f64::consts::FRAC_PI_2).sin().powi(2);
    near(at_zero, 1.55e-4, 5e-3);
}

/// The classical Runge-Kutta method on the probability-flow ODE of VP data `N(0.7, 0.3^2)`, uniform times
/// down to 1e-3: with `x + h k3 / 2` in place of `x + h k3` in the last stage its order falls from four to
/// one.
#[test]
fn rk4_with_a_wrong_stage_is_first_order() {
    const RIGHT: [f64; 6] = [1.47e-3, 7.85e-5, 3.82e-6, 2.16e-7, 1.29e-8, 7.88e-10];
    const WRONG: [f64; 6] = [7.59e-3, 3.89e-3, 1.94e-3, 9.63e-4, 4.79e-4, 2.39e-4];
    let (vp, data) = problem();
    let rhs = |t: f64, x: f64| {
        let mut score = [0.0];
        data.mixture().noised(vp.marginal(t)).score(&[x], &mut score);
        vp.drift_coef(t) * x - 0.5 * vp.diffusion_sq(t) * score[0]
    };
    let error = |steps: usize, last: f64| {
        let h = (1e-3 - 1.0) / steps as f64;
        let mut x = start(&vp, &data);
        for i in 0..steps {
            let t = 1.0 + i as f64 * h;
            let k1 = rhs(t, x);
            let k2 = rhs(t + 0.5 * h, x + 0.5 * h * k1);
            let k3 = rhs(t + 0.5 * h, x + 0.5 * h * k2);
            let k4 = rhs(t + h, x + last * h * k3);
            x += h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4);
        }
        (x - 1.090_178_231_179_744_8).abs()
    };
    for (k, (right, wrong)) in RIGHT.iter().zip(WRONG).enumerate() {
        near(error(10 << k, 1.0), *right, 5e-3);
        near(error(10 << k, 0.5), wrong, 5e-3);
    }
}

/// The first-order step in lambda, `x' = (s'/s) x - m' (e^{-h} - 1) x0`: with the sign turned, the result
/// does not converge at all.
#[test]
fn first_order_step_with_a_wrong_sign_does_not_converge() {
    let (vp, data) = problem();
    let (from, to) = (vp.lambda(1.0), vp.lambda(1e-3));
    let error = |steps: usize, sign: f64| {
        let mut x = start(&vp, &data);
        let h = (to - from) / steps as f64;
        for i in 0..steps {
            let at = |i: usize| vp.marginal(vp.time_at_lambda(from + h * i as f64));
            let (now, next): (Marginal, Marginal) = (at(i), at(i + 1));
            let mut x0 = [0.0];
            data.mixture().noised(now).posterior_mean(&[x], &mut x0);
            x = next.std / now.std * x - sign * next.mean_coef * (-h).exp_m1() * x0[0];
        }
        (x - 1.090_178_231_179_744_8).abs()
    };
    for (steps, right) in [(10, 8.31e-2), (40, 2.27e-2), (320, 2.91e-3)] {
        near(error(steps, 1.0), right, 5e-3);
        assert!(error(steps, -1.0) > 1.0, "{steps}: {}", error(steps, -1.0));
    }
    near(error(320, -1.0), 1.09, 5e-3);
}

fn problem() -> (Vp, Gaussian) {
    (
        Vp::linear(0.1, 20.0).expect("vp"),
        Gaussian::isotropic(&[0.7], 0.3).expect("a Gaussian"),
    )
}

fn start(vp: &Vp, data: &Gaussian) -> f64 {
    let noised = data.noised(vp.marginal(1.0));
    noised.mean()[0] + 1.3 * noised.cov()[0].sqrt()
}

/// The target `-(x_t - x_0) / std^2`, right for VE, misses the mean coefficient of VP.
#[test]
fn ve_target_on_vp() {
    let vp = Vp::linear(0.1, 20.0).expect("vp");
    let at = vp.marginal(0.5);
    let (x0, z) = (0.8, -0.4);
    let x = at.mean_coef * x0 + at.std * z;
    let right = -(x - at.mean_coef * x0) / at.std.powi(2);
    near(right, -z / at.std, 1e-14);
    let wrong = -(x - x0) / at.std.powi(2);
    assert!((wrong - right).abs() > 0.5);
}
