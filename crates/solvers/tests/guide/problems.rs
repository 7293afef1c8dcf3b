//! Scores that count, posteriors as scores, and sample moments with their bounds.

use std::cell::Cell;
use std::sync::Arc;

use sde_core::{Mixture, Sde};
use solvers::guide::LinearOperator;
use solvers::{Coef, MixtureScore, Sampler, ScoreFn, ScoreVjp, SolveError, State};

use crate::common::{Batch, batch, prior, rows, run, seeded};

/// Counts evaluations.
pub struct Counting<F> {
    pub score: F,
    pub scores: Cell<u32>,
    pub products: Cell<u32>,
}

impl<F> Counting<F> {
    pub fn new(score: F) -> Self {
        Self {
            score,
            scores: Cell::new(0),
            products: Cell::new(0),
        }
    }

    /// Scores and products since the last call.
    pub fn taken(&self) -> (u32, u32) {
        (self.scores.take(), self.products.take())
    }
}

impl<F: ScoreFn<Batch>> ScoreFn<Batch> for Counting<F> {
    fn score(&self, x: &Batch, t: Coef, out: &mut Batch) -> Result<(), SolveError> {
        self.scores.set(self.scores.get() + 1);
        self.score.score(x, t, out)
    }
}

impl<F: ScoreVjp<Batch>> ScoreVjp<Batch> for Counting<F> {
    fn score_vjp(
        &self,
        x: &Batch,
        t: Coef,
        v: &Batch,
        score: &mut Batch,
        vjp: &mut Batch,
    ) -> Result<(), SolveError> {
        self.products.set(self.products.get() + 1);
        self.score.score_vjp(x, t, v, score, vjp)
    }
}

pub fn score_of(mixture: Mixture, sde: &Arc<dyn Sde>) -> MixtureScore<f64> {
    MixtureScore::new(mixture, Arc::clone(sde))
}

/// An operator as a row-major matrix.
pub fn dense(operator: &dyn LinearOperator) -> Vec<f64> {
    let (m, n) = (operator.output_len(), operator.input_len());
    let mut matrix = vec![0.0; m * n];
    let (mut x, mut y) = (vec![0.0; n], vec![0.0; m]);
    for j in 0..n {
        x.fill(0.0);
        x[j] = 1.0;
        operator.apply(&x, &mut y);
        for i in 0..m {
            matrix[i * n + j] = y[i];
        }
    }
    matrix
}

/// States that a run visits at time `t`, more or less: the scale of the kernel, spread over the rows.
pub fn visited(sde: &dyn Sde, t: f64, rows: usize, dim: usize) -> Batch {
    let at = sde.marginal(t);
    batch(rows, dim, |row, d| {
        let u = ((row * 37 + d * 101 + 13) as f64 * 0.618).fract() * 2.0 - 1.0;
        (at.mean_coef + at.std) * 2.0 * u
    })
}

pub fn largest_gap(a: &Batch, b: &Batch) -> f64 {
    let pairs = a.planes().iter().zip(b.planes());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

pub fn largest(a: &Batch) -> f64 {
    a.planes().iter().map(|v| v.abs()).fold(0.0, f64::max)
}

/// Samples of any sampler from its prior.
pub fn sampled(
    sampler: &dyn Sampler<Batch>,
    sde: &dyn Sde,
    score: &dyn ScoreFn<Batch>,
    seed: u64,
    count: usize,
    dim: usize,
) -> Batch {
    let noise = seeded(seed);
    let mut x = prior(sampler, sde, &noise, count, dim);
    run(sampler, sde, score, &noise, &mut x).unwrap();
    x
}

/// Mean and row-major covariance of the rows.
pub fn moments(x: &Batch) -> (Vec<f64>, Vec<f64>) {
    let (all, dim) = (rows(x), x.row_len());
    let n = all.len() as f64;
    let mean: Vec<f64> = (0..dim)
        .map(|d| all.iter().map(|r| r[d]).sum::<f64>() / n)
        .collect();
    let cov = (0..dim * dim)
        .map(|at| (at / dim, at % dim))
        .map(|(i, j)| {
            all.iter()
                .map(|r| (r[i] - mean[i]) * (r[j] - mean[j]))
                .sum::<f64>()
                / n
        })
        .collect();
    (mean, cov)
}

/// Mean and covariance of samples against those of a law: within 4.5 standard errors and a bias allowed to the method, in units
/// of the law's own spread.
pub fn check_moments(name: &str, x: &Batch, law: &Mixture, bias: f64) {
    let (mean, cov) = moments(x);
    let (want_mean, want_cov) = (law.mean(), law.cov());
    let (n, dim) = (x.rows() as f64, law.dim());
    for i in 0..dim {
        let std = want_cov[i * dim + i].sqrt();
        let error = (mean[i] - want_mean[i]).abs() / std;
        assert!(
            error < 4.5 / n.sqrt() + bias,
            "{name}: mean {mean:?} for {want_mean:?}"
        );
        for j in 0..dim {
            // Var of a sample covariance of a Gaussian: (s_ii s_jj + s_ij^2)/n, at most 2 s_ii s_jj/n; mixtures have thinner tails.
            let scale = std * want_cov[j * dim + j].sqrt();
            let error = (cov[i * dim + j] - want_cov[i * dim + j]).abs() / scale;
            assert!(
                error < 4.5 * (2.0 / n).sqrt() + bias,
                "{name}: cov {cov:?} for {want_cov:?}"
            );
        }
    }
}
