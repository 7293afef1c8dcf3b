//! Embedded Runge-Kutta pairs with one step size per row: a row's steps depend on that row only.

use std::ops::ControlFlow;

use super::Rhs;
use super::controller::{Memory, PiController};
use super::tableau::{MAX_STAGES, Tableau};
use crate::{Coef, SolveError, State, StepInfo, StopReason, Tolerance};

/// What bounds an adaptive run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Tolerance of the local error.
    pub tolerance: Tolerance,
    /// Most attempted steps of a row.
    pub max_steps: u64,
    /// Smallest step, in units of time; steps are also refused below ten units in the last place of the time.
    pub min_step: f64,
}

/// What an adaptive run cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdaptiveStats {
    /// Evaluations of the row that needed most.
    pub nfe: u64,
    /// Accepted steps of the row that needed most.
    pub steps: u64,
    /// Rejected steps, summed over rows.
    pub rejected: u64,
    /// Evaluations that the rows needed, summed.
    pub row_evaluations: u64,
    /// Why it ended.
    pub stop: StopReason,
}

/// Where one row stands.
#[derive(Debug, Clone, Copy)]
struct Row {
    t: f64,
    /// Size of the next attempt, positive; zero once the row is done.
    h: f64,
    /// Whether the next attempt ends at the end time exactly.
    last: bool,
    memory: Memory,
    accepted: u64,
    attempts: u64,
}

impl Row {
    fn done(&self) -> bool {
        self.h == 0.0
    }
}

/// Integrates `dx/dt = f` from `start` down to `end < start` in place.
///
/// Every row has its own time and step size; all rows are evaluated together, finished ones stay as they are. No evaluation lies
/// outside `[end, start]`. Start step: Hairer, Norsett and Wanner 1993, II.4 (one evaluation more). Evaluations of a row with a
/// first-same-as-last pair of `s` stages: `2 + (s - 1) attempts`. Memory: `s + 2` states, and `s + 1` numbers a row.
///
/// # Errors
/// [`SolveError::StepLimit`] and [`SolveError::StepTooSmall`] name the row; [`SolveError::NonFinite`] where the slope at an accepted
/// state is not finite, or no step size makes it so; those of the right-hand side.
///
/// # Panics
/// Where the tableau has no error estimate or is not first-same-as-last, an invariant of the callers here.
#[allow(clippy::too_many_arguments)]
pub fn integrate<S: State, R: Rhs<S>>(
    tableau: &Tableau,
    rhs: &mut R,
    start: f64,
    end: f64,
    limits: Limits,
    first_row: u64,
    x: &mut S,
    round: &mut dyn FnMut(&StepInfo, &S) -> ControlFlow<()>,
) -> Result<AdaptiveStats, SolveError> {
    let error_weights = tableau.error.expect("adaptive tableaus carry an error estimate");
    assert!(
        tableau.first_same_as_last,
        "adaptive tableaus are first-same-as-last"
    );
    let mut w = Work::new(tableau, x);
    let stages = tableau.stages();
    w.t.fill(start);
    rhs.eval(x, Coef::PerRow(&w.t), &mut w.slopes[0])?;
    for (what, state) in [("state", &*x), ("score", &w.slopes[0])] {
        if let Some(row) = state.first_non_finite_row() {
            return Err(SolveError::NonFinite {
                what,
                row: first_row + row as u64,
                t: start,
                step: 0,
            });
        }
    }
    let mut rows = first_steps(tableau, rhs, start, end, limits.tolerance, x, &mut w)?;
    let controller = PiController::new(tableau.order);
    let mut info = StepInfo {
        step: 0,
        steps: None,
        t: start,
        nfe: 2,
        first_row,
    };
    let mut stop = StopReason::Finished;
    while rows.iter().any(|row| !row.done()) {
        for (index, row) in rows.iter_mut().enumerate().filter(|(_, row)| !row.done()) {
            prepare(row, end, limits, first_row + index as u64)?;
        }
        for stage in 1..stages {
            w.stage(tableau, stage, &rows, end, x);
            rhs.eval(&w.next, Coef::PerRow(&w.t), &mut w.slopes[stage])?;
        }
        w.estimate(error_weights, &rows, limits.tolerance, x);
        for (index, row) in rows.iter_mut().enumerate() {
            w.accept[index] = !row.done() && judge(row, w.error[index], &controller, end);
            if !row.done() && !w.error[index].is_finite() && too_small(row, limits) {
                let what = if w.row_is_finite(index) { "state" } else { "score" };
                let (row_id, step) = (first_row + index as u64, row.attempts - 1);
                return Err(SolveError::NonFinite {
                    what,
                    row: row_id,
                    t: row.t,
                    step,
                });
            }
        }
        x.select_rows(&w.accept, &w.next);
        let (head, tail) = w.slopes.split_at_mut(stages - 1);
        head[0].select_rows(&w.accept, &tail[0]);
        let t = rows.iter().map(|row| row.t).fold(end, f64::max);
        info = StepInfo {
            t,
            nfe: info.nfe + stages as u64 - 1,
            ..info
        };
        if round(&info, x).is_break() {
            stop = StopReason::Stopped;
            break;
        }
        info.step += 1;
    }
    let evaluations = |row: &Row| 2 + (stages as u64 - 1) * row.attempts;
    Ok(AdaptiveStats {
        nfe: rows.iter().map(evaluations).max().unwrap_or(0),
        steps: rows.iter().map(|row| row.accepted).max().unwrap_or(0),
        rejected: rows.iter().map(|row| row.attempts - row.accepted).sum(),
        row_evaluations: rows.iter().map(evaluations).sum(),
        stop,
    })
}

