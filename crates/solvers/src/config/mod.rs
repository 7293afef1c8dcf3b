//! The `[sampler]` table: unchecked values as they stand in a file, and `build` to the checked sampler.

mod build;
mod check;

use sde_core::grid::{Grid, GridConfig};
use sde_core::{ConfigError, Sde};
use serde::{Deserialize, Serialize};

use crate::correct::{AnnealedLangevin, BatchLangevin, Corrector, Langevin};
use crate::predict::{Ancestral, EulerMaruyama, Predictor, ReverseDiffusion};
use crate::rk::adaptive::Limits;
use crate::rk::tableau::{DP5, EULER, HEUN, MIDPOINT, RK4, Tableau};
use crate::sampler::{AdaptiveOde, Churn, Final, FixedOde, Heun, PredictorCorrector};
use crate::{Sampler, SolveError, State, Tolerance};

/// The `[sampler]` table. `kind` names the method; every kind takes `steps` (intervals of the grid), `t_start` and `t_end`
/// (default: the SDE's own), `final` and `grid`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum SamplerConfig {
    /// Predictor-corrector, see [`PredictorCorrector`].
    Pc(PcConfig),
    /// Probability flow by a Runge-Kutta method, see [`FixedOde`] and [`AdaptiveOde`].
    Ode(OdeConfig),
    /// Algorithm 2 of Karras et al. (2022), see [`Heun`].
    Heun(HeunConfig),
    /// Annealed Langevin dynamics, see [`PredictorCorrector`].
    Langevin(LangevinConfig),
}

/// Predictor of `kind = "pc"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PredictorKind {
    /// [`EulerMaruyama`].
    #[default]
    EulerMaruyama,
    /// [`ReverseDiffusion`].
    ReverseDiffusion,
    /// [`Ancestral`].
    Ancestral,
    /// Correctors only.
    None,
}

/// Corrector of `kind = "pc"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CorrectorKind {
    /// Predictor only.
    #[default]
    None,
    /// [`Langevin`], the sigma rule.
    Langevin,
    /// [`BatchLangevin`], the published rule, which couples the rows.
    BatchLangevin,
    /// [`AnnealedLangevin`].
    Ald,
}

/// Runge-Kutta method of `kind = "ode"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OdeMethod {
    /// Order 1, one evaluation a step.
    Euler,
    /// Order 2, two evaluations a step.
    Heun,
    /// Order 2, two evaluations a step.
    Midpoint,
    /// Order 4, four evaluations a step.
    Rk4,
    /// Order 5, six evaluations a step, adaptive.
    #[default]
    Dp5,
}

/// Table of `kind = "pc"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "common keys, described at the top of SamplerConfig")]
pub struct PcConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub t_start: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub t_end: Option<f64>,
    #[serde(rename = "final", skip_serializing_if = "Option::is_none")]
    pub final_step: Option<Final>,
    /// The predictor; `euler-maruyama`.
    pub predictor: PredictorKind,
    /// The corrector; `none`.
    pub corrector: CorrectorKind,
    /// Size of a corrector step, in (0, 1); 0.16.
    pub snr: f64,
    /// Corrector steps at each grid time; 1.
    pub corrector_steps: u32,
    /// Stochasticity of the reverse SDE, >= 0; 1. At 0 the probability flow.
    pub eta: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grid: Option<GridConfig>,
}

/// Table of `kind = "ode"`. `steps` and `grid` belong to the fixed methods; `rtol`, `atol`, `max_steps` and `min_step` to `dp5`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "common keys, described at the top of SamplerConfig")]
pub struct OdeConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub t_start: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub t_end: Option<f64>,
    #[serde(rename = "final", skip_serializing_if = "Option::is_none")]
    pub final_step: Option<Final>,
    /// The method; `dp5`.
    pub method: OdeMethod,
    /// Relative tolerance; 1e-5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtol: Option<f64>,
    /// Absolute tolerance, data units; 1e-5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub atol: Option<f64>,
    /// Most attempted steps of a row; 10000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u64>,
    /// Smallest step in `t`; 0 (what the time axis resolves is always the limit).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_step: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grid: Option<GridConfig>,
}

/// Table of `kind = "heun"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "common keys, described at the top of SamplerConfig")]
pub struct HeunConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub t_start: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub t_end: Option<f64>,
    #[serde(rename = "final", skip_serializing_if = "Option::is_none")]
    pub final_step: Option<Final>,
    /// Amount of noise added and removed over all steps, >= 0; 0.
    pub s_churn: f64,
    /// Noise level below which none is added; 0.
    pub s_min: f64,
    /// Noise level above which none is added; infinity.
    pub s_max: f64,
    /// Factor of the added noise, >= 0; 1.
    pub s_noise: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grid: Option<GridConfig>,
}

/// Table of `kind = "langevin"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "common keys, described at the top of SamplerConfig")]
pub struct LangevinConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub t_start: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub t_end: Option<f64>,
    #[serde(rename = "final", skip_serializing_if = "Option::is_none")]
    pub final_step: Option<Final>,
    /// Size of a step, in (0, 1); 0.16.
    pub snr: f64,
    /// Langevin steps at each level; 5.
    pub corrector_steps: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grid: Option<GridConfig>,
}

impl Default for PcConfig {
    fn default() -> Self {
        Self {
            steps: None,
            t_start: None,
            t_end: None,
            final_step: None,
            predictor: PredictorKind::default(),
            corrector: CorrectorKind::default(),
            snr: 0.16,
            corrector_steps: 1,
            eta: 1.0,
            grid: None,
        }
    }
}

impl Default for HeunConfig {
    fn default() -> Self {
        Self {
            steps: None,
            t_start: None,
            t_end: None,
            final_step: None,
            s_churn: 0.0,
            s_min: 0.0,
            s_max: f64::INFINITY,
            s_noise: 1.0,
            grid: None,
        }
    }
}

impl Default for LangevinConfig {
    fn default() -> Self {
        Self {
            steps: None,
            t_start: None,
            t_end: None,
            final_step: None,
            snr: 0.16,
            corrector_steps: 5,
            grid: None,
        }
    }
}

impl Default for SamplerConfig {
    fn default() -> Self {
        Self::Pc(PcConfig::default())
    }
}
