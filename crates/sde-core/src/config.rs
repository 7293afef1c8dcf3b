//! The `[sde]` table of a configuration.

use std::sync::Arc;

use crate::discrete::Ddpm;
use crate::error::positive;
use crate::schedule::{Cosine, Exponential, Linear, ScaledLinear, Schedule};
use crate::sde::{Edm, SubVp, Ve, VeKernel, Vp};
use crate::{ConfigError, Sde, TimeDomain};

/// Which schedule a VP or subVP table names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
pub enum ScheduleKind {
    /// [`Linear`], with `beta_min` and `beta_max`.
    #[default]
    Linear,
    /// [`Cosine`], with `cosine_offset` and `lambda_min`.
    Cosine,
    /// [`Exponential`], with `beta_min` and `beta_max`.
    Exponential,
    /// [`ScaledLinear`], with `beta_min` and `beta_max`.
    ScaledLinear,
}

/// Table of a VP or subVP SDE. Absent keys take the usual values, see [`SdeConfig::resolved`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct VpConfig {
    /// The noise schedule.
    pub schedule: ScheduleKind,
    /// Rate at `t = 0` per unit of time; 0.1. The cosine schedule does not read the rates, so that it can be
    /// chosen by one key over a table that states them; a resolved table drops them.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub beta_min: Option<f64>,
    /// Rate at `t = 1` per unit of time; 20. Not read by the cosine schedule.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub beta_max: Option<f64>,
    /// Offset `s` of the cosine schedule; 0.008.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub cosine_offset: Option<f64>,
    /// Where the cosine schedule's rate is capped; -5.1.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub lambda_min: Option<f64>,
    /// Number of rungs `N` of a DDPM ladder ([`Ddpm::linear`], [`Ddpm::scaled_linear`], [`Ddpm::cosine`]); absent:
    /// the schedule is continuous. The SDE then has the kernel of rung `i` at `t = (i + 1) / N`
    /// ([`Ddpm::to_schedule`]), and its three smallest times are `1 / N` unless they are given.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub rungs: Option<usize>,
    /// Time of the prior; 1.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub t_end: Option<f64>,
    /// Smallest time of training; 1e-5.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub train_eps: Option<f64>,
    /// Time at which samplers stop; 1e-3.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub sample_eps: Option<f64>,
    /// Time at which likelihoods start; 1e-5.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub likelihood_eps: Option<f64>,
}

/// Table of a VE SDE. Absent keys take the usual values, see [`SdeConfig::resolved`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct VeConfig {
    /// Noise level at `t = 0`, data units; 0.01.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub sigma_min: Option<f64>,
    /// Noise level at `t = 1`, data units; 50.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub sigma_max: Option<f64>,
    /// The perturbation kernel.
    pub kernel: VeKernel,
    /// Time of the prior; 1.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub t_end: Option<f64>,
    /// Smallest time of training; 1e-5.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub train_eps: Option<f64>,
    /// Time at which samplers stop; 1e-5.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub sample_eps: Option<f64>,
    /// Time at which likelihoods start; 1e-5.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub likelihood_eps: Option<f64>,
}

/// Table of an EDM SDE, whose times are noise levels. Absent keys take the usual values, see
/// [`SdeConfig::resolved`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct EdmConfig {
    /// Smallest noise level, data units; 0.002.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub sigma_min: Option<f64>,
    /// Largest noise level and time of the prior, data units; 80.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub sigma_max: Option<f64>,
    /// Standard deviation of the data; 0.5.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub sigma_data: Option<f64>,
    /// Smallest time of training; `sigma_min`.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub train_eps: Option<f64>,
    /// Time at which samplers stop; `sigma_min`.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub sample_eps: Option<f64>,
    /// Time at which likelihoods start; `sigma_min`.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub likelihood_eps: Option<f64>,
}

/// The `[sde]` table: which SDE, with flat keys. Unchecked; [`SdeConfig::build`] checks.
///
/// ```toml
/// [sde]
/// kind = "vp"            # vp | subvp | ve | edm
/// schedule = "linear"    # linear | cosine | exponential
/// beta_min = 0.1
/// beta_max = 20.0
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(tag = "kind", rename_all = "lowercase")
)]
pub enum SdeConfig {
    /// [`Vp`].
    Vp(VpConfig),
    /// [`SubVp`].
    SubVp(VpConfig),
    /// [`Ve`].
    Ve(VeConfig),
    /// [`Edm`].
    Edm(EdmConfig),
}

