//! Negative log likelihood and bits per dimension of rows of data, and a bound on them.

use std::f64::consts::LN_2;
use std::ops::ControlFlow;

use ndarray::ArrayView2;
use score_nets::{NetScore, ScoreNet, TensorState};
use sde_core::{Precond, Sde};
use serde::{Deserialize, Serialize};
use solvers::likelihood::{
    Bound, BoundJob, GaussianPrior, Likelihood, LikelihoodConfig, LikelihoodJob, Quantisation,
};
use solvers::noise::uniform_at;
use solvers::{Draw, Observer, Purpose, SolveError, StepInfo};
use tch::{Device, Kind, Tensor};

use super::Rows;
use super::noise::RowNoise;
use crate::TrainError;
use crate::data::Scaling;
use crate::dist::{self, Comm};
use crate::trainer::StopFlag;

/// How a likelihood is measured.
#[derive(Debug, Clone, PartialEq)]
pub struct LikelihoodOptions {
    /// Divergence and tolerances.
    pub flow: LikelihoodConfig,
    /// Times a row at which the bound looks; 0 for no bound.
    pub bound_times: u32,
    /// How often each row is dequantised and measured, 1 or more; its value is the mean.
    pub repeats: u32,
    /// Rows at a time, 1 or more. Changes memory and speed, and the result by rounding.
    pub batch: usize,
    /// Seed of dequantisation, probes and the noise of the bound, which all belong to the number of a row.
    pub seed: u64,
}

/// A trained model as a density.
#[derive(Debug, Clone, Copy)]
pub struct Density<'a> {
    /// The network.
    pub net: &'a dyn ScoreNet,
    /// How its output becomes a score.
    pub precond: &'a Precond,
    /// The forward process.
    pub sde: &'a dyn Sde,
    /// From data to model.
    pub scaling: &'a Scaling,
    /// Where the network's tensors lie.
    pub device: Device,
    /// Ranks that measure batches in turn; every one of them gets all values.
    pub comm: &'a dyn Comm,
}

/// What was measured of each row, in nats, in the units of the data.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RowValues {
    /// Number of the row in the data set or file.
    pub row: Vec<u64>,
    /// Minus the log density of the probability flow; of quantised data, of the level.
    pub nll: Vec<f64>,
    /// The bound, if asked for.
    pub bound: Vec<f64>,
}

/// The rows that are done, and what they cost.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measured {
    /// Of each row.
    pub rows: RowValues,
    /// Evaluations of the flow, the most of any batch; each is one of the score and one product a probe, or a dimension.
    pub nfe: u64,
    /// Whether the stop flag ended the work.
    pub stopped: bool,
}

/// A mean over rows and its standard error, for which rows are the units that were sampled.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// `s/sqrt(n)` with the sample deviation `s` over the `n` rows; absent for one row.
    pub standard_error: Option<f64>,
}

impl Mean {
    /// Of some values; `None` of none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len() as f64;
        if values.is_empty() {
            return None;
        }
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Some(Self {
            mean,
            standard_error: (count > 1.0).then(|| (squares / (count - 1.0) / count).sqrt()),
        })
    }

    /// The same in bits per dimension.
    #[must_use]
    pub fn bits(self, dim: usize) -> Self {
        let unit = dim as f64 * LN_2;
        Self {
            mean: self.mean / unit,
            standard_error: self.standard_error.map(|error| error / unit),
        }
    }
}