/// Whether the next step of the row would be too small to take.
fn too_small(row: &Row, limits: Limits) -> bool {
    row.h < limits.min_step.max(10.0 * f64::EPSILON * row.t.abs())
}

/// Fits the next attempt to the end time and checks the limits.
fn prepare(row: &mut Row, end: f64, limits: Limits, index: u64) -> Result<(), SolveError> {
    if row.attempts >= limits.max_steps {
        return Err(SolveError::StepLimit {
            row: index,
            t: row.t,
            steps: limits.max_steps,
        });
    }
    let left = row.t - end;
    row.last = 1.01 * row.h >= left;
    if row.last {
        row.h = left;
    } else if too_small(row, limits) {
        return Err(SolveError::StepTooSmall {
            row: index,
            t: row.t,
            step_size: row.h,
        });
    }
    row.attempts += 1;
    Ok(())
}

/// Books an attempt; returns whether it counts.
fn judge(row: &mut Row, error: f64, controller: &PiController, end: f64) -> bool {
    let decision = controller.decide(error, &mut row.memory);
    if !decision.accept {
        row.h *= decision.factor;
        return false;
    }
    row.accepted += 1;
    if row.last {
        (row.t, row.h) = (end, 0.0);
    } else {
        (row.t, row.h) = ((row.t - row.h).max(end), row.h * decision.factor);
    }
    true
}

/// Everything that a run allocates.
struct Work<S> {
    slopes: Vec<S>,
    next: S,
    /// The stage whose slope the error estimate does not use: the estimate is written there.
    free: usize,
    /// Times of the evaluation, one a row.
    t: Vec<f64>,
    /// Factors of the slopes, one vector a stage.
    coefs: [Vec<f64>; MAX_STAGES],
    error: Vec<f64>,
    accept: Vec<bool>,
}

impl<S: State> Work<S> {
    fn new(tableau: &Tableau, x: &S) -> Self {
        let rows = x.rows();
        let error = tableau.error.unwrap_or_default();
        let free = (1..tableau.stages() - 1)
            .find(|&j| error.get(j) == Some(&0.0))
            .unwrap_or(tableau.stages());
        let slopes = tableau.stages() + usize::from(free == tableau.stages());
        Self {
            slopes: (0..slopes).map(|_| x.zeros_like()).collect(),
            next: x.zeros_like(),
            free,
            t: vec![0.0; rows],
            coefs: std::array::from_fn(|_| vec![0.0; rows]),
            error: vec![0.0; rows],
            accept: vec![false; rows],
        }
    }

    /// Argument and times of a stage.
    fn stage(&mut self, tableau: &Tableau, stage: usize, rows: &[Row], end: f64, x: &S) {
        let c = tableau.c[stage];
        for (t, row) in self.t.iter_mut().zip(rows) {
            *t = if row.done() || (row.last && c == 1.0) {
                end
            } else {
                (row.t - c * row.h).max(end)
            };
        }
        let weights = tableau.a[stage];
        scale_weights(&mut self.coefs, weights, rows);
        combine(&mut self.next, Some(x), &self.coefs, weights, &self.slopes, &[]);
    }

