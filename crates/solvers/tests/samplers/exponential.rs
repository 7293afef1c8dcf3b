//! The exponential integrators in `lambda`: orders and marginals of DDIM and DPM-Solver.

use std::cell::RefCell;

use sde_core::Marginal;
use solvers::{Coef, Draw, NoiseSource, Purpose, ScoreFn, SolveError, State};

use crate::common::{Batch, batch, oracle, rows, run, sampler, samples, sde, sdes, seeded};
use crate::exact_moments::moments;
use crate::exponential_values::distance;
use crate::orders::{NoNoise, error, fitted_order};

/// Starts of the published values, in units of the prior.
pub const STARTS: [[f64; 2]; 3] = [[0.3, -1.2], [1.1, 0.4], [-0.7, 0.9]];

/// One table of each way to step.
pub const METHODS: [&str; 9] = [
    "kind = \"ddim\"",
    "kind = \"dpm-solver\"\norder = 1",
    "kind = \"dpm-solver\"",
    "kind = \"dpm-solver\"\nalgorithm = \"dpmsolver\"",
    "kind = \"dpm-solver\"\norder = 3",
    "kind = \"dpm-solver\"\norder = 3\nalgorithm = \"dpmsolver\"\ncurvature = \"full\"",
    "kind = \"dpm-solver\"\nmode = \"singlestep\"",
    "kind = \"dpm-solver\"\nmode = \"singlestep\"\norder = 3",
    "kind = \"dpm-solver\"\nmode = \"singlestep\"\norder = 3\nalgorithm = \"dpmsolver\"\nlower_order_final = true",
];

pub const ADAPTIVE: [&str; 3] = [
    "kind = \"dpm-solver\"\nmode = \"adaptive\"",
    "kind = \"dpm-solver\"\nmode = \"adaptive\"\norder = 3",
    "kind = \"dpm-solver\"\nmode = \"adaptive\"\norder = 3\nalgorithm = \"dpmsolver\"",
];

/// Section 2.4 of the conventions: errors computed independently, to three digits.
#[test]
fn published_errors_and_orders() {
    let table: [(&str, &str, f64, Option<[f64; 6]>); 6] = [
        (
            "kind = \"ddim\"",
            "log-snr",
            1.0,
            Some([8.31e-2, 4.40e-2, 2.27e-2, 1.15e-2, 5.79e-3, 2.91e-3]),
        ),
        (
            "kind = \"dpm-solver\"\norder = 1",
            "log-snr",
            1.0,
            Some([8.31e-2, 4.40e-2, 2.27e-2, 1.15e-2, 5.79e-3, 2.91e-3]),
        ),
        (
            "kind = \"dpm-solver\"",
            "log-snr",
            2.0,
            Some([1.11e-2, 5.01e-3, 1.36e-3, 3.45e-4, 8.67e-5, 2.17e-5]),
        ),
        // Late: the fit over these steps is not yet the order, which the doublings approach.
        (
            "kind = \"dpm-solver\"",
            "uniform",
            2.0,
            Some([1.02e-1, 1.10e-1, 5.52e-2, 1.81e-2, 4.82e-3, 1.20e-3]),
        ),
        (
            "kind = \"dpm-solver\"\nalgorithm = \"dpmsolver\"",
            "log-snr",
            2.0,
            None,
        ),
        ("kind = \"dpm-solver\"\norder = 3", "log-snr", 2.0, None),
    ];
    for (method, grid, order, published) in table {
        let errors = [10, 20, 40, 80, 160, 320].map(|steps| {
            let table = format!("{method}\nsteps = {steps}\nfinal = \"none\"\n[grid]\nkind = \"{grid}\"");
            error("vp", &table).0
        });
        let fitted = fitted_order(&errors);
        println!(
            "{:40}{grid:9}{} order {fitted:.2}",
            method.replace('\n', " "),
            cells(&errors)
        );
        assert!((fitted - order).abs() < 0.15, "{method}: order {fitted}");
        for (got, want) in errors.iter().zip(published.into_iter().flatten()) {
            let digit = 10f64.powf(want.log10().floor() - 2.0);
            assert!(
                (got - want).abs() <= 0.5001 * digit,
                "{method}: {got:e} for {want:e}"
            );
        }
    }
}

