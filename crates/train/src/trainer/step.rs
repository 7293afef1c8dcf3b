//! One training step, and the state that it changes.

use std::sync::Arc;
use std::time::Instant;

use score_nets::{Autocast, ScoreNet, named_buffers};
use sde_core::{Precond, Sde};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor, no_grad};

use super::conditions::Conditions;
use super::holdout::{Holdout, Validation};
use super::hook::{Action, Hook, StepMetrics};
use super::parameters::{adamw, bind, in_precision};
use super::prefetch::{Address, Prefetch, batch_maker, batch_tensor};
use super::spent::{Part, Spent};
use crate::checkpoint::RunState;
use crate::config::{Budget, NetConfig};
use crate::dist::{self, Comm, Single};
use crate::ema::{Ema, PowerAverages};
use crate::loss::{DrawSource, Loss, PatchLoss};
use crate::optim::{AdamW, FlatParams, Progress, learning_rate};
use crate::{Dataset, RunConfig, TrainError};

/// Steps in a row without a finite loss and gradient after which a run gives up.
pub const MAX_BAD_STEPS: u64 = 10;

/// A network in training: data, objective, optimiser, average, counters. It knows no folder and no clock;
/// [`run`](super::run::run) gives it both.
#[derive(Debug)]
pub struct Trainer {
    pub(super) config: RunConfig,
    pub(super) data: Arc<dyn Dataset>,
    pub(super) net: Autocast,
    pub(super) sde: Arc<dyn Sde>,
    pub(super) precond: Precond,
    pub(super) loss: Box<dyn Loss>,
    pub(super) draws: DrawSource,
    pub(super) prefetch: Prefetch,
    pub(super) validation: Validation,
    pub(super) params: FlatParams,
    pub(super) buffers: Vec<(String, Tensor)>,
    pub(super) optim: AdamW,
    pub(super) ema: Ema,
    pub(super) power: PowerAverages,
    pub(super) state: RunState,
    pub(super) bad_streak: u64,
    pub(super) device: Device,
    pub(super) batch: Tensor,
    pub(super) conditions: Conditions,
    pub(super) spent: Spent,
    pub(super) comm: Box<dyn Comm>,
    pub(super) vs: VarStore,
}

impl Trainer {
    /// Everything from the configuration.
    ///
    /// # Errors
    /// The data cannot be opened, or a table of the configuration is refused.
    pub fn new(config: &RunConfig, device: Device) -> Result<Self, TrainError> {
        let data = crate::data::open(&config.data)?;
        let vs = VarStore::new(device);
        let seed = stream(config.seed, u64::MAX);
        let net = score_nets::seeded(seed, || config.net.build(&vs.root(), data.shape()))?;
        let trainer = Self::with_parts(config, data, vs, net)?;
        Ok(match &config.net {
            NetConfig::Patch(patch) => {
                let whole = trainer.loss;
                Self {
                    loss: Box::new(PatchLoss::new(whole, patch.sizes())),
                    ..trainer
                }
            }
            _ => trainer,
        })
    }

    /// With a data set and a network of the caller's own; `vs` holds the network's variables. Of `config`, the tables
    /// `[data]` and `[net]` are not looked at. The data set is read on a thread of its own, one batch ahead.
    ///
    /// # Errors
    /// A table of the configuration is refused, or it does not fit the data.
    pub fn with_parts(
        config: &RunConfig,
        data: Box<dyn Dataset>,
        vs: VarStore,
        net: Box<dyn ScoreNet>,
    ) -> Result<Self, TrainError> {
        let data: Arc<dyn Dataset> = data.into();
        let sde = config.sde.build()?;
        let precond = config.precond.build(Arc::clone(&sde))?;
        let times = config.loss.common();
        let density = times.time.build(Arc::clone(&sde))?;
        let batch = config.train.batch;
        let Holdout { train, held_out } = Holdout::new(config.seed, data.len(), config.train.holdout);
        if batch > train.len() as u64 {
            let kept_out = match held_out.len() {
                0 => String::new(),
                count => format!(" besides the {count} held out"),
            };
            return Err(TrainError::Data {
                name: data.name().to_owned(),
                reason: format!(
                    "it has {} rows{kept_out}, fewer than train.batch = {batch}; lower train.batch",
                    train.len()
                ),
            });
        }
        let device = vs.device();
        let net = in_precision(net, config.train.precision, device)?;
        let conditions = Conditions::new(data.as_ref(), net.classes(), config.condition.dropout, device)?;
        let validation = Validation::new(
            data.as_ref(),
            &held_out,
            config.seed,
            batch as usize,
            device,
            &conditions,
        )?;
        let loss = config
            .loss
            .build(&sde, &precond, data.shape(), config.seed, device)?;
        let params = bind(&vs, loss.as_ref())?;
        let draws = DrawSource {
            seed: config.seed,
            density,
            stratified: times.stratified,
            low_discrepancy: times.low_discrepancy,
        };
        Ok(Self {
            prefetch: Prefetch::start(batch_maker(config, &data, train, &draws, 0..batch))?,
            draws,
            validation,
            loss,
            optim: AdamW::new(adamw(config), params.values()),
            ema: Ema::new(config.ema.decay, config.ema.warmup, params.values()),
            power: PowerAverages::new(&config.ema.power, params.values()),
            buffers: named_buffers(&vs),
            state: RunState {
                seed: config.seed,
                ..RunState::default()
            },
            bad_streak: 0,
            batch: batch_tensor(batch, data.as_ref(), device)?,
            conditions,
            spent: Spent::default(),
            comm: Box::new(Single),
            config: config.clone(),
            vs,
            params,
            sde,
            precond,
            data,
            net,
            device,
        })
    }

