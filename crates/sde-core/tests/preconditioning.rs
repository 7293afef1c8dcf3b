//! Preconditioning: every kind reproduces the oracle's score and posterior mean; published identities.

use std::sync::Arc;

use sde_core::oracle::Gaussian;
use sde_core::precond::{IddpmLadder, RawTable, ScaledTable, Target, TimeInput, TimeInputKind, convert};
use sde_core::sde::{Edm, SubVp, Ve, VeKernel, Vp};
use sde_core::{Precond, PrecondConfig, Sde, WeightingConfig};

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

fn kinds() -> Vec<PrecondConfig> {
    vec![
        PrecondConfig::Score(ScaledTable::default()),
        PrecondConfig::Eps(ScaledTable::default()),
        PrecondConfig::X0(ScaledTable::default()),
        PrecondConfig::V(ScaledTable::default()),
        PrecondConfig::V(ScaledTable {
            sigma_data: Some(0.3),
            ..ScaledTable::default()
        }),
        PrecondConfig::Edm(ScaledTable::default()),
        PrecondConfig::Edm(ScaledTable {
            sigma_data: Some(2.0),
            ..ScaledTable::default()
        }),
        PrecondConfig::Vp {},
        PrecondConfig::Ve {},
        PrecondConfig::Iddpm {},
        PrecondConfig::RawScore(RawTable::default()),
        PrecondConfig::RawEps(RawTable {
            labels: Some(2000),
            ..RawTable::default()
        }),
    ]
}

/// Networks of other programs see the state as it is, and the times that those programs tell them.
#[test]
fn raw_networks_get_the_state_and_their_own_times() {
    for sde in sdes() {
        let t_end = sde.domain().t_end;
        let raw_score =
            |time_input, labels| PrecondConfig::RawScore(RawTable { time_input, labels }).build(sde.clone());
        let precond = raw_score(None, None).expect("raw-score");
        for t in times(&*sde) {
            let coefs = precond.coefs(t);
            assert_eq!((coefs.input, coefs.score_skip, coefs.score_out), (1.0, 0.0, 1.0));
            assert_eq!(coefs.time, sde.sigma(t));
        }
        let time_input = Some(TimeInputKind::DescendingLabel);
        let labels = raw_score(time_input, Some(10)).expect("labels");
        let told = |u: f64| labels.coefs(u * t_end).time;
        assert_eq!(
            [told(1.0), told(0.9), told(0.5), told(1e-9)],
            [0.0, 1.0, 4.0, 9.0]
        );
        let eps = PrecondConfig::RawEps(RawTable::default());
        let eps = eps.build(sde.clone()).expect("raw-eps");
        let coefs = eps.coefs(0.5 * t_end);
        let std = sde.marginal(0.5 * t_end).std;
        assert_eq!(
            (coefs.input, coefs.time, coefs.score_out),
            (1.0, 499.5, -1.0 / std)
        );
        let interval = PrecondConfig::RawEps(RawTable {
            time_input: Some(TimeInputKind::IntervalLabel),
            labels: Some(50),
        });
        let interval = interval.build(sde.clone()).expect("labels");
        let told = |u: f64| interval.coefs(u * t_end).time;
        assert!((told(1.0) - 49.0).abs() < 1e-12 && told(0.02).abs() < 1e-12);
        let error = raw_score(None, Some(1)).expect_err("one label");
        assert_eq!(error.key, "precond.labels");
    }
}

fn times(sde: &dyn Sde) -> impl Iterator<Item = f64> {
    let t_end = sde.domain().t_end;
    [1e-5, 1e-3, 0.01, 0.1, 0.3, 0.5, 0.9, 1.0]
        .into_iter()
        .map(move |u| u * t_end)
}