/// Orders 1, 2 and 3 on the mixture, for every SDE and both predictions, against a solution to twelve digits:
/// published multistep at order 3 has order 2.
#[test]
fn orders_on_the_mixture() {
    let single = "mode = \"singlestep\"";
    for (kind, sde) in sdes() {
        let prior = sde.prior_std();
        let start = || batch(3, 2, |row, d| prior * STARTS[row][d]);
        let score = oracle(&sde);
        let solve = |table: &str| {
            let mut x = start();
            run(&*sampler(table, &*sde), &*sde, &score, &NoNoise, &mut x).expect("the problem is regular");
            x
        };
        let exact = rows(&solve(
            "kind = \"ode\"\nrtol = 1e-12\natol = 1e-12\nfinal = \"none\"",
        ));
        for algorithm in ["dpmsolver", "dpmsolver++"] {
            for (order, method) in [
                (1.0, "order = 1".to_string()),
                (2.0, "order = 2".to_string()),
                (2.0, format!("order = 2\n{single}")),
                (2.0, "order = 3".to_string()),
                (3.0, "order = 3\ncurvature = \"full\"".to_string()),
                (3.0, format!("order = 3\n{single}")),
            ] {
                let errors = [320, 640, 1280].map(|steps| {
                    let table = format!(
                        "kind = \"dpm-solver\"\nalgorithm = \"{algorithm}\"\n{method}\nsteps = {steps}\nfinal = \"none\""
                    );
                    let x = rows(&solve(&table));
                    let pairs = x.iter().flatten().zip(exact.iter().flatten());
                    pairs.map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
                });
                let fitted = fitted_order(&errors);
                println!(
                    "{kind:6}{algorithm:12}{:32}{} order {fitted:.2}",
                    method.replace('\n', " "),
                    cells(&errors)
                );
                assert!(
                    (fitted - order).abs() < 0.15,
                    "{kind} {algorithm} {method}: order {fitted}"
                );
            }
        }
    }
}

fn cells(errors: &[f64]) -> String {
    errors.iter().map(|error| format!("{error:>10.2e}")).collect()
}

/// Where the predicted data are constant, `c`, one step of every method is exact: the noise alone shrinks, by `std_to/std_from`.
pub struct PointScore<'a> {
    pub sde: &'a dyn sde_core::Sde,
    pub data: f64,
}

impl ScoreFn<Batch> for PointScore<'_> {
    fn score(&self, x: &Batch, t: Coef, out: &mut Batch) -> Result<(), SolveError> {
        for d in 0..x.row_len() {
            for (row, (out, x)) in out.plane_mut(d).iter_mut().zip(x.plane(d)).enumerate() {
                let Marginal { mean_coef, std } = self.sde.marginal(t.at(row));
                *out = (mean_coef * self.data - x) / (std * std);
            }
        }
        Ok(())
    }
}

#[test]
fn constant_data_are_exact_in_one_step() {
    for (name, sde) in sdes() {
        let score = PointScore {
            sde: &*sde,
            data: 0.7,
        };
        let (from, to) = (
            sde.marginal(sde.domain().t_end),
            sde.marginal(sde.domain().sample_eps),
        );
        for table in METHODS {
            let least = if table.contains("singlestep") || !table.contains("dpm") {
                1
            } else {
                3
            };
            for steps in [least, 7] {
                let table = format!("{table}\nsteps = {steps}\nfinal = \"none\"");
                let mut x = batch(3, 2, |row, d| STARTS[row][d] * from.std);
                run(&*sampler(&table, &*sde), &*sde, &score, &NoNoise, &mut x)
                    .expect("the problem is regular");
                let expected = STARTS.map(|row| {
                    row.map(|z| to.mean_coef * 0.7 + to.std * (z - from.mean_coef * 0.7 / from.std))
                });
                let distance = distance(&x, &expected);
                // Noise predictions cancel between the levels: their rounding grows with the noise.
                assert!(
                    distance < 1e-12 * (1.0 + sde.prior_std()),
                    "{name} {table}: {distance:e}"
                );
            }
        }
    }
}