impl Default for SdeConfig {
    fn default() -> Self {
        Self::Vp(VpConfig::default())
    }
}

impl SdeConfig {
    /// The checked SDE.
    ///
    /// # Errors
    /// [`ConfigError`] with the dotted key (`sde.beta_min` and so on) of the first value that is refused.
    pub fn build(&self) -> Result<Arc<dyn Sde>, ConfigError> {
        Ok(match self.resolved() {
            Self::Vp(table) => Arc::new(Vp::trusted(table.schedule()?, table.domain())?),
            Self::SubVp(table) => Arc::new(SubVp::trusted(table.schedule()?, table.domain())?),
            Self::Ve(table) => {
                let domain = domain(
                    table.t_end,
                    table.train_eps,
                    table.sample_eps,
                    table.likelihood_eps,
                );
                let (low, high) = (given(table.sigma_min), given(table.sigma_max));
                Arc::new(Ve::new(low, high, table.kernel, domain)?)
            }
            Self::Edm(table) => {
                let (low, high) = (given(table.sigma_min), given(table.sigma_max));
                Edm::new(low, high, given(table.sigma_data))?;
                let domain = domain(
                    table.sigma_max,
                    table.train_eps,
                    table.sample_eps,
                    table.likelihood_eps,
                );
                Arc::new(Edm::with_domain(domain, given(table.sigma_data))?)
            }
        })
    }

    /// The same table with every key that matters filled in, so that what is written down does not depend on
    /// the defaults of the version that reads it.
    pub fn resolved(&self) -> Self {
        match *self {
            Self::Vp(table) => Self::Vp(table.resolved()),
            Self::SubVp(table) => Self::SubVp(table.resolved()),
            Self::Ve(mut table) => {
                let usual = Ve::DOMAIN;
                fill(&mut table.sigma_min, 0.01);
                fill(&mut table.sigma_max, 50.0);
                fill(&mut table.t_end, usual.t_end);
                fill(&mut table.train_eps, usual.train_eps);
                fill(&mut table.sample_eps, usual.sample_eps);
                fill(&mut table.likelihood_eps, usual.likelihood_eps);
                Self::Ve(table)
            }
            Self::Edm(mut table) => {
                fill(&mut table.sigma_min, 0.002);
                fill(&mut table.sigma_max, 80.0);
                fill(&mut table.sigma_data, 0.5);
                let low = given(table.sigma_min);
                fill(&mut table.train_eps, low);
                fill(&mut table.sample_eps, low);
                fill(&mut table.likelihood_eps, low);
                Self::Edm(table)
            }
        }
    }
}

impl VpConfig {
    fn resolved(mut self) -> Self {
        match self.schedule {
            ScheduleKind::Linear | ScheduleKind::Exponential | ScheduleKind::ScaledLinear => {
                fill(&mut self.beta_min, 0.1);
                fill(&mut self.beta_max, 20.0);
            }
            ScheduleKind::Cosine => {
                (self.beta_min, self.beta_max) = (None, None);
                fill(&mut self.cosine_offset, Cosine::OFFSET);
                if self.rungs.is_none() {
                    fill(&mut self.lambda_min, Cosine::LAMBDA_MIN);
                }
            }
        }
        let mut usual = Vp::DOMAIN;
        if let Some(rungs) = self.rungs {
            let lowest = 1.0 / rungs as f64;
            (usual.train_eps, usual.sample_eps, usual.likelihood_eps) = (lowest, lowest, lowest);
        }
        fill(&mut self.t_end, usual.t_end);
        fill(&mut self.train_eps, usual.train_eps);
        fill(&mut self.sample_eps, usual.sample_eps);
        fill(&mut self.likelihood_eps, usual.likelihood_eps);
        self
    }

