//! What is done with a network in training besides training it: checkpoints taken and restored, samples drawn.

use std::path::Path;

use score_nets::{TensorState, weights};
use solvers::Sampler;
use tch::{Device, Tensor};

use super::Trainer;
use super::parameters::OF_LOSS;
use super::signals::StopFlag;
use crate::TrainError;
use crate::checkpoint::{RunState, Snapshot, TENSOR_FILES};
use crate::config::ConditionConfig;
use crate::ema::snapshots;
use crate::log::Histogram;
use crate::sample::{Model, SampleOptions, Samples, Told};

impl Trainer {
    /// Everything that a checkpoint holds; the tensors are views, valid until the next step.
    pub fn snapshot(&self) -> Snapshot {
        let of_loss = |(name, _): &(String, Tensor)| name.starts_with(OF_LOSS);
        let with_buffers = |flat: &Tensor| {
            let mut named = self.params.named_views(flat);
            named.retain(|named| !of_loss(named));
            named.extend(
                self.buffers
                    .iter()
                    .map(|(name, tensor)| (name.clone(), tensor.shallow_clone())),
            );
            named
        };
        let (first, second) = self.optim.moments();
        let prefixed = |prefix: &str, flat: &Tensor| -> Vec<(String, Tensor)> {
            let views = self.params.named_views(flat);
            views
                .into_iter()
                .map(|(name, view)| (format!("{prefix}.{name}"), view))
                .collect()
        };
        let mut optim = prefixed("first", first);
        optim.extend(prefixed("second", second));
        for (number, average) in self.power.averages().iter().enumerate() {
            optim.extend(prefixed(&format!("power{number}"), average));
        }
        // What the objective has learned is no part of the model.
        for (prefix, flat) in [("value", self.params.values()), ("average", self.ema.average())] {
            let mut views = self.params.named_views(flat);
            views.retain(of_loss);
            optim.extend(
                views
                    .into_iter()
                    .map(|(name, view)| (format!("{prefix}.{name}"), view)),
            );
        }
        let mut state = self.state.clone();
        state.optim_updates = self.optim.updates();
        state.ema_updates = self.ema.updates();
        Snapshot {
            net: with_buffers(self.params.values()),
            ema: with_buffers(self.ema.average()),
            optim,
            state,
        }
    }

    /// Goes back to a checkpoint whose files have been verified.
    ///
    /// # Errors
    /// The tensors do not fit this network, or the checkpoint is of another seed.
    pub fn restore(&mut self, folder: &Path, state: &RunState) -> Result<(), TrainError> {
        if state.seed != self.config.seed {
            let reason = format!(
                "the checkpoint has seed {}, the configuration {}",
                state.seed, self.config.seed
            );
            return Err(TrainError::Format {
                path: folder.to_path_buf(),
                reason,
            });
        }
        let into = self.snapshot();
        for (name, tensors) in TENSOR_FILES.into_iter().zip([into.net, into.ema, into.optim]) {
            weights::load(&folder.join(name), &tensors)?;
        }
        self.optim.set_updates(state.optim_updates);
        self.ema.set_updates(state.ema_updates);
        self.state = state.clone();
        self.bad_streak = 0;
        Ok(())
    }

    /// Writes the power-function averages as they are now into the folder of the run, if any are kept.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_power_averages(&self, run: &Path) -> Result<(), TrainError> {
        let averages = self.power.averages();
        if averages.is_empty() || self.ema.updates() == 0 {
            return Ok(());
        }
        let profiles: Vec<_> = averages
            .iter()
            .map(|flat| self.params.named_views(flat))
            .collect();
        snapshots::write(run, self.ema.updates(), &profiles)
    }

    /// How the values of every parameter are spread.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn histograms(&self) -> Result<Vec<(String, Histogram)>, TrainError> {
        let mut all = Vec::new();
        for (name, tensor) in self.params.named_views(self.params.values()) {
            let mut values = vec![0.0_f32; tensor.numel()];
            tensor
                .f_to_device(Device::Cpu)
                .and_then(|host| host.f_contiguous()?.f_copy_data(&mut values, tensor.numel()))
                .map_err(TrainError::tensor("the weights"))?;
            all.extend(Histogram::of(&values).map(|one| (format!("weights/{name}"), one)));
        }
        Ok(all)
    }

    /// Loss of the averaged weights on the held-out rows; `None` where none are held out, and where it is not finite.
    ///
    /// # Errors
    /// The network or libtorch fails.
    pub fn validation_loss(&mut self) -> Result<Option<f64>, TrainError> {
        self.params.swap(self.ema.average_mut());
        let loss = self.validation.loss(
            self.net.net(),
            self.loss.as_ref(),
            &self.draws,
            self.comm.as_ref(),
        );
        self.params.swap(self.ema.average_mut());
        Ok(loss?.filter(|loss| loss.is_finite()))
    }

    /// The sampler of the configuration.
    ///
    /// # Errors
    /// A key of `[sampler]` is refused.
    pub fn sampler(&self) -> Result<Box<dyn Sampler<TensorState>>, TrainError> {
        Ok(self.config.sampler.build(self.sde.as_ref())?)
    }

    /// Other classes, or another guidance, for the samples to come.
    pub fn set_condition(&mut self, condition: ConditionConfig) {
        self.config.condition = condition;
    }

    /// Draws samples with the averaged weights.
    ///
    /// # Errors
    /// The sampler or the network fails.
    pub fn sample(
        &mut self,
        sampler: &dyn Sampler<TensorState>,
        count: u64,
        seed: u64,
    ) -> Result<Samples, TrainError> {
        let options = SampleOptions {
            count,
            seed,
            batch: 0,
            trajectory: false,
        };
        self.sample_with(sampler, options, &StopFlag::default(), &mut |_| {})
    }

    /// As [`Trainer::sample`], with the batch in the caller's hand, progress, and a flag that ends the draw.
    ///
    /// # Errors
    /// As [`Trainer::sample`].
    pub fn sample_with(
        &mut self,
        sampler: &dyn Sampler<TensorState>,
        options: SampleOptions,
        stop: &StopFlag,
        progress: &mut dyn FnMut(f64),
    ) -> Result<Samples, TrainError> {
        let told =
            Told::read(&self.config.condition, self.data.shape(), self.device)?.or(self.conditions.told());
        self.params.swap(self.ema.average_mut());
        let model = Model {
            net: self.net.net(),
            precond: &self.precond,
            sde: self.sde.as_ref(),
            shape: self.data.shape(),
            device: self.device,
            condition: &self.config.condition,
            told: &told,
            comm: self.comm.as_ref(),
        };
        let samples = model.sample(sampler, options, stop, progress);
        self.params.swap(self.ema.average_mut());
        samples
    }
}
