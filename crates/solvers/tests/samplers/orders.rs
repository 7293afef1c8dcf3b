//! Order of convergence of the deterministic methods on the probability flow of Gaussian data, where the end is known: one
//! trajectory of `N(0.7, 0.3^2)` under VP, 1.3 standard deviations from the mean, from `t = 1` to `1e-3`.

use crate::common::{batch, job, rows, run, sampler, sde};
use crate::gaussian::GaussianScore;

const Z: f64 = 1.3;
const EXACT: f64 = 1.0901782311797448;

pub struct NoNoise;

impl solvers::NoiseSource<crate::common::Batch> for NoNoise {
    fn normal(
        &self,
        draw: solvers::Draw,
        _out: &mut crate::common::Batch,
    ) -> Result<(), solvers::SolveError> {
        panic!("a deterministic method asks for {draw:?}");
    }
}

/// Error at the end and evaluations.
pub fn error(kind: &str, table: &str) -> (f64, u64) {
    let sde = sde(&format!("kind = \"{kind}\""));
    let score = GaussianScore {
        sde: sde.clone(),
        mean: 0.7,
        var: 0.09,
    };
    let sampler = sampler(table, &*sde);
    let end = sde.domain().sample_eps;
    let ((mean, std), (end_mean, end_std)) = (score.noised(sampler.t_start()), score.noised(end));
    let mut x = batch(1, 1, |_, _| mean + Z * std);
    let stats = run(&*sampler, &*sde, &score, &NoNoise, &mut x).expect("the problem is regular");
    let exact = end_mean + Z * end_std;
    if kind == "vp" {
        assert!((exact - EXACT).abs() < 1e-14, "{exact}");
    }
    ((rows(&x)[0][0] - exact).abs(), stats.nfe)
}

/// Slope over the last three doublings.
pub fn fitted_order(errors: &[f64]) -> f64 {
    let last = errors.len() - 1;
    (errors[last - 2] / errors[last]).ln() / 4f64.ln()
}

