//! Bad input and extreme settings: a typed error that names the place, never a NaN in silence, never a hang.

use solvers::{Coef, HostBatch, HostNoise, Job, ScoreFn, SolveError, State, StopReason};

use crate::common::{Batch, batch, config, oracle, prior, rows, run, sampler, samples, sde, sdes, seeded};

const KINDS: [&str; 15] = [
    "kind = \"pc\"",
    "kind = \"pc\"\npredictor = \"reverse-diffusion\"\ncorrector = \"langevin\"",
    "kind = \"pc\"\npredictor = \"none\"\ncorrector = \"ald\"",
    "kind = \"pc\"\ncorrector = \"batch-langevin\"\ncorrector_steps = 2",
    "kind = \"langevin\"",
    "kind = \"ode\"\nmethod = \"euler\"",
    "kind = \"ode\"\nmethod = \"heun\"",
    "kind = \"ode\"\nmethod = \"midpoint\"",
    "kind = \"ode\"\nmethod = \"rk4\"",
    "kind = \"ode\"\nmethod = \"bosh3\"",
    "kind = \"ode\"\nmethod = \"dp5\"",
    "kind = \"ode\"\nmethod = \"tsit5\"",
    "kind = \"heun\"",
    "kind = \"heun\"\ns_churn = 3.0",
    "kind = \"pc\"\neta = 0.5",
];

/// One, two and three steps give finite samples for every SDE, kind and ending; where a chain has no such step, the refusal
/// names `sampler.steps`.
#[test]
fn few_steps_are_finite() {
    for (name, sde) in sdes() {
        for table in KINDS {
            for ending in ["tweedie", "mean", "none"] {
                for steps in 1..=3 {
                    let table = format!("{table}\nsteps = {steps}\nfinal = \"{ending}\"");
                    if let Err(error) = config(&table).build::<Batch>(&*sde) {
                        let message = error.to_string();
                        assert!(
                            message.starts_with("sampler.steps = "),
                            "{name} {table}: {message}"
                        );
                        assert!(
                            table.contains("reverse-diffusion") && name == "vp",
                            "{name} {table}: {message}"
                        );
                        continue;
                    }
                    let (x, _) = samples(&table, &*sde, &oracle(&sde), 1, 5, 2);
                    assert!(
                        rows(&x).iter().flatten().all(|value| value.is_finite()),
                        "{name} {table}"
                    );
                }
            }
        }
    }
}

/// No rows, one row, one dimension: every kind runs, the adaptive one too.
#[test]
fn empty_and_single_row_batches() {
    let vp = sde("kind = \"vp\"");
    let score = crate::gaussian::GaussianScore {
        sde: vp.clone(),
        mean: 0.7,
        var: 0.09,
    };
    for table in KINDS.iter().chain(&["kind = \"ode\""]) {
        let table = if *table == "kind = \"ode\"" {
            table.to_string()
        } else {
            format!("{table}\nsteps = 30")
        };
        for (count, dim) in [(0, 1), (0, 3), (1, 1), (1, 3), (3, 1)] {
            let (x, stats) = samples(&table, &*vp, &score, 2, count, dim);
            assert_eq!((x.rows(), x.row_len()), (count, dim));
            assert!(
                rows(&x).iter().flatten().all(|value| value.is_finite()),
                "{table}"
            );
            assert_eq!(stats.stop, StopReason::Finished);
        }
    }
}

/// A score that goes wrong on row 2 once the time is at most `t`.
pub struct Broken {
    pub value: f64,
    pub t: f64,
    pub only_at: bool,
}

impl ScoreFn<Batch> for Broken {
    fn score(&self, x: &Batch, t: Coef, out: &mut Batch) -> Result<(), SolveError> {
        out.copy_from(x);
        out.scale(Coef::All(-0.5));
        let now = t.at(2);
        if if self.only_at {
            now == self.t
        } else {
            now <= self.t
        } {
            out.plane_mut(1)[2] = self.value;
        }
        Ok(())
    }
}

pub fn failure(table: &str, score: &dyn ScoreFn<Batch>) -> SolveError {
    let vp = sde("kind = \"vp\"");
    let sampler = sampler(table, &*vp);
    let noise = HostNoise {
        seed: 3,
        first_row: 40,
    };
    let mut x = prior(&*sampler, &*vp, &noise, 4, 2);
    let job = Job {
        sde: &*vp,
        score,
        noise: &noise,
        first_row: 40,
    };
    sampler
        .run(&job, &mut x, &mut ())
        .expect_err("the score is broken")
}