    /// The counters.
    pub fn state(&self) -> &RunState {
        &self.state
    }

    /// The configuration.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// The data set.
    pub fn data(&self) -> &dyn Dataset {
        self.data.as_ref()
    }

    /// Where the time of the steps has gone.
    pub fn spent(&self) -> &Spent {
        &self.spent
    }

    /// How many of the last steps in a row were skipped.
    pub fn bad_streak(&self) -> u64 {
        self.bad_streak
    }

    /// Done part of a budget, after `seconds` of training.
    pub fn fraction(&self, budget: Budget, seconds: f64) -> f64 {
        match budget {
            Budget::Images(images) => self.state.images as f64 / images as f64,
            Budget::Steps(steps) => self.state.step as f64 / steps as f64,
            Budget::Seconds(budget) => seconds / budget,
        }
    }

    /// One step: gather, loss, backward, clip, update, average. `fraction` is the done part of the budget, which
    /// some learning-rate schedules follow. A step whose loss or gradient is not finite leaves weights, moments
    /// and average as they were. One host synchronisation.
    ///
    /// # Errors
    /// [`TrainError::Diverged`] after [`MAX_BAD_STEPS`] such steps in a row; the data set or libtorch fails.
    pub fn step(&mut self, fraction: f64) -> Result<StepMetrics, TrainError> {
        self.step_with(fraction, &mut [])
    }

    /// As [`Trainer::step`]; `words` are replaced by their sums over the ranks, which cost no message of their own.
    pub(super) fn step_with(&mut self, fraction: f64, words: &mut [f64]) -> Result<StepMetrics, TrainError> {
        let started = Instant::now();
        let (rows, pieces) = (self.rows_a_step(), self.config.train.accumulate);
        let lr = learning_rate(
            &self.config.optim,
            Progress {
                images: self.state.images,
                batch: rows,
                fraction,
            },
        );
        let ema_decay = self.ema.next_decay();
        let fail = TrainError::tensor("the backward pass");
        let mut loss = Tensor::from(0.0_f32).to_device(self.device);
        for piece in 0..pieces {
            let share = self.forward(piece)?;
            self.spent
                .on(Part::Backward, || self.params.backward(&share, piece > 0))
                .map_err(&fail)?;
            loss = no_grad(|| loss.f_add(&share)).map_err(&fail)?;
        }
        self.spent.on(Part::Exchange, || {
            dist::sum_anywhere(self.comm.as_ref(), self.params.grads())
        })?;
        let [loss, grad_norm] = self
            .spent
            .on(Part::Norm, || to_host(&loss, self.params.grads()))
            .map_err(&fail)?;
        let [loss, grad_norm] = self.spent.on(Part::Exchange, || {
            // The norm that rank 0 found, so that all clip to the same bits.
            let norm = if dist::leads(self.comm.as_ref()) {
                grad_norm
            } else {
                0.0
            };
            dist::sums_with(self.comm.as_ref(), [loss, norm], words)
        })?;
        let skipped = !(loss.is_finite() && grad_norm.is_finite());
        if skipped {
            self.state.skipped += 1;
            self.bad_streak += 1;
        } else {
            let clip = self.config.optim.clip;
            let scale = if clip > 0.0 && grad_norm > clip {
                clip / grad_norm
            } else {
                1.0
            };
            self.spent.on(Part::Optimiser, || {
                let (values, grads) = (self.params.values(), self.params.grads());
                let averaged = self.ema.blocks(values);
                self.optim.step_blocks(values, grads, lr, scale, averaged);
                self.power.update(self.ema.updates(), values);
                self.ema.count();
            });
            self.bad_streak = 0;
            self.state.push_loss(loss);
        }
        self.state.step += 1;
        self.state.images += rows;
        self.spent.step(started);
        if self.bad_streak >= MAX_BAD_STEPS {
            return Err(TrainError::Diverged {
                step: self.state.step,
                streak: self.bad_streak,
                loss,
                grad_norm,
                lr,
                saved: None,
            });
        }
        Ok(StepMetrics {
            loss,
            grad_norm,
            lr,
            ema_decay,
            skipped,
        })
    }