    /// The schedule of a resolved table; the cosine's keys are refused on the others.
    fn schedule(&self) -> Result<Arc<dyn Schedule>, ConfigError> {
        if self.schedule != ScheduleKind::Cosine {
            for (key, value) in [
                ("sde.cosine_offset", self.cosine_offset),
                ("sde.lambda_min", self.lambda_min),
            ] {
                if let Some(value) = value {
                    return Err(ConfigError::new(
                        key,
                        value,
                        "only the cosine schedule has this key; remove it",
                    ));
                }
            }
        }
        if let Some(rungs) = self.rungs {
            return Ok(Arc::new(self.ladder(rungs)?.to_schedule()));
        }
        Ok(match self.schedule {
            ScheduleKind::Linear => Arc::new(Linear::new(given(self.beta_min), given(self.beta_max))?),
            ScheduleKind::Exponential => {
                Arc::new(Exponential::new(given(self.beta_min), given(self.beta_max))?)
            }
            ScheduleKind::ScaledLinear => {
                Arc::new(ScaledLinear::new(given(self.beta_min), given(self.beta_max))?)
            }
            ScheduleKind::Cosine => Arc::new(Cosine::new(given(self.cosine_offset), given(self.lambda_min))?),
        })
    }

    /// The ladder of a resolved table.
    fn ladder(&self, rungs: usize) -> Result<Ddpm, ConfigError> {
        const MOST: usize = 1_000_000;
        const MAX_BETA: f64 = 0.999;
        let refuse = |key: &str, value: &dyn std::fmt::Display, reason: &str| {
            Err(ConfigError::new(key, value, reason))
        };
        if !(2..=MOST).contains(&rungs) {
            return refuse("sde.rungs", &rungs, "must lie between 2 and 1000000");
        }
        if let Some(cap) = self.lambda_min {
            return refuse(
                "sde.lambda_min",
                &cap,
                "a ladder has no such cap; remove it, or sde.rungs",
            );
        }
        match self.schedule {
            ScheduleKind::Linear => Ddpm::linear(given(self.beta_min), given(self.beta_max), rungs),
            ScheduleKind::ScaledLinear => {
                Ddpm::scaled_linear(given(self.beta_min), given(self.beta_max), rungs)
            }
            ScheduleKind::Cosine => Ddpm::cosine(rungs, given(self.cosine_offset), MAX_BETA),
            ScheduleKind::Exponential => refuse(
                "sde.rungs",
                &rungs,
                "the exponential schedule has no ladder; take linear, scaled-linear or cosine",
            ),
        }
    }

    fn domain(&self) -> TimeDomain {
        domain(self.t_end, self.train_eps, self.sample_eps, self.likelihood_eps)
    }
}

/// A resolved key; absent ones would be NaN, which every check refuses.
fn given(value: Option<f64>) -> f64 {
    value.unwrap_or(f64::NAN)
}

fn fill(key: &mut Option<f64>, usual: f64) {
    key.get_or_insert(usual);
}

fn domain(
    t_end: Option<f64>,
    train_eps: Option<f64>,
    sample_eps: Option<f64>,
    likelihood_eps: Option<f64>,
) -> TimeDomain {
    TimeDomain {
        t_end: given(t_end),
        train_eps: given(train_eps),
        sample_eps: given(sample_eps),
        likelihood_eps: given(likelihood_eps),
    }
}

/// The largest distance between two of the points given, the usual choice for a VE SDE's `sigma_max` (Song
/// and Ermon 2020, arXiv:2006.09011, technique 1). Points are rows of length `dim`; quadratic in their
/// number.
///
/// # Errors
/// [`ConfigError`] where `dim` is 0 or does not divide the length, or all points are equal or not finite.
pub fn largest_distance(points: &[f64], dim: usize) -> Result<f64, ConfigError> {
    if dim == 0 || !points.len().is_multiple_of(dim) {
        return Err(ConfigError::new(
            "dim",
            dim,
            format!("must divide the {} values given", points.len()),
        ));
    }
    let mut largest = 0.0_f64;
    for (k, a) in points.chunks_exact(dim).enumerate() {
        for b in points.chunks_exact(dim).take(k) {
            let sq: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
            // written so that NaN stays
            largest = if sq <= largest { largest } else { sq };
        }
    }
    positive("sde.sigma_max", largest.sqrt())
}
