//! The configuration of a run: TOML tables with defaults, dotted overrides, and errors that know where a value
//! stands.
//!
//! `configs/x.toml` and the overrides are merged as TOML, checked key by key, and become a [`RunConfig`], which
//! serialises back: the resolved file alone reproduces the run.

mod check;
mod condition;
mod defaults;
mod keys;
mod load;
mod loss;
#[cfg(test)]
mod loss_tests;
mod source;
mod tables;
#[cfg(test)]
mod tests;

pub use condition::ConditionConfig;
pub use load::{Loaded, Override, load_file, load_text};
pub use loss::{CommonLoss, DsmConfig, ImplicitConfig, LossConfig, Reduction, SlicedConfig};
pub use source::{Source, Sources};
pub use tables::{Budget, EmaConfig, LogConfig, LrSchedule, OptimConfig, TrainConfig};

use serde::{Deserialize, Serialize};

pub use crate::data::DataConfig;
pub use score_nets::{NetConfig, Precision};
pub use sde_core::config::SdeConfig;
pub use sde_core::precond::PrecondConfig;
pub use sde_core::time_density::TimeDensityConfig;
pub use sde_core::weighting::WeightingConfig;
pub use solvers::config::SamplerConfig;

/// Everything that determines a run, apart from device and thread count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunConfig {
    /// Seed of all randomness of the run: initial weights, order of the data, times, noise, samples.
    pub seed: u64,
    /// Name of the run, part of the default run folder's name.
    pub name: String,
    /// The data set.
    pub data: DataConfig,
    /// The forward process.
    pub sde: SdeConfig,
    /// The network.
    pub net: NetConfig,
    /// How network and score belong together.
    pub precond: PrecondConfig,
    /// The training objective.
    pub loss: LossConfig,
    /// Classes in training and sampling.
    pub condition: ConditionConfig,
    /// The optimiser.
    pub optim: OptimConfig,
    /// The moving average of the weights.
    pub ema: EmaConfig,
    /// Budget, batch and checkpoints.
    pub train: TrainConfig,
    /// The sampler of `sde sample` and of the sample grids.
    pub sampler: SamplerConfig,
    /// What is logged.
    pub log: LogConfig,
}

impl Default for RunConfig {
    fn default() -> Self {
        RunConfig {
            seed: 0,
            name: "run".to_string(),
            data: DataConfig::default(),
            sde: SdeConfig::default(),
            net: NetConfig::recommended_defaults(&[1, 8, 8]),
            precond: PrecondConfig::default(),
            loss: LossConfig::default(),
            condition: ConditionConfig::default(),
            optim: OptimConfig::default(),
            ema: EmaConfig::default(),
            train: TrainConfig::default(),
            sampler: SamplerConfig::default(),
            log: LogConfig::default(),
        }
    }
}

impl RunConfig {
    /// The configuration as TOML, with every value that determines the run.
    ///
    /// # Errors
    /// [`TrainError::Config`](crate::TrainError::Config) for a seed that TOML cannot hold (2^63 or more).
    pub fn to_toml(&self) -> Result<String, crate::TrainError> {
        let refuse = |reason: String| crate::TrainError::Config {
            key: "seed".to_string(),
            value: self.seed.to_string(),
            reason,
            origin: Source::Code,
        };
        if i64::try_from(self.seed).is_err() {
            return Err(refuse(
                "must be below 2^63, the largest number that TOML holds".to_string(),
            ));
        }
        toml::to_string(self).map_err(|e| refuse(format!("TOML cannot hold this configuration: {e}")))
    }
}
