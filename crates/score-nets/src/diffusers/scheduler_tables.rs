//! From a model's tables to the scheduler that says them.

use std::path::Path;

use sde_core::config::{ScheduleKind, SdeConfig, VpConfig};
use sde_core::precond::{PrecondConfig, RawTable, ScaledTable, TimeInputKind};
use serde_json::{Value, json};

use super::DiffusersError;
use super::json::VERSION;
use super::scheduler::{EDM, SchedulerConfig, VE};

impl SchedulerConfig {
    /// The scheduler that says a model's tables: `DDPMScheduler` for VP (a continuous VP SDE becomes the ladder of a
    /// thousand rungs whose limit it is), `ScoreSdeVeScheduler` for VE with a network that returns the score,
    /// `EDMEulerScheduler` for EDM.
    ///
    /// # Errors
    /// [`DiffusersError::Table`] naming what diffusers has no word for.
    pub fn from_tables(sde: &SdeConfig, precond: &PrecondConfig) -> Result<Self, DiffusersError> {
        Self::from_card(None, sde, precond)
    }

    /// As [`SchedulerConfig::from_tables`], with the betas that a model card lists (`trained_betas`).
    ///
    /// # Errors
    /// As [`SchedulerConfig::from_tables`]; [`DiffusersError::Key`] where the betas are no ladder of the table's.
    pub fn from_card(
        betas: Option<&[f64]>,
        sde: &SdeConfig,
        precond: &PrecondConfig,
    ) -> Result<Self, DiffusersError> {
        let mut keys = match sde.resolved() {
            SdeConfig::Vp(table) => {
                let mut keys = vp_keys(&table, precond)?;
                keys["trained_betas"] = json!(betas);
                keys
            }
            SdeConfig::Ve(table) => {
                let told = match precond {
                    PrecondConfig::RawScore(keys) => {
                        matches!(keys.time_input, None | Some(TimeInputKind::Sigma))
                    }
                    _ => false,
                };
                if !told {
                    let reason = "VE networks of diffusers are told sigma and return the score: raw-score";
                    return Err(DiffusersError::table("precond", format!("{precond:?}"), reason));
                }
                json!({
                    "_class_name": VE,
                    "num_train_timesteps": 2000,
                    "snr": 0.15,
                    "sigma_min": table.sigma_min,
                    "sigma_max": table.sigma_max,
                    "sampling_eps": table.sample_eps,
                    "correct_steps": 1,
                })
            }
            SdeConfig::Edm(table) => {
                let (prediction, keys) = match *precond {
                    PrecondConfig::Edm(keys) => ("epsilon", keys),
                    PrecondConfig::V(keys) => ("v_prediction", keys),
                    _ => ("", ScaledTable::default()),
                };
                let told = matches!(keys.time_input, None | Some(TimeInputKind::LogSigmaQuarter));
                if prediction.is_empty() || !told {
                    let reason =
                        "EDM networks of diffusers have the preconditioning edm or v, told ln(sigma) / 4";
                    return Err(DiffusersError::table("precond", format!("{precond:?}"), reason));
                }
                json!({
                    "_class_name": EDM[0],
                    "num_train_timesteps": 1000,
                    "prediction_type": prediction,
                    "sigma_min": table.sigma_min,
                    "sigma_max": table.sigma_max,
                    "sigma_data": keys.sigma_data.or(table.sigma_data),
                    "sigma_schedule": "karras",
                    "rho": 7.0,
                })
            }
            SdeConfig::SubVp(_) => {
                let reason = "diffusers has no scheduler for it";
                return Err(DiffusersError::table("sde.kind", "subvp", reason));
            }
        };
        keys["_diffusers_version"] = VERSION.into();
        let map = keys.as_object().cloned().unwrap_or_default();
        Self::from_map(Path::new("scheduler_config.json"), map, None)
    }
}

fn vp_keys(table: &VpConfig, precond: &PrecondConfig) -> Result<Value, DiffusersError> {
    let rungs = table.rungs.unwrap_or(1000);
    let (prediction, keys) = match *precond {
        PrecondConfig::Eps(keys) => ("epsilon", keys),
        PrecondConfig::RawEps(RawTable { time_input, labels }) => {
            let sigma_data = None;
            (
                "epsilon",
                ScaledTable {
                    sigma_data,
                    time_input,
                    labels,
                },
            )
        }
        PrecondConfig::X0(keys) => ("sample", keys),
        PrecondConfig::V(keys) => ("v_prediction", keys),
        _ => {
            let reason =
                "networks of diffusers predict noise (eps, raw-eps), clean data (x0) or velocity (v)";
            return Err(DiffusersError::table("precond", format!("{precond:?}"), reason));
        }
    };
    let (time_input, data) = (keys.time_input, keys.sigma_data);
    if data.is_some_and(|data| data != 1.0) {
        let reason = "diffusers knows no other standard deviation of the data than 1";
        return Err(DiffusersError::table(
            "precond.sigma_data",
            data.unwrap_or(1.0),
            reason,
        ));
    }
    let told = match time_input {
        Some(TimeInputKind::IntervalLabel | TimeInputKind::Label) => keys.labels.unwrap_or(1000) == rungs,
        None | Some(TimeInputKind::Scaled) => rungs == 1000,
        _ => false,
    };
    if !told {
        let reason = format!(
            "networks of diffusers are told the number of the rung, 0 to {}",
            rungs - 1
        );
        return Err(DiffusersError::table(
            "precond.time_input",
            format!("{time_input:?}"),
            reason,
        ));
    }
    let per_rung = |rate: Option<f64>| rate.map(|rate| rate / rungs as f64);
    let (start, end) = (per_rung(table.beta_min), per_rung(table.beta_max));
    let (schedule, start, end) = match table.schedule {
        ScheduleKind::Linear => ("linear", start, end),
        ScheduleKind::ScaledLinear => ("scaled_linear", start, end),
        ScheduleKind::Cosine if table.cosine_offset == Some(0.008) => {
            ("squaredcos_cap_v2", Some(1e-4), Some(0.02))
        }
        ScheduleKind::Cosine => {
            let reason = "diffusers knows the offset 0.008 only";
            let value = table.cosine_offset.unwrap_or(f64::NAN);
            return Err(DiffusersError::table("sde.cosine_offset", value, reason));
        }
        ScheduleKind::Exponential => {
            let reason = "diffusers has no such schedule";
            return Err(DiffusersError::table("sde.schedule", "exponential", reason));
        }
    };
    Ok(json!({
        "_class_name": "DDPMScheduler",
        "num_train_timesteps": rungs,
        "beta_start": start,
        "beta_end": end,
        "beta_schedule": schedule,
        "trained_betas": null,
        "prediction_type": prediction,
        "variance_type": "fixed_small",
        "clip_sample": true,
        "clip_sample_range": 1.0,
    }))
}
