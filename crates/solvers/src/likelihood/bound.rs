//! An upper bound on the negative log likelihood of the reverse SDE.

use sde_core::Sde;

use super::{GaussianPrior, no_points};
use crate::config::refuse_in;
use crate::{Coef, Draw, NoiseSource, Purpose, ScoreFn, SolveError, State};

/// Most times a row.
const MOST_TIMES: u32 = 1 << 20;

/// The bound of Song, Durkan, Murray and Ermon (2021, arXiv:2101.09258, theorem 3) on minus the log density of what the reverse
/// SDE draws, started at the prior and run down to `eps = likelihood_eps`:
///
/// ```text
/// -ln p_eps(x) <= -E ln prior(x_T) + int_eps^T E[g^2 (|s|^2 - 2 s . grad ln p(x_t | x_eps = x))/2] dt - d int_eps^T a dt
/// ```
///
/// with `s` the model's score at `x_t` and means over the forward process that starts at `x` at the time `eps`. Like
/// [`super::Likelihood`] it takes the data for values at `eps`, so that both are about one number. Where the score is that of the
/// noised data the two agree, up to the prior; in expectation over the data the bound exceeds minus the exact log density by half the
/// integral of `g^2` times the squared error of the score (their theorem 1). It is no bound on the density of the probability flow,
/// which is another one where the score is not a gradient of the noised density.
///
/// # The estimate
/// With `x_t = m x + r z`, the gradient is `-z/r` and `g^2 dt/2 = -std^2 dlambda`, `std` the standard deviation of the kernel from
/// time 0. Times are even in `lambda`, one in each of [`Bound::times`] equal parts, from `T` down. At each time the estimate is the
/// mean over `z` and `-z` of
///
/// ```text
/// std^2 |s|^2 + 2 (std^2/r) s . z - std^2 (r^2 j^2 - 2 j) (|z|^2 - d)
/// ```
///
/// The pair takes out what would grow as `1/r` near `eps`. The last term has mean zero whatever `j` is, as long as `j` does not depend
/// on `z`; it takes out all of the noise that is left where `s = -j x + c`. So `j` is the slope of the score at the time before, by its
/// own noise, carried over as that of data of one variance `v`: `1/j = mean_coef^2 v + std^2`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    times: u32,
}

/// What a bound is taken of.
#[derive(Clone, Copy)]
pub struct BoundJob<'a, S: State> {
    /// The forward process, with its prior.
    pub sde: &'a dyn Sde,
    /// The model.
    pub score: &'a dyn ScoreFn<S>,
    /// Noise: time number `k` takes the draw `(k, Purpose::Training)`.
    pub noise: &'a dyn NoiseSource<S>,
    /// For each row where in its part each of its times lies, uniform in (0, 1).
    pub shifts: &'a [f64],
    /// Row of the whole batch at which this chunk starts; names rows in errors.
    pub first_row: u64,
}

impl Bound {
    /// With so many times a row, each of two evaluations of the score.
    ///
    /// # Errors
    /// [`SolveError::Config`] at `bound.times` outside 1 to 2^20.
    pub fn new(times: u32) -> Result<Self, SolveError> {
        if !(1..=MOST_TIMES).contains(&times) {
            let reason = format!("must lie between 1 and {MOST_TIMES}");
            return Err(refuse_in("bound", "times", times, reason));
        }
        Ok(Self { times })
    }

    /// Times a row.
    pub fn times(&self) -> u32 {
        self.times
    }

