//! The noise that a scheduler describes: its ladder, the SDE, the meaning of the network's output.

use std::sync::Arc;

use sde_core::config::{EdmConfig, ScheduleKind, SdeConfig, VeConfig, VpConfig};
use sde_core::discrete::{Ddpm, Smld};
use sde_core::precond::{PrecondConfig, RawTable, ScaledTable, TimeInputKind};
use sde_core::sde::{VeKernel, Vp};
use sde_core::{ConfigError, Precond, Sde, TimeDomain};

use crate::card::DataCard;

/// What a network of a diffusers folder predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prediction {
    /// `epsilon`: the noise.
    Noise,
    /// `sample`: the clean data.
    Clean,
    /// `v_prediction`: the velocity of Salimans and Ho (2022, arXiv:2202.00512).
    Velocity,
}

/// What a scheduler says about the forward process.
#[derive(Debug, Clone, PartialEq)]
pub enum Process {
    /// A DDPM ladder; the network is told the number of the rung.
    Vp {
        /// The ladder.
        ladder: Ddpm,
        /// What the network predicts.
        prediction: Prediction,
        /// The ladder as a table `[sde]`, where one says it.
        table: Option<VpConfig>,
    },
    /// A geometric ladder of noise levels; the network is told the level and returns the score.
    Ve {
        /// The ladder.
        ladder: Smld,
        /// The SDE as a table.
        table: VeConfig,
    },
    /// The noise levels and preconditioning of Karras et al. (2022, arXiv:2206.00364); the network is told `ln(sigma) / 4`.
    Edm {
        /// What the network predicts: `Noise` stands for their `F`, `Velocity` for its negative.
        prediction: Prediction,
        /// The SDE as a table.
        table: EdmConfig,
    },
}

/// Between which values the data of the published models lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataRange {
    /// 0 to 1: VE models.
    Unit,
    /// -1 to 1: the others.
    Symmetric,
}

impl DataRange {
    /// Images of 256 levels and this shape, `[channels, height, width]`, in this range.
    pub fn card(self, shape: &[i64]) -> DataCard {
        match self {
            DataRange::Unit => DataCard::unit_bytes(shape),
            DataRange::Symmetric => DataCard::symmetric_bytes(shape),
        }
    }
}

impl Process {
    /// The SDE. For a DDPM ladder of `N` rungs it is the VP SDE whose kernel at `t = (i + 1) / N` is that of rung `i`,
    /// exactly, with `ln alpha_bar` linear between (Lu et al. 2022, arXiv:2206.00927, use discrete models so); its
    /// smallest times are `1 / N`, below which the network was never trained.
    ///
    /// # Errors
    /// [`ConfigError`], for instance where the ladder ends with signal left.
    pub fn sde(&self) -> Result<Arc<dyn Sde>, ConfigError> {
        match self {
            Process::Vp {
                ladder, table: None, ..
            } => {
                let lowest = 1.0 / ladder.len() as f64;
                let domain = TimeDomain {
                    t_end: 1.0,
                    train_eps: lowest,
                    sample_eps: lowest,
                    likelihood_eps: lowest,
                };
                Ok(Arc::new(Vp::new(Arc::new(ladder.to_schedule()), domain)?))
            }
            Process::Vp {
                table: Some(table), ..
            } => SdeConfig::Vp(*table).build(),
            Process::Ve { table, .. } => SdeConfig::Ve(*table).build(),
            Process::Edm { table, .. } => SdeConfig::Edm(*table).build(),
        }
    }

    /// The preconditioning that makes the network a score on [`Process::sde`].
    ///
    /// # Errors
    /// As [`Process::sde`].
    pub fn precond(&self) -> Result<Precond, ConfigError> {
        let sde = self.sde()?;
        match (self, self.tables()) {
            (
                Process::Vp {
                    ladder, prediction, ..
                },
                _,
            ) => ladder_precond(*prediction, ladder.len()).build(sde),
            (_, Some((_, precond))) => precond.build(sde),
            (_, None) => Err(ConfigError::new(
                "prediction_type",
                "sample",
                "not a preconditioning of Karras et al.",
            )),
        }
    }

    /// The same as the tables `[sde]` and `[precond]`; `None` where tables cannot say it (other betas than those of the
    /// known schedules, clean data predicted on the noise levels of Karras et al.).
    pub fn tables(&self) -> Option<(SdeConfig, PrecondConfig)> {
        match self {
            Process::Vp {
                ladder,
                prediction,
                table,
            } => {
                let precond = ladder_precond(*prediction, ladder.len());
                Some((SdeConfig::Vp((*table)?), precond))
            }
            Process::Ve { table, .. } => {
                let precond = PrecondConfig::RawScore(RawTable {
                    time_input: Some(TimeInputKind::Sigma),
                    ..RawTable::default()
                });
                Some((SdeConfig::Ve(*table), precond))
            }
            Process::Edm { prediction, table } => {
                let keys = ScaledTable {
                    sigma_data: table.sigma_data,
                    time_input: Some(TimeInputKind::LogSigmaQuarter),
                    labels: None,
                };
                let precond = match prediction {
                    Prediction::Noise => PrecondConfig::Edm(keys),
                    Prediction::Velocity => PrecondConfig::V(keys),
                    Prediction::Clean => return None,
                };
                Some((SdeConfig::Edm(*table), precond))
            }
        }
    }

