//! Methods in the noise level and multistep methods: orders, costs and mistakes. Their values are in `multistep_values`.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;

use solvers::{
    Coef, FnScore, HostBatch, HostOptions, MixtureScore, Observer, ScoreFn, SolveError, State, StepInfo,
    sample_chunks,
};

use crate::common::{
    Batch, batch, config, job, mixture, oracle, refusal, rows, run, sampler, samples, sde, sdes, seeded,
};
use crate::gaussian::GaussianScore;

/// Every kind of this family, with the orders that differ.
pub const KINDS: [&str; 12] = [
    "kind = \"euler\"",
    "kind = \"euler\"\ns_churn = 3.0",
    "kind = \"dpm-2\"",
    "kind = \"dpm-2\"\ns_churn = 3.0",
    "kind = \"lms\"",
    "kind = \"lms\"\norder = 2",
    "kind = \"deis\"",
    "kind = \"deis\"\norder = 4",
    "kind = \"ipndm\"",
    "kind = \"unipc\"",
    "kind = \"unipc\"\norder = 2\nvariant = \"bh1\"",
    "kind = \"unipc\"\norder = 1",
];

/// Error at the end of `sigmas` on the Gaussian trajectory of `orders.rs`, 1.3 standard deviations from the mean.
fn error(kind: &str, table: &str, sigmas: &[f64]) -> f64 {
    let sde = sde(&format!("kind = \"{kind}\""));
    let score = GaussianScore {
        sde: sde.clone(),
        mean: 0.7,
        var: 0.09,
    };
    let table = format!("{table}\nfinal = \"none\"\n[grid]\nkind = \"custom\"\nsigmas = {sigmas:?}");
    let sampler = sampler(&table, &*sde);
    let last = sde.time_at_sigma(sigmas[sigmas.len() - 1]);
    let ((mean, std), (end_mean, end_std)) = (score.noised(sampler.t_start()), score.noised(last));
    let mut x = batch(1, 1, |_, _| mean + 1.3 * std);
    let noise = seeded(0);
    run(&*sampler, &*sde, &score, &noise, &mut x).expect("the problem is regular");
    (rows(&x)[0][0] - (end_mean + 1.3 * end_std)).abs()
}

/// The slope over the last doubling.
fn fitted_order(kind: &str, table: &str, sigmas: impl Fn(f64) -> f64) -> f64 {
    let errors = [120, 240, 480, 960].map(|steps| {
        let grid: Vec<f64> = (0..=steps)
            .map(|i| sigmas(f64::from(i) / f64::from(steps)))
            .collect();
        error(kind, table, &grid)
    });
    let order = (errors[2] / errors[3]).log2();
    let cells: String = errors.iter().map(|e| format!("{e:>11.2e}")).collect();
    println!("{kind:6}{:28}{cells}{order:>7.2}", table.replace('\n', " "));
    order
}

/// Keeps the state after one step.
struct After(u64, Vec<Vec<f64>>);

impl Observer<Batch> for After {
    fn step(&mut self, info: &StepInfo, x: &Batch) -> ControlFlow<()> {
        if info.step + 1 == self.0 {
            self.1 = rows(x);
        }
        ControlFlow::Continue(())
    }
}

/// With its corrector UniPC has the order `p + 1` (Zhao et al. 2023, corollary 3.2). The last steps have lower orders, so that the error is
/// read three quarters along the run.
#[test]
fn unipc_has_one_order_more_than_its_predictor() {
    for kind in ["vp", "subvp", "ve", "edm"] {
        for (order, variant) in [(1, "bh1"), (1, "bh2"), (2, "bh1"), (2, "bh2"), (3, "bh2")] {
            let sde = sde(&format!("kind = \"{kind}\""));
            let score = GaussianScore {
                sde: sde.clone(),
                mean: 0.7,
                var: 0.09,
            };
            let errors = [120, 240, 480, 960].map(|steps: u32| {
                let sigma = |i: u32| 5.0 * 0.04_f64.powf((f64::from(i) / f64::from(steps)).powi(2));
                let sigmas: Vec<f64> = (0..=steps).map(sigma).collect();
                let table = format!(
                    "kind = \"unipc\"\norder = {order}\nvariant = \"{variant}\"\n[grid]\nkind = \"custom\"\nsigmas = {sigmas:?}"
                );
                let sampler = sampler(&table, &*sde);
                let (mean, std) = score.noised(sampler.t_start());
                let mut x = batch(1, 1, |_, _| mean + 1.3 * std);
                let noise = seeded(0);
                let job = job(&*sde, &score, &noise);
                let at = steps / 4 * 3;
                let mut after = After(at.into(), Vec::new());
                sampler.run(&job, &mut x, &mut after).expect("the problem is regular");
                let (mean, std) = score.noised(sde.time_at_sigma(sigma(at)));
                (after.1[0][0] - (mean + 1.3 * std)).abs()
            });
            let fitted = (errors[2] / errors[3]).log2();
            let cells: String = errors.iter().map(|e| format!("{e:>11.2e}")).collect();
            println!("{kind:6}unipc {order} {variant}{cells}{fitted:>7.2}");
            assert!(
                (fitted - f64::from(order + 1)).abs() < 0.15,
                "{kind} {order}: {fitted}"
            );
        }
    }
}