    /// An unbiased estimate of the bound for each row of `x`, nats; `watch` is told the number of each time that is done, and ends
    /// the run by answering `false`. Four states of memory.
    ///
    /// # Errors
    /// [`SolveError::Shape`] for a batch without rows or dimensions, or another number of shifts; those of the model and the noise;
    /// [`SolveError::NonFinite`] naming row and time; [`SolveError::Stopped`].
    pub fn run<S: State>(
        &self,
        job: &BoundJob<S>,
        x: &S,
        watch: &mut dyn FnMut(u32) -> bool,
    ) -> Result<Vec<f64>, SolveError> {
        let (rows, dim) = (x.rows(), x.row_len());
        if rows == 0 || dim == 0 {
            return Err(no_points(rows, dim));
        }
        if job.shifts.len() != rows {
            return Err(SolveError::Shape {
                what: "shifts of the times of a bound",
                got: job.shifts.len().to_string(),
                need: format!("{rows}, one a row"),
            });
        }
        let (sde, domain) = (job.sde, job.sde.domain());
        let (eps, end) = (domain.likelihood_eps, domain.t_end);
        let (low, top) = (sde.lambda(end), sde.lambda(eps));
        let [mut z, mut moved, mut score] = [(); 3].map(|()| x.zeros_like());
        let [mut squares, mut dots, mut lengths, mut slopes, mut sums] = [(); 5].map(|()| vec![0.0; rows]);
        // The variance of the data that would give a score the slope seen last.
        let mut data_vars = vec![0.0; rows];
        let share = (top - low) / f64::from(self.times);
        for k in 0..self.times {
            let times: Vec<f64> = job
                .shifts
                .iter()
                .map(|u| sde.time_at_lambda(low + (f64::from(k) + u) * share))
                .collect();
            let kernels: Vec<_> = times.iter().map(|t| sde.transition(*t, eps)).collect();
            let marginals: Vec<_> = times.iter().map(|t| sde.marginal(*t)).collect();
            let means: Vec<f64> = kernels.iter().map(|kernel| kernel.mean_coef).collect();
            let draw = Draw {
                step: k,
                purpose: Purpose::Training,
            };
            job.noise.normal(draw, &mut z)?;
            z.dot_rows(&z, &mut lengths);
            slopes.fill(0.0);
            for sign in [1.0, -1.0] {
                let stds: Vec<f64> = kernels.iter().map(|kernel| sign * kernel.std).collect();
                moved.lincomb(&[(Coef::PerRow(&means), x), (Coef::PerRow(&stds), &z)]);
                job.score.score(&moved, Coef::PerRow(&times), &mut score)?;
                score.dot_rows(&score, &mut squares);
                score.dot_rows(&z, &mut dots);
                for row in 0..rows {
                    slopes[row] -= 0.5 * dots[row] / stds[row];
                    sums[row] += share * marginals[row].std.powi(2) * 0.5 * squares[row];
                }
            }
            for (row, sum) in sums.iter_mut().enumerate() {
                let (kernel, marginal) = (kernels[row], marginals[row]);
                let (var, scale) = (marginal.std.powi(2), marginal.mean_coef.powi(2));
                let slope = 1.0 / (scale * data_vars[row] + var);
                let known = kernel.std.powi(2) * slope * slope - 2.0 * slope;
                *sum -= share * var * (2.0 * slopes[row] + known * (lengths[row] - dim as f64));
                if !sum.is_finite() {
                    return Err(SolveError::NonFinite {
                        what: "score",
                        row: job.first_row + row as u64,
                        t: times[row],
                        step: u64::from(k),
                    });
                }
                // The slope of a score lies between 0 and 1/std^2.
                let seen = (slopes[row] / lengths[row]).max(0.0);
                data_vars[row] = ((1.0 / seen - var) / scale).max(0.0);
            }
            if !watch(k) {
                return Err(SolveError::Stopped {
                    first_row: job.first_row,
                    t: times.iter().copied().fold(f64::INFINITY, f64::min),
                    steps: u64::from(k) + 1,
                });
            }
        }
        x.dot_rows(x, &mut squares);
        let closing = sde.transition(end, eps);
        let prior = GaussianPrior::of(sde);
        for (sum, square) in sums.iter_mut().zip(&squares) {
            *sum += prior.cross_entropy(dim, closing, *square) - dim as f64 * closing.mean_coef.ln();
        }
        Ok(sums)
    }
}
