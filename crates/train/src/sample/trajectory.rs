//! Some states of the reverse process on the way to the first samples.

use std::ops::ControlFlow;
use std::path::Path;

use ndarray::{ArrayD, IxDyn};
use report::npy::{self, Values};
use score_nets::TensorState;
use sde_core::Sde;
use solvers::{Coef, Observer, ScoreFn, SolveStats, State, StepInfo};
use tch::{Device, Tensor};

use crate::TrainError;
use crate::data::Scaling;

/// States of a trajectory, the noise and the sample among them.
pub const STATES: usize = 9;
/// While the number of steps is not known, so many states wait until some are picked.
const WAITING: usize = 4 * STATES;
/// Rows of series and images.
const ROWS: usize = 8;
/// Rows of points, which are seen as a cloud.
const POINTS: usize = 256;
/// Values of one state, at most; of large rows one is kept in any case.
const MOST_VALUES: usize = 1 << 18;

/// The way of the first rows from the noise to the samples, in the scale of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Trajectory {
    /// Steps done at each state, from 0 on; of adaptive methods, rounds of attempts.
    pub steps: Vec<u64>,
    /// Time of each state; of adaptive methods, whose rows stand at times of their own, the largest over the rows of the batch.
    pub times: Vec<f64>,
    /// Noise level `std / mean_coef` at these times, in units of the data after scaling.
    pub sigmas: Vec<f64>,
    /// The states, row after row; the last one holds the samples.
    pub states: Vec<Vec<f32>>,
    /// What the model takes each state for, `E[x_0 | x_t] = (x_t + std^2 score) / mean_coef` (Robbins 1956; Efron 2011), and at the
    /// end the samples; empty where the times of the rows are not known.
    pub expected: Vec<Vec<f32>>,
    /// Shape of a row.
    pub shape: Vec<i64>,
}

impl Trajectory {
    /// Writes `x` and `x0`, `[states, rows, ...]` as `float32`, and `step`, `t` and `sigma`, `[states]`, as a `.npz`. The layout and
    /// the unit are those of `samples.npz`; the values of images are levels from 0 to 255 that are neither rounded nor cut off.
    ///
    /// # Errors
    /// The file cannot be written; it is whole or not there.
    pub fn write(&self, scaling: &Scaling, path: &Path) -> Result<(), TrainError> {
        let whole = self.steps.iter().map(|&step| step as i64).collect();
        let line = |values: &[f64]| Values::F64(vector(values.to_vec()));
        let mut arrays = vec![
            ("x", Values::F32(self.raw(&self.states, scaling))),
            ("step", Values::I64(vector(whole))),
            ("t", line(&self.times)),
            ("sigma", line(&self.sigmas)),
        ];
        if !self.expected.is_empty() {
            arrays.push(("x0", Values::F32(self.raw(&self.expected, scaling))));
        }
        Ok(npy::write_arrays(path, &arrays)?)
    }

    /// States in the layout and the unit of `samples.npz`.
    fn raw(&self, states: &[Vec<f32>], scaling: &Scaling) -> ArrayD<f32> {
        let images = self.shape.len() == 3;
        let raw = |&value: &f32| match images {
            true => scaling.to_level(value) as f32,
            false => scaling.to_raw(f64::from(value)) as f32,
        };
        let row: Vec<usize> = self.shape.iter().map(|&n| n as usize).collect();
        let row_len: usize = row.iter().product();
        let rows = states.first().map_or(0, |state| state.len() / row_len.max(1));
        let values = states.iter().flatten().map(raw).collect();
        let size = [&[states.len(), rows], row.as_slice()].concat();
        let array = ArrayD::from_shape_vec(IxDyn(&size), values);
        let array = array.expect("invariant: states of as many rows each");
        match images {
            true => array.permuted_axes(IxDyn(&[0, 1, 3, 4, 2])),
            false => array,
        }
    }
}

fn vector<T>(values: Vec<T>) -> ArrayD<T> {
    ndarray::Array1::from_vec(values).into_dyn()
}

/// One state of the first rows.
struct Kept {
    step: u64,
    t: f64,
    values: Vec<f32>,
}

/// Copies states of the first rows while a sampler runs, evenly spread over its steps. Memory: [`STATES`] states of these rows, four
/// times as many where the number of steps is not known beforehand.
pub(super) struct Recorder {
    rows: usize,
    shape: Vec<i64>,
    kept: Vec<Kept>,
    /// Steps done.
    done: u64,
    /// Where the number of steps is not known: the states after multiples of this many are kept.
    every: u64,
    times_known: bool,
}