/// The perfect network outputs the conditional mean of its target. Its score and denoised data are the
/// oracle's, for every kind, SDE and time.
#[test]
fn perfect_networks_give_the_oracle() {
    let data = Gaussian::new(&[0.7, -0.4], &[0.5, 0.2, 0.2, 0.3]).expect("a Gaussian");
    for sde in sdes() {
        for kind in kinds() {
            let precond = kind.build(sde.clone()).expect("a preconditioning");
            for t in times(&*sde) {
                let at = sde.marginal(t);
                let noised = data.mixture().noised(at);
                let x = [
                    0.3 * at.mean_coef + 1.1 * at.std,
                    -0.2 * at.mean_coef - 0.4 * at.std,
                ];
                let (mut score, mut mean) = ([0.0; 2], [0.0; 2]);
                noised.score(&x, &mut score);
                noised.posterior_mean(&x, &mut mean);
                let (of_data, of_noise) = precond.target_coefs(t);
                let coefs = precond.coefs(t);
                for i in 0..2 {
                    let eps = -at.std * score[i];
                    let output = of_data * mean[i] + of_noise * eps;
                    let s = coefs.score_skip * x[i] + coefs.score_out * output;
                    let d = coefs.denoised_skip * x[i] + coefs.denoised_out * output;
                    // the terms that add up to each
                    let score_scale = (coefs.score_skip * x[i]).abs() + (coefs.score_out * output).abs();
                    let data_scale = (coefs.denoised_skip * x[i]).abs() + (coefs.denoised_out * output).abs();
                    assert!(
                        (s - score[i]).abs() <= 1e-11 * score_scale,
                        "{kind:?} on {sde:?} at {t}: {s} {}",
                        score[i]
                    );
                    assert!(
                        (d - mean[i]).abs() <= 1e-11 * data_scale.max(1.0),
                        "{kind:?} on {sde:?} at {t}: {d} {}",
                        mean[i]
                    );
                }
            }
        }
    }
}

/// `score = -eps/std` has no part of the state: nothing cancels as `std` goes to 0.
#[test]
fn noise_prediction_has_no_skip() {
    for sde in sdes() {
        for kind in [PrecondConfig::Eps(ScaledTable::default()), PrecondConfig::Vp {}] {
            let precond = kind.build(sde.clone()).expect("eps");
            for t in times(&*sde) {
                let coefs = precond.coefs(t);
                assert_eq!(coefs.score_skip, 0.0);
                assert_eq!(coefs.score_out, -1.0 / sde.marginal(t).std);
            }
        }
    }
}

/// The input has unit variance for data of standard deviation `sigma_data`.
#[test]
fn inputs_have_unit_variance() {
    for sde in sdes() {
        for kind in kinds() {
            let precond = kind.build(sde.clone()).expect("a preconditioning");
            let d = precond.sigma_data();
            for t in times(&*sde) {
                let at = sde.marginal(t);
                let var = precond.coefs(t).input.powi(2) * (at.mean_coef.powi(2) * d * d + at.std.powi(2));
                match kind {
                    PrecondConfig::Ve {} => assert_eq!(precond.coefs(t).input, 1.0 / at.mean_coef),
                    PrecondConfig::RawScore(_) | PrecondConfig::RawEps(_) => {
                        assert_eq!(precond.coefs(t).input, 1.0);
                    }
                    _ => assert!((var - 1.0).abs() < 1e-14, "{kind:?} on {sde:?} at {t}"),
                }
            }
        }
    }
    let vp: Arc<dyn Sde> = Arc::new(Vp::linear(0.1, 20.0).expect("vp"));
    let eps = PrecondConfig::default().build(vp).expect("eps");
    assert!((eps.coefs(0.37).input - 1.0).abs() < 1e-15);
}

/// Karras et al. 2022, table 1, last column, and `c_out^2 weight = 1`.
#[test]
fn edm_formulas() {
    let sde: Arc<dyn Sde> = Arc::new(Edm::new(0.002, 80.0, 0.5).expect("edm"));
    let precond = PrecondConfig::Edm(ScaledTable::default())
        .build(sde.clone())
        .expect("edm");
    let weighting = WeightingConfig::Edm { sigma_data: None }.build(sde).expect("edm");
    for sigma in [0.002_f64, 0.1, 0.5, 3.0, 80.0] {
        let c = precond.coefs(sigma);
        let var = sigma * sigma + 0.25;
        assert!((c.denoised_skip - 0.25 / var).abs() < 1e-15);
        assert!((c.denoised_out - 0.5 * sigma / var.sqrt()).abs() < 1e-15);
        assert!((c.input - 1.0 / var.sqrt()).abs() < 1e-15);
        assert!((c.time - 0.25 * sigma.ln()).abs() < 1e-15);
        // the weight is stated on the noise, whose error is that of the denoised data over sigma
        let on_data = weighting.weight(sigma) / (sigma * sigma);
        assert!((c.denoised_out.powi(2) * on_data - 1.0).abs() < 1e-14);
        assert!((on_data / (var / (0.5 * sigma).powi(2)) - 1.0).abs() < 1e-14);
    }
}

