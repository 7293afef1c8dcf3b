//! What is trained: the network in its precision; its parameters and the objective's own, in one buffer.

use score_nets::{Autocast, NetError, Precision, ScoreNet, named_parameters};
use tch::Device;
use tch::nn::VarStore;

use super::Trainer;
use crate::config::Source;
use crate::ema::{Ema, PowerAverages};
use crate::loss::Loss;
use crate::optim::{AdamW, AdamWConfig, FlatParams};
use crate::{RunConfig, TrainError};

/// Starts the names of the objective's own parameters.
pub(super) const OF_LOSS: &str = "loss/";

/// Binds the parameters of a network and an objective.
pub(super) fn bind(vs: &VarStore, loss: &dyn Loss) -> Result<FlatParams, TrainError> {
    let mut all = named_parameters(vs);
    if let Some((name, _)) = all.iter().find(|(name, _)| name.starts_with(OF_LOSS)) {
        let reason = format!("parameter {name}: names that start with {OF_LOSS} belong to the loss");
        return Err(TrainError::network(reason));
    }
    let own = loss.parameters().into_iter();
    all.extend(own.map(|(name, tensor)| (format!("{OF_LOSS}{name}"), tensor)));
    FlatParams::bind(all)
}

/// The constants of the optimiser.
pub(super) fn adamw(config: &RunConfig) -> AdamWConfig {
    AdamWConfig {
        beta1: config.optim.betas[0],
        beta2: config.optim.betas[1],
        eps: config.optim.eps,
        weight_decay: config.optim.weight_decay,
    }
}

/// The network as training steps see it.
pub(super) fn in_precision(
    net: Box<dyn ScoreNet>,
    precision: Precision,
    device: Device,
) -> Result<Autocast, TrainError> {
    match precision.check(device) {
        Ok(()) => Ok(Autocast::new(net, precision)),
        Err(NetError::Value { value, need, .. }) => Err(TrainError::Config {
            key: "train.precision".to_owned(),
            value,
            reason: format!("need {need}"),
            origin: Source::Code,
        }),
        Err(other) => Err(other.into()),
    }
}

impl Trainer {
    /// Replaces the objective, before the first step.
    ///
    /// # Errors
    /// Parameters of the objective are no `f32` leaves on the network's device.
    pub fn with_loss(self, loss: Box<dyn Loss>) -> Result<Self, TrainError> {
        let params = bind(&self.vs, loss.as_ref())?;
        let ema = &self.config.ema;
        Ok(Self {
            optim: AdamW::new(adamw(&self.config), params.values()),
            ema: Ema::new(ema.decay, ema.warmup, params.values()),
            power: PowerAverages::new(&ema.power, params.values()),
            params,
            loss,
            ..self
        })
    }

    /// Number of trainable values of the network.
    pub fn parameter_count(&self) -> i64 {
        let own = self.loss.parameters();
        self.params.count() - own.iter().map(|(_, t)| t.numel() as i64).sum::<i64>()
    }
}
