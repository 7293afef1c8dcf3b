//! Numerical check of a schedule's laws, for schedules that users supply.

use super::Schedule;
use crate::ConfigError;
use crate::num::within;

/// Checks on `[0, t_end]` that the rate is finite and not negative, `R(0) = 0`, `R` is finite and has the
/// rate as its derivative (to 1e-5, at 256 points of which 5 may fall on a jump of the rate), that it has no
/// jump itself (its growth over 64 intervals is the integral of the rate to a thousandth of `R(t_end)`), that
/// `increment` agrees with `R`, and that `time_at` inverts `R` where the rate is positive. Some hundred
/// thousand evaluations of the rate.
///
/// # Errors
/// [`ConfigError`] at `sde.schedule` that names the law and the time at which it breaks.
pub fn check(schedule: &dyn Schedule, t_end: f64) -> Result<(), ConfigError> {
    let broken = |law: String| Err(ConfigError::new("sde.schedule", format!("{schedule:?}"), law));
    let total = schedule.integral(t_end);
    if !(total.is_finite() && total > 0.0) {
        return broken(format!(
            "its integral to t = {t_end} is {total}; it must be finite and above 0"
        ));
    }
    let zero = schedule.integral(0.0);
    if !within(zero, 0.0, 1e-12 * total) {
        return broken(format!("its integral at t = 0 is {zero}; it must be 0"));
    }
    check_points(schedule, t_end, total).or_else(broken)?;
    check_intervals(schedule, t_end, total).or_else(broken)
}

/// Rate, derivative and inverse at points that are no round numbers, where jumps would sit.
fn check_points(schedule: &dyn Schedule, t_end: f64, total: f64) -> Result<(), String> {
    const POINTS: usize = 256;
    let mut misses = 0;
    for t in [0.0, t_end] {
        check_rate(schedule, t)?;
    }
    for k in 0..POINTS {
        let t = t_end * (k as f64 + 0.381_966) / POINTS as f64;
        let rate = check_rate(schedule, t)?;
        let half = 1e-6 * t_end;
        let slope = (schedule.integral(t + half) - schedule.integral(t - half)) / (2.0 * half);
        if !within(slope, rate, 1e-5 * (rate + total / t_end)) {
            misses += 1;
            if misses > 5 || slope.is_nan() {
                return Err(format!(
                    "its rate at t = {t} is {rate} where its integral grows by {slope} per unit of time"
                ));
            }
        }
        if rate > 1e-6 * total / t_end {
            let back = schedule.time_at(schedule.integral(t));
            if !within(back, t, 1e-9 * t_end + 1e-12 * total / rate) {
                return Err(format!("its time at the integral of t = {t} is {back}"));
            }
        }
    }
    Ok(())
}

fn check_rate(schedule: &dyn Schedule, t: f64) -> Result<f64, String> {
    let rate = schedule.rate(t);
    if rate.is_finite() && rate >= 0.0 {
        Ok(rate)
    } else {
        Err(format!(
            "its rate at t = {t} is {rate}; it must be finite and >= 0"
        ))
    }
}

fn check_intervals(schedule: &dyn Schedule, t_end: f64, total: f64) -> Result<(), String> {
    const INTERVALS: usize = 64;
    const PARTS: usize = 32;
    let at = |k: usize, n: usize| t_end * k as f64 / n as f64;
    for k in 0..INTERVALS {
        let (from, to) = (at(k, INTERVALS), at(k + 1, INTERVALS));
        let gain = schedule.integral(to) - schedule.integral(from);
        let area: f64 = (0..PARTS)
            .map(|part| {
                let part = k * PARTS + part;
                integrate(
                    &|t| schedule.rate(t),
                    at(part, INTERVALS * PARTS),
                    at(part + 1, INTERVALS * PARTS),
                    1e-6 * total,
                )
            })
            .sum();
        if !within(gain, area, 1e-3 * total) {
            return Err(format!(
                "its integral grows by {gain} between t = {from} and {to} where its rate integrates to {area}"
            ));
        }
        let increment = schedule.increment(from, to);
        if !within(gain, increment, 1e-9 * total) {
            return Err(format!(
                "its increment between t = {from} and {to} is {increment}, not {gain}"
            ));
        }
    }
    Ok(())
}

/// Integral of `f` by the five-point Gauss-Legendre rule with adaptive halving; at most two thousand
/// halvings, so that a rate without any smoothness ends as well.
pub(crate) fn integrate(f: &dyn Fn(f64) -> f64, from: f64, to: f64, tolerance: f64) -> f64 {
    let mut budget = 2_000;
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
