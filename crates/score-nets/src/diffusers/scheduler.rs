//! `scheduler_config.json`: which process the network was trained on.

use std::path::Path;

use sde_core::config::{EdmConfig, SdeConfig};
use serde_json::{Map, Value};

use super::DiffusersError;
use super::json::{self, short};
use super::process::{Prediction, Process};

/// A scheduler: every key of its file, and the process that they describe. Keys that only a sampler reads are kept as
/// they are.
#[derive(Debug, Clone, PartialEq)]
pub struct SchedulerConfig {
    class: String,
    keys: Map<String, Value>,
    process: Process,
}

/// Schedulers of models trained on a DDPM ladder, with the `beta_start` and `beta_end` that stand for absent keys.
const LADDERS: [(&str, f64, f64); 19] = [
    ("DDIMInverseScheduler", 1e-4, 0.02),
    ("DDIMParallelScheduler", 1e-4, 0.02),
    ("DDIMScheduler", 1e-4, 0.02),
    ("DDPMParallelScheduler", 1e-4, 0.02),
    ("DDPMScheduler", 1e-4, 0.02),
    ("DEISMultistepScheduler", 1e-4, 0.02),
    ("DPMSolverMultistepInverseScheduler", 1e-4, 0.02),
    ("DPMSolverMultistepScheduler", 1e-4, 0.02),
    ("DPMSolverSDEScheduler", 0.00085, 0.012),
    ("DPMSolverSinglestepScheduler", 1e-4, 0.02),
    ("EulerAncestralDiscreteScheduler", 1e-4, 0.02),
    ("EulerDiscreteScheduler", 1e-4, 0.02),
    ("HeunDiscreteScheduler", 0.00085, 0.012),
    ("KDPM2AncestralDiscreteScheduler", 0.00085, 0.012),
    ("KDPM2DiscreteScheduler", 0.00085, 0.012),
    ("LMSDiscreteScheduler", 1e-4, 0.02),
    ("PNDMScheduler", 1e-4, 0.02),
    ("RePaintScheduler", 1e-4, 0.02),
    ("UniPCMultistepScheduler", 1e-4, 0.02),
];

pub(super) const VE: &str = "ScoreSdeVeScheduler";
pub(super) const EDM: [&str; 2] = ["EDMEulerScheduler", "EDMDPMSolverMultistepScheduler"];

/// Rungs of a ladder at most.
const MOST_RUNGS: u64 = 1_000_000;

/// The keys of one file.
struct Keys<'a> {
    file: &'a Path,
    map: &'a Map<String, Value>,
}

impl Keys<'_> {
    fn refuse(&self, key: &str, reason: impl Into<String>) -> DiffusersError {
        let value = self.map.get(key).unwrap_or(&Value::Null);
        DiffusersError::key(self.file, key, short(value), reason)
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn number(&self, key: &str, usual: f64) -> Result<f64, DiffusersError> {
        match self.get(key) {
            None => Ok(usual),
            Some(value) => value.as_f64().ok_or_else(|| self.refuse(key, "need a number")),
        }
    }

    fn text(&self, key: &str, usual: &'static str) -> Result<&str, DiffusersError> {
        match self.get(key) {
            None => Ok(usual),
            Some(value) => value.as_str().ok_or_else(|| self.refuse(key, "need a text")),
        }
    }

    fn flag(&self, key: &str) -> Result<bool, DiffusersError> {
        match self.get(key) {
            None => Ok(false),
            Some(value) => value
                .as_bool()
                .ok_or_else(|| self.refuse(key, "need true or false")),
        }
    }

    fn count(&self, usual: u64) -> Result<usize, DiffusersError> {
        let key = "num_train_timesteps";
        let count = self.get(key).map_or(Some(usual), Value::as_u64);
        match count.filter(|count| (2..=MOST_RUNGS).contains(count)) {
            Some(count) => Ok(count as usize),
            None => Err(self.refuse(key, format!("need a whole number from 2 to {MOST_RUNGS}"))),
        }
    }

    fn betas(&self, count: usize, (start, end): (f64, f64)) -> Result<Vec<f64>, DiffusersError> {
        if let Some(value) = self.get("trained_betas") {
            let listed = value.as_array().filter(|list| list.len() == count);
            let betas: Option<Vec<f64>> = listed.and_then(|list| list.iter().map(Value::as_f64).collect());
            let need = format!("need {count} numbers, as many as num_train_timesteps");
            return betas.ok_or_else(|| self.refuse("trained_betas", need));
        }
        let (start, end) = (self.number("beta_start", start)?, self.number("beta_end", end)?);
        for (key, beta) in [("beta_start", start), ("beta_end", end)] {
            if !(beta > 0.0 && beta < 1.0) {
                return Err(self.refuse(key, "must lie between 0 and 1"));
            }
        }
        let along = |from: f64, to: f64| {
            let step = (to - from) / (count - 1) as f64;
            (0..count).map(move |i| {
                if i + 1 == count {
                    to
                } else {
                    from + i as f64 * step
                }
            })
        };
        // beta_i = min(1 - alpha_bar(t_{i + 1}) / alpha_bar(t_i), 0.999)
        let ratios = |alpha_bar: fn(f64) -> f64| {
            let at = move |i: usize| alpha_bar(i as f64 / count as f64);
            (0..count)
                .map(move |i| (1.0 - at(i + 1) / at(i)).min(0.999))
                .collect()
        };
        Ok(match self.text("beta_schedule", "linear")? {
            "linear" => along(start, end).collect(),
            "scaled_linear" => along(start.sqrt(), end.sqrt()).map(|root| root * root).collect(),
            "squaredcos_cap_v2" => {
                let cosine = sde_core::discrete::Ddpm::cosine(count, 0.008, 0.999);
                cosine
                    .map_err(|e| self.refuse("beta_schedule", e.to_string()))?
                    .betas()
                    .to_vec()
            }
            "sigmoid" => along(-6.0, 6.0)
                .map(|x| (end - start) / (1.0 + (-x).exp()) + start)
                .collect(),
            "exp" => ratios(|t| (-12.0 * t).exp()),
            "laplace" => ratios(|t| {
                let log = (1.0 - 2.0 * (0.5 - t).abs() + 1e-6).ln();
                let snr = (-0.5 * 1.0_f64.copysign(0.5 - t) * log).exp();
                (snr / (1.0 + snr)).sqrt()
            }),
            _ => {
                let known = "need linear, scaled_linear, squaredcos_cap_v2, sigmoid, exp or laplace";
                return Err(self.refuse("beta_schedule", known));
            }
        })
    }

    fn prediction(&self) -> Result<Prediction, DiffusersError> {
        let key = "prediction_type";
        // Before prediction_type the files said whether the noise is predicted.
        let usual = match self.get("predict_epsilon") {
            Some(Value::Bool(false)) => "sample",
            _ => "epsilon",
        };
        match self.text(key, usual)? {
            "epsilon" => Ok(Prediction::Noise),
            "sample" => Ok(Prediction::Clean),
            "v_prediction" => Ok(Prediction::Velocity),
            _ => Err(self.refuse(key, "need epsilon, sample or v_prediction")),
        }
    }

    /// Refuses what makes another process of the ladder.
    fn check_ladder(&self) -> Result<(), DiffusersError> {
        if self.flag("rescale_betas_zero_snr")? {
            let reason = "a ladder that ends in noise alone has no score at its end";
            return Err(self.refuse("rescale_betas_zero_snr", reason));
        }
        if self.flag("use_flow_sigmas")? {
            let reason = "flow matching is not a process with a score here";
            return Err(self.refuse("use_flow_sigmas", reason));
        }
        if self.text("variance_type", "fixed_small")?.starts_with("learned") {
            let reason = "networks that also predict a variance are not read";
            return Err(self.refuse("variance_type", reason));
        }
        Ok(())
    }
}

