//! Bad input gets a typed error that names the place.

use ndarray::Array2;
use solvers::likelihood::{
    GaussianPrior, HostLogDensities, LikelihoodConfig, RowDensity, TerminalDensity, log_density_host,
};
use solvers::{Coef, HostBatch, HostOptions, MixtureScore, ScoreFn, ScoreVjp, SolveError};

use crate::common::{mixture, points, sde};

#[test]
fn refused_settings_name_their_key() {
    let vp = sde("kind = \"vp\"");
    for (table, message) in [
        ("rtol = 0.0", "likelihood.rtol = 0: must be"),
        ("rtol = -1e-3", "likelihood.rtol = -0.001: "),
        ("rtol = nan", "likelihood.rtol = NaN: "),
        ("atol = inf", "likelihood.atol = inf: "),
        ("atol = 1e-17", "likelihood.atol = 0.00000000000000001: "),
        ("probes = 0", "likelihood.probes = 0: "),
        ("probes = 4000000000", "likelihood.probes = 4000000000: "),
        ("max_steps = 0", "likelihood.max_steps = 0: "),
        ("min_step = 1.0", "likelihood.min_step = 1: "),
        ("min_step = nan", "likelihood.min_step = NaN: "),
    ] {
        let config: LikelihoodConfig = toml::from_str(table).expect("types are right");
        let error = config.build(&*vp).expect_err(table).to_string();
        assert!(
            error.starts_with(message) && !error.contains('\n'),
            "{table}: {error}"
        );
        if !table.starts_with("probes") {
            assert_eq!(config.encoder(&*vp).expect_err(table).to_string(), error);
            let decoder = config.decoder::<HostBatch<f64>>(&*vp);
            assert_eq!(decoder.err().expect(table).to_string(), error);
        }
    }
    for table in ["t_end = 1.0", "direction = \"down\"", "probe_law = \"sphere\""] {
        assert!(toml::from_str::<LikelihoodConfig>(table).is_err(), "{table}");
    }
    let config = LikelihoodConfig::default();
    assert_eq!((config.rtol, config.atol, config.probes), (1e-5, 1e-5, None));
    let text = toml::to_string(&config).expect("plain data");
    assert_eq!(
        toml::from_str::<LikelihoodConfig>(&text).expect("round trip"),
        config
    );
}

fn of(
    points: Array2<f64>,
    config: LikelihoodConfig,
    terminal: &(dyn TerminalDensity<HostBatch<f64>> + Sync),
) -> Result<HostLogDensities<f64>, SolveError> {
    let vp = sde("kind = \"vp\"");
    let model = MixtureScore::<f64>::new(mixture(), vp.clone());
    let method = config.build(&*vp)?;
    log_density_host(
        &method,
        &*vp,
        &model,
        terminal,
        points.view(),
        &HostOptions::default(),
    )
}

#[test]
fn shapes() {
    let prior = GaussianPrior { std: 1.0 };
    for (rows, dim, message) in [
        (0, 2, "got [0, 2], need at least one row"),
        (4, 0, "got [4, 0], need at least one row and one dimension"),
        (4, 3, "got [4, 3], need [4, 2]"),
    ] {
        let error = of(Array2::zeros((rows, dim)), LikelihoodConfig::default(), &prior).expect_err("shape");
        assert!(
            matches!(error, SolveError::Shape { .. }) && error.to_string().contains(message),
            "{error}"
        );
    }
    let one = of(Array2::zeros((1, 2)), LikelihoodConfig::default(), &prior).expect("one row is a batch");
    assert_eq!(one.nats.len(), 1);
    let vp = sde("kind = \"vp\"");
    let model = MixtureScore::<f64>::new(mixture(), vp.clone());
    let (method, points) = (
        LikelihoodConfig::default().build(&*vp).expect("valid"),
        Array2::zeros((2, 2)),
    );
    let options = HostOptions {
        init: Some(points.view()),
        ..HostOptions::default()
    };
    let error = log_density_host(&method, &*vp, &model, &prior, points.view(), &options).expect_err("init");
    assert!(error.to_string().starts_with("init = given: "), "{error}");
}