    /// What a model card says of the process: the betas of a ladder that no schedule says, `[sde]` and `[precond]`. `None` as for
    /// [`Process::tables`], but for the betas.
    pub fn for_card(&self) -> Option<(Option<Vec<f64>>, SdeConfig, PrecondConfig)> {
        match self {
            Process::Vp {
                ladder,
                prediction,
                table: None,
            } => {
                let table = VpConfig {
                    rungs: Some(ladder.len()),
                    ..VpConfig::default()
                };
                let precond = ladder_precond(*prediction, ladder.len());
                Some((Some(ladder.betas().to_vec()), SdeConfig::Vp(table), precond))
            }
            _ => self
                .tables()
                .map(|(sde, precond)| (None, sde.resolved(), precond)),
        }
    }

    /// Between which values the data lie by the library's convention.
    pub fn data_range(&self) -> DataRange {
        match self {
            Process::Ve { .. } => DataRange::Unit,
            _ => DataRange::Symmetric,
        }
    }

    /// A DDPM ladder by its betas, with the table that says them, if one does.
    pub(super) fn from_betas(betas: Vec<f64>, prediction: Prediction) -> Result<Self, ConfigError> {
        let ladder = Ddpm::from_betas(betas)?;
        let (count, betas) = (ladder.len(), ladder.betas());
        let (beta_min, beta_max) = (betas[0] * count as f64, betas[count - 1] * count as f64);
        let candidates = [
            vp_table(ScheduleKind::Linear, beta_min, beta_max, count),
            vp_table(ScheduleKind::ScaledLinear, beta_min, beta_max, count),
            vp_table(ScheduleKind::Cosine, beta_min, beta_max, count),
        ];
        let same = |other: &Ddpm| {
            let mut pairs = other.betas().iter().zip(betas);
            // Within the rounding of f32, in which the library holds them.
            pairs.all(|(a, b)| (a - b).abs() <= 1e-6 * b.abs())
        };
        let table = candidates
            .into_iter()
            .find(|table| ladder_of(table).is_some_and(|other| same(&other)));
        Ok(Process::Vp {
            ladder,
            prediction,
            table,
        })
    }

    /// The geometric ladder and its SDE.
    pub(super) fn ve(sigma_min: f64, sigma_max: f64, eps: f64, count: usize) -> Result<Self, ConfigError> {
        Ok(Process::Ve {
            ladder: Smld::geometric(sigma_min, sigma_max, count)?,
            table: VeConfig {
                sigma_min: Some(sigma_min),
                sigma_max: Some(sigma_max),
                kernel: VeKernel::Song,
                sample_eps: Some(eps),
                ..VeConfig::default()
            },
        })
    }
}

/// The table `[precond]` of a network that is told the rung.
fn ladder_precond(prediction: Prediction, rungs: usize) -> PrecondConfig {
    let (time_input, labels) = (Some(TimeInputKind::IntervalLabel), Some(rungs));
    let scaled = ScaledTable {
        sigma_data: Some(1.0),
        time_input,
        labels,
    };
    match prediction {
        Prediction::Noise => PrecondConfig::RawEps(RawTable { time_input, labels }),
        Prediction::Clean => PrecondConfig::X0(scaled),
        Prediction::Velocity => PrecondConfig::V(scaled),
    }
}

/// The table of a ladder.
pub(super) fn vp_table(schedule: ScheduleKind, beta_min: f64, beta_max: f64, rungs: usize) -> VpConfig {
    let rates = schedule != ScheduleKind::Cosine;
    VpConfig {
        schedule,
        beta_min: rates.then_some(beta_min),
        beta_max: rates.then_some(beta_max),
        rungs: Some(rungs),
        ..VpConfig::default()
    }
}

/// The ladder of a table; `None` where it has none.
pub(super) fn ladder_of(table: &VpConfig) -> Option<Ddpm> {
    let SdeConfig::Vp(table) = SdeConfig::Vp(*table).resolved() else {
        return None;
    };
    let rungs = table.rungs?;
    match table.schedule {
        ScheduleKind::Linear => Ddpm::linear(table.beta_min?, table.beta_max?, rungs).ok(),
        ScheduleKind::ScaledLinear => Ddpm::scaled_linear(table.beta_min?, table.beta_max?, rungs).ok(),
        ScheduleKind::Cosine => Ddpm::cosine(rungs, table.cosine_offset?, 0.999).ok(),
        ScheduleKind::Exponential => None,
    }
}
