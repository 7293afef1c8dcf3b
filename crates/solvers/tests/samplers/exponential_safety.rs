//! The exponential integrators in `lambda`: few steps, noise that ends, refusals, scores that fail, any cut.

use solvers::{Coef, ScoreFn, SolveError, State};

use crate::common::{Batch, batch, oracle, refusal, rows, run, sampler, samples, sde, sdes};
use crate::exponential::{ADAPTIVE, METHODS, PointScore, STARTS};
use crate::orders::NoNoise;
use crate::safety::Inside;

/// A last level without noise is a step of order 1 in closed form: the Tweedie mean of the level before it.
#[test]
fn no_noise_at_the_end() {
    let vp = sde("kind = \"vp\"");
    let edm = sde("kind = \"edm\"");
    for table in METHODS {
        let table = match table.contains("singlestep") || !table.contains("order = ") {
            true => table.replace("\nlower_order_final = true", ""),
            false => table.to_string(),
        };
        let own = if table.contains("dpm") && !table.contains("singlestep") {
            "\nlower_order_final = false"
        } else {
            ""
        };
        for (sde, down, up) in [
            (
                &vp,
                "times = [1.0, 0.6, 0.3, 0.1, 0.01]",
                "times = [1.0, 0.6, 0.3, 0.1, 0.01, 0.0]",
            ),
            (
                &edm,
                "sigmas = [80.0, 10.0, 1.0, 0.1, 0.002]",
                "sigmas = [80.0, 10.0, 1.0, 0.1, 0.002, 0.0]",
            ),
        ] {
            let solve = |last: &str, levels: &str| {
                let table = format!("{table}{own}\nfinal = \"{last}\"\n[grid]\nkind = \"custom\"\n{levels}");
                samples(&table, &**sde, &oracle(sde), 3, 6, 2)
            };
            let ((a, one), (b, other)) = (solve("tweedie", down), solve("none", up));
            assert_eq!(one.nfe, other.nfe, "{table}");
            for (a, b) in rows(&a).iter().flatten().zip(rows(&b).iter().flatten()) {
                assert!((a - b).abs() < 1e-12, "{table}: {a} {b}");
            }
        }
    }
}

/// One to three steps give finite samples; where a multistep method cannot start, `steps` is refused.
#[test]
fn few_steps() {
    for (name, sde) in sdes() {
        for table in METHODS.iter().chain(&["kind = \"ddim\"\neta = 1.0"]) {
            for (ending, steps) in ["tweedie", "mean", "none"]
                .into_iter()
                .flat_map(|e| [(e, 1), (e, 2), (e, 3)])
            {
                let whole = format!("{table}\nsteps = {steps}\nfinal = \"{ending}\"");
                let order = if table.contains("order = 3") { 3 } else { 2 };
                let multistep =
                    table.contains("dpm") && !table.contains("singlestep") && !table.contains("order = 1");
                if multistep && table.contains("order") && steps < order {
                    let message = refusal(&whole, &*sde);
                    assert!(
                        message.starts_with(&format!("sampler.steps = {steps}")),
                        "{message}"
                    );
                    continue;
                }
                let (x, _) = samples(&whole, &*sde, &oracle(&sde), 1, 5, 2);
                assert!(
                    rows(&x).iter().flatten().all(|value| value.is_finite()),
                    "{name} {whole}"
                );
            }
        }
    }
}