/// The three other columns of that table.
#[test]
fn karras_table_rows() {
    let sde: Arc<dyn Sde> = Arc::new(Edm::new(0.002, 80.0, 0.5).expect("edm"));
    let vp = PrecondConfig::Vp {}.build(sde.clone()).expect("vp");
    let ve = PrecondConfig::Ve {}.build(sde.clone()).expect("ve");
    let iddpm = PrecondConfig::Iddpm {}.build(sde).expect("iddpm");
    let song = Vp::linear(0.1, 20.0).expect("vp");
    for sigma in [0.01_f64, 0.3, 2.0, 70.0] {
        for (precond, sign) in [(&vp, -1.0), (&ve, 1.0), (&iddpm, -1.0)] {
            let c = precond.coefs(sigma);
            assert_eq!(c.denoised_skip, 1.0);
            assert!((c.denoised_out - sign * sigma).abs() < 1e-15);
        }
        assert!((vp.coefs(sigma).input - 1.0 / (sigma * sigma + 1.0).sqrt()).abs() < 1e-15);
        assert_eq!(ve.coefs(sigma).input, 1.0);
        assert!((vp.coefs(sigma).time - 999.0 * song.time_at_sigma(sigma)).abs() < 1e-9);
        assert!((ve.coefs(sigma).time - (sigma / 2.0).ln()).abs() < 1e-14);
    }
    // on the VP SDE itself the label is 999 t
    let own = PrecondConfig::Vp {}.build(Arc::new(song)).expect("vp");
    assert!((own.coefs(0.25).time - 999.0 * 0.25).abs() < 1e-9);
}

#[test]
fn iddpm_ladder() {
    let ladder = IddpmLadder::new();
    let levels = ladder.levels();
    assert_eq!((levels.len(), levels[1000]), (1001, 0.0));
    assert!(levels.windows(2).all(|w| w[0] > w[1]));
    // the recursion as published
    let bar = |j: f64| (std::f64::consts::FRAC_PI_2 * j / (1000.0 * 1.008)).sin().powi(2);
    for j in [1_usize, 2, 10, 500, 900] {
        let ratio = (bar(j as f64 - 1.0) / bar(j as f64)).max(0.001);
        let want = ((levels[j].powi(2) + 1.0) / ratio - 1.0).sqrt();
        assert!((levels[j - 1] / want - 1.0).abs() < 1e-9);
    }
    for (j, level) in levels.iter().enumerate() {
        assert_eq!(ladder.label(*level), 999.0 - j as f64);
    }
    assert_eq!(ladder.label(1e9), 999.0);
    let middle = 0.5 * (levels[300] + levels[301]);
    assert_eq!(ladder.label(middle * (1.0 + 1e-9)), 699.0);
    assert_eq!(ladder.label(middle * (1.0 - 1e-9)), 698.0);
}

/// All ways from one prediction to another and back.
#[test]
fn conversions_round_trip() {
    for sde in sdes() {
        for t in times(&*sde) {
            let at = sde.marginal(t);
            let (x0, eps) = (0.37, -1.21);
            let x = at.mean_coef * x0 + at.std * eps;
            let root = at.mean_coef.hypot(at.std);
            let (score, v) = (-eps / at.std, (at.mean_coef * eps - at.std * x0) / root);
            // what rounding of x does to each quantity
            let (to_x0, to_eps) = (x.abs() / at.mean_coef, x.abs() / at.std);
            let near = |a: f64, b: f64, scale: f64| (a - b).abs() <= 1e-14 * (scale + b.abs() + 1.0);
            assert!(near(convert::eps_to_score(at, eps), score, 0.0));
            assert!(near(convert::score_to_eps(at, score), eps, 0.0));
            assert!(near(
                convert::eps_to_x0(at, x, eps),
                x0,
                to_x0 + at.std / at.mean_coef
            ));
            assert!(near(convert::x0_to_eps(at, x, x0), eps, to_eps));
            assert!(near(
                convert::score_to_x0(at, x, score),
                x0,
                to_x0 + at.std / at.mean_coef
            ));
            assert!(near(convert::x0_to_score(at, x, x0), score, to_eps / at.std));
            assert!(near(convert::v_to_x0(at, x, v), x0, 2.0));
            assert!(near(convert::v_to_eps(at, x, v), eps, 2.0));
            assert!(near(convert::v_to_score(at, x, v), score, 2.0 / at.std));
            assert!(near(convert::x0_to_v(at, x, x0), v, to_eps + root / at.std));
            assert!(near(
                convert::eps_to_v(at, x, eps),
                v,
                to_x0 + root / at.mean_coef
            ));
            assert!(near(
                convert::score_to_v(at, x, score),
                v,
                to_x0 + root / at.mean_coef
            ));
        }
    }
}