/// Noise levels over the share of the run that is done.
type Levels<'a> = &'a dyn Fn(f64) -> f64;

/// One-step methods on levels even in `ln sigma`, the multistep ones on levels whose first steps are short, since the first step has
/// order 1 whatever the order of the method. iPNDM wants equal steps; far up, where the predicted noise hardly changes, its first ones do
/// no harm, and on unequal ones it has order 2.
#[test]
fn orders() {
    let even = |u: f64| 10.0 * 0.02_f64.powf(u);
    let short_start = |u: f64| 5.0 * 0.04_f64.powf(u * u);
    let equal = |u: f64| 8.0 - 7.5 * u;
    let mut cases: Vec<(String, f64, Levels)> = vec![
        ("kind = \"euler\"".into(), 1.0, &even),
        ("kind = \"dpm-2\"".into(), 2.0, &even),
        ("kind = \"ipndm\"".into(), 2.0, &even),
    ];
    for order in 1..=4 {
        for kind in ["lms", "deis"] {
            let table = format!("kind = \"{kind}\"\norder = {order}");
            cases.push((table, f64::from(order), &short_start));
        }
        cases.push((
            format!("kind = \"ipndm\"\norder = {order}"),
            f64::from(order),
            &equal,
        ));
    }
    for (table, order, sigmas) in cases {
        for kind in ["vp", "subvp", "ve", "edm"] {
            let fitted = fitted_order(kind, &table, sigmas);
            assert!((fitted - order).abs() < 0.15, "{kind} {table}: {fitted}");
        }
    }
}

/// One, two and three steps on the usual grids: finite for every SDE, kind and ending; with one step every method is Euler's.
#[test]
fn few_steps_are_finite() {
    for (name, sde) in sdes() {
        for table in KINDS {
            for ending in ["tweedie", "mean", "none"] {
                for steps in 1..=3 {
                    let order = (2..=4).find(|order| table.contains(&format!("order = {order}")));
                    let table = format!("{table}\nsteps = {steps}\nfinal = \"{ending}\"");
                    if let Some(order) = order.filter(|order| steps < *order) {
                        let start =
                            format!("sampler.steps = {steps}: order {order} needs at least {order} steps");
                        assert!(refusal(&table, &*sde).starts_with(&start), "{table}");
                        continue;
                    }
                    let (x, _) = samples(&table, &*sde, &oracle(&sde), 1, 5, 2);
                    let finite = rows(&x).iter().flatten().all(|value| value.is_finite());
                    assert!(finite, "{name} {table}");
                }
            }
        }
        let one = |kind: &str| {
            let table = format!("kind = \"{kind}\"\nsteps = 1\nfinal = \"none\"");
            rows(&samples(&table, &*sde, &oracle(&sde), 1, 5, 2).0)
        };
        for kind in ["lms", "deis", "ipndm", "unipc"] {
            for (got, want) in one(kind).iter().flatten().zip(one("euler").iter().flatten()) {
                assert!((got - want).abs() < 1e-9 * want.abs().max(1.0), "{name} {kind}");
            }
        }
    }
}

#[test]
fn evaluations() {
    let n = 12;
    for (table, expected) in [
        ("kind = \"euler\"", n + 1),
        ("kind = \"euler\"\nfinal = \"none\"", n),
        ("kind = \"dpm-2\"", 2 * n + 1),
        ("kind = \"dpm-2\"\ns_churn = 5.0\nfinal = \"mean\"", 2 * n),
        ("kind = \"lms\"", n + 1),
        ("kind = \"lms\"\nfinal = \"none\"", n),
        ("kind = \"deis\"", n + 1),
        ("kind = \"ipndm\"\nfinal = \"none\"", n),
        ("kind = \"unipc\"", n + 1),
        ("kind = \"unipc\"\norder = 1\nfinal = \"none\"", n),
    ] {
        for (name, sde) in sdes() {
            let (_, stats) = samples(&format!("{table}\nsteps = {n}"), &*sde, &oracle(&sde), 1, 3, 2);
            assert_eq!((stats.nfe, stats.steps), (expected, n), "{name} {table}");
        }
    }
}

/// A score that is not finite on row 2 from half time on.
struct Broken;