#[test]
fn refused_values_name_their_key() {
    let vp = sde("kind = \"vp\"");
    let dpm = |keys: &str| refusal(&format!("kind = \"dpm-solver\"\n{keys}"), &*vp);
    let adaptive = |keys: &str| dpm(&format!("mode = \"adaptive\"\n{keys}"));
    for (message, key) in [
        (refusal("kind = \"ddim\"\neta = -0.1", &*vp), "sampler.eta = -0.1"),
        (refusal("kind = \"ddim\"\neta = 1.1", &*vp), "sampler.eta = 1.1"),
        (refusal("kind = \"ddim\"\neta = nan", &*vp), "sampler.eta = NaN"),
        (refusal("kind = \"ddim\"\nsteps = 0", &*vp), "sampler.steps = 0"),
        (
            refusal("kind = \"ddim\"\n[grid]\nkind = \"song-compat\"", &*vp),
            "sampler.grid.kind = song-compat",
        ),
        (dpm("order = 0"), "sampler.order = 0"),
        (dpm("order = 4"), "sampler.order = 4"),
        (dpm("order = 3\nsteps = 2"), "sampler.steps = 2"),
        (dpm("rtol = 0.1"), "sampler.rtol = 0.1"),
        (
            dpm("mode = \"singlestep\"\nmax_steps = 5"),
            "sampler.max_steps = 5",
        ),
        (dpm("curvature = \"full\""), "sampler.curvature = full"),
        (
            adaptive("order = 3\ncurvature = \"published\""),
            "sampler.curvature = published",
        ),
        (adaptive("order = 1"), "sampler.order = 1"),
        (adaptive("steps = 10"), "sampler.steps = 10"),
        (
            adaptive("lower_order_final = true"),
            "sampler.lower_order_final = true",
        ),
        (adaptive("[grid]\nkind = \"uniform\""), "sampler.grid = given"),
        (adaptive("rtol = 0.0"), "sampler.rtol = 0"),
        (adaptive("rtol = nan"), "sampler.rtol = NaN"),
        (adaptive("atol = -1.0"), "sampler.atol = -1"),
        (adaptive("atol = 1e-15"), "sampler.atol = 0.000000000000001"),
        (adaptive("max_steps = 0"), "sampler.max_steps = 0"),
        (adaptive("min_step = -1.0"), "sampler.min_step = -1"),
        (adaptive("min_step = 50.0"), "sampler.min_step = 50"),
        (adaptive("t_end = 0.0"), "sampler.t_end = 0"),
        (adaptive("t_end = 1.0"), "sampler.t_end = 1"),
    ] {
        assert!(message.starts_with(key), "{message}: {key}");
    }
}

/// The adaptive mode: the error follows the tolerance for every SDE, and limits are typed errors that name the row.
#[test]
fn adaptive_tolerances_and_limits() {
    for (name, sde) in sdes() {
        for table in ADAPTIVE {
            let solve = |table: &str| {
                let mut x = batch(3, 2, |row, d| sde.prior_std() * STARTS[row][d]);
                run(&*sampler(table, &*sde), &*sde, &oracle(&sde), &NoNoise, &mut x)
                    .map(|stats| (rows(&x), stats))
            };
            let exact = solve("kind = \"ode\"\nrtol = 1e-11\natol = 1e-11\nfinal = \"none\"")
                .expect("regular")
                .0;
            let error = |tolerance: &str| {
                let keys = format!("{table}\nrtol = {tolerance}\natol = {tolerance}\nfinal = \"none\"");
                let (x, stats) = solve(&keys).expect("the problem is regular");
                let pairs = x.iter().flatten().zip(exact.iter().flatten());
                let error = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                println!(
                    "{name:6}{:70}{tolerance:5} error {error:.1e} nfe {}",
                    table.replace('\n', " "),
                    stats.nfe
                );
                error
            };
            let (loose, tight) = (error("1e-3"), error("1e-5"));
            assert!(
                loose < 0.1 && tight < 2e-3 && tight < 0.3 * loose,
                "{name} {table}: {loose:e} {tight:e}"
            );
            let limit =
                solve(&format!("{table}\nrtol = 1e-4\nmax_steps = 3")).expect_err("three steps are too few");
            assert!(
                matches!(
                    limit,
                    SolveError::StepLimit {
                        row: 0..=2,
                        steps: 3,
                        ..
                    }
                ),
                "{limit}"
            );
            let small = solve(&format!("{table}\nrtol = 1e-6\natol = 1e-6\nmin_step = 0.5"));
            let small = small.expect_err("such steps are too long");
            assert!(
                matches!(small, SolveError::StepTooSmall { row: 0..=2, .. }),
                "{small}"
            );
        }
    }
}

/// A score that is not finite on row 2 at one time, or from that time on.
struct Broken {
    value: f64,
    t: f64,
    after: bool,
}

impl ScoreFn<Batch> for Broken {
    fn score(&self, x: &Batch, t: Coef, out: &mut Batch) -> Result<(), SolveError> {
        out.copy_from(x);
        out.scale(Coef::All(-0.5));
        if t.at(2) == self.t || (self.after && t.at(2) < self.t) {
            out.plane_mut(1)[2] = self.value;
        }
        Ok(())
    }
}

