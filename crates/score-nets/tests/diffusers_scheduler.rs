//! What a scheduler of diffusers says: ladder, SDE, preconditioning. Numbers of `alphas_cumprod` are those of the library
//! (0.42.1), which computes them in f32.

use std::path::Path;

use score_nets::diffusers::{Prediction, Process, SchedulerConfig};
use sde_core::SdeConfig;
use sde_core::precond::{PrecondConfig, ScaledTable, TimeInputKind, convert};
use serde_json::{Value, json};

fn read(keys: &Value) -> SchedulerConfig {
    let file = Path::new("scheduler_config.json");
    SchedulerConfig::from_json(file, &keys.to_string(), None).expect("a sound scheduler")
}

fn ladder(keys: &Value) -> (sde_core::discrete::Ddpm, Prediction) {
    match read(keys).process().clone() {
        Process::Vp {
            ladder, prediction, ..
        } => (ladder, prediction),
        other => panic!("{other:?}"),
    }
}

#[test]
fn ladders_are_those_of_the_library() {
    let cases = [
        (
            json!({"_class_name": "DDPMScheduler"}),
            [0.999_899_983, 0.997_806_489, 0.077_796_652_9, 4.035_830_35e-5],
        ),
        (
            json!({"_class_name": "DDIMScheduler", "beta_start": 0.0015, "beta_end": 0.0195, "beta_schedule": "scaled_linear"}),
            [0.998_499_99, 0.983_195_484, 0.114_921_98, 0.000_142_303_863],
        ),
        (
            json!({"_class_name": "PNDMScheduler", "beta_schedule": "squaredcos_cap_v2"}),
            [0.999_958_694, 0.999_278_843, 0.492_285_043, 2.428_734_99e-9],
        ),
        (
            json!({"_class_name": "DDPMScheduler", "beta_schedule": "sigmoid"}),
            [0.999_850_81, 0.998_326_302, 0.298_887_581, 3.968_182_14e-5],
        ),
        (
            json!({"_class_name": "DDPMScheduler", "beta_schedule": "laplace"}),
            [0.978_846_252, 0.933_650_196, 0.707_283_437, 0.031_622_774_9],
        ),
        (
            json!({"_class_name": "HeunDiscreteScheduler", "beta_schedule": "exp"}),
            [0.988_071_74, 0.876_341_283, 0.002_449_218_18, 6.144_378_86e-6],
        ),
    ];
    for (keys, need) in cases {
        let (ladder, _) = ladder(&keys);
        assert_eq!(ladder.len(), 1000);
        for (rung, need) in [0, 10, 500, 999].into_iter().zip(need) {
            let have = ladder.alpha_bar(rung);
            // A thousand roundings of f32 in the product.
            assert!(
                (have / need - 1.0).abs() < 3e-5,
                "{keys}: rung {rung}: {have} for {need}"
            );
        }
    }
    // absent keys stand for other numbers in other schedulers
    let (heun, _) = ladder(&json!({"_class_name": "HeunDiscreteScheduler"}));
    assert!((heun.betas()[0] - 0.00085).abs() < 1e-18 && (heun.betas()[999] - 0.012).abs() < 1e-17);
}

/// `alphas_cumprod` by the library's formulas in forty digits.
#[test]
fn ladders_are_exact() {
    let power: Vec<f64> = (0..500)
        .map(|i| 1e-4 + 0.03 * (f64::from(i) / 499.0).powf(1.3))
        .collect();
    let cases = [
        (
            json!({"_class_name": "DDPMScheduler", "beta_schedule": "sigmoid"}),
            vec![
                (0, 0.999_850_794_799_182_9),
                (10, 0.998_326_190_142_306_2),
                (500, 0.298_887_627_846_758_9),
                (999, 3.968_181_990_533_208e-5),
            ],
        ),
        (
            json!({"_class_name": "DDPMScheduler", "beta_schedule": "squaredcos_cap_v2"}),
            vec![
                (0, 0.999_958_715_775_177_8),
                (10, 0.999_278_903_773_342_7),
                (500, 0.492_285_172_448_802_6),
                (998, 2.428_766_907_034_468e-6),
                (999, 2.428_766_907_034_468_3e-9),
            ],
        ),
        (
            json!({"_class_name": "DDPMScheduler", "num_train_timesteps": 500, "trained_betas": power}),
            vec![
                (0, 0.9999),
                (10, 0.997_998_336_567_796_5),
                (250, 0.255_540_533_675_729_4),
                (499, 0.001_309_765_107_992_333_9),
            ],
        ),
    ];
    for (keys, need) in cases {
        let (ladder, _) = ladder(&keys);
        for (rung, need) in need {
            let have = ladder.alpha_bar(rung);
            assert!(
                (have / need - 1.0).abs() < 1e-11,
                "rung {rung}: {have} for {need}"
            );
        }
    }
}