/// On a VP SDE, `sigma_data = 1`: the velocity of Salimans and Ho, and EDM's target its negative.
#[test]
fn velocity_on_vp() {
    let sde: Arc<dyn Sde> = Arc::new(Vp::linear(0.1, 20.0).expect("vp"));
    let v = PrecondConfig::V(ScaledTable::default())
        .build(sde.clone())
        .expect("v");
    let edm = PrecondConfig::Edm(ScaledTable {
        sigma_data: Some(1.0),
        ..ScaledTable::default()
    })
    .build(sde.clone())
    .expect("edm");
    for t in times(&*sde) {
        let at = sde.marginal(t);
        let (of_data, of_noise) = v.target_coefs(t);
        assert!((of_data + at.std).abs() < 1e-15 && (of_noise - at.mean_coef).abs() < 1e-15);
        let (v, edm) = (v.coefs(t), edm.coefs(t));
        assert_eq!(
            (v.denoised_skip, v.denoised_out),
            (edm.denoised_skip, -edm.denoised_out)
        );
        assert_eq!((v.score_skip, v.score_out), (edm.score_skip, -edm.score_out));
    }
}

#[test]
fn time_inputs() {
    let vp: Arc<dyn Sde> = Arc::new(Vp::linear(0.1, 20.0).expect("vp"));
    let edm: Arc<dyn Sde> = Arc::new(Edm::new(0.002, 80.0, 0.5).expect("edm"));
    let time = |sde: &Arc<dyn Sde>, kind, t| {
        PrecondConfig::Eps(ScaledTable {
            time_input: kind,
            ..ScaledTable::default()
        })
        .build(sde.clone())
        .expect("eps")
        .coefs(t)
        .time
    };
    assert!((time(&vp, Some(TimeInputKind::Scaled), 0.5) - 499.5).abs() < 1e-12);
    assert!((time(&vp, Some(TimeInputKind::Label), 0.5) - 499.5).abs() < 1e-12);
    assert_eq!(time(&vp, Some(TimeInputKind::LogSnr), 0.5), 2.0 * vp.lambda(0.5));
    assert_eq!(time(&vp, Some(TimeInputKind::Sigma), 0.5), vp.sigma(0.5));
    assert!((time(&vp, Some(TimeInputKind::LogSigmaQuarter), 0.5) - 0.25 * vp.sigma(0.5).ln()).abs() < 1e-14);
    assert!((time(&edm, Some(TimeInputKind::LogSigmaHalved), 3.0) - 1.5_f64.ln()).abs() < 1e-14);
    // defaults: the scaled time, unless half the time axis holds next to nothing of the log-SNR range
    assert_eq!(time(&vp, None, 0.5), time(&vp, Some(TimeInputKind::Scaled), 0.5));
    assert_eq!(
        time(&edm, None, 3.0),
        time(&edm, Some(TimeInputKind::LogSigmaQuarter), 3.0)
    );
    let ve: Arc<dyn Sde> = Arc::new(Ve::new(0.01, 50.0, VeKernel::Song, Ve::DOMAIN).expect("ve"));
    assert_eq!(time(&ve, None, 0.5), time(&ve, Some(TimeInputKind::Scaled), 0.5));
}

#[test]
fn refusals() {
    let vp: Arc<dyn Sde> = Arc::new(Vp::linear(0.1, 20.0).expect("vp"));
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let kind = PrecondConfig::Edm(ScaledTable {
            sigma_data: Some(bad),
            ..ScaledTable::default()
        });
        let error = kind.build(vp.clone()).expect_err("a refusal").to_string();
        assert!(error.starts_with("precond.sigma_data = "), "{error}");
    }
    let direct = Precond::new(vp, Target::Eps, TimeInput::Scaled, 1.0, true).expect("fine");
    assert_eq!(direct.target(), Target::Eps);
}
