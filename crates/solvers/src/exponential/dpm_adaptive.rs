use std::mem;

use sde_core::Sde;

use super::Prediction;
use super::dpm_singlestep::{Factors, Formulas, StagedOrder};
use crate::observe::NanGuard;
use crate::rk::adaptive::Limits;
use crate::sampler::level::Level;
use crate::sampler::{CountedScore, Final, Job, MethodInfo, Sampler, Scratch, SolveStats, StopReason};
use crate::{Coef, Observer, SolveError, State, StepInfo};

/// Length of the first attempt in `lambda`.
const FIRST_STEP: f64 = 0.05;
/// Factor below one that keeps the next step from being just too long.
const SAFETY: f64 = 0.9;
/// Factor of a step whose error is not finite.
const SHRINK: f64 = 0.2;

/// DPM-Solver-12 and -23 with step size control in `lambda`, one step size per row.
///
/// Each attempt takes a step of the order and, from the same evaluations, one of the order below. The error is the root mean
/// square over a row of their difference in units of `max(atol, rtol max(|x_lower|, |x_prev|))`, `x_prev` the lower-order result of the
/// row's last accepted step. A step with `error <= 1` counts and leaves the result of the higher order; either way the next attempt is
/// `0.9 error^(-1/order)` as long, at most what is left. The first attempt is 0.05 long.
///
/// Source: Lu et al. 2022, arXiv:2206.00927, the adaptive algorithm of their appendix, and the authors' code, which takes the largest
/// error of the batch as everybody's; here a row's steps depend on that row alone, and for one row both are the same. A run ends at the
/// end time exactly.
///
/// The published tolerance is loose where the state shrinks on its way, as under VE and EDM: steps from the prior's scale are measured
/// in units of that scale, so take a smaller `rtol` there. Stages lie inside the attempt; the score at its end is first evaluated by the
/// next one.
///
/// Evaluations of a row: `order` an attempt. Finished rows stay as they are. Memory: eight states, and some thirty numbers a row.
#[derive(Debug, Clone)]
pub struct DpmAdaptive {
    pub(crate) prediction: Prediction,
    pub(crate) order: StagedOrder,
    pub(crate) t_start: f64,
    pub(crate) t_end: f64,
    /// `min_step` in units of `lambda`.
    pub(crate) limits: Limits,
    pub(crate) final_step: Final,
}

/// Distance from the end in `lambda` that is not worth a step of its own.
const SLIVER: f64 = 1e-9;

/// Where one row stands.
#[derive(Debug, Clone, Copy)]
struct Row {
    level: Level,
    /// Length of the next attempt in `lambda`.
    h: f64,
    /// Where the attempt ends, and its stages. All at the end for a row that is done.
    to: Level,
    stages: [Level; 2],
    done: bool,
    accepted: u64,
    attempts: u64,
}

impl Row {
    fn new(start: Level) -> Self {
        Self {
            level: start,
            h: FIRST_STEP,
            to: start,
            stages: [start; 2],
            done: false,
            accepted: 0,
            attempts: 0,
        }
    }

    /// Whether the next step would be too small to take.
    fn too_small(&self, limits: Limits) -> bool {
        self.h
            < limits
                .min_step
                .max(10.0 * f64::EPSILON * self.level.lambda.abs().max(1.0))
    }

    /// Fits the next attempt to the end and checks the limits.
    fn prepare(
        &mut self,
        run: &DpmAdaptive,
        sde: &dyn Sde,
        end: Level,
        index: u64,
    ) -> Result<(), SolveError> {
        if self.attempts >= run.limits.max_steps {
            return Err(SolveError::StepLimit {
                row: index,
                t: self.level.t,
                steps: run.limits.max_steps,
            });
        }
        let (from, left) = (self.level.lambda, end.lambda - self.level.lambda);
        if self.h + SLIVER >= left {
            (self.h, self.to) = (left, end);
        } else if self.too_small(run.limits) {
            return Err(SolveError::StepTooSmall {
                row: index,
                t: self.level.t,
                step_size: self.h,
            });
        } else {
            self.to = Level::at_lambda(sde, from + self.h);
        }
        let h = self.to.lambda - from;
        self.stages = run.order.stages().map(|r| Level::at_lambda(sde, from + r * h));
        self.attempts += 1;
        Ok(())
    }