/// Ladders that no schedule says: a model card lists their betas, and diffusers gets them back.
#[test]
fn other_ladders_go_through_a_card() {
    let odd: Vec<f64> = (0..400)
        .map(|i| 1e-3 + 0.04 * (f64::from(i) / 399.0).powi(2))
        .collect();
    for keys in [
        json!({"_class_name": "DDPMScheduler", "beta_schedule": "sigmoid", "prediction_type": "v_prediction"}),
        json!({"_class_name": "DDIMScheduler", "num_train_timesteps": 400, "trained_betas": odd}),
    ] {
        let process = read(&keys).process().clone();
        assert!(process.tables().is_none());
        let (betas, sde, precond) = process.for_card().expect("a card says it");
        let again = SchedulerConfig::from_card(betas.as_deref(), &sde, &precond).expect("diffusers says it");
        let text = again.to_json();
        let file = Path::new("scheduler_config.json");
        let read = SchedulerConfig::from_json(file, &text, None).expect("reads");
        // To the bit; a thousand numbers are not printed.
        assert!(read.process() == &process && read.process().for_card() == Some((betas, sde, precond)));
    }
    // Of those that schedules say, tables are enough.
    let process = read(&json!({"_class_name": "DDPMScheduler"})).process().clone();
    assert!(process.for_card().is_some_and(|(betas, ..)| betas.is_none()));
}

