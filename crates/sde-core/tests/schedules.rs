//! Schedules: the capped cosine, rates given alone, and the check of schedules that users supply.

use std::sync::Arc;

use sde_core::Sde;
use sde_core::schedule::{self, Cosine, Exponential, Linear, Numeric, ScaledLinear, Schedule, Steps, Table};
use sde_core::sde::Vp;

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

/// The cap of the cosine schedule continues rate and integral to 1e-12.
#[test]
fn capped_cosine_is_continuous() {
    for lambda_min in [-3.0, -5.1, -8.0, -12.0] {
        let schedule = Cosine::new(0.008, lambda_min).expect("cosine");
        let cap = schedule.cap_time();
        let (below, above) = (
            f64::from_bits(cap.to_bits() - 1),
            f64::from_bits(cap.to_bits() + 1),
        );
        let rate = schedule.rate(cap);
        assert!(
            (schedule.rate(below) / rate - 1.0).abs() < 1e-12 * rate.max(1.0),
            "lambda_min = {lambda_min}"
        );
        assert_eq!(schedule.rate(above), rate);
        let step = rate * (above - below) + 1e-12;
        assert!(
            (schedule.integral(above) - schedule.integral(below)).abs() < 2.0 * step,
            "lambda_min = {lambda_min}"
        );
    }
    let usual = Cosine::new(0.008, -5.1).expect("cosine");
    let cap = usual.cap_time();
    let below = f64::from_bits(cap.to_bits() - 1);
    assert!((usual.integral(cap) - usual.integral(below)).abs() < 1e-12);
    assert!((usual.rate(cap) / usual.rate(below) - 1.0).abs() < 1e-12);
    let vp = Vp::cosine().expect("cosine");
    assert!(vp.lambda(1.0) < -5.1 && vp.lambda(1.0) > -6.2);
}

/// Users' schedules that break a law are refused by name.
#[test]
fn broken_schedules_are_refused() {
    #[derive(Debug, Clone, Copy)]
    enum Broken {
        Offset,
        Derivative,
        Negative,
        NotANumber,
        Inverse,
        Increment,
        Jump,
    }
    impl Schedule for Broken {
        fn rate(&self, t: f64) -> f64 {
            match self {
                Broken::Negative => 20.0 - 24.0 * t,
                Broken::NotANumber if t > 0.4 => f64::NAN,
                Broken::Derivative => 19.0,
                _ => 20.0,
            }
        }
        fn integral(&self, t: f64) -> f64 {
            match self {
                Broken::Negative => 20.0 * t - 12.0 * t * t,
                Broken::Offset => 20.0 * t + 1e-4,
                Broken::Jump if t > 0.4 => 20.0 * t + 1.0,
                _ => 20.0 * t,
            }
        }
        fn time_at(&self, integral: f64) -> f64 {
            match self {
                Broken::Inverse => integral / 21.0,
                Broken::Jump if integral > 8.0 => (integral - 1.0) / 20.0,
                Broken::Negative => 2.0 * integral / (20.0 + (400.0 - 48.0 * integral).max(0.0).sqrt()),
                _ => integral / 20.0,
            }
        }
        fn increment(&self, from: f64, to: f64) -> f64 {
            match self {
                Broken::Increment => from - to,
                _ => self.integral(to) - self.integral(from),
            }
        }
    }
    let laws = [
        (Broken::Offset, "integral at t = 0"),
        (Broken::Derivative, "where its integral grows by"),
        (Broken::Negative, "its rate at t"),
        (Broken::NotANumber, "its rate at t"),
        (Broken::Inverse, "its time at the integral"),
        (Broken::Increment, "its increment"),
        (Broken::Jump, "its rate integrates to"),
    ];
    for (schedule, law) in laws {
        let error = Vp::new(Arc::new(schedule), Vp::DOMAIN)
            .expect_err("a broken law")
            .to_string();
        assert!(
            error.starts_with("sde.schedule = ") && error.contains(law),
            "{error}"
        );
    }
    for good in schedules() {
        schedule::check(&*good, 1.0).expect("the laws hold");
    }
    let hole = Numeric::new(|t| if (0.12..0.14).contains(&t) { f64::NAN } else { 20.0 }, 1.0);
    assert!(
        hole.expect_err("NaN")
            .to_string()
            .starts_with("sde.schedule = NaN: the rate at t = 0.1")
    );
    // a rate without any smoothness costs time, not for ever
    let rough = Numeric::new(|t| 20.0 + (1e9 * t).sin(), 1.0).expect("a finite rate");
    assert!((rough.integral(1.0) - 20.0).abs() < 1.0);
}

/// A schedule known only by its rate gives the same SDE as the closed form.
#[test]
fn numeric_schedule_equals_the_closed_form() {
    let closed = Vp::linear(0.1, 20.0).expect("vp");
    let numeric = Numeric::new(|t| 0.1 + 19.9 * t, 1.0).expect("a rate");
    let numeric = Vp::new(Arc::new(numeric), Vp::DOMAIN).expect("vp");
    for k in 1..=1000 {
        let t = f64::from(k) * 1e-3;
        assert!((numeric.marginal(t).std / closed.marginal(t).std - 1.0).abs() < 1e-13);
        assert!((numeric.lambda(t) - closed.lambda(t)).abs() < 1e-12);
        assert!((numeric.time_at_lambda(closed.lambda(t)) - t).abs() < 1e-12);
    }
}