    /// Books the attempt; returns whether it counts.
    fn judge(&mut self, error: f64, order: u8, end: Level) -> bool {
        let factor = if error.is_finite() {
            SAFETY * error.powf(-1.0 / f64::from(order))
        } else {
            SHRINK
        };
        self.h *= factor;
        if error.is_nan() || error > 1.0 {
            return false;
        }
        self.accepted += 1;
        self.level = self.to;
        self.done = self.to == end;
        if self.done {
            self.stages = [end; 2];
        }
        true
    }
}

/// Everything that a run allocates.
struct Work<S> {
    /// The score at the start of the attempt; what is under construction.
    scratch: Scratch<S>,
    /// State and score of a stage.
    stage: S,
    stage_score: S,
    /// The result of the lower order, and that of the row's last accepted step.
    lower: S,
    before: S,
    t: Vec<f64>,
    factors: [Vec<f64>; 4],
    error: Vec<f64>,
    accept: Vec<bool>,
}

impl<S: State> Work<S> {
    fn new(x: &S) -> Self {
        let rows = x.rows();
        Self {
            scratch: Scratch::new(x),
            stage: x.zeros_like(),
            stage_score: x.zeros_like(),
            lower: x.zeros_like(),
            before: x.clone(),
            t: vec![0.0; rows],
            factors: std::array::from_fn(|_| vec![0.0; rows]),
            error: vec![0.0; rows],
            accept: vec![false; rows],
        }
    }

    /// `next <-` what these factors make of `x`, its score, the stage and its score; `count` of them.
    fn combine(&mut self, rows: &[Row], count: usize, factors: impl Fn(&Row) -> Factors, x: &S) {
        for (index, row) in rows.iter().enumerate() {
            for (all, factor) in self.factors.iter_mut().zip(factors(row)) {
                all[index] = factor;
            }
        }
        let states = [x, &self.scratch.score, &self.stage, &self.stage_score];
        let mut terms = [(Coef::All(0.0), x); 4];
        for ((term, factors), state) in terms.iter_mut().zip(&self.factors).zip(states) {
            *term = (Coef::PerRow(factors), state);
        }
        self.scratch.next.lincomb(&terms[..count]);
    }
}

/// One run.
struct Run<'a, S: State> {
    method: &'a DpmAdaptive,
    sde: &'a dyn Sde,
    score: &'a CountedScore<'a, S>,
    first_row: u64,
    rows: Vec<Row>,
    w: Work<S>,
}

impl<S: State> Run<'_, S> {
    /// Makes stage number `index` from what was combined, with its score.
    fn stage(&mut self, index: usize) -> Result<(), SolveError> {
        let w = &mut self.w;
        mem::swap(&mut w.stage, &mut w.scratch.next);
        for (t, row) in w.t.iter_mut().zip(&self.rows) {
            *t = row.stages[index].t;
        }
        let times = Coef::PerRow(&w.t);
        self.score.evaluate(&w.stage, times, &mut w.stage_score)
    }

    /// One attempt of every row: the result of the order in `next`, that of the order below in `lower`, and their distance.
    fn attempt(&mut self, x: &S) -> Result<(), SolveError> {
        let formulas = Formulas {
            prediction: self.method.prediction,
        };
        for (t, row) in self.w.t.iter_mut().zip(&self.rows) {
            *t = row.level.t;
        }
        let times = Coef::PerRow(&self.w.t);
        self.score.evaluate(x, times, &mut self.w.scratch.score)?;
        let to_stage = |row: &Row| formulas.first(&row.level, &row.stages[0]);
        self.w.combine(&self.rows, 2, to_stage, x);
        self.stage(0)?;
        let [r1, r2] = self.method.order.stages();
        let (rows, w) = (&self.rows, &mut self.w);
        match self.method.order {
            StagedOrder::Two => {
                w.combine(rows, 2, |row| formulas.first(&row.level, &row.to), x);
                mem::swap(&mut w.lower, &mut w.scratch.next);
                let end = |row: &Row| formulas.second(&row.level, &row.stages[0], r1, &row.to);
                w.combine(rows, 4, end, x);
            }
            StagedOrder::Three => {
                let end = |row: &Row| formulas.second(&row.level, &row.stages[0], r1, &row.to);
                w.combine(rows, 4, end, x);
                mem::swap(&mut w.lower, &mut w.scratch.next);
                let to_stage =
                    |row: &Row| formulas.slope(&row.level, &row.stages[0], r1 / r2, &row.stages[1]);
                w.combine(rows, 4, to_stage, x);
                self.stage(1)?;
                let end = |row: &Row| formulas.slope(&row.level, &row.stages[1], r2, &row.to);
                self.w.combine(&self.rows, 4, end, x);
            }
        }
        let w = &mut self.w;
        w.stage
            .lincomb(&[(Coef::All(1.0), &w.scratch.next), (Coef::All(-1.0), &w.lower)]);
        let tolerance = self.method.limits.tolerance;
        w.stage
            .error_rows_max(&w.lower, &w.before, tolerance, &mut w.error);
        Ok(())
    }

    /// Judges the attempts and moves the rows whose count.
    fn judge(&mut self, end: Level, x: &mut S) -> Result<(), SolveError> {
        let (order, w) = (self.method.order.number(), &mut self.w);
        for (index, row) in self.rows.iter_mut().enumerate() {
            w.accept[index] = !row.done && row.judge(w.error[index], order, end);
            if row.done || w.error[index].is_finite() {
                continue;
            }
            let score_is_bad = !is_finite(&w.scratch.score, index);
            if score_is_bad || row.too_small(self.method.limits) {
                let late = !is_finite(&w.stage_score, index);
                return Err(SolveError::NonFinite {
                    what: if score_is_bad || late { "score" } else { "state" },
                    row: self.first_row + index as u64,
                    t: row.level.t,
                    step: row.attempts - 1,
                });
            }
        }
        x.select_rows(&w.accept, &w.scratch.next);
        w.before.select_rows(&w.accept, &w.lower);
        Ok(())
    }
}