impl ScoreFn<Batch> for Broken {
    fn score(&self, x: &Batch, t: Coef, out: &mut Batch) -> Result<(), SolveError> {
        out.copy_from(x);
        out.scale(Coef::All(-0.5));
        if t.at(2) <= 0.5 {
            out.plane_mut(1)[2] = f64::NAN;
        }
        Ok(())
    }
}

#[test]
fn a_score_that_is_not_finite_is_named() {
    let vp = sde("kind = \"vp\"");
    for table in KINDS {
        let grid = "[grid]\nkind = \"custom\"\ntimes = [1.0, 0.75, 0.5, 0.25, 0.01]";
        // Churn would move the times of the evaluations.
        let table = format!("{table}\n{grid}").replace("s_churn = 3.0", "s_churn = 3.0\ns_max = 0.1");
        let sampler = sampler(&table, &*vp);
        let mut x = batch(4, 2, |row, d| 0.3 * row as f64 - 0.5 * d as f64);
        let noise = seeded(3);
        let error = run(&*sampler, &*vp, &Broken, &noise, &mut x).expect_err(&table);
        let expected = SolveError::NonFinite {
            what: "score",
            row: 2,
            t: 0.5,
            // The corrector evaluates at the end of the step.
            step: if table.contains("unipc") { 1 } else { 2 },
        };
        assert_eq!(error, expected, "{table}");
    }
}

#[test]
fn refused_values_name_their_key() {
    let vp = sde("kind = \"vp\"");
    for (table, start) in [
        (
            "kind = \"lms\"\norder = 0",
            "sampler.order = 0: must lie between 1 and 4",
        ),
        (
            "kind = \"lms\"\norder = 5",
            "sampler.order = 5: must lie between 1 and 4",
        ),
        (
            "kind = \"deis\"\norder = 5",
            "sampler.order = 5: must lie between 1 and 4",
        ),
        (
            "kind = \"ipndm\"\norder = 5",
            "sampler.order = 5: must lie between 1 and 4",
        ),
        (
            "kind = \"unipc\"\norder = 4",
            "sampler.order = 4: must lie between 1 and 3",
        ),
        ("kind = \"euler\"\ns_churn = -1.0", "sampler.s_churn = -1: "),
        (
            "kind = \"dpm-2\"\ns_min = 2.0\ns_max = 1.0",
            "sampler.s_max = 1: ",
        ),
        (
            "kind = \"deis\"\n[grid]\nkind = \"song-compat\"",
            "sampler.grid.kind = song-compat: ",
        ),
        ("kind = \"lms\"\nsteps = 0", "sampler.steps = 0: "),
    ] {
        let message = refusal(table, &*vp);
        assert!(message.starts_with(start), "{table}: {message}");
    }
}

/// Any chunks and threads give the same bits.
#[test]
fn chunks_do_not_matter() {
    let sde = sde("kind = \"subvp\"");
    let score = MixtureScore::<f32>::new(mixture(), Arc::clone(&sde));
    for table in KINDS {
        let sampler = config(&format!("{table}\nsteps = 9"))
            .build::<HostBatch<f32>>(&*sde)
            .expect(table);
        let rows = |threads, chunk| {
            let options = HostOptions {
                threads: NonZeroUsize::new(threads),
                chunk: NonZeroUsize::new(chunk),
                ..HostOptions::default()
            };
            let run = sample_chunks(&*sampler, &*sde, &score, 83, 2, &options, |_| ())
                .expect("the problem is regular");
            run.rows.mapv(f32::to_bits)
        };
        let whole = rows(1, 83);
        for (threads, chunk) in [(1, 1), (2, 37), (2, 8)] {
            assert_eq!(
                rows(threads, chunk),
                whole,
                "{table}: {threads} threads, chunks of {chunk}"
            );
        }
    }
}

/// The score sees only times between start and end, unless churn raises them; no rows are no mistake.
#[test]
fn nothing_is_evaluated_outside_the_run() {
    for (name, sde) in sdes() {
        let (exact, ends) = (oracle(&sde), (sde.domain().sample_eps, sde.domain().t_end));
        let inside = FnScore(|x: &Batch, t: Coef, out: &mut Batch| {
            let Coef::All(t) = t else {
                panic!("one time for all rows")
            };
            assert!((ends.0..=ends.1).contains(&t), "{name}: evaluated at {t}");
            exact.score(x, Coef::All(t), out)
        });
        for table in KINDS.iter().filter(|table| !table.contains("s_churn")) {
            samples(&format!("{table}\nsteps = 7"), &*sde, &inside, 6, 9, 2);
            samples(&format!("{table}\nsteps = 7"), &*sde, &inside, 6, 0, 2);
        }
    }
}