/// Section 2.4 of the conventions: errors computed independently, to three digits.
#[test]
fn fixed_steps_have_the_published_errors_and_orders() {
    let table: [(&str, f64, Option<[f64; 6]>); 4] = [
        (
            "euler",
            1.0,
            Some([1.45e-2, 1.33e-2, 7.74e-3, 4.13e-3, 2.14e-3, 1.09e-3]),
        ),
        (
            "heun",
            2.0,
            Some([2.23e-2, 6.04e-3, 1.69e-3, 4.47e-4, 1.15e-4, 2.91e-5]),
        ),
        ("midpoint", 2.0, None),
        (
            "rk4",
            4.0,
            Some([1.47e-3, 7.85e-5, 3.82e-6, 2.16e-7, 1.29e-8, 7.88e-10]),
        ),
    ];
    println!(
        "{:10}{:>11}{:>11}{:>11}{:>11}{:>11}{:>11}{:>7}",
        "", 10, 20, 40, 80, 160, 320, "order"
    );
    for (method, order, published) in table {
        let errors = [10, 20, 40, 80, 160, 320].map(|steps| {
            error(
                "vp",
                &format!("kind = \"ode\"\nmethod = \"{method}\"\nsteps = {steps}\nfinal = \"none\""),
            )
            .0
        });
        let fitted = fitted_order(&errors);
        let cells: String = errors.iter().map(|e| format!("{e:>11.2e}")).collect();
        println!("{method:10}{cells}{fitted:>7.2}");
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

/// The embedded pairs with given steps. The errors are those of a separate program in `f64`, to three digits. On this trajectory
/// the terms of order 5 happen to cancel, so the order is fitted elsewhere.
#[test]
fn pairs_with_given_steps_have_the_errors_of_another_program() {
    for (method, published) in [
        ("bosh3", [3.17e-4, 8.23e-5, 9.94e-6, 1.12e-6, 1.31e-7]),
        ("dp5", [2.02e-5, 1.05e-6, 1.09e-8, 1.52e-10, 2.24e-12]),
        ("tsit5", [4.04e-5, 1.31e-6, 1.71e-8, 2.77e-10, 4.31e-12]),
    ] {
        for (steps, want) in [10, 20, 40, 80, 160].into_iter().zip(published) {
            let table = format!("kind = \"ode\"\nmethod = \"{method}\"\nsteps = {steps}\nfinal = \"none\"");
            let (got, nfe) = error("vp", &table);
            println!("{method:6} {steps:4} steps, {nfe:4} evaluations: {got:.2e}");
            let digit = 10f64.powf(f64::log10(want).floor() - 2.0);
            assert!(
                (got - want).abs() <= 0.51 * digit + 5e-15,
                "{method} {steps}: {got:e} for {want:e}"
            );
        }
    }
}

/// Order of the tableaus on the logistic equation, forwards in time.
#[test]
fn tableaus_have_their_order_on_the_logistic_equation() {
    use solvers::rk::Rhs;
    use solvers::rk::engine::{Stages, step};
    use solvers::rk::tableau::ALL;
    use solvers::{Coef, SolveError};

    struct Logistic;
    impl Rhs<crate::common::Batch> for Logistic {
        fn eval(
            &mut self,
            x: &crate::common::Batch,
            _t: Coef,
            dx: &mut crate::common::Batch,
        ) -> Result<(), SolveError> {
            let x = x.plane(0)[0];
            dx.plane_mut(0)[0] = x * (1.0 - x);
            Ok(())
        }
    }
    let exact = 1.0 / (1.0 + 9.0 * (-6f64).exp());
    for tableau in ALL {
        let errors = [20, 40, 80, 160].map(|steps| {
            let mut x = batch(1, 1, |_, _| 0.1);
            let mut w = Stages::new(tableau, &x);
            for i in 0..steps {
                let (from, to) = (
                    6.0 * f64::from(i) / f64::from(steps),
                    6.0 * f64::from(i + 1) / f64::from(steps),
                );
                step(tableau, &mut Logistic, from, to, &mut x, &mut w).expect("regular");
            }
            (rows(&x)[0][0] - exact).abs()
        });
        let fitted = fitted_order(&errors);
        println!("{:10}{errors:?} order {fitted:.2}", tableau.name);
        assert!(
            (fitted - f64::from(tableau.order)).abs() < 0.15,
            "{}: order {fitted}",
            tableau.name
        );
    }
}

/// Heun's method in sigma space on the grid of Karras et al. has order 2 for every SDE, with and without drift.
#[test]
fn heun_in_sigma_space_has_order_two() {
    for kind in ["vp", "subvp", "ve", "edm"] {
        let errors = [40, 80, 160, 320].map(|steps| {
            error(
                kind,
                &format!("kind = \"heun\"\nsteps = {steps}\nfinal = \"none\""),
            )
            .0
        });
        let fitted = fitted_order(&errors);
        println!("heun {kind:6} {errors:?} order {fitted:.2}");
        assert!((fitted - 2.0).abs() < 0.15, "{kind}: {errors:?} {fitted}");
    }
}

/// The error of the adaptive methods stays near the tolerance, and falls with the evaluations at their order.
#[test]
fn adaptive_methods_keep_their_tolerance() {
    for (method, exponents, order) in [
        ("bosh3", [3, 4, 6, 8], 3.0),
        ("dp5", [4, 6, 8, 10], 5.0),
        ("tsit5", [4, 6, 8, 10], 5.0),
    ] {
        for kind in ["vp", "subvp", "ve", "edm"] {
            let mut measured = Vec::new();
            for exponent in exponents {
                let tolerance = 10f64.powi(-exponent);
                let table = format!(
                    "kind = \"ode\"\nmethod = \"{method}\"\nrtol = {tolerance:e}\natol = {tolerance:e}\nfinal = \"none\""
                );
                let (error, nfe) = error(kind, &table);
                println!(
                    "{method:6} {kind:6} tolerance 1e-{exponent:<3} error {error:9.2e} evaluations {nfe}"
                );
                assert!(
                    error < 20.0 * tolerance,
                    "{method} {kind}: {error:e} at {tolerance:e}"
                );
                measured.push((error, nfe as f64));
            }
            let ((e0, n0), (e1, n1)) = (measured[1], measured[3]);
            let fitted = (e0 / e1).ln() / (n1 / n0).ln();
            assert!(fitted > order - 1.0, "{method} {kind}: observed order {fitted}");
        }
    }
}

/// The states of one trajectory at these times, dense output of an adaptive run, and evaluations.
fn saved(kind: &str, table: &str, times: &[f64]) -> (f64, u64) {
    let sde = sde(&format!("kind = \"{kind}\""));
    let score = GaussianScore {
        sde: sde.clone(),
        mean: 0.7,
        var: 0.09,
    };
    let sampler = sampler(&format!("{table}\nsave_at = {times:?}"), &*sde);
    let (mean, std) = score.noised(sampler.t_start());
    let mut x = batch(1, 1, |_, _| mean + Z * std);
    let job = job(&*sde, &score, &NoNoise);
    let mut trajectory = solvers::observe::Trajectory::new(1);
    let stats = sampler
        .run(&job, &mut x, &mut trajectory)
        .expect("the problem is regular");
    // Start and end stand beside the times asked for.
    assert_eq!(&trajectory.times()[1..=times.len()], times);
    let states = &trajectory.states()[1..=times.len()];
    let worst = times.iter().zip(states).fold(0.0_f64, |worst, (t, state)| {
        let (mean, std) = score.noised(*t);
        worst.max((rows(state)[0][0] - (mean + Z * std)).abs())
    });
    (worst, stats.nfe)
}

/// Dense output has the accuracy of the steps: its error stays near the tolerance, and falls with the evaluations at the order of
/// the pair, since an interpolant of one order less has a local error of the pair's order.
#[test]
fn dense_output_keeps_the_tolerance() {
    let times: Vec<f64> = (1..100).rev().map(|i| f64::from(i) / 100.0).collect();
    for (method, exponents, order, times_tolerance) in [
        ("bosh3", [3, 4, 6, 8], 3.0, 5.0),
        // The error constants of these two interpolants are far larger than those of their steps.
        ("dp5", [4, 6, 8, 10], 5.0, 250.0),
        ("tsit5", [4, 6, 8, 10], 5.0, 250.0),
    ] {
        for kind in ["vp", "subvp", "ve"] {
            let mut measured = Vec::new();
            for exponent in exponents {
                let tolerance = 10f64.powi(-exponent);
                let table = format!(
                    "kind = \"ode\"\nmethod = \"{method}\"\nrtol = {tolerance:e}\natol = {tolerance:e}"
                );
                let (error, nfe) = saved(kind, &table, &times);
                println!(
                    "{method:6} {kind:6} tolerance 1e-{exponent:<3} dense error {error:9.2e} evaluations {nfe}"
                );
                // Absolute and relative tolerance meet the largest state there is, some 70 for VE.
                let size = if kind == "ve" { 70.0 } else { 2.0 };
                assert!(
                    error < times_tolerance * size * tolerance,
                    "{method} {kind}: {error:e} at {tolerance:e}"
                );
                measured.push((error, nfe as f64));
            }
            let ((e0, n0), (e1, n1)) = (measured[1], measured[3]);
            let fitted = (e0 / e1).ln() / (n1 / n0).ln();
            assert!(fitted > order - 1.0, "{method} {kind}: observed order {fitted}");
        }
    }
}
