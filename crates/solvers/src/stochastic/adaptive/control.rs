//! Factors of the stages and step sizes, row by row.

use sde_core::Sde;

use crate::real::Real;
use crate::simd::Kernel;

/// Exponent of the error in the step size control.
const EXPONENT: f64 = 0.9;
/// Least and largest factor between steps.
const FACTORS: (f64, f64) = (0.2, 10.0);

/// The SDE at the times of the rows: drift coefficient and squared diffusion.
#[derive(Debug)]
pub(super) struct Rates {
    drift_coef: Vec<f64>,
    diffusion_sq: Vec<f64>,
}

impl Rates {
    pub(super) fn new(rows: usize) -> Self {
        Self {
            drift_coef: vec![0.0; rows],
            diffusion_sq: vec![0.0; rows],
        }
    }

    pub(super) fn find(&mut self, sde: &dyn Sde, times: &[f64]) {
        sde.rates(times, &mut self.drift_coef, &mut self.diffusion_sq);
    }

    /// Takes those of one row.
    #[inline]
    pub(super) fn take(&mut self, row: usize, from: &Self) {
        self.drift_coef[row] = from.drift_coef[row];
        self.diffusion_sq[row] = from.diffusion_sq[row];
    }
}

/// Factors of one stage of all rows: state (the first stage in the second), score, increment.
#[derive(Debug)]
pub(super) struct Coefs {
    pub(super) state: Vec<f64>,
    pub(super) score: Vec<f64>,
    pub(super) noise: Vec<f64>,
}

/// Factors of both stages. The second one has half the state in it besides.
#[derive(Debug)]
pub(super) struct Stages {
    eta: f64,
    /// Zero for the rows that take the mean of their attempt, else one.
    pub(super) noisy: Vec<f64>,
    pub(super) coefs: [Coefs; 2],
}

impl Stages {
    pub(super) fn new(rows: usize, eta: f64) -> Self {
        let coefs = || Coefs {
            state: vec![0.0; rows],
            score: vec![0.0; rows],
            noise: vec![0.0; rows],
        };
        Self {
            eta,
            noisy: vec![1.0; rows],
            coefs: [coefs(), coefs()],
        }
    }
}

/// Finds the factors of the attempts between two times a row, with the SDE at both.
pub(super) struct Prepare<'a>(
    pub(super) &'a mut Stages,
    pub(super) [&'a [f64]; 2],
    pub(super) [&'a Rates; 2],
);

impl Kernel for Prepare<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: pulp::Simd>(self, _: S) {
        let Self(stages, [from, to], rates) = self;
        let Stages { eta, noisy, coefs } = stages;
        let (eta, half) = (*eta, 0.5 * (1.0 + *eta * *eta));
        for ((share, rates), coefs) in [1.0, 0.5].into_iter().zip(rates).zip(coefs) {
            let rows = noisy.len();
            let (from, to, noisy) = (&from[..rows], &to[..rows], &noisy[..rows]);
            let (drift, variance) = (&rates.drift_coef[..rows], &rates.diffusion_sq[..rows]);
            let (state, score) = (&mut coefs.state[..rows], &mut coefs.score[..rows]);
            let noise = &mut coefs.noise[..rows];
            for row in 0..rows {
                let h = from[row] - to[row];
                state[row] = share * (1.0 - h * drift[row]);
                score[row] = share * h * (half * variance[row]);
                noise[row] = share * noisy[row] * (eta * variance[row].sqrt());
            }
        }
    }
}

/// Lengths of the next attempts: `safety error^-0.9` times the last one, within bounds; the least for an error that is not finite.
pub(super) struct NextLengths<'a> {
    pub(super) error: &'a [f64],
    pub(super) ends: [&'a [f64]; 2],
    pub(super) log2_safety: f64,
    pub(super) out: &'a mut [f64],
}

impl Kernel for NextLengths<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: pulp::Simd>(self, _: S) {
        /// Rows at a time.
        const LANES: usize = 16;
        /// Errors beyond these give the factor at its bound whatever else.
        const BOUNDS: (f64, f64) = (1e-12, 1e12);
        let log2_most = FACTORS.1.log2();
        let [from, to] = self.ends;
        for start in (0..self.error.len()).step_by(LANES) {
            let n = LANES.min(self.error.len() - start);
            let [mut errors, mut lengths] = [[1.0; LANES]; 2];
            errors[..n].copy_from_slice(&self.error[start..start + n]);
            for i in 0..n {
                lengths[i] = from[start + i] - to[start + i];
            }
            for (error, length) in errors.iter().zip(&mut lengths) {
                let bounded = if *error < BOUNDS.1 { *error } else { BOUNDS.1 };
                let bounded = if bounded > BOUNDS.0 { bounded } else { BOUNDS.0 };
                let below = self.log2_safety - EXPONENT * bounded.log2_positive() - log2_most;
                let scaled = FACTORS.1 * (if below < 0.0 { below } else { 0.0 }).exp2_nonpositive();
                *length *= if scaled > FACTORS.0 { scaled } else { FACTORS.0 };
            }
            self.out[start..start + n].copy_from_slice(&lengths[..n]);
        }
    }
}