    /// Whether all that a checkpoint holds is finite and the weights give a finite loss on the next batch: asked
    /// before a checkpoint, since the update of the last step has been tried on nothing yet.
    ///
    /// # Errors
    /// The data set or libtorch fails.
    pub fn healthy(&mut self) -> Result<bool, TrainError> {
        let (first, second) = self.optim.moments();
        let kept = [self.params.values(), self.ema.average(), first, second];
        for kept in kept.into_iter().chain(self.power.averages()) {
            // The sum of magnitudes is finite only if every value is; in f64, so that it does not overflow.
            let sum = no_grad(|| kept.f_abs()?.f_sum(Kind::Double)?.f_double_value(&[]));
            // Weights, moments and averages are those of every rank.
            if !sum.map_err(TrainError::tensor("the weights"))?.is_finite() {
                return Ok(false);
            }
        }
        let spent = self.spent;
        let loss = no_grad(|| self.forward(0))?;
        // Not a step.
        self.spent = spent;
        let loss = loss.f_double_value(&[]).map_err(TrainError::tensor("the loss"))?;
        dist::all(self.comm.as_ref(), loss.is_finite())
    }

    /// Rows that a step sees.
    fn rows_a_step(&self) -> u64 {
        self.config.train.batch * self.config.train.accumulate
    }

    /// The share in the next step's mean loss that one of its batches has.
    fn forward(&mut self, piece: u64) -> Result<Tensor, TrainError> {
        let started = Instant::now();
        let rows = self.rows_a_step() as f64;
        let batch = self.prefetch.batch(Address {
            step: self.state.step,
            images: self.state.images,
            piece,
        })?;
        let fail = TrainError::tensor("the batch");
        let size = self.batch.size();
        let host = Tensor::f_from_slice(&batch.values)
            .and_then(|t| t.f_view(size.as_slice()))
            .map_err(&fail)?;
        no_grad(|| self.batch.f_copy_(&host)).map_err(&fail)?;
        let mut draw = batch
            .draw
            .to_tensors(self.data.shape(), self.device)
            .map_err(&fail)?;
        draw.given = self.conditions.of_batch(&batch.rows, &draw)?;
        self.spent.add(Part::Data, started);
        // Dropout draws from libtorch's generator: seeded each step, so that it carries nothing along.
        let rank = i64::from(self.comm.rank()) << 32;
        let seed = stream(self.config.seed, self.state.step).wrapping_add(piece.cast_signed() + rank);
        score_nets::seeded(seed, || {
            let started = Instant::now();
            let per_row = self.loss.per_row(&self.net, &self.batch, &draw)?;
            let mean = per_row.f_mean(Kind::Float);
            // Of the rows of all pieces and ranks.
            let share = match rows / batch.rows.len() as f64 {
                1.0 => mean,
                parts => mean.and_then(|mean| mean.f_div_scalar(parts)),
            };
            self.spent.add(Part::Forward, started);
            share.map_err(TrainError::tensor("the loss"))
        })
    }

    /// Trains in memory until the budget of the configuration is spent, without a folder.
    ///
    /// # Errors
    /// As [`Trainer::step`].
    pub fn fit(&mut self, hooks: &mut [&mut dyn Hook]) -> Result<(), TrainError> {
        let (budget, started) = (self.config.train.budget(), Instant::now());
        loop {
            let fraction = self.fraction(budget, started.elapsed().as_secs_f64());
            if fraction >= 1.0 {
                return Ok(());
            }
            let metrics = self.step(fraction)?;
            let stop = hooks
                .iter_mut()
                .map(|h| h.after_step(&self.state, &metrics))
                .filter(|&a| a == Action::Stop)
                .count();
            if stop > 0 {
                return Ok(());
            }
        }
    }
}

/// The loss and the norm of the gradient, with one synchronisation.
fn to_host(loss: &Tensor, grads: &Tensor) -> Result<[f64; 2], tch::TchError> {
    let both = no_grad(|| Tensor::f_stack(&[loss, &grads.f_norm()?], 0))?;
    let mut host = [0.0_f32; 2];
    both.f_to_device(Device::Cpu)?.f_copy_data(&mut host, 2)?;
    Ok(host.map(f64::from))
}

/// A seed for libtorch's generator from (seed, number), well mixed (the finaliser of SplitMix64, Steele et al. 2014).
fn stream(seed: u64, number: u64) -> i64 {
    let mut z = seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)).cast_signed()
}
