//! The discrete ladders of DDPM and SMLD and their conversions.

use sde_core::discrete::{Ddpm, Labelling, Smld};
use sde_core::schedule::{Cosine, Linear, Schedule};
use sde_core::sde::{Ve, VeKernel, Vp};
use sde_core::{GridConfig, Sde, Span};
use std::sync::Arc;

#[test]
fn ladder_and_schedule_convert_exactly() {
    let ladder = Ddpm::linear(0.1, 20.0, 1000).expect("a ladder");
    let vp = Vp::new(Arc::new(ladder.to_schedule()), Vp::DOMAIN).expect("a VP SDE");
    for rung in [0, 1, 17, 500, 998, 999] {
        let t = ladder.time(Labelling::Interval, rung);
        let (a, b) = (ladder.marginal(rung), vp.marginal(t));
        assert!(
            (a.std / b.std - 1.0).abs() < 1e-12 && (a.mean_coef / b.mean_coef - 1.0).abs() < 1e-12,
            "{rung}"
        );
        assert!((ladder.lambda(rung) - vp.lambda(t)).abs() < 1e-12);
        assert!((vp.time_at_lambda(ladder.lambda(rung)) - t).abs() < 1e-12);
    }
    for schedule in [
        &Linear::new(0.1, 20.0).expect("linear") as &dyn Schedule,
        &Cosine::new(0.008, -5.1).expect("cosine"),
    ] {
        let ladder = Ddpm::from_schedule(schedule, 1.0, 100).expect("a ladder");
        for rung in 0..100 {
            let integral = schedule.integral((rung + 1) as f64 / 100.0);
            assert!(
                (ladder.alpha_bar(rung) / (-integral).exp() - 1.0).abs() < 1e-11,
                "{schedule:?} {rung}"
            );
        }
    }
}

/// `1 - alpha_bar` keeps its digits on the lowest rung: the sum of logarithms, not one minus a product.
#[test]
fn lowest_rung_keeps_its_digits() {
    let ladder = Ddpm::from_betas(vec![1e-12, 1e-12]).expect("a ladder");
    assert!((ladder.marginal(0).std / 1e-6 - 1.0).abs() < 1e-15);
    assert!((ladder.marginal(1).std / (2e-12_f64 - 1e-24).sqrt() - 1.0).abs() < 1e-15);
}

/// The ancestral step of the VP SDE over a gap of `1/N` is DDPM's on this ladder.
#[test]
fn ladder_betas_are_the_steps_of_the_sde() {
    let ladder = Ddpm::linear(0.1, 20.0, 100).expect("a ladder");
    let vp = Vp::linear(0.1, 20.0).expect("vp");
    for rung in 0..100 {
        let t = ladder.time(Labelling::Song, rung);
        let step = vp.ancestral(Span {
            from: t,
            to: 0.0,
            gap: 0.01,
        });
        assert!((step.std - ladder.betas()[rung].sqrt()).abs() < 1e-15);
    }
}

/// The rounding of the reference code on its own grid: of 2000 rungs 1999 appear, the highest first, and
/// never rung 0.
#[test]
fn floor_labels_of_the_reference_grid() {
    let ladder = Ddpm::linear(0.1, 20.0, 2000).expect("a ladder");
    let vp = Vp::linear(0.1, 20.0).expect("vp");
    let grid = GridConfig::SongCompat {}
        .build(&vp, 2000, 1.0, 1e-3)
        .expect("a grid");
    let mut labels: Vec<usize> = grid
        .spans()
        .iter()
        .map(|span| ladder.floor_label(Labelling::Song, span.from).expect("inside"))
        .collect();
    assert_eq!((labels[0], labels[1999]), (1999, 1));
    labels.dedup();
    assert_eq!(labels.len(), 1999);
}

#[test]
fn labels_never_round_silently() {
    let ladder = Ddpm::linear(0.1, 20.0, 1000).expect("a ladder");
    for labelling in [Labelling::Song, Labelling::Interval] {
        for rung in [0, 1, 499, 999] {
            let t = ladder.time(labelling, rung);
            assert!((ladder.label(labelling, t) - rung as f64).abs() < 1e-9);
            assert_eq!(ladder.exact_label(labelling, t), Some(rung));
            assert_eq!(ladder.nearest_label(labelling, t + 2e-4), Some(rung));
            assert_eq!(ladder.exact_label(labelling, t + 2e-4), None);
        }
        for outside in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(ladder.exact_label(labelling, outside), None);
            assert_eq!(ladder.nearest_label(labelling, outside), None);
            assert_eq!(ladder.floor_label(labelling, outside), None);
        }
    }
    assert_eq!(
        ladder.floor_label(Labelling::Interval, 5e-4),
        None,
        "below the first rung"
    );
}

#[test]
fn smld_is_the_ve_sde_on_its_rungs() {
    let ladder = Smld::geometric(0.01, 50.0, 1000).expect("a ladder");
    let ve = Ve::new(0.01, 50.0, VeKernel::Song, Ve::DOMAIN).expect("ve");
    let mut total = 0.0;
    for rung in 0..1000 {
        let t = ladder.time(rung);
        assert_eq!(ladder.marginal(rung).std, ve.marginal(t).std);
        assert_eq!(ladder.exact_label(t), Some(rung));
        assert_eq!(ladder.nearest_sigma(ladder.sigmas()[rung] * 1.001), rung);
        assert_eq!(ladder.network_label(rung), 999 - rung);
        // at 0 itself the SDE has no noise left; rung 0 stands just above
        let to = if rung == 0 {
            0.0
        } else {
            ladder.time(rung - 1).max(f64::MIN_POSITIVE)
        };
        let span = Span {
            from: t,
            to,
            gap: 1e-3,
        };
        assert!(
            (ve.discretize(span).noise_var / ladder.added_var(rung) - 1.0).abs() < 1e-10,
            "{rung}"
        );
        total += ladder.added_var(rung);
    }
    assert!((total / 2500.0 - 1.0).abs() < 1e-12);
    assert_eq!(ladder.exact_label(0.5 * ladder.time(1)), None);
    assert_eq!((ladder.nearest_sigma(1e-9), ladder.nearest_sigma(1e9)), (0, 999));
}

#[test]
fn refusals() {
    let message = |error: sde_core::ConfigError| error.to_string();
    assert!(message(Ddpm::from_betas(vec![]).expect_err("empty")).starts_with("ddpm.betas = []"));
    for bad in [0.0, 1.0, -0.1, f64::NAN] {
        let error = message(Ddpm::from_betas(vec![0.1, bad]).expect_err("bad"));
        assert!(error.starts_with(&format!("ddpm.betas[1] = {bad}")), "{error}");
    }
    assert!(message(Ddpm::linear(0.1, 20.0, 20).expect_err("beta = 1")).starts_with("ddpm.betas[19] = 1"));
    assert!(Ddpm::linear(0.1, 20.0, 0).is_err() && Ddpm::linear(0.1, 0.9, 1).is_ok());
    assert!(message(Ddpm::cosine(10, 0.008, 1.0).expect_err("max_beta")).starts_with("ddpm.max_beta = 1"));
    assert!(message(Smld::from_sigmas(vec![1.0, 1.0]).expect_err("equal")).starts_with("smld.sigmas[1] = 1"));
    assert!(Smld::from_sigmas(vec![]).is_err() && Smld::from_sigmas(vec![f64::NAN]).is_err());
    assert!(Smld::geometric(0.01, 50.0, 0).is_err() && Smld::geometric(0.01, 50.0, 1).is_ok());
}
