//! Embedded Runge-Kutta pairs with one step size per row: a row's steps depend on that row only.

use std::mem;
use std::ops::ControlFlow;

use super::Rhs;
use super::controller::PiController;
use super::dense::Dense;
use super::rows::Rows;
use super::start::first_steps;
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

/// Integrates `dx/dt = f` from `start` down to `end < start` in place.
///
/// Every row has its own time and step size; all rows are evaluated together. Rows that have reached the end stay as they are, and
/// leave the evaluated batch where the right-hand side takes any rows ([`Rhs::takes_any_rows`]) and the state can give them up. No
/// evaluation lies outside `[end, start]`. Start step: Hairer, Norsett and Wanner 1993, II.4 (one evaluation more). Evaluations of a
/// row with a first-same-as-last pair of `s` stages: `2 + (s - 1) attempts`. Memory: `s + 1` states with the batch itself, eight at
/// most, and a few numbers a row. `round` is called after each round of attempts.
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
    integrate_saving(tableau, rhs, (start, end), limits, first_row, x, &[], round)
}

/// [`integrate`] with dense output: `show` is called with the state of all rows at each of the times `save_at`, which descend inside
/// `[end, start]`, as soon as every row has passed it; where it breaks, `x` is that state. With no times `show` is called after each
/// round of attempts.
///
/// Between the ends of a step a row follows the pair's interpolant: order 4 for `dp5` (Shampine 1986) and `tsit5` (Tsitouras 2011),
/// order 3 for `bosh3` (cubic Hermite). It costs no evaluation. Memory, besides that of [`integrate`]: two states, and one for every
/// time that some rows have passed and others not. No row leaves the batch.
///
/// # Errors
/// As [`integrate`].
///
/// # Panics
/// As [`integrate`].
#[allow(clippy::too_many_arguments)]
pub fn integrate_saving<S: State, R: Rhs<S>>(
    tableau: &Tableau,
    rhs: &mut R,
    (start, end): (f64, f64),
    limits: Limits,
    first_row: u64,
    x: &mut S,
    save_at: &[f64],
    show: &mut dyn FnMut(&StepInfo, &S) -> ControlFlow<()>,
) -> Result<AdaptiveStats, SolveError> {
    let mut w = Work::new(tableau, x);
    w.t.fill(start);
    rhs.eval(x, Coef::PerRow(&w.t), &mut w.slopes[0])?;
    let place = |row: usize| first_row + row as u64;
    for (what, state) in [("state", &*x), ("score", &w.slopes[0])] {
        if let Some(row) = state.first_non_finite_row() {
            let row = place(row);
            return Err(SolveError::NonFinite {
                what,
                row,
                t: start,
                step: 0,
            });
        }
    }
    let (first, others) = w.slopes.split_at_mut(1);
    let (tolerance, next) = (limits.tolerance, &mut w.next);
    let h = first_steps(
        tableau,
        rhs,
        (start, end),
        tolerance,
        x,
        &first[0],
        &mut others[0],
        next,
        &mut w.t,
    )?;
    let mut rows = Rows::new(start, h);
    let controller = PiController::new(tableau.order);
    let evaluations = tableau.evaluations() as u64;
    let mut dense = (!save_at.is_empty()).then(|| Dense::new(save_at, x));
    let mut may_leave = rhs.takes_any_rows() && dense.is_none();
    // The rows under way, once others have left; `x` then holds all.
    let mut part: Option<S> = None;
    let mut active = rows.len() as u64;
    let mut attempts = 0;
    let mut stats = AdaptiveStats {
        nfe: if active > 0 { 2 } else { 0 },
        steps: 0,
        rejected: 0,
        row_evaluations: 2 * active,
        stop: StopReason::Finished,
    };
    let mut info = StepInfo {
        step: 0,
        steps: (!save_at.is_empty()).then_some(save_at.len() as u64),
        t: start,
        nfe: 2,
        first_row,
    };
    if let Some(dense) = &mut dense {
        dense.begin(start, x);
        if dense
            .show(x, |step, t, x| show(&StepInfo { step, t, ..info }, x))
            .is_break()
        {
            stats.stop = StopReason::Stopped;
            return Ok(stats);
        }
    }
    while active > 0 {
        if attempts >= limits.max_steps {
            let at = rows.h.iter().position(|h| *h > 0.0).unwrap_or(0);
            let (row, t) = (place(rows.id[at]), rows.t[at]);
            return Err(SolveError::StepLimit {
                row,
                t,
                steps: limits.max_steps,
            });
        }
        if let Some(at) = rows.prepare(end, limits) {
            let (row, t, step_size) = (place(rows.id[at]), rows.t[at], rows.h[at]);
            return Err(SolveError::StepTooSmall { row, t, step_size });
        }
        let state = part.as_mut().unwrap_or(&mut *x);
        w.attempt(tableau, rhs, &rows, end, tolerance, state, dense.as_mut())?;
        if dense.is_some() {
            w.from.copy_from_slice(&rows.t);
        }
        let sum = rows.judge(&w.error, &controller, end, limits, &mut w.accept);
        if let Some(at) = (sum.broken > 0).then(|| rows.broken(&w.error, limits)).flatten() {
            let what = if w.row_is_finite(at) { "state" } else { "score" };
            let (row, t) = (place(rows.id[at]), rows.t[at]);
            return Err(SolveError::NonFinite {
                what,
                row,
                t,
                step: attempts,
            });
        }
        if let Some(dense) = &mut dense {
            let slopes = [&w.slopes[0], &w.slopes[LAST]];
            dense.record(tableau, &rows, (state, &w.from), &w.next, slopes, &w.accept);
        }
        state.select_rows(&w.accept, &w.next);
        let (head, tail) = w.slopes.split_at_mut(LAST);
        head[0].select_rows(&w.accept, &tail[0]);

        attempts += 1;
        stats.nfe += evaluations;
        stats.rejected += sum.rejected;
        stats.row_evaluations += evaluations * active;
        active -= sum.finished;
        info = StepInfo {
            t: sum.t,
            nfe: stats.nfe,
            ..info
        };
        let flow = if let Some(dense) = &mut dense {
            dense.show(x, |step, t, x| show(&StepInfo { step, t, ..info }, x))
        } else {
            if let Some(part) = &part {
                x.scatter(part, &rows.id);
            }
            show(&info, x)
        };
        if flow.is_break() {
            stats.stop = StopReason::Stopped;
            break;
        }
        info.step += 1;
        if may_leave && active > 0 && worth_leaving(rows.len(), active as usize) {
            stats.steps = stats.steps.max(rows.most_accepted());
            may_leave = w.leave(&mut rows, x, &mut part);
        }
    }
    stats.steps = stats.steps.max(rows.most_accepted());
    Ok(stats)
}

