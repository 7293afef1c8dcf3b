//! Dense output: the state of all rows at given times, each from the step of its row that covers the time.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use super::rows::Rows;
use super::tableau::Tableau;
use crate::{Coef, State};

/// States at given times, under construction.
///
/// Over a step of `h` from `(t, x_0, k_0)` to `(t + h, x_1, k_1)`, at `t + theta h`, the cubic Hermite polynomial plus
/// `theta^2 (1 - theta)^2 h sum_j d_j k_j` with the weights [`Tableau::dense`] (Hairer, Norsett and Wanner 1993, II.6). Memory: two
/// states, and one for every time that some rows have passed and others not.
pub(super) struct Dense<'a, S> {
    times: &'a [f64],
    /// Number of times done.
    done: usize,
    /// The state at each of the next times, and how many rows it lacks.
    open: VecDeque<(S, usize)>,
    /// States to use again.
    spare: Vec<S>,
    value: S,
    /// `sum_j d_j k_j`.
    bend: S,
    coefs: [Vec<f64>; 5],
    take: Vec<bool>,
}

impl<'a, S: State> Dense<'a, S> {
    /// Nothing yet; `times` descend and do not lie above the start time.
    pub(super) fn new(times: &'a [f64], x: &S) -> Self {
        Self {
            times,
            done: 0,
            open: VecDeque::new(),
            spare: Vec::new(),
            value: x.zeros_like(),
            bend: x.zeros_like(),
            coefs: std::array::from_fn(|_| vec![0.0; x.rows()]),
            take: vec![false; x.rows()],
        }
    }

    /// The start itself, where it is asked for.
    pub(super) fn begin(&mut self, start: f64, x: &S) {
        if self.times.first() == Some(&start) {
            self.open.push_back((x.clone(), 0));
        }
    }

    /// The part of the bend that the stages before the last one give.
    pub(super) fn bend_begins(&mut self, tableau: &Tableau, slopes: &[S]) {
        let Some(weights) = tableau.dense else { return };
        let last = weights.len() - 1;
        let mut terms = [(Coef::All(0.0), &slopes[0]); super::tableau::MAX_STAGES];
        let mut used = 0;
        for (weight, slope) in weights[..last]
            .iter()
            .zip(slopes)
            .filter(|(weight, _)| **weight != 0.0)
        {
            terms[used] = (Coef::All(*weight), slope);
            used += 1;
        }
        self.bend.lincomb(&terms[..used]);
    }

    /// Takes in the accepted steps of a round.
    pub(super) fn record(
        &mut self,
        tableau: &Tableau,
        rows: &Rows,
        (from, t_from): (&S, &[f64]),
        to: &S,
        [first, last]: [&S; 2],
        accept: &[bool],
    ) {
        if let Some(weights) = tableau.dense {
            self.bend.axpy(Coef::All(weights[weights.len() - 1]), last);
        }
        let reached = (0..rows.len()).filter(|row| accept[*row]).map(|row| rows.to[row]);
        let lowest = reached.fold(f64::INFINITY, f64::min);
        for (index, time) in self.times.iter().enumerate().skip(self.done) {
            if *time < lowest {
                break;
            }
            let mut found = 0;
            for row in 0..rows.len() {
                let (t, to) = (t_from[row], rows.to[row]);
                self.take[row] = accept[row] && to <= *time && *time < t;
                if !self.take[row] {
                    continue;
                }
                found += 1;
                let theta = if *time == to { 1.0 } else { (t - time) / (t - to) };
                let (left, h) = (1.0 - theta, to - t);
                let weights = [
                    left * left * (1.0 + 2.0 * theta),
                    theta * theta * (3.0 - 2.0 * theta),
                    theta * left * left * h,
                    -theta * theta * left * h,
                    theta * theta * left * left * h,
                ];
                for (coefs, weight) in self.coefs.iter_mut().zip(weights) {
                    coefs[row] = weight;
                }
            }
            if found == 0 {
                continue;
            }
            let [a, b, c, d, e] = &self.coefs;
            let terms = [
                (Coef::PerRow(a), from),
                (Coef::PerRow(b), to),
                (Coef::PerRow(c), first),
                (Coef::PerRow(d), last),
                (Coef::PerRow(e), &self.bend),
            ];
            let used = if tableau.dense.is_some() { 5 } else { 4 };
            self.value.lincomb(&terms[..used]);
            while self.open.len() <= index - self.done {
                let fresh = self.spare.pop().unwrap_or_else(|| to.zeros_like());
                self.open.push_back((fresh, rows.len()));
            }
            let (state, lacks) = &mut self.open[index - self.done];
            state.select_rows(&self.take, &self.value);
            *lacks -= found;
        }
    }

    /// Shows the times that all rows have passed, in order, as `show(number, time, state)`; where it breaks, `x` becomes that state.
    pub(super) fn show(
        &mut self,
        x: &mut S,
        mut show: impl FnMut(u64, f64, &S) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        while self.open.front().is_some_and(|(_, lacks)| *lacks == 0) {
            let Some((state, _)) = self.open.pop_front() else {
                break;
            };
            let flow = show(self.done as u64, self.times[self.done], &state);
            self.done += 1;
            if flow.is_break() {
                x.copy_from(&state);
                return flow;
            }
            self.spare.push(state);
        }
        ControlFlow::Continue(())
    }
}