#[test]
fn places_are_named_in_time() {
    let prior = GaussianPrior { std: 1.0 };
    let vp = sde("kind = \"vp\"");
    let good = points(&mixture(), &*vp, 3);
    let mut bad = good.clone();
    bad[[2, 0]] = f64::INFINITY;
    let error = of(bad, LikelihoodConfig::default(), &prior).expect_err("infinite");
    assert!(
        matches!(
            error,
            SolveError::NonFinite {
                what: "state",
                row: 2,
                t: 1e-5,
                step: 0
            }
        ),
        "{error}"
    );
    let few = LikelihoodConfig {
        max_steps: 3,
        ..LikelihoodConfig::default()
    };
    let error = of(good.clone(), few, &prior).expect_err("three steps");
    assert!(
        matches!(error, SolveError::StepLimit { row: 0, t, steps: 3 } if t > 1e-5 && t < 1.0),
        "{error}"
    );
    let coarse = LikelihoodConfig {
        min_step: 0.1,
        ..LikelihoodConfig::default()
    };
    let error = of(good.clone(), coarse, &prior).expect_err("steps of 0.1");
    assert!(
        matches!(error, SolveError::StepTooSmall { row: 0, t, step_size } if (1e-5..1.0).contains(&t) && step_size < 0.1),
        "{error}"
    );
    let empty = RowDensity(|x: &[f64]| if x[0] > 0.5 { 0.0 } else { f64::NEG_INFINITY });
    let error = of(good, LikelihoodConfig::default(), &empty).expect_err("no mass on one side");
    assert!(
        matches!(
            error,
            SolveError::NonFinite {
                what: "terminal density",
                t: 1.0,
                ..
            }
        ),
        "{error}"
    );
}

/// A model whose score, or whose product alone, goes wrong from a time on.
struct Breaks {
    model: MixtureScore<f64>,
    product_only: bool,
}

impl ScoreFn<HostBatch<f64>> for Breaks {
    fn score(&self, x: &HostBatch<f64>, t: Coef, out: &mut HostBatch<f64>) -> Result<(), SolveError> {
        self.model.score(x, t, out)
    }
}

impl ScoreVjp<HostBatch<f64>> for Breaks {
    fn score_vjp(
        &self,
        x: &HostBatch<f64>,
        t: Coef,
        v: &HostBatch<f64>,
        score: &mut HostBatch<f64>,
        vjp: &mut HostBatch<f64>,
    ) -> Result<(), SolveError> {
        self.model.score_vjp(x, t, v, score, vjp)?;
        for row in (0..vjp.plane(0).len()).filter(|row| *row == 1 && t.at(*row) > 0.5) {
            let broken = if self.product_only { &mut *vjp } else { &mut *score };
            broken.plane_mut(1)[row] = f64::NAN;
        }
        Ok(())
    }
}

/// NaN from the model ends with its row and a time just before it appears, never in the result.
#[test]
fn not_a_number_from_the_model() {
    let vp = sde("kind = \"vp\"");
    let points = points(&mixture(), &*vp, 4);
    for product_only in [false, true] {
        for probes in [None, Some(2)] {
            let model = Breaks {
                model: MixtureScore::new(mixture(), vp.clone()),
                product_only,
            };
            let config = LikelihoodConfig {
                probes,
                ..LikelihoodConfig::default()
            };
            let method = config.build(&*vp).expect("valid");
            let prior = GaussianPrior::of(&*vp);
            let run = log_density_host(
                &method,
                &*vp,
                &model,
                &prior,
                points.view(),
                &HostOptions::default(),
            );
            match run.expect_err("NaN") {
                SolveError::NonFinite {
                    what: "score",
                    row: 1,
                    t,
                    step,
                } => {
                    assert!((0.49..=0.5).contains(&t) && step > 1, "{t} {step}");
                }
                error => panic!("{error}"),
            }
        }
    }
}