impl SchedulerConfig {
    /// Reads the text of a `scheduler_config.json`; `file` names it in errors, `class` is taken where the text names
    /// none.
    ///
    /// # Errors
    /// [`DiffusersError::Json`], or [`DiffusersError::Key`] for a scheduler that is not of a known process, or a value
    /// that is refused.
    pub fn from_json(file: &Path, text: &str, class: Option<&str>) -> Result<Self, DiffusersError> {
        Self::from_map(file, json::parse(file, text)?, class)
    }

    pub(super) fn from_map(
        file: &Path,
        map: Map<String, Value>,
        class: Option<&str>,
    ) -> Result<Self, DiffusersError> {
        let keys = Keys { file, map: &map };
        let Some(class) = json::class(file, &map)?.or(class.map(str::to_string)) else {
            return Err(keys.refuse("_class_name", "which scheduler is it?"));
        };
        let refuse = |e: sde_core::ConfigError| {
            let key = e.key.rsplit('.').next().unwrap_or_default();
            DiffusersError::key(file, key, e.value, e.reason)
        };
        let process = if let Some((_, start, end)) = LADDERS.iter().find(|(name, ..)| *name == class) {
            keys.check_ladder()?;
            let betas = keys.betas(keys.count(1000)?, (*start, *end))?;
            Process::from_betas(betas, keys.prediction()?).map_err(refuse)?
        } else if class == VE {
            let (low, high) = (keys.number("sigma_min", 0.01)?, keys.number("sigma_max", 1348.0)?);
            let eps = keys.number("sampling_eps", 1e-5)?;
            Process::ve(low, high, eps, keys.count(2000)?).map_err(refuse)?
        } else if EDM.contains(&class.as_str()) {
            let prediction = match keys.prediction()? {
                Prediction::Clean => {
                    return Err(keys.refuse("prediction_type", "need epsilon or v_prediction"));
                }
                prediction => prediction,
            };
            let table = EdmConfig {
                sigma_min: Some(keys.number("sigma_min", 0.002)?),
                sigma_max: Some(keys.number("sigma_max", 80.0)?),
                sigma_data: Some(keys.number("sigma_data", 0.5)?),
                ..EdmConfig::default()
            };
            SdeConfig::Edm(table).build().map_err(refuse)?;
            Process::Edm { prediction, table }
        } else {
            let reason = "not a scheduler of DDPM ladders, ScoreSdeVeScheduler or an EDM scheduler";
            return Err(DiffusersError::key(file, "_class_name", class, reason));
        };
        Ok(SchedulerConfig {
            class,
            keys: map,
            process,
        })
    }

    /// Name of the scheduler's class.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// The process that the network was trained on.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The text of a `scheduler_config.json`, every key as it was read.
    pub fn to_json(&self) -> String {
        let mut keys = self.keys.clone();
        keys.insert("_class_name".into(), self.class.clone().into());
        json::text(&keys)
    }

    /// The class of the pipeline that goes with it.
    pub(super) fn pipeline(&self) -> &'static str {
        match self.class.as_str() {
            VE => "ScoreSdeVePipeline",
            "DDIMScheduler" => "DDIMPipeline",
            "PNDMScheduler" => "PNDMPipeline",
            _ => "DDPMPipeline",
        }
    }
}