#[test]
fn a_score_that_is_not_finite_is_named() {
    let vp = sde("kind = \"vp\"");
    let solve = |table: &str, score: &Broken| {
        let mut x = batch(4, 2, |row, d| STARTS[row.min(2)][d]);
        run(&*sampler(table, &*vp), &*vp, score, &NoNoise, &mut x).expect_err("the score is broken")
    };
    let grid = "steps = 4\n[grid]\nkind = \"custom\"\ntimes = [1.0, 0.75, 0.5, 0.25, 0.01]";
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for table in METHODS {
            let error = solve(
                &format!("{table}\n{grid}"),
                &Broken {
                    value,
                    t: 0.5,
                    after: false,
                },
            );
            let expected = SolveError::NonFinite {
                what: "score",
                row: 2,
                t: 0.5,
                step: 2,
            };
            assert_eq!(error, expected, "{table} {value}");
        }
        // At a stage: the middle of the second interval in lambda, and the stages of order 3.
        for (order, share) in [(2, 0.5), (3, 1.0 / 3.0), (3, 2.0 / 3.0)] {
            let (from, to) = (vp.lambda(0.75), vp.lambda(0.5));
            let t = vp.time_at_lambda(from + share * (to - from));
            let table = format!("kind = \"dpm-solver\"\nmode = \"singlestep\"\norder = {order}\n{grid}");
            let error = solve(
                &table,
                &Broken {
                    value,
                    t,
                    after: false,
                },
            );
            assert_eq!(
                error,
                SolveError::NonFinite {
                    what: "score",
                    row: 2,
                    t,
                    step: 1
                },
                "{table}"
            );
        }
        for table in ADAPTIVE {
            let error = solve(
                table,
                &Broken {
                    value,
                    t: 1.0,
                    after: false,
                },
            );
            assert_eq!(
                error,
                SolveError::NonFinite {
                    what: "score",
                    row: 2,
                    t: 1.0,
                    step: 0
                },
                "{table}"
            );
            let error = solve(
                table,
                &Broken {
                    value,
                    t: 0.5,
                    after: true,
                },
            );
            let SolveError::NonFinite {
                what: "score",
                row: 2,
                t,
                ..
            } = error
            else {
                panic!("{error:?}")
            };
            // The last good state lies above that time or below it: an end is evaluated by the next attempt only.
            assert!((0.3..0.5 + 1e-6).contains(&t), "{t}");
        }
    }
    for table in METHODS.iter().chain(&ADAPTIVE) {
        let mut x = batch(3, 2, |row, _| if row == 1 { f64::INFINITY } else { 0.1 });
        let error = run(&*sampler(table, &*vp), &*vp, &oracle(&vp), &NoNoise, &mut x).expect_err(table);
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

/// No evaluation lies outside the run; no rows, one row and one dimension are as good as any.
#[test]
fn inside_the_run_and_small_batches() {
    for (_, sde) in sdes() {
        let inside = Inside(oracle(&sde), sde.domain().sample_eps, sde.domain().t_end);
        let point = PointScore {
            sde: &*sde,
            data: 0.2,
        };
        for table in METHODS.iter().chain(&ADAPTIVE) {
            samples(table, &*sde, &inside, 6, 9, 2);
            for (count, dim) in [(0, 1), (0, 3), (1, 1), (1, 3), (3, 1)] {
                let (x, _) = samples(table, &*sde, &point, 2, count, dim);
                assert_eq!((x.rows(), x.row_len()), (count, dim));
                assert!(
                    rows(&x).iter().flatten().all(|value| value.is_finite()),
                    "{table}"
                );
            }
        }
    }
}

/// Level L0 of reproducibility.
#[test]
fn same_bits_for_any_cut() {
    let stochastic = [
        ("subvp", "kind = \"ddim\"\neta = 0.7"),
        ("ve", "kind = \"ddim\"\neta = 1.0\nfinal = \"mean\""),
    ];
    let fixed = METHODS.map(|table| ("vp", table));
    let adaptive = ADAPTIVE.map(|table| ("edm", table));
    let tables = [&stochastic[..], &fixed, &adaptive].concat();
    crate::determinism::same_bits::<f64>(&tables);
    crate::determinism::same_bits::<f32>(&tables[..8]);
}
