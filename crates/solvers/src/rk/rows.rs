//! Where each row stands: time, step size and what its controller remembers, in planes, so that the rows lie in SIMD lanes.

#![allow(
    clippy::needless_range_loop,
    reason = "index loops are what the vectoriser reads best"
)]

use super::adaptive::Limits;
use super::controller::{Memory, PiController};
use crate::simd::{self, Kernel};

/// The rows under way. A row that has reached the end has `h = 0`.
pub(super) struct Rows {
    /// Row of the chunk.
    pub(super) id: Vec<usize>,
    pub(super) t: Vec<f64>,
    /// Size of the attempt, positive.
    pub(super) h: Vec<f64>,
    /// Time at which the attempt ends.
    pub(super) to: Vec<f64>,
    log2_error: Vec<f64>,
    most: Vec<f64>,
    accepted: Vec<u64>,
}

/// What a round of attempts came to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Round {
    pub(super) rejected: u64,
    pub(super) finished: u64,
    /// The largest time of any row.
    pub(super) t: f64,
    /// Rows that have an error that is not finite and no smaller step left to try.
    pub(super) broken: u64,
}

impl Rows {
    /// All rows at `start` with these first steps.
    pub(super) fn new(start: f64, h: Vec<f64>) -> Self {
        let (count, memory) = (h.len(), Memory::default());
        Self {
            id: (0..count).collect(),
            t: vec![start; count],
            h,
            to: vec![start; count],
            log2_error: vec![memory.log2_error; count],
            most: vec![memory.most; count],
            accepted: vec![0; count],
        }
    }

    pub(super) fn len(&self) -> usize {
        self.h.len()
    }

    /// Largest number of accepted steps.
    pub(super) fn most_accepted(&self) -> u64 {
        self.accepted.iter().copied().max().unwrap_or(0)
    }

    /// Positions of the rows under way.
    pub(super) fn active(&self, out: &mut Vec<usize>) {
        out.clear();
        out.extend((0..self.len()).filter(|at| self.h[*at] > 0.0));
    }

    /// Keeps the rows at these positions, which ascend.
    pub(super) fn keep(&mut self, positions: &[usize]) {
        fn pick<V: Copy>(values: &mut Vec<V>, positions: &[usize]) {
            for (to, from) in positions.iter().enumerate() {
                values[to] = values[*from];
            }
            values.truncate(positions.len());
        }
        pick(&mut self.id, positions);
        pick(&mut self.accepted, positions);
        for values in [
            &mut self.t,
            &mut self.h,
            &mut self.to,
            &mut self.log2_error,
            &mut self.most,
        ] {
            pick(values, positions);
        }
    }

    /// Fits the next attempts to the end time; the first position whose step is too small, if any.
    pub(super) fn prepare(&mut self, end: f64, limits: Limits) -> Option<usize> {
        let kernel = Prepare {
            t: &self.t,
            h: &mut self.h,
            to: &mut self.to,
            end,
            min_step: limits.min_step,
        };
        if !simd::dispatch(kernel) {
            return None;
        }
        (0..self.len()).find(|at| self.to[*at] != end && self.h[*at] < smallest(self.t[*at], limits.min_step))
    }

    /// Times of a stage at the fraction `c` of the step.
    pub(super) fn stage_times(&self, c: f64, end: f64, out: &mut [f64]) {
        if c == 1.0 {
            out.copy_from_slice(&self.to);
            return;
        }
        simd::dispatch(StageTimes {
            t: &self.t,
            h: &self.h,
            c,
            end,
            out,
        });
    }

    /// Books the attempts by their errors for steps of size 1; `accept` tells which count.
    pub(super) fn judge(
        &mut self,
        error: &[f64],
        controller: &PiController,
        end: f64,
        limits: Limits,
        accept: &mut [bool],
    ) -> Round {
        simd::dispatch(Judge {
            rows: self,
            error,
            controller,
            end,
            min_step: limits.min_step,
            accept,
        })
    }

    /// The first position with an error that is not finite and no smaller step left to try.
    pub(super) fn broken(&self, error: &[f64], limits: Limits) -> Option<usize> {
        (0..self.len()).find(|at| {
            self.h[*at] > 0.0
                && !error[*at].is_finite()
                && self.h[*at] < smallest(self.t[*at], limits.min_step)
        })
    }
}