#[test]
fn the_sde_has_the_ladder_as_kernels_and_the_network_is_told_the_rung() {
    let file = Path::new("scheduler_config.json");
    // other betas than those of a known schedule
    let odd: Vec<f64> = (0..500)
        .map(|i| 1e-4 + 0.03 * (f64::from(i) / 499.0).powf(1.3))
        .collect();
    for keys in [
        json!({"_class_name": "DDPMScheduler"}),
        json!({"_class_name": "DDIMScheduler", "beta_schedule": "scaled_linear", "beta_start": 0.0015, "beta_end": 0.0195}),
        json!({"_class_name": "DDPMScheduler", "beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 4000}),
        json!({"_class_name": "DDPMScheduler", "num_train_timesteps": 500, "trained_betas": odd}),
    ] {
        let scheduler = read(&keys);
        let process = scheduler.process();
        let Process::Vp {
            ladder, prediction, ..
        } = process
        else {
            panic!("{process:?}");
        };
        assert_eq!(*prediction, Prediction::Noise);
        let precond = process.precond().expect("a preconditioning");
        let count = ladder.len();
        for rung in [0, 1, count / 2, count - 1] {
            let coefs = precond.coefs((rung + 1) as f64 / count as f64);
            let std = ladder.marginal(rung).std;
            assert!(
                (coefs.time - rung as f64).abs() < 1e-9,
                "{keys}: told {}",
                coefs.time
            );
            assert!((coefs.score_out * std + 1.0).abs() < 1e-6, "{keys}: rung {rung}");
            assert!((coefs.input - 1.0).abs() < 1e-12 && coefs.score_skip == 0.0);
        }
        let lowest = 1.0 / count as f64;
        assert_eq!(process.sde().expect("an SDE").domain().sample_eps, lowest);
        // tables, where they can say it, say the same
        match process.tables() {
            Some((sde, precond)) => {
                let again = SchedulerConfig::from_tables(&sde, &precond).expect("diffusers can say it");
                let (once, twice) = (process.tables().expect("tables"), again.process().tables());
                assert_eq!(Some(once), twice, "{keys}");
                let text = again.to_json();
                assert_eq!(
                    SchedulerConfig::from_json(file, &text, None).expect("reads"),
                    again
                );
            }
            None => assert_eq!(count, 500),
        }
    }
}

#[test]
fn known_betas_are_recognised_when_they_are_listed() {
    let listed: Vec<f32> = (0..1000)
        .map(|i| 1e-4 + i as f32 / 999.0 * (0.02 - 1e-4))
        .collect();
    let keys = json!({"_class_name": "DDPMScheduler", "trained_betas": listed});
    let Some((SdeConfig::Vp(table), _)) = read(&keys).process().tables() else {
        panic!("a linear ladder");
    };
    assert_eq!(table.rungs, Some(1000));
    assert!((table.beta_min.expect("a rate") - 0.1).abs() < 1e-6);
    assert!((table.beta_max.expect("a rate") - 20.0).abs() < 1e-4);
}

#[test]
fn predictions_become_scores() {
    let (x, out, t) = (0.7, -0.4, 0.3);
    for (name, kind) in [
        ("epsilon", Prediction::Noise),
        ("sample", Prediction::Clean),
        ("v_prediction", Prediction::Velocity),
    ] {
        let keys = json!({"_class_name": "DPMSolverMultistepScheduler", "prediction_type": name});
        let scheduler = read(&keys);
        let precond = scheduler.process().precond().expect("a preconditioning");
        assert_eq!(ladder(&keys).1, kind);
        let (coefs, at) = (precond.coefs(t), precond.sde().marginal(t));
        let need = match kind {
            Prediction::Noise => convert::eps_to_score(at, out),
            Prediction::Clean => convert::x0_to_score(at, x, out),
            Prediction::Velocity => convert::v_to_score(at, x, out),
        };
        let have = coefs.score_skip * x + coefs.score_out * out;
        assert!((have - need).abs() < 1e-12, "{name}: {have} for {need}");
        assert!((coefs.time - (1000.0 * t - 1.0)).abs() < 1e-9);
    }
    // files before prediction_type
    let old = json!({"_class_name": "DDPMScheduler", "predict_epsilon": false});
    assert_eq!(ladder(&old).1, Prediction::Clean);
}

#[test]
fn the_ve_network_is_told_sigma_and_returns_the_score() {
    let keys =
        json!({"_class_name": "ScoreSdeVeScheduler", "sigma_max": 348.0, "sampling_eps": 1e-4, "snr": 0.17});
    let scheduler = read(&keys);
    let precond = scheduler.process().precond().expect("a preconditioning");
    for t in [1e-4, 0.5, 1.0] {
        let (coefs, std) = (precond.coefs(t), precond.sde().marginal(t).std);
        let sigma = 0.01 * 34_800.0_f64.powf(t);
        assert!((std / sigma - 1.0).abs() < 1e-12 && (coefs.time / sigma - 1.0).abs() < 1e-12);
        assert_eq!((coefs.input, coefs.score_skip, coefs.score_out), (1.0, 0.0, 1.0));
    }
    assert_eq!(precond.sde().domain().sample_eps, 1e-4);
    let (sde, table) = scheduler.process().tables().expect("tables");
    let again = SchedulerConfig::from_tables(&sde, &table).expect("diffusers can say it");
    assert_eq!(
        again.process().tables(),
        Some((sde.resolved(), table)).map(|(sde, table)| {
            let SdeConfig::Ve(mut ve) = sde else {
                panic!("{sde:?}")
            };
            (ve.t_end, ve.train_eps, ve.likelihood_eps) = (None, None, None);
            (SdeConfig::Ve(ve), table)
        })
    );
}

#[test]
fn edm_networks_keep_their_preconditioning() {
    for (prediction, sign) in [("epsilon", 1.0), ("v_prediction", -1.0)] {
        let keys =
            json!({"_class_name": "EDMEulerScheduler", "sigma_data": 0.4, "prediction_type": prediction});
        let scheduler = read(&keys);
        let coefs = scheduler
            .process()
            .precond()
            .expect("a preconditioning")
            .coefs(2.0);
        let root = (4.0_f64 + 0.16).sqrt();
        assert!((coefs.denoised_out - sign * 2.0 * 0.4 / root).abs() < 1e-12);
        assert!((coefs.denoised_skip - 0.16 / (root * root)).abs() < 1e-12);
        assert!((coefs.input - 1.0 / root).abs() < 1e-12 && (coefs.time - 0.25 * 2.0_f64.ln()).abs() < 1e-12);
    }
}

#[test]
fn what_diffusers_cannot_say_is_refused() {
    let sde = |text: &str| toml::from_str::<SdeConfig>(text).expect(text);
    let eps = |time_input| {
        PrecondConfig::Eps(ScaledTable {
            time_input,
            ..ScaledTable::default()
        })
    };
    let scaled = eps(Some(TimeInputKind::Scaled));
    let cases = [
        ("kind = 'subvp'", scaled, "sde.kind"),
        ("kind = 'vp'\nschedule = 'exponential'", scaled, "sde.schedule"),
        (
            "kind = 'vp'\nschedule = 'cosine'\ncosine_offset = 0.01",
            scaled,
            "sde.cosine_offset",
        ),
        (
            "kind = 'vp'",
            eps(Some(TimeInputKind::LogSnr)),
            "precond.time_input",
        ),
        ("kind = 'vp'\nrungs = 500", scaled, "precond.time_input"),
        ("kind = 'vp'", PrecondConfig::Ve {}, "precond"),
        ("kind = 've'", scaled, "precond"),
        ("kind = 'edm'", scaled, "precond"),
    ];
    for (text, precond, key) in cases {
        let refused = SchedulerConfig::from_tables(&sde(text), &precond).expect_err(text);
        assert!(
            refused.to_string().starts_with(&format!("{key} = ")),
            "{text}: {refused}"
        );
    }
    // a continuous model becomes the ladder whose limit it is
    let ladder = SchedulerConfig::from_tables(&sde("kind = 'vp'"), &scaled).expect("a ladder");
    let text: Value = serde_json::from_str(&ladder.to_json()).expect("json");
    assert_eq!(text["beta_schedule"], "linear");
    assert!((text["beta_start"].as_f64().expect("a number") - 1e-4).abs() < 1e-18);
    assert!((text["beta_end"].as_f64().expect("a number") - 0.02).abs() < 1e-16);
    // a ladder with signal left at its end is read; it has no SDE
    let keys = json!({"_class_name": "HeunDiscreteScheduler", "beta_schedule": "scaled_linear"});
    let refused = read(&keys).process().sde().expect_err("signal is left");
    assert_eq!(refused.key, "sde.t_end");
}