/// Data at a point: the marginal of the end time comes out exactly for every stochasticity and any number of steps, since each
/// step draws from a conditional of `x_to` that has it.
#[test]
fn ddim_keeps_the_marginals_of_a_point() {
    struct Basis;
    impl NoiseSource<Batch> for Basis {
        fn normal(&self, draw: Draw, out: &mut Batch) -> Result<(), SolveError> {
            assert_eq!(draw.purpose, Purpose::Predictor);
            out.plane_mut(0).fill(0.0);
            out.plane_mut(0)[2 + draw.step as usize] = 1.0;
            Ok(())
        }
    }
    for (name, sde) in sdes() {
        let score = PointScore {
            sde: &*sde,
            data: 0.7,
        };
        let (from, to) = (
            sde.marginal(sde.domain().t_end),
            sde.marginal(sde.domain().sample_eps),
        );
        for eta in [0.0, 0.5, 1.0] {
            for steps in [1, 2, 9] {
                let table = format!("kind = \"ddim\"\neta = {eta:?}\nsteps = {steps}\nfinal = \"none\"");
                let mut x = batch(steps + 2, 1, |row, _| {
                    from.mean_coef * 0.7 + f64::from(u8::from(row == 1)) * from.std
                });
                run(&*sampler(&table, &*sde), &*sde, &score, &Basis, &mut x).expect("the problem is regular");
                let images: Vec<f64> = rows(&x).into_iter().map(|row| row[0]).collect();
                let var: f64 = images[1..].iter().map(|image| (image - images[0]).powi(2)).sum();
                assert!((images[0] - to.mean_coef * 0.7).abs() < 1e-12, "{name} {table}");
                assert!(
                    (var.sqrt() / to.std - 1.0).abs() < 1e-9,
                    "{name} {table}: {} {}",
                    var.sqrt(),
                    to.std
                );
            }
        }
    }
}

/// With `eta = 1` each step is the posterior step: the ancestral predictor of the SDEs for which that is exact, draw by draw.
#[test]
fn ddim_at_one_is_the_ancestral_step() {
    for (name, sde) in sdes().into_iter().filter(|(name, _)| *name != "vp") {
        let grid = "steps = 15\n[grid]\nkind = \"karras\"\nrho = 7.0";
        let (a, _) = samples(
            &format!("kind = \"ddim\"\neta = 1.0\n{grid}"),
            &*sde,
            &oracle(&sde),
            4,
            20,
            2,
        );
        let table = format!("kind = \"pc\"\npredictor = \"ancestral\"\n{grid}");
        let (b, _) = samples(&table, &*sde, &oracle(&sde), 4, 20, 2);
        for (a, b) in rows(&a).iter().flatten().zip(rows(&b).iter().flatten()) {
            assert!((a - b).abs() < 1e-9, "{name}: {a} {b}");
        }
    }
}

/// Gaussian data: mean and standard deviation for `eta` 0, 1/2 and 1 agree with the data's up to the bias of first order, which
/// halves with the steps. 0.0011 of the mean of the flow is the mismatch of the prior.
#[test]
fn ddim_leaves_the_marginals_alone() {
    for eta in [0.0, 0.5, 1.0] {
        let table = format!("kind = \"ddim\"\neta = {eta:?} # [grid]\nkind = \"log-snr\"");
        let spread = |steps| (moments("kind = \"vp\"", &table, steps).1 - 0.3).abs();
        let (mean, std) = moments("kind = \"vp\"", &table, 1000);
        println!(
            "eta {eta}: mean {mean:.4} std {std:.4}, error of std {:.1e} {:.1e}",
            spread(250),
            spread(500)
        );
        assert!(
            (mean - 0.7).abs() < 2e-3 && (std - 0.3).abs() < 2e-3,
            "{eta}: {mean} {std}"
        );
        assert!((spread(250) / spread(500) - 2.0).abs() < 0.25, "{eta}");
    }
}

