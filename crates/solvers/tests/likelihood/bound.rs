//! The bound of the reverse SDE against closed forms.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Axis, s};
use sde_core::{Gaussian, Sde};
use solvers::likelihood::{Bound, BoundJob};
use solvers::noise::uniform;
use solvers::{Coef, Draw, HostBatch, HostNoise, MixtureScore, Purpose, ScoreFn, SolveError, State};

use crate::common::{exact_nats, gaussian, points, sdes};

/// The exact score times a factor.
struct Scaled(MixtureScore<f64>, f64);

impl ScoreFn<HostBatch<f64>> for Scaled {
    fn score(&self, x: &HostBatch<f64>, t: Coef, out: &mut HostBatch<f64>) -> Result<(), SolveError> {
        self.0.score(x, t, out)?;
        out.scale(Coef::All(self.1));
        Ok(())
    }
}

/// Draws of the data as noised up to `likelihood_eps`.
fn draws(sde: &dyn Sde, rows: usize) -> Array2<f64> {
    let all = points(&gaussian(), sde, rows * 4 / 3 + 4);
    // Every fourth one lies elsewhere.
    let kept: Vec<usize> = (0..all.nrows()).filter(|row| row % 4 != 3).take(rows).collect();
    all.select(Axis(0), &kept)
}

fn bound(
    sde: &dyn Sde,
    score: &dyn ScoreFn<HostBatch<f64>>,
    points: ArrayView2<f64>,
    first_row: u64,
    times: u32,
) -> Result<Vec<f64>, SolveError> {
    let draw = Draw {
        step: 0,
        purpose: Purpose::Training,
    };
    let rows = first_row..first_row + points.nrows() as u64;
    let shifts: Vec<f64> = rows.map(|row| uniform(5, draw, row)).collect();
    let job = BoundJob {
        sde,
        score,
        noise: &HostNoise { seed: 5, first_row },
        shifts: &shifts,
        first_row,
    };
    Bound::new(times)?.run(&job, &HostBatch::from_rows(points), &mut |_| true)
}

/// Mean of `bound + exact` over the rows and its standard error.
fn excess(sde: &Arc<dyn Sde>, factor: f64, rows: usize, times: u32) -> (f64, f64) {
    let points = draws(&**sde, rows);
    let exact = exact_nats(&gaussian(), &**sde, sde.domain().likelihood_eps, &points);
    let score = Scaled(MixtureScore::new(gaussian(), sde.clone()), factor);
    let bound = bound(&**sde, &score, points.view(), 0, times).expect("regular");
    let excess: Vec<f64> = bound.iter().zip(&exact).map(|(a, b)| a + b).collect();
    let mean = excess.iter().sum::<f64>() / rows as f64;
    let var = excess.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / (rows as f64 - 1.0);
    (mean, (var / rows as f64).sqrt())
}

/// With the exact score nothing but the prior is left: the Kullback-Leibler divergence of the noised data from it.
#[test]
fn with_the_exact_score_the_bound_is_tight() {
    let data = Gaussian::new(gaussian().component_mean(0), gaussian().component_cov(0)).expect("valid");
    for (name, sde) in sdes() {
        let (mean, error) = excess(&sde, 1.0, 20_000, 8);
        let left = data.prior_kl(&*sde);
        println!("{name:9} excess {mean:.4} +- {error:.4}, prior {left:.4}");
        assert!(error < 0.02, "{name}: {error}");
        assert!((mean - left).abs() < 4.0 * error, "{name}: {mean} {left} {error}");
    }
}

