//! Numerical check of a schedule's laws, for schedules that users supply.

use super::Schedule;
use crate::ConfigError;

/// Checks on `[0, t_end]` that the rate is finite and not negative, `R(0) = 0`, `R` is finite and agrees with the
/// integral of the rate to 1e-6 of `R(t_end)`, `increment` with `R`, and `time_at` inverts `R` where the rate is
/// positive. Some ten thousand evaluations of the rate.
///
/// # Errors
/// [`ConfigError`] at `sde.schedule` that names the law and the time at which it breaks.
pub fn check(schedule: &dyn Schedule, t_end: f64) -> Result<(), ConfigError> {
    const POINTS: usize = 64;
    let broken = |law: String| Err(ConfigError::new("sde.schedule", format!("{schedule:?}"), law));
    let total = schedule.integral(t_end);
    if !(total.is_finite() && total > 0.0) {
        return broken(format!(
            "its integral to t = {t_end} is {total}; it must be finite and above 0"
        ));
    }
    let zero = schedule.integral(0.0);
    if !(zero.abs() <= 1e-12 * total) {
        return broken(format!("its integral at t = 0 is {zero}; it must be 0"));
    }
    for k in 0..POINTS {
        let (from, to) = (
            t_end * k as f64 / POINTS as f64,
            t_end * (k + 1) as f64 / POINTS as f64,
        );
        for t in [from, 0.5 * (from + to), to] {
            let rate = schedule.rate(t);
            if !(rate.is_finite() && rate >= 0.0) {
                return broken(format!(
                    "its rate at t = {t} is {rate}; it must be finite and >= 0"
                ));
            }
        }
        let gain = schedule.integral(to) - schedule.integral(from);
        let area = integrate(&|t| schedule.rate(t), from, to, 1e-9 * total);
        if !((gain - area).abs() <= 1e-6 * total) {
            return broken(format!(
                "its integral grows by {gain} between t = {from} and {to} where its rate integrates to {area}"
            ));
        }
        let increment = schedule.increment(from, to);
        if !((gain - increment).abs() <= 1e-9 * total) {
            return broken(format!(
                "its increment between t = {from} and {to} is {increment}, not {gain}"
            ));
        }
        let (integral, rate) = (schedule.integral(to), schedule.rate(to));
        if rate > 1e-6 * total / t_end {
            let back = schedule.time_at(integral);
            if !((back - to).abs() <= 1e-9 * t_end + 1e-12 * total / rate) {
                return broken(format!("its time at the integral of t = {to} is {back}"));
            }
        }
    }
    Ok(())
}

/// Integral of `f` by the five-point Gauss-Legendre rule with adaptive halving; at most some ten thousand halvings, so
/// that a rate without any smoothness ends as well.
pub(crate) fn integrate(f: &dyn Fn(f64) -> f64, from: f64, to: f64, tolerance: f64) -> f64 {
    let mut budget = 10_000;
    halve(f, from, to, gauss5(f, from, to), tolerance, &mut budget)
}

fn halve(f: &dyn Fn(f64) -> f64, from: f64, to: f64, whole: f64, tolerance: f64, budget: &mut u32) -> f64 {
    let middle = 0.5 * (from + to);
    let (left, right) = (gauss5(f, from, middle), gauss5(f, middle, to));
    let unsure = (left + right - whole).abs() > tolerance; // false for NaN, which ends the search
    if !unsure || *budget == 0 || middle == from || middle == to {
        return left + right;
    }
    *budget -= 1;
    halve(f, from, middle, left, tolerance, budget) + halve(f, middle, to, right, tolerance, budget)
}

/// The five-point Gauss-Legendre rule (Abramowitz and Stegun 1964, table 25.4).
fn gauss5(f: &dyn Fn(f64) -> f64, from: f64, to: f64) -> f64 {
    const NODES: [f64; 2] = [0.538_469_310_105_683_1, 0.906_179_845_938_664];
    const WEIGHTS: [f64; 3] = [
        0.568_888_888_888_888_9,
        0.478_628_670_499_366_47,
        0.236_926_885_056_189_08,
    ];
    let (centre, half) = (0.5 * (from + to), 0.5 * (to - from));
    let mut sum = WEIGHTS[0] * f(centre);
    for (node, weight) in NODES.iter().zip(&WEIGHTS[1..]) {
        sum += weight * (f(centre - half * node) + f(centre + half * node));
    }
    half * sum
}