#[test]
fn evaluations() {
    let vp = sde("kind = \"vp\"");
    let nfe = |table: &str| samples(table, &*vp, &oracle(&vp), 1, 3, 2).1.nfe;
    for (table, per_step, fewer) in [
        ("kind = \"ddim\"", 1, 0),
        ("kind = \"ddim\"\neta = 0.5", 1, 0),
        ("kind = \"dpm-solver\"\norder = 1\nmode = \"singlestep\"", 1, 0),
        ("kind = \"dpm-solver\"", 1, 0),
        ("kind = \"dpm-solver\"\norder = 3", 1, 0),
        ("kind = \"dpm-solver\"\nmode = \"singlestep\"", 2, 0),
        ("kind = \"dpm-solver\"\nmode = \"singlestep\"\norder = 3", 3, 0),
        (
            "kind = \"dpm-solver\"\nmode = \"singlestep\"\norder = 3\nlower_order_final = true",
            3,
            3,
        ),
    ] {
        assert_eq!(
            nfe(&format!("{table}\nsteps = 12\nfinal = \"none\"")),
            12 * per_step - fewer,
            "{table}"
        );
        assert_eq!(
            nfe(&format!("{table}\nsteps = 12")),
            12 * per_step - fewer + 1,
            "{table}"
        );
    }
    assert_eq!(nfe("kind = \"dpm-solver\""), 21);
    // The published runs of the adaptive mode, row by row: 58, 54 and 52 evaluations in 20, 18 and 18 steps of order 2.
    let table = "kind = \"dpm-solver\"\nmode = \"adaptive\"\natol = 1e-3\nrtol = 1e-2\nfinal = \"none\"";
    let mut x = batch(3, 2, |row, d| STARTS[row][d]);
    let stats =
        run(&*sampler(table, &*vp), &*vp, &oracle(&vp), &NoNoise, &mut x).expect("the problem is regular");
    assert_eq!(
        (stats.nfe, stats.steps, stats.row_evaluations),
        (58, 20, 58 + 54 + 52)
    );
    assert_eq!(stats.rejected, (58 + 54 + 52) / 2 - (20 + 18 + 18));
}

/// One draw a step with noise, none without, and none in a last step whose mean is returned.
#[test]
fn draws_of_ddim() {
    struct Counted(RefCell<Vec<Draw>>);
    impl NoiseSource<Batch> for Counted {
        fn normal(&self, draw: Draw, out: &mut Batch) -> Result<(), SolveError> {
            self.0.borrow_mut().push(draw);
            seeded(5).normal(draw, out)
        }
    }
    let vp = sde("kind = \"vp\"");
    for (table, draws) in [
        ("eta = 0.0", 0),
        ("eta = 0.3", 6),
        ("eta = 1.0", 6),
        ("eta = 1.0\nfinal = \"mean\"", 5),
    ] {
        let noise = Counted(RefCell::new(Vec::new()));
        let mut x = batch(3, 2, |row, d| STARTS[row][d]);
        let sampler = sampler(&format!("kind = \"ddim\"\nsteps = 6\n{table}"), &*vp);
        run(&*sampler, &*vp, &oracle(&vp), &noise, &mut x).expect("the problem is regular");
        let expected = (0..draws).map(|step| Draw {
            step,
            purpose: Purpose::Predictor,
        });
        assert_eq!(noise.0.into_inner(), expected.collect::<Vec<_>>(), "{table}");
    }
}