/// Whether a row is finite; for messages only.
fn is_finite<S: State>(state: &S, wanted: usize) -> bool {
    let mut finite = true;
    state.read_rows(&mut |row, values| {
        finite &= row != wanted || values.iter().all(|value| value.is_finite());
    });
    finite
}

impl<S: State> Sampler<S> for DpmAdaptive {
    fn info(&self) -> MethodInfo {
        let order = self.order.number();
        MethodInfo {
            name: "dpm-solver",
            order: f64::from(order),
            evaluations: u32::from(order),
            stochastic: false,
            couples_rows: false,
        }
    }

    fn t_start(&self) -> f64 {
        self.t_start
    }

    fn run(&self, job: &Job<S>, x: &mut S, observer: &mut dyn Observer<S>) -> Result<SolveStats, SolveError> {
        let score = CountedScore::new(job.score);
        let guard = NanGuard::new(job.first_row);
        let (start, end) = (Level::at(job.sde, self.t_start), Level::at(job.sde, self.t_end));
        guard.check(x, None, start.t, start.t, 0)?;
        let mut run = Run {
            method: self,
            sde: job.sde,
            score: &score,
            first_row: job.first_row,
            rows: vec![Row::new(start); x.rows()],
            w: Work::new(x),
        };
        let mut info = StepInfo {
            step: 0,
            steps: None,
            t: start.t,
            nfe: 0,
            first_row: job.first_row,
        };
        observer.start(&info, x);
        let mut stop = StopReason::Finished;
        while run.rows.iter().any(|row| !row.done) {
            for (index, row) in run.rows.iter_mut().enumerate().filter(|(_, row)| !row.done) {
                row.prepare(self, run.sde, end, job.first_row + index as u64)?;
            }
            run.attempt(x)?;
            run.judge(end, x)?;
            info.t = run.rows.iter().map(|row| row.level.t).fold(end.t, f64::max);
            info.nfe = score.nfe();
            if observer.step(&info, x).is_break() {
                stop = StopReason::Stopped;
                break;
            }
            info.step += 1;
        }
        let before = score.nfe();
        let steps = run.rows.iter().map(|row| row.accepted).max().unwrap_or(0);
        if stop == StopReason::Finished {
            let w = &mut run.w.scratch;
            self.final_step
                .apply(job.sde, &score, guard, end.t, steps, x, w)?;
        }
        let (order, after) = (u64::from(self.order.number()), score.nfe() - before);
        let attempts: u64 = run.rows.iter().map(|row| row.attempts).sum();
        let stats = SolveStats {
            nfe: before + after,
            steps,
            rejected: attempts - run.rows.iter().map(|row| row.accepted).sum::<u64>(),
            row_evaluations: order * attempts + after * x.rows() as u64,
            stop,
            t: info.t,
        };
        observer.end(&stats, x);
        Ok(stats)
    }
}
