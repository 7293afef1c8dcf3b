//! Order of convergence of the deterministic methods on the probability flow of Gaussian data, where the end is known: one
//! trajectory of `N(0.7, 0.3^2)` under VP, 1.3 standard deviations from the mean, from `t = 1` to `1e-3`.

use crate::common::{GaussianScore, batch, rows, run, sampler, sde};

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

/// The error of the adaptive method stays near the tolerance, and falls with the evaluations at its order.
#[test]
fn dormand_prince_keeps_its_tolerance() {
    for kind in ["vp", "subvp", "ve", "edm"] {
        let mut measured = Vec::new();
        for exponent in [4, 6, 8, 10] {
            let tolerance = 10f64.powi(-exponent);
            let table = format!(
                "kind = \"ode\"\nmethod = \"dp5\"\nrtol = {tolerance:e}\natol = {tolerance:e}\nfinal = \"none\""
            );
            let (error, nfe) = error(kind, &table);
            println!("dp5 {kind:6} tolerance 1e-{exponent:<3} error {error:9.2e} evaluations {nfe}");
            assert!(error < 20.0 * tolerance, "{kind}: {error:e} at {tolerance:e}");
            measured.push((error, nfe as f64));
        }
        let ((e0, n0), (e1, n1)) = (measured[1], measured[3]);
        let order = (e0 / e1).ln() / (n1 / n0).ln();
        assert!(order > 4.0, "{kind}: observed order {order}");
    }
}
