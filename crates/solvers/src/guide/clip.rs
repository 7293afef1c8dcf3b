use sde_core::{Marginal, Sde};

use super::work::Pool;
use crate::score::evaluate;
use crate::{Coef, Job, MethodInfo, Observer, Sampler, ScoreFn, SolveError, SolveStats, State};

/// How the estimate of the clean data is kept in its range.
///
/// A score `s` estimates the clean data as `x0 = (x + std^2 s)/mean_coef` (Tweedie). The estimate is clipped, and the score becomes
/// the one that says so. Values inside the range keep the bits of their score; values that are not finite pass, so that the
/// sampler finds and names them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Clip {
    /// `x0 <- clamp(x0, min, max)` (Ho et al. 2020, as their code clips).
    Static {
        /// Least value of clean data.
        min: f64,
        /// Largest value of clean data.
        max: f64,
    },
    /// Dynamic thresholding for data in [-1, 1] (Saharia et al. 2022, arXiv:2205.11487, section 2.3): with `s = max(1, the quantile of
    /// |x0| over the row's values)`, `x0 <- clamp(x0, -s, s)/s`. The quantile is interpolated linearly between order
    /// statistics.
    Dynamic {
        /// Share of the values that decide `s`, in (0, 1].
        quantile: f64,
    },
}

impl Clip {
    /// Clips one row: `x` the state, `score` the score, changed in place. `sizes` is memory.
    fn row(self, at: Marginal, x: &[f64], score: &mut [f64], sizes: &mut Vec<f64>) {
        let var = at.std * at.std;
        // Without noise there is no estimate, or the score does not enter it.
        if !(at.mean_coef > 0.0 && var >= f64::MIN_POSITIVE) {
            return;
        }
        // All in units of mean_coef x0, so that nothing is divided by a mean_coef that may be tiny.
        let (low, high, shrink) = match self {
            Self::Static { min, max } => (at.mean_coef * min, at.mean_coef * max, 1.0),
            Self::Dynamic { quantile } => {
                sizes.clear();
                sizes.extend(x.iter().zip(&*score).map(|(x, score)| (x + var * score).abs()));
                let bound = interpolated_quantile(sizes, quantile).max(at.mean_coef);
                (-bound, bound, at.mean_coef / bound)
            }
        };
        for (x, score) in x.iter().zip(score) {
            let estimate = x + var * *score;
            let inside = shrink == 1.0 && low <= estimate && estimate <= high;
            if inside || !estimate.is_finite() {
                continue;
            }
            *score = (estimate.clamp(low, high) * shrink - x) / var;
        }
    }
}

/// The quantile of finite values, interpolated linearly between order statistics. NaN and infinities count as largest.
fn interpolated_quantile(values: &mut [f64], quantile: f64) -> f64 {
    let Some(last) = values.len().checked_sub(1) else {
        return 0.0;
    };
    let at = quantile * last as f64;
    let below = (at.floor() as usize).min(last);
    let (_, lower, above) = values.select_nth_unstable_by(below, f64::total_cmp);
    let upper = above.iter().copied().min_by(f64::total_cmp).unwrap_or(*lower);
    let share = at - below as f64;
    // Not lower + share (upper - lower): an infinite upper neighbour of share 0 must not count.
    if share > 0.0 {
        *lower + share * (upper - *lower)
    } else {
        *lower
    }
}

/// A score function whose estimate of the clean data is clipped. One evaluation and one pass over the rows; no state is kept.
#[derive(Debug)]
pub struct ClippedScore<'a, S: State, F> {
    score: F,
    sde: &'a dyn Sde,
    clip: Clip,
    pool: Pool<S>,
}

impl<'a, S: State, F> ClippedScore<'a, S, F> {
    /// `score` under `sde`, clipped.
    pub fn new(score: F, sde: &'a dyn Sde, clip: Clip) -> Self {
        Self {
            score,
            sde,
            clip,
            pool: Pool::new(0),
        }
    }
}

impl<S: State, F: ScoreFn<S>> ScoreFn<S> for ClippedScore<'_, S, F> {
    fn score(&self, x: &S, t: Coef, out: &mut S) -> Result<(), SolveError> {
        evaluate(&self.score, x, t, out)?;
        let (mut time, mut at) = (
            f64::NAN,
            Marginal {
                mean_coef: 1.0,
                std: 0.0,
            },
        );
        self.pool.with(x, |work| {
            let sizes = &mut work.rows;
            out.update_rows(x, &mut work.numbers, &mut |row, x, score| {
                if t.at(row) != time {
                    time = t.at(row);
                    at = self.sde.marginal(time);
                }
                self.clip.row(at, x, score, sizes);
            });
        });
        Ok(())
    }

    fn takes_any_rows(&self) -> bool {
        self.score.takes_any_rows()
    }
}

/// A sampler all of whose evaluations are clipped, that of the final Tweedie step included: what `clip_x0` in a sampler's table
/// makes. The cost of the evaluations is that of [`ClippedScore`]; facts and statistics are those of the sampler itself.
///
/// An end without noise (`std = 0`) takes no evaluation and is not clipped; a last act that extrapolates from several estimates may
/// leave the range by a little.
pub struct ClippedSampler<S: State> {
    sampler: Box<dyn Sampler<S>>,
    clip: Clip,
}

impl<S: State> ClippedSampler<S> {
    /// `sampler` with its evaluations clipped.
    pub fn new(sampler: Box<dyn Sampler<S>>, clip: Clip) -> Self {
        Self { sampler, clip }
    }
}

impl<S: State> Sampler<S> for ClippedSampler<S> {
    fn info(&self) -> MethodInfo {
        self.sampler.info()
    }

    fn t_start(&self) -> f64 {
        self.sampler.t_start()
    }

    fn run(&self, job: &Job<S>, x: &mut S, observer: &mut dyn Observer<S>) -> Result<SolveStats, SolveError> {
        let score = ClippedScore::new(job.score, job.sde, self.clip);
        let job = Job {
            score: &score,
            ..*job
        };
        self.sampler.run(&job, x, observer)
    }
}