/// Whether enough rows are done to move the others together: an eighth, and some SIMD lanes full.
fn worth_leaving(rows: usize, active: usize) -> bool {
    rows - active >= 16 && 8 * active <= 7 * rows
}

/// Slot of the last slope of a step, free by then.
const LAST: usize = 2;
/// Slot of the error estimate, which takes the place of the second slope.
const ERROR: usize = 1;

/// Everything that a run allocates.
struct Work<S> {
    /// Slopes of all stages but the last one, whose slope goes to [`LAST`].
    slopes: Vec<S>,
    next: S,
    /// Times of the evaluation, one a row.
    t: Vec<f64>,
    /// Times before the step, for dense output.
    from: Vec<f64>,
    error: Vec<f64>,
    accept: Vec<bool>,
    /// Positions of the rows under way.
    positions: Vec<usize>,
}

impl<S: State> Work<S> {
    fn new(tableau: &Tableau, x: &S) -> Self {
        assert!(
            tableau.error.is_some() && tableau.first_same_as_last && tableau.evaluations() > LAST,
            "adaptive tableaus carry an error estimate and are first-same-as-last"
        );
        let rows = x.rows();
        Self {
            slopes: (0..tableau.evaluations()).map(|_| x.zeros_like()).collect(),
            next: x.zeros_like(),
            t: vec![0.0; rows],
            from: vec![0.0; rows],
            error: vec![0.0; rows],
            accept: vec![false; rows],
            positions: Vec::with_capacity(rows),
        }
    }