/// A score that is wrong by a share of itself costs half the integral of `g^2` times its mean square.
#[test]
fn a_wrong_score_costs_what_theorem_1_says() {
    let data = Gaussian::new(gaussian().component_mean(0), gaussian().component_cov(0)).expect("valid");
    for (name, sde) in sdes() {
        let (mean, error) = excess(&sde, 1.25, 20_000, 8);
        let domain = sde.domain();
        let (top, low) = (sde.lambda(domain.likelihood_eps), sde.lambda(domain.t_end));
        // In lambda, by the midpoint rule: g^2 dt/2 = -std^2 dlambda, and E|s|^2 is the trace of the inverse covariance.
        let steps = 2_000;
        let costs = (0..steps).map(|i| {
            let t = sde.time_at_lambda(low + (top - low) * (f64::from(i) + 0.5) / f64::from(steps));
            let at = sde.marginal(t);
            let noised = data.noised(at);
            let inverse: f64 = trace_of_inverse(noised.cov());
            at.std.powi(2) * inverse * 0.25_f64.powi(2) * (top - low) / f64::from(steps)
        });
        let cost = costs.sum::<f64>() + data.prior_kl(&*sde);
        println!("{name:9} excess {mean:.4} +- {error:.4}, closed form {cost:.4}");
        assert!(cost > 10.0 * error, "{name}: {cost} {error}");
        assert!((mean - cost).abs() < 4.0 * error, "{name}: {mean} {cost} {error}");
    }
}

/// Of a 3 x 3 matrix, by cofactors.
fn trace_of_inverse(a: &[f64]) -> f64 {
    let minor =
        |i: usize, j: usize, k: usize, l: usize| a[3 * i + k] * a[3 * j + l] - a[3 * i + l] * a[3 * j + k];
    let det = a[0] * minor(1, 2, 1, 2) - a[1] * minor(1, 2, 0, 2) + a[2] * minor(1, 2, 0, 1);
    (minor(1, 2, 1, 2) + minor(0, 2, 0, 2) + minor(0, 1, 0, 1)) / det
}

#[test]
fn a_row_does_not_depend_on_the_others() {
    for (name, sde) in sdes() {
        let points = draws(&*sde, 40);
        let score = MixtureScore::<f64>::new(gaussian(), sde.clone());
        let all = bound(&*sde, &score, points.view(), 0, 3).expect("regular");
        let part = bound(&*sde, &score, points.slice(s![17..29, ..]), 17, 3).expect("regular");
        assert_eq!(all[17..29], part, "{name}");
    }
}

#[test]
fn what_cannot_be_bounded_is_refused() {
    let (_, sde) = &sdes()[0];
    let score = MixtureScore::<f64>::new(gaussian(), sde.clone());
    let points = draws(&**sde, 4);
    for times in [0, u32::MAX] {
        let error = Bound::new(times).expect_err("no such number").to_string();
        assert!(
            error.starts_with(&format!("bound.times = {times}: must lie")),
            "{error}"
        );
    }
    let empty = Array2::zeros((0, 3));
    let error = bound(&**sde, &score, empty.view(), 0, 1).expect_err("no rows");
    assert!(matches!(error, SolveError::Shape { .. }), "{error}");
    let job = BoundJob {
        sde: &**sde,
        score: &score,
        noise: &HostNoise {
            seed: 0,
            first_row: 0,
        },
        shifts: &[0.5; 3],
        first_row: 0,
    };
    let x = HostBatch::from_rows(points.view());
    let run = |job: &BoundJob<_>, watch: &mut dyn FnMut(u32) -> bool| {
        Bound::new(4).expect("valid").run(job, &x, watch)
    };
    let error = run(&job, &mut |_| true).expect_err("a shift lacks").to_string();
    assert_eq!(error, "shifts of the times of a bound: got 3, need 4, one a row");
    let job = BoundJob {
        shifts: &[0.5; 4],
        ..job
    };
    let error = run(&job, &mut |k| k < 1).expect_err("stopped");
    assert!(matches!(error, SolveError::Stopped { steps: 2, .. }), "{error}");

    let mut bad = points.clone();
    bad[[2, 1]] = f64::NAN;
    let error = bound(&**sde, &score, bad.view(), 10, 4).expect_err("not finite");
    assert!(
        matches!(
            error,
            SolveError::NonFinite {
                what: "score",
                row: 12,
                step: 0,
                ..
            }
        ),
        "{error}"
    );
}