/// The smallest step at time `t`.
#[inline(always)]
fn smallest(t: f64, min_step: f64) -> f64 {
    let resolved = 10.0 * f64::EPSILON * t.abs();
    if resolved > min_step { resolved } else { min_step }
}

struct Prepare<'a> {
    t: &'a [f64],
    h: &'a mut [f64],
    to: &'a mut [f64],
    end: f64,
    min_step: f64,
}

impl Kernel for Prepare<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<S: pulp::Simd>(self, _: S) -> bool {
        let count = self.t.len();
        let (t, h, to) = (&self.t[..count], &mut self.h[..count], &mut self.to[..count]);
        let mut small = false;
        for i in 0..count {
            let left = t[i] - self.end;
            let last = 1.01 * h[i] >= left;
            small |= !last & (h[i] < smallest(t[i], self.min_step));
            h[i] = if last { left } else { h[i] };
            to[i] = if last { self.end } else { t[i] - h[i] };
        }
        small
    }
}

struct StageTimes<'a> {
    t: &'a [f64],
    h: &'a [f64],
    c: f64,
    end: f64,
    out: &'a mut [f64],
}

impl Kernel for StageTimes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: pulp::Simd>(self, _: S) {
        for ((out, t), h) in self.out.iter_mut().zip(self.t).zip(self.h) {
            let at = t - self.c * h;
            *out = if at > self.end { at } else { self.end };
        }
    }
}

struct Judge<'a> {
    rows: &'a mut Rows,
    error: &'a [f64],
    controller: &'a PiController,
    end: f64,
    min_step: f64,
    accept: &'a mut [bool],
}

impl Kernel for Judge<'_> {
    type Output = Round;

    #[inline(always)]
    fn run<S: pulp::Simd>(self, _: S) -> Round {
        let (rows, controller, end) = (self.rows, *self.controller, self.end);
        let count = rows.h.len();
        let mut sum = Round::default();
        let mut latest = [end; STRIP];
        let [mut t, mut h, mut log2_error, mut most, mut factor] = [[0.0; STRIP]; 5];
        let mut taken = [0_u64; STRIP];
        // Strips in local arrays: with slices the compiler would have to check too many pairs for overlap.
        for start in (0..count).step_by(STRIP) {
            let n = STRIP.min(count - start);
            let strip = start..start + n;
            let (to, error) = (&rows.to[strip.clone()], &self.error[strip.clone()]);
            t[..n].copy_from_slice(&rows.t[strip.clone()]);
            h[..n].copy_from_slice(&rows.h[strip.clone()]);
            log2_error[..n].copy_from_slice(&rows.log2_error[strip.clone()]);
            most[..n].copy_from_slice(&rows.most[strip.clone()]);
            for i in 0..n {
                let mut memory = Memory {
                    log2_error: log2_error[i],
                    most: most[i],
                };
                let decision = controller.decide(error[i] * h[i], &mut memory);
                (log2_error[i], most[i]) = (memory.log2_error, memory.most);
                factor[i] = decision.factor;
                taken[i] = u64::from(decision.accept & (h[i] > 0.0));
            }
            for i in 0..n {
                let (under_way, finite) = (h[i] > 0.0, (error[i] * h[i]).is_finite());
                let took = taken[i] == 1;
                let done = took & (to[i] == end);
                t[i] = if took { to[i] } else { t[i] };
                h[i] = if done { 0.0 } else { h[i] * factor[i] };
                sum.finished += u64::from(done);
                sum.rejected += u64::from(under_way & !took);
                sum.broken += u64::from(under_way & !finite & (h[i] < smallest(t[i], self.min_step)));
                latest[i] = if t[i] > latest[i] { t[i] } else { latest[i] };
            }
            rows.t[strip.clone()].copy_from_slice(&t[..n]);
            rows.h[strip.clone()].copy_from_slice(&h[..n]);
            rows.log2_error[strip.clone()].copy_from_slice(&log2_error[..n]);
            rows.most[strip.clone()].copy_from_slice(&most[..n]);
            let (accepted, accept) = (&mut rows.accepted[strip.clone()], &mut self.accept[strip]);
            for i in 0..n {
                accepted[i] += taken[i];
            }
            for i in 0..n {
                accept[i] = taken[i] == 1;
            }
        }
        sum.t = latest.iter().copied().fold(end, f64::max);
        sum
    }
}

/// Rows at a time.
const STRIP: usize = 64;