#[test]
fn a_score_that_is_not_finite_is_named_with_row_time_and_step() {
    let grid = "steps = 4\n[grid]\nkind = \"custom\"\ntimes = [1.0, 0.75, 0.5, 0.25, 0.01]";
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for (method, step) in [
            ("kind = \"pc\"", 2),
            ("kind = \"pc\"\ncorrector = \"langevin\"", 2),
            ("kind = \"langevin\"", 2),
            ("kind = \"ode\"\nmethod = \"euler\"", 2),
            ("kind = \"ode\"\nmethod = \"heun\"", 1),
            ("kind = \"ode\"\nmethod = \"rk4\"", 1),
            ("kind = \"heun\"", 1),
        ] {
            let error = failure(
                &format!("{method}\n{grid}"),
                &Broken {
                    value,
                    t: 0.5,
                    only_at: true,
                },
            );
            let expected = SolveError::NonFinite {
                what: "score",
                row: 42,
                t: 0.5,
                step,
            };
            assert_eq!(error, expected, "{method} {value}");
        }
        let error = failure(
            "kind = \"ode\"",
            &Broken {
                value,
                t: 0.5,
                only_at: false,
            },
        );
        let SolveError::NonFinite {
            what: "score",
            row: 42,
            t,
            ..
        } = error
        else {
            panic!("{error:?}")
        };
        assert!((0.5..0.5 + 1e-6).contains(&t), "{t}");
        // Broken everywhere but at the start: the trial step that sizes the first one must not pass for the end.
        let error = failure(
            "kind = \"ode\"",
            &Broken {
                value,
                t: 1.0 - 1e-12,
                only_at: false,
            },
        );
        let named = matches!(
            error,
            SolveError::NonFinite { row: 42, .. } | SolveError::StepTooSmall { row: 42, .. }
        );
        assert!(named, "{error:?}");
        let error = failure(
            "kind = \"ode\"",
            &Broken {
                value,
                t: 1.0,
                only_at: false,
            },
        );
        assert_eq!(
            error,
            SolveError::NonFinite {
                what: "score",
                row: 42,
                t: 1.0,
                step: 0
            }
        );
    }
    // At the end time, where only the final act looks.
    let error = failure(
        &format!("kind = \"pc\"\n{grid}"),
        &Broken {
            value: f64::NAN,
            t: 0.01,
            only_at: true,
        },
    );
    assert_eq!(
        error,
        SolveError::NonFinite {
            what: "score",
            row: 42,
            t: 0.01,
            step: 4
        }
    );
}

/// A start that is not finite is the state's fault.
#[test]
fn a_bad_start_is_named() {
    let vp = sde("kind = \"vp\"");
    for table in [
        "kind = \"pc\"",
        "kind = \"ode\"",
        "kind = \"ode\"\nmethod = \"euler\"",
        "kind = \"heun\"",
    ] {
        let mut x = batch(3, 2, |row, _| if row == 1 { f64::INFINITY } else { 0.1 });
        let noise = seeded(3);
        let error = run(&*sampler(table, &*vp), &*vp, &oracle(&vp), &noise, &mut x).expect_err(table);
        assert_eq!(
            error,
            SolveError::NonFinite {
                what: "state",
                row: 1,
                t: 1.0,
                step: 0
            },
            "{table}"
        );
    }
}

/// A discontinuous right-hand side and a short step limit: typed errors with the row.
#[test]
fn limits_of_the_adaptive_methods() {
    for method in ["bosh3", "dp5", "tsit5"] {
        let table = format!("kind = \"ode\"\nmethod = \"{method}\"\nmax_steps = 3");
        let error = failure(&table, &oracle(&sde("kind = \"vp\"")));
        assert!(
            matches!(
                error,
                SolveError::StepLimit {
                    row: 40..=43,
                    steps: 3,
                    ..
                }
            ),
            "{error}"
        );
        let table =
            format!("kind = \"ode\"\nmethod = \"{method}\"\nrtol = 1e-8\natol = 1e-8\nmin_step = 0.02");
        let error = failure(&table, &oracle(&sde("kind = \"vp\"")));
        assert!(
            matches!(error, SolveError::StepTooSmall { row: 40..=43, .. }),
            "{error}"
        );
    }
}

/// A score that must not be asked outside two times.
pub struct Inside<F>(pub F, pub f64, pub f64);

impl<F: ScoreFn<Batch>> ScoreFn<Batch> for Inside<F> {
    fn score(&self, x: &Batch, t: Coef, out: &mut Batch) -> Result<(), SolveError> {
        for row in 0..x.rows() {
            let t = t.at(row);
            assert!((self.1..=self.2).contains(&t), "evaluated at {t}");
        }
        self.0.score(x, t, out)
    }
}

/// The score sees only times inside the run, for every method without churn, and the adaptive one ends exactly.
#[test]
fn nothing_is_evaluated_outside_the_run() {
    for (name, sde) in sdes() {
        let ends = (sde.domain().sample_eps, sde.domain().t_end);
        for table in KINDS.iter().chain(&[
            "kind = \"ode\"",
            "kind = \"ode\"\nrtol = 0.1\natol = 0.1",
            "kind = \"ode\"\nrtol = 1e-3\natol = 1e-3\nmethod = \"bosh3\"",
            "kind = \"ode\"\nrtol = 1e-4\natol = 1e-4\nmethod = \"tsit5\"",
        ]) {
            if table.contains("s_churn") || (table.contains("reverse-diffusion") && name == "vp") {
                continue;
            }
            let adaptive = *table == "kind = \"ode\"" || table.contains("tol = ");
            let table = if adaptive {
                table.to_string()
            } else {
                format!("{table}\nsteps = 7")
            };
            samples(&table, &*sde, &Inside(oracle(&sde), ends.0, ends.1), 6, 9, 2);
        }
    }
}

/// A tolerance that the numbers of the state do not resolve, by every method that chooses its own steps.
#[test]
fn a_tolerance_below_rounding_is_refused() {
    let vp = sde("kind = \"vp\"");
    for kind in [
        "kind = \"ode\"",
        "kind = \"dpm-solver\"\nmode = \"adaptive\"",
        "kind = \"adaptive-sde\"",
    ] {
        let build = |rtol: f64, atol: f64| config(&format!("{kind}\nrtol = {rtol:e}\natol = {atol:e}"));
        let narrow = |rtol, atol| match build(rtol, atol).build::<HostBatch<f32>>(&*vp) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        let refused = narrow(1e-7, 1e-8);
        let expected = "sampler.rtol = 0.0000001: it and atol = 0.00000001 are below 1.2e-7";
        assert!(refused.starts_with(expected), "{refused}");
        assert_eq!(
            (narrow(1e-12, 1e-2), narrow(1e-2, 1e-12)),
            (String::new(), String::new())
        );
        assert!(build(1e-7, 1e-8).build::<Batch>(&*vp).is_ok());
    }
}