impl Recorder {
    /// Of a batch of so many rows.
    pub fn new(shape: &[i64], rows: u64) -> Self {
        let row_len = shape.iter().product::<i64>().max(1) as usize;
        let most = if shape.len() == 1 { POINTS } else { ROWS };
        let rows = most.min(rows as usize).min((MOST_VALUES / row_len).max(1));
        Self {
            rows,
            shape: shape.to_vec(),
            kept: Vec::new(),
            done: 0,
            every: 1,
            times_known: true,
        }
    }

    /// Rows of which it takes copies.
    pub fn rows(&self) -> usize {
        self.rows
    }

    fn keep(&mut self, t: f64, x: &TensorState) {
        let head = x.tensor().f_narrow(0, 0, self.rows as i64).ok();
        let head = head.and_then(|head| TensorState::new(head).ok());
        let head = head.expect("invariant: the batch has these rows");
        let mut values = Vec::new();
        head.read_rows(&mut |_, row| values.extend(row.iter().map(|&v| v as f32)));
        let step = self.done;
        self.kept.push(Kept { step, t, values });
    }

    /// The trajectory, with what `score`, that of these rows, makes of its states: one evaluation each.
    ///
    /// # Errors
    /// The network fails.
    pub fn finish(
        self,
        sde: &dyn Sde,
        score: &dyn ScoreFn<TensorState>,
        device: Device,
    ) -> Result<Trajectory, TrainError> {
        let mut expected = Vec::new();
        if let (true, Some((sample, states))) = (self.times_known, self.kept.split_last()) {
            for Kept { t, values, .. } in states {
                expected.push(self.denoised(sde, score, device, *t, values)?);
            }
            expected.push(sample.values.clone());
        }
        Ok(Trajectory {
            steps: self.kept.iter().map(|kept| kept.step).collect(),
            times: self.kept.iter().map(|kept| kept.t).collect(),
            sigmas: self.kept.iter().map(|kept| sde.sigma(kept.t)).collect(),
            states: self.kept.into_iter().map(|kept| kept.values).collect(),
            expected,
            shape: self.shape,
        })
    }

    fn denoised(
        &self,
        sde: &dyn Sde,
        score: &dyn ScoreFn<TensorState>,
        device: Device,
        t: f64,
        values: &[f32],
    ) -> Result<Vec<f32>, TrainError> {
        let size = [&[self.rows as i64], self.shape.as_slice()].concat();
        let x = Tensor::f_from_slice(values)
            .and_then(|x| x.f_view(size.as_slice()))
            .and_then(|x| x.f_to_device(device))
            .map_err(TrainError::tensor("a state of the trajectory"))?;
        let x = TensorState::new(x)?;
        let mut out = x.zeros_like();
        score.score(&x, Coef::All(t), &mut out)?;
        let kernel = sde.marginal(t);
        let mut denoised = Vec::with_capacity(values.len());
        let mut from = values.iter();
        out.read_rows(&mut |_, score| {
            for (score, x) in score.iter().zip(from.by_ref()) {
                let mean = (f64::from(*x) + kernel.std * kernel.std * score) / kernel.mean_coef;
                denoised.push(mean as f32);
            }
        });
        Ok(denoised)
    }
}

impl Observer<TensorState> for Recorder {
    fn start(&mut self, info: &StepInfo, x: &TensorState) {
        self.keep(info.t, x);
    }

    fn step(&mut self, info: &StepInfo, x: &TensorState) -> ControlFlow<()> {
        self.done = info.step + 1;
        match info.steps {
            Some(steps) if self.done < steps && is_turn(self.done, steps) => self.keep(info.t, x),
            Some(_) => {}
            None => {
                self.times_known = false;
                if self.done.is_multiple_of(self.every) {
                    self.keep(info.t, x);
                }
                if self.kept.len() > WAITING {
                    self.every *= 2;
                    self.kept.retain(|kept| kept.step.is_multiple_of(self.every));
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn end(&mut self, stats: &SolveStats, x: &TensorState) {
        // The state after the last step is the sample, or becomes it.
        self.kept.retain(|kept| kept.step == 0 || kept.step < self.done);
        let waiting = self.kept.len() as u64;
        if waiting >= STATES as u64 {
            let mut number = 0;
            self.kept.retain(|_| {
                number += 1;
                is_turn(number - 1, waiting)
            });
        }
        self.keep(stats.t, x);
    }
}

/// Whether a number is one of those that cut `0..=all` into [`STATES`]` - 1` pieces, as even as whole numbers can be.
fn is_turn(number: u64, all: u64) -> bool {
    let pieces = STATES as u64 - 1;
    let cut = |piece: u64| (2 * piece * all + pieces) / (2 * pieces);
    let piece = (number * pieces).checked_div(all).unwrap_or(0);
    (piece..=piece + 1).any(|piece| cut(piece) == number)
}

#[cfg(test)]
#[path = "trajectory_tests.rs"]
mod tests;
