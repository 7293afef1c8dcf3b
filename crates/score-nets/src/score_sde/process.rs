//! From a configuration of score_sde to the tables of a model card: which process, what the output means.

use sde_core::config::{SdeConfig, VeConfig, VpConfig};
use sde_core::precond::{PrecondConfig, RawTable, TimeInputKind};

use super::{EmbeddingType, ModelConfigFile, SdeKind};
use crate::NetConfig;
use crate::card::DataCard;

/// The forward process of a model, and how its network is to be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelProcess {
    /// The SDE.
    pub sde: SdeConfig,
    /// What the network returns and which time it is told.
    pub precond: PrecondConfig,
    /// Shape and scale of the data.
    pub data: DataCard,
    /// What was concluded where the configuration says nothing, in words; empty if it says everything.
    pub concluded: Vec<String>,
}

impl ModelConfigFile {
    /// The process that the configuration describes (`models/utils.py`, `get_score_fn`, in the public repository
    /// yang-song/score_sde_pytorch): VP and subVP networks return the noise and are told `999 t`, or the number
    /// of a rung if they were trained on a ladder (whose rung `i` is here the time `(i + 1) / N`); VE networks return the score and are told `sigma(t)`, or the
    /// label `(1 - t) (N - 1)`, rounded.
    ///
    /// A file without `training.sde` or `training.continuous`: a Fourier embedding takes noise levels and belongs to a
    /// continuous VE model, a positional one with `scale_by_sigma` to a discrete VE model, any other to a continuous VP
    /// model.
    pub fn process(&self) -> ModelProcess {
        let (fourier, by_sigma) = match &self.net {
            NetConfig::Ncsnpp(net) | NetConfig::Ddpmpp(net) => {
                (net.embedding_type == EmbeddingType::Fourier, net.scale_by_sigma)
            }
            NetConfig::Ddpm(net) => (false, net.scale_by_sigma),
            _ => (false, false),
        };
        let mut concluded = Vec::new();
        let kind = self.sde.unwrap_or_else(|| {
            let (kind, name, why) = match (fourier, by_sigma) {
                (true, _) => (SdeKind::VeSde, "vesde", "a Fourier embedding takes noise levels"),
                (false, true) => (SdeKind::VeSde, "vesde", "the output is divided by sigma"),
                (false, false) => (
                    SdeKind::VpSde,
                    "vpsde",
                    "a positional embedding, output not divided by sigma",
                ),
            };
            concluded.push(format!("training.sde is not given: taken as {name} ({why})"));
            kind
        });
        let continuous = self.continuous.unwrap_or_else(|| {
            let continuous = kind != SdeKind::VeSde || fourier;
            concluded.push(format!("training.continuous is not given: taken as {continuous}"));
            continuous
        });
        let labels = usize::try_from(self.num_scales).ok();
        let sde = match kind {
            SdeKind::VpSde | SdeKind::SubVpSde => {
                let table = VpConfig {
                    beta_min: Some(self.beta.0),
                    beta_max: Some(self.beta.1),
                    rungs: match (kind, continuous) {
                        (SdeKind::VpSde, false) => labels,
                        _ => None,
                    },
                    ..VpConfig::default()
                };
                match kind {
                    SdeKind::SubVpSde => SdeConfig::SubVp(table),
                    _ => SdeConfig::Vp(table),
                }
            }
            SdeKind::VeSde => SdeConfig::Ve(VeConfig {
                sigma_min: Some(self.sigma.0),
                sigma_max: Some(self.sigma.1),
                ..VeConfig::default()
            }),
        };
        let precond = match (kind, continuous) {
            (SdeKind::VeSde, true) => PrecondConfig::RawScore(RawTable {
                time_input: Some(TimeInputKind::Sigma),
                ..RawTable::default()
            }),
            (SdeKind::VeSde, false) => PrecondConfig::RawScore(RawTable {
                time_input: Some(TimeInputKind::DescendingLabel),
                labels,
            }),
            (SdeKind::VpSde, false) => PrecondConfig::RawEps(RawTable {
                time_input: Some(TimeInputKind::IntervalLabel),
                labels,
            }),
            // The reference takes subVP models as continuous in any case.
            _ => PrecondConfig::RawEps(RawTable {
                time_input: Some(TimeInputKind::Scaled),
                ..RawTable::default()
            }),
        };
        ModelProcess {
            sde: sde.resolved(),
            precond,
            data: match self.centered {
                true => DataCard::symmetric_bytes(&self.shape),
                false => DataCard::unit_bytes(&self.shape),
            },
            concluded,
        }
    }
}