    /// Scaled error of each row.
    fn estimate(&mut self, weights: &[f64], rows: &[Row], tolerance: Tolerance, x: &S) {
        scale_weights(&mut self.coefs, weights, rows);
        let (before, rest) = self.slopes.split_at_mut(self.free);
        let (estimate, after) = rest.split_first_mut().expect("the free slot exists");
        combine(estimate, None, &self.coefs, weights, before, after);
        estimate.error_rows(x, &self.next, tolerance, &mut self.error);
    }

    /// Whether the slopes of a row are finite; for messages only.
    fn row_is_finite(&self, wanted: usize) -> bool {
        let mut finite = true;
        for (_, slope) in self
            .slopes
            .iter()
            .enumerate()
            .filter(|(slot, _)| *slot != self.free)
        {
            slope.read_rows(&mut |row, values| {
                finite &= row != wanted || values.iter().all(|value| value.is_finite());
            });
        }
        finite
    }
}

/// `coefs_j[row] <- -weights_j h_row`.
fn scale_weights(coefs: &mut [Vec<f64>], weights: &[f64], rows: &[Row]) {
    for (coefs, weight) in coefs
        .iter_mut()
        .zip(weights)
        .filter(|(_, weight)| **weight != 0.0)
    {
        for (coef, row) in coefs.iter_mut().zip(rows) {
            *coef = -weight * row.h;
        }
    }
}

/// `out <- x + sum_j coefs_j slopes_j` in one pass, over the stages with a weight; without `x` the sum alone. The slopes are
/// `before`, then one that has no weight where there are any `after`, then those.
fn combine<S: State>(
    out: &mut S,
    x: Option<&S>,
    coefs: &[Vec<f64>],
    weights: &[f64],
    before: &[S],
    after: &[S],
) {
    let mut terms = [(Coef::All(1.0), x.unwrap_or(&before[0])); MAX_STAGES + 1];
    let mut used = usize::from(x.is_some());
    let later = after
        .iter()
        .enumerate()
        .map(|(j, slope)| (before.len() + 1 + j, slope));
    let slopes = before.iter().enumerate().chain(later);
    for (j, slope) in slopes
        .take_while(|(j, _)| *j < weights.len())
        .filter(|(j, _)| weights[*j] != 0.0)
    {
        terms[used] = (Coef::PerRow(&coefs[j]), slope);
        used += 1;
    }
    out.lincomb(&terms[..used]);
}

/// The start step of every row (Hairer, Norsett and Wanner 1993, II.4, "starting step size").
fn first_steps<S: State, R: Rhs<S>>(
    tableau: &Tableau,
    rhs: &mut R,
    start: f64,
    end: f64,
    tolerance: Tolerance,
    x: &S,
    w: &mut Work<S>,
) -> Result<Vec<Row>, SolveError> {
    let span = start - end;
    let [state_norm, slope_norm, h0, change, ..] = &mut w.coefs;
    x.error_rows(x, x, tolerance, state_norm);
    w.slopes[0].error_rows(x, x, tolerance, slope_norm);
    for ((h, state), slope) in h0.iter_mut().zip(&*state_norm).zip(&*slope_norm) {
        let guess = if *state < 1e-5 || *slope < 1e-5 {
            1e-6 * span
        } else {
            0.01 * state / slope
        };
        *h = -(guess.min(span));
    }
    w.next
        .lincomb(&[(Coef::All(1.0), x), (Coef::PerRow(h0), &w.slopes[0])]);
    for (t, h) in w.t.iter_mut().zip(&*h0) {
        *t = (start + h).max(end);
    }
    let (first, others) = w.slopes.split_at_mut(1);
    rhs.eval(&w.next, Coef::PerRow(&w.t), &mut others[0])?;
    others[0].axpy(Coef::All(-1.0), &first[0]);
    others[0].error_rows(x, x, tolerance, change);
    let order = f64::from(tableau.order);
    let row = |index: usize| {
        let h0 = -h0[index];
        let steepest = slope_norm[index].max(change[index] / h0);
        let h1 = if steepest <= 1e-15 {
            (1e-6 * span).max(1e-3 * h0)
        } else {
            (0.01 / steepest).powf(1.0 / order)
        };
        let h = if h1.is_finite() && h1 > 0.0 {
            (100.0 * h0).min(h1)
        } else {
            h0
        };
        Row {
            t: start,
            // Never zero, which would mean a finished row: an infinite slope ends as a step that is too small.
            h: h.min(span).max(f64::MIN_POSITIVE),
            last: false,
            memory: Memory::default(),
            accepted: 0,
            attempts: 0,
        }
    };
    Ok((0..x.rows()).map(row).collect())
}