impl Density<'_> {
    /// Measures rows. `progress` gets the done fraction; a set `stop` flag ends the work, and the batches that are
    /// done are told; where there are several ranks, none.
    ///
    /// # Errors
    /// Options or data are refused; the flow of a row cannot be followed: the error names the row by its number. Another rank fails or
    /// is gone.
    pub fn measure(
        &self,
        data: &Rows,
        options: &LikelihoodOptions,
        stop: &StopFlag,
        progress: &mut dyn FnMut(f64),
    ) -> Result<Measured, TrainError> {
        let quantisation = self.scaling.quantisation().transpose()?;
        let flow = options.flow.build(self.sde)?;
        let bound = match options.bound_times {
            0 => None,
            times => Some(Bound::new(times)?),
        };
        let bounds = usize::from(bound.is_some());
        let batches: Vec<&[u64]> = data.numbers().chunks(options.batch.max(1)).collect();
        let lengths: Vec<usize> = batches.iter().map(|rows| rows.len() * (1 + bounds)).collect();
        let count = data.numbers().len() as f64;
        let repeats = options.repeats.max(1);
        let mut nfe = 0;
        let turns = dist::in_turn(self.comm, "likelihoods", &lengths, &mut |number| {
            let numbers = batches[number];
            let raw = data.raw(numbers)?;
            let before = (number * options.batch.max(1)) as f64 / count;
            let share = numbers.len() as f64 / count / f64::from(repeats);
            let mut sums = vec![(0.0, 0.0); numbers.len()];
            for repeat in 0..repeats {
                let work = Batch {
                    density: self,
                    data,
                    numbers,
                    options,
                    repeat,
                };
                let mut show = |inside: f64| progress(before + share * (f64::from(repeat) + inside));
                match work.run(
                    &flow,
                    bound.as_ref(),
                    quantisation.as_ref(),
                    &raw,
                    stop,
                    &mut show,
                ) {
                    Ok(values) => {
                        nfe = nfe.max(values.nfe);
                        for (sum, value) in sums.iter_mut().zip(values.rows) {
                            *sum = (sum.0 + value.0, sum.1 + value.1);
                        }
                    }
                    Err(SolveError::Stopped { .. }) => return Ok(None),
                    Err(error) => return Err(named(error, numbers).into()),
                }
            }
            let nll = sums.iter().map(|sum| sum.0 / f64::from(repeats));
            let bound = sums.iter().map(|sum| sum.1 / f64::from(repeats));
            Ok(Some(nll.chain(bound).take(lengths[number]).collect()))
        })?;
        let mut rows = RowValues::default();
        for (numbers, values) in batches.iter().zip(&turns.parts) {
            let (nll, bound) = values.split_at(values.len() / (1 + bounds));
            rows.row.extend(&numbers[..nll.len()]);
            rows.nll.extend(nll);
            rows.bound.extend(bound);
        }
        Ok(Measured {
            rows,
            nfe: dist::largest(self.comm, nfe)?,
            stopped: turns.stopped,
        })
    }
}

/// Some rows, dequantised once.
struct Batch<'a> {
    density: &'a Density<'a>,
    data: &'a Rows,
    numbers: &'a [u64],
    options: &'a LikelihoodOptions,
    repeat: u32,
}

struct BatchValues {
    /// Minus the log density and the bound of each row.
    rows: Vec<(f64, f64)>,
    nfe: u64,
}

