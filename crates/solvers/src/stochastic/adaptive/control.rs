//! Factors of the stages and of the step sizes, row by row.

use crate::real::Real;
use crate::simd::Kernel;

/// Exponent of the error in the step size control.
const EXPONENT: f64 = 0.9;
/// Least and largest factor between steps.
const FACTORS: (f64, f64) = (0.2, 10.0);

/// Factors of one stage of all rows: state, stage before, score, increment.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) t: Vec<f64>,
    pub(super) state: Vec<f64>,
    pub(super) before: Vec<f64>,
    pub(super) score: Vec<f64>,
    pub(super) noise: Vec<f64>,
}

impl Stage {
    pub(super) fn new(rows: usize) -> Self {
        let zeros = || vec![0.0; rows];
        Self {
            t: zeros(),
            state: zeros(),
            before: zeros(),
            score: zeros(),
            noise: zeros(),
        }
    }

    pub(super) fn set(&mut self, row: usize, t: f64, [state, before, score, noise]: [f64; 4]) {
        self.t[row] = t;
        self.state[row] = state;
        self.before[row] = before;
        self.score[row] = score;
        self.noise[row] = noise;
    }
}

/// Factors from the last lengths to the next, `safety error^-0.9` within bounds; an error that is not finite gives the least.
pub(super) struct Factors<'a> {
    pub(super) error: &'a [f64],
    pub(super) log2_safety: f64,
    pub(super) out: &'a mut [f64],
}

impl Kernel for Factors<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: pulp::Simd>(self, _: S) {
        /// Rows at a time.
        const LANES: usize = 16;
        /// Errors beyond these give the factor at its bound whatever else.
        const BOUNDS: (f64, f64) = (1e-12, 1e12);
        let log2_most = FACTORS.1.log2();
        for (error, out) in self.error.chunks(LANES).zip(self.out.chunks_mut(LANES)) {
            let [mut errors, mut factors] = [[1.0; LANES]; 2];
            errors[..error.len()].copy_from_slice(error);
            for (error, factor) in errors.iter().zip(&mut factors) {
                let bounded = if *error < BOUNDS.1 { *error } else { BOUNDS.1 };
                let bounded = if bounded > BOUNDS.0 { bounded } else { BOUNDS.0 };
                let below = self.log2_safety - EXPONENT * bounded.log2_positive() - log2_most;
                let scaled = FACTORS.1 * (if below < 0.0 { below } else { 0.0 }).exp2_nonpositive();
                *factor = if scaled > FACTORS.0 { scaled } else { FACTORS.0 };
            }
            out.copy_from_slice(&factors[..error.len()]);
        }
    }
}