    /// One step of every row into `next`, its last slope into [`LAST`], its scaled error for a step of size 1.
    #[allow(clippy::too_many_arguments)]
    fn attempt<R: Rhs<S>>(
        &mut self,
        tableau: &Tableau,
        rhs: &mut R,
        rows: &Rows,
        end: f64,
        tolerance: Tolerance,
        x: &S,
        dense: Option<&mut Dense<S>>,
    ) -> Result<(), SolveError> {
        let last = tableau.evaluations();
        for stage in 1..last {
            self.argument(tableau, stage, rows, end, x);
            rhs.eval(&self.next, Coef::PerRow(&self.t), &mut self.slopes[stage])?;
        }
        self.argument(tableau, last, rows, end, x);
        if let Some(dense) = dense {
            dense.bend_begins(tableau, &self.slopes);
        }
        let weights = tableau.error.unwrap_or_default();
        self.estimate(weights);
        rhs.eval(&self.next, Coef::PerRow(&self.t), &mut self.slopes[LAST])?;
        let (head, tail) = self.slopes.split_at_mut(LAST);
        head[ERROR].axpy(Coef::All(weights[last]), &tail[0]);
        head[ERROR].error_rows(x, &self.next, tolerance, &mut self.error);
        Ok(())
    }

    /// Argument and times of a stage.
    fn argument(&mut self, tableau: &Tableau, stage: usize, rows: &Rows, end: f64, x: &S) {
        rows.stage_times(tableau.c[stage], end, &mut self.t);
        let mut terms = [(0.0, x); MAX_STAGES];
        let mut used = 0;
        for (weight, slope) in tableau.a[stage].iter().zip(&self.slopes) {
            if *weight != 0.0 {
                terms[used] = (-weight, slope);
                used += 1;
            }
        }
        self.next.stage(x, &rows.h, &terms[..used]);
    }

    /// The part of the error estimate that the stages before the last one give, into [`ERROR`].
    fn estimate(&mut self, weights: &[f64]) {
        let (head, tail) = self.slopes.split_at_mut(ERROR);
        let Some((estimate, tail)) = tail.split_first_mut() else {
            return;
        };
        let mut terms = [(Coef::All(weights[0]), &head[0]); MAX_STAGES];
        let mut used = 1;
        for (weight, slope) in weights[ERROR + 1..].iter().zip(&*tail) {
            terms[used] = (Coef::All(*weight), slope);
            used += 1;
        }
        if weights[ERROR] == 0.0 {
            estimate.lincomb(&terms[..used]);
        } else {
            estimate.accumulate(Coef::All(weights[ERROR]), &terms[..used]);
        }
    }

    /// Takes the rows that are done out of the working states; `false` where the state cannot give up rows.
    fn leave(&mut self, rows: &mut Rows, x: &S, part: &mut Option<S>) -> bool {
        rows.active(&mut self.positions);
        let count = self.positions.len();
        if !self.next.cut_rows(count) {
            return false;
        }
        let (positions, slopes) = (&self.positions, &mut self.slopes);
        if let Some(part) = part {
            self.next.gather(part, positions);
            mem::swap(&mut self.next, part);
            slopes[ERROR].cut_rows(count);
            let (first, others) = slopes.split_at_mut(ERROR);
            others[0].gather(&first[0], positions);
            slopes.swap(0, ERROR);
            self.next.cut_rows(count);
            for slope in &mut slopes[ERROR..] {
                slope.cut_rows(count);
            }
        } else {
            // Room is made first: together with `x` the smaller states take no more than those before.
            let evaluations = slopes.len();
            slopes.truncate(1);
            let mut moved = self.next.clone();
            moved.gather(&slopes[0], positions);
            slopes[0] = moved;
            let mut moved = slopes[0].clone();
            moved.gather(x, positions);
            self.next = moved.clone();
            slopes.extend((1..evaluations).map(|_| moved.clone()));
            *part = Some(moved);
        }
        rows.keep(positions);
        self.t.truncate(count);
        self.from.truncate(count);
        self.error.truncate(count);
        self.accept.truncate(count);
        true
    }

    /// Whether the slopes of a row are finite; for messages only.
    fn row_is_finite(&self, wanted: usize) -> bool {
        let mut finite = true;
        for slope in &self.slopes {
            slope.read_rows(&mut |row, values| {
                finite &= row != wanted || values.iter().all(|value| value.is_finite());
            });
        }
        finite
    }
}