impl Batch<'_> {
    fn run(
        &self,
        flow: &Likelihood,
        bound: Option<&Bound>,
        quantisation: Option<&Quantisation>,
        raw: &[f64],
        stop: &StopFlag,
        progress: &mut dyn FnMut(f64),
    ) -> Result<BatchValues, SolveError> {
        let dim = self.data.row_len();
        let density = self.density;
        let values = self.in_model(quantisation, raw)?;
        let x = self.state(&values)?;
        let given = self.data.given(self.numbers).map_err(|e| failed(&e))?;
        let score = NetScore::new(density.net, density.precond.clone())
            .with_max_rows(self.numbers.len())
            .with_given(given);
        let noise = |draws: u32| RowNoise {
            seed: self.options.seed,
            rows: self.numbers,
            offset: self.repeat.wrapping_mul(draws),
        };
        let job = LikelihoodJob {
            sde: density.sde,
            model: &score,
            noise: &noise(self.options.flow.probes.unwrap_or(0)),
            terminal: &GaussianPrior::of(density.sde),
            first_row: 0,
        };
        let domain = density.sde.domain();
        let span = (
            density.sde.lambda(domain.likelihood_eps),
            density.sde.lambda(domain.t_end),
        );
        // The flow is most of the work.
        let flow_share = if bound.is_some() { 0.9 } else { 1.0 };
        let mut watch = Watch {
            sde: density.sde,
            span,
            stop,
            progress: &mut |done| progress(flow_share * done),
        };
        let run = flow.run_observed(&job, &mut x.clone(), &mut watch)?;
        let mut bounds = vec![0.0; self.numbers.len()];
        if let Some(bound) = bound {
            let draw = Draw {
                step: self.repeat,
                purpose: Purpose::Training,
            };
            let seed = self.options.seed;
            let shifts: Vec<f64> = self
                .numbers
                .iter()
                .map(|row| uniform_at(seed, draw, *row, 0))
                .collect();
            let job = BoundJob {
                sde: density.sde,
                score: &score,
                noise: &noise(bound.times()),
                shifts: &shifts,
                first_row: 0,
            };
            bounds = bound.run(&job, &x, &mut |done| {
                progress(flow_share + (1.0 - flow_share) * f64::from(done) / f64::from(bound.times()));
                !stop.is_set()
            })?;
        }
        // From the density of the model's values to that of the data, or to the probability of a level.
        let in_data = |nats: f64| match quantisation {
            Some(quantisation) => quantisation
                .bits_per_dim(-nats, dim, run.t)
                .map(|bits| bits.value() * dim as f64 * LN_2),
            None => Ok(nats - dim as f64 * density.scaling.factor().abs().ln()),
        };
        let rows = run.nats.iter().zip(&bounds);
        Ok(BatchValues {
            rows: rows
                .map(|(nats, bound)| Ok((in_data(-nats)?, in_data(*bound)?)))
                .collect::<Result<_, SolveError>>()?,
            nfe: run.stats.nfe,
        })
    }

    /// The rows in the model's scale, dequantised where they are levels.
    fn in_model(&self, quantisation: Option<&Quantisation>, raw: &[f64]) -> Result<Vec<f64>, SolveError> {
        let scaling = self.density.scaling;
        let Some(quantisation) = quantisation else {
            return Ok(raw.iter().map(|value| scaling.to_model(*value)).collect());
        };
        let dim = self.data.row_len();
        let mut values = Vec::with_capacity(raw.len());
        for (row, levels) in self.numbers.iter().zip(raw.chunks_exact(dim)) {
            let scaled: Vec<f64> = levels.iter().map(|level| quantisation.scaled(*level)).collect();
            let scaled = ArrayView2::from_shape((1, dim), &scaled).expect("invariant: one row of its length");
            values.extend(quantisation.dequantise(scaled, self.options.seed, self.repeat, *row)?);
        }
        Ok(values)
    }

    /// The rows as a batch, in double precision where the device has it.
    fn state(&self, values: &[f64]) -> Result<TensorState, SolveError> {
        let mut size = vec![self.numbers.len() as i64];
        size.extend_from_slice(self.data.shape());
        let device = self.density.device;
        let kind = match device {
            Device::Mps => Kind::Float,
            _ => Kind::Double,
        };
        let tensor = Tensor::f_from_slice(values)
            .and_then(|t| t.f_view(size.as_slice()))
            .and_then(|t| t.f_to_kind(kind))
            .and_then(|t| t.f_to_device(device))
            .map_err(|e| failed(&e))?;
        TensorState::new(tensor).map_err(|e| failed(&e))
    }
}

/// An error on the way to the score.
fn failed(error: &dyn std::error::Error) -> SolveError {
    SolveError::Score {
        t: 0.0,
        reason: error.to_string(),
    }
}

/// The error with the number that its row has in the data.
fn named(mut error: SolveError, numbers: &[u64]) -> SolveError {
    if let SolveError::NonFinite { row, .. }
    | SolveError::StepLimit { row, .. }
    | SolveError::StepTooSmall { row, .. } = &mut error
        && let Some(number) = usize::try_from(*row).ok().and_then(|at| numbers.get(at))
    {
        *row = *number;
    }
    error
}

/// Shows how far the slowest row is, evenly in log signal-to-noise ratio, and looks at the stop flag.
struct Watch<'a> {
    sde: &'a dyn Sde,
    span: (f64, f64),
    stop: &'a StopFlag,
    progress: &'a mut dyn FnMut(f64),
}

impl Observer<TensorState> for Watch<'_> {
    fn step(&mut self, info: &StepInfo, _x: &TensorState) -> ControlFlow<()> {
        let (from, to) = self.span;
        (self.progress)((from - self.sde.lambda(info.t)) / (from - to));
        match self.stop.is_set() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}
