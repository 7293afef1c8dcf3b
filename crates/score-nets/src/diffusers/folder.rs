//! Folders of the diffusers library: read and written.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use tch::{Kind, Tensor};

use super::config::Unet2dConfig;
use super::json::{self, VERSION, short};
use super::plan::Plan;
use super::process::DataRange;
use super::scheduler::SchedulerConfig;
use super::{DiffusersError, attention};
use crate::NetConfig;
use crate::weights::{self, WeightsError, files};

const INDEX: &str = "model_index.json";
const CONFIG: &str = "config.json";
const SCHEDULER: &str = "scheduler_config.json";
const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";
/// Names that weights have had, the preferred first.
const WEIGHTS_NAMES: [&str; 3] = [
    WEIGHTS,
    "diffusion_pytorch_model.fp16.safetensors",
    "diffusion_pytorch_model.bin",
];

/// What a folder says, without its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Folder {
    /// The network.
    pub config: Unet2dConfig,
    /// The process that it was trained on, where the folder says so.
    pub scheduler: Option<SchedulerConfig>,
    /// The file with the weights.
    pub weights: PathBuf,
    /// Between which values the data lie: by the scheduler, or without one by the network (`fourier` networks are
    /// trained on data from 0 to 1).
    pub data_range: DataRange,
}

/// Reads and checks what a folder says: a pipeline (`model_index.json` with `unet/` and `scheduler/`, or with all files
/// beside it, as older models have them), or the folder of a network alone (`config.json` and weights, with or without
/// a `scheduler_config.json`). The weights are not read yet; only their size is compared with the network's.
///
/// # Errors
/// [`DiffusersError`] naming the file.
pub fn read_folder(path: &Path) -> Result<Folder, DiffusersError> {
    let index = path.join(INDEX);
    let (unet, class) = match index.is_file() {
        true => {
            let class = components(&index, &json::read(&index)?)?;
            (subfolder(path, "unet"), class)
        }
        false => (subfolder(path, "unet"), None),
    };
    let config_file = unet.join(CONFIG);
    let config = Unet2dConfig::from_map(&config_file, json::read(&config_file)?)?;
    let at = subfolder(path, "scheduler").join(SCHEDULER);
    let scheduler = match at.is_file() {
        true => Some(SchedulerConfig::from_map(
            &at,
            json::read(&at)?,
            class.as_deref(),
        )?),
        false if class.is_some() => return Err(missing(&at, "model_index.json names a scheduler")),
        false => None,
    };
    let fourier = config.time_embedding_type == "fourier";
    let data_range = match (&scheduler, fourier) {
        (Some(scheduler), _) => scheduler.process().data_range(),
        (None, true) => DataRange::Unit,
        (None, false) => DataRange::Symmetric,
    };
    let folder = Folder {
        weights: find_weights(&unet)?,
        config,
        scheduler,
        data_range,
    };
    folder.check_size(&config_file)?;
    Ok(folder)
}

/// The folder of a component, or where older models have its files: beside `model_index.json`.
fn subfolder(path: &Path, name: &str) -> PathBuf {
    let inside = path.join(name);
    if inside.is_dir() { inside } else { path.into() }
}

fn missing(file: &Path, what: &'static str) -> DiffusersError {
    DiffusersError::Io {
        file: file.into(),
        what,
        source: io::ErrorKind::NotFound.into(),
    }
}

/// Checks the components of a pipeline and returns the class of its scheduler.
fn components(file: &Path, index: &Map<String, Value>) -> Result<Option<String>, DiffusersError> {
    let mut scheduler = None;
    let mut unet = false;
    for (name, value) in index {
        let class = match value.as_array().map(Vec::as_slice) {
            Some([_, Value::String(class)]) => class,
            Some([_, Value::Null]) => continue,
            Some(_) => {
                return Err(DiffusersError::key(
                    file,
                    name,
                    short(value),
                    "need a library and a class",
                ));
            }
            // The pipeline's own settings and metadata.
            None => continue,
        };
        match (name.as_str(), class.as_str()) {
            ("unet", "UNet2DModel") => unet = true,
            ("unet", _) => {
                return Err(DiffusersError::key(file, name, class, "only UNet2DModel is read"));
            }
            ("scheduler", class) => scheduler = Some(class.to_string()),
            _ => {
                let reason = "pipelines of a unet and a scheduler are read; to read the network alone, name its folder";
                return Err(DiffusersError::key(file, name, class, reason));
            }
        }
    }
    match unet {
        true => Ok(scheduler),
        false => Err(DiffusersError::key(
            file,
            "unet",
            "none",
            "the pipeline has no such component",
        )),
    }
}

fn find_weights(folder: &Path) -> Result<PathBuf, DiffusersError> {
    let named = WEIGHTS_NAMES.iter().map(|name| folder.join(name));
    if let Some(found) = named.into_iter().find(|file| file.is_file()) {
        return Ok(found);
    }
    let index = folder.join(format!("{WEIGHTS}.index.json"));
    let what = match index.is_file() {
        true => "the weights are in several files: save them in one",
        false => "no weights (nor a .bin)",
    };
    Err(missing(&folder.join(WEIGHTS), what))
}

impl Folder {
    /// The network's table `[net]`.
    pub fn net_config(&self) -> NetConfig {
        NetConfig::DiffusersUnet2d(self.config.clone())
    }

    /// Refuses a network that the file of the weights is too short for, before anybody builds it.
    fn check_size(&self, config_file: &Path) -> Result<(), DiffusersError> {
        let plan = Plan::new(&self.config).map_err(|source| DiffusersError::Net {
            file: config_file.into(),
            source,
        })?;
        let length = files::length(&self.weights).map_err(|source| DiffusersError::Io {
            file: self.weights.clone(),
            what: "cannot read",
            source,
        })?;
        // Two bytes a number at least.
        let (have, count) = (length, plan.param_count());
        if have / 2 < count {
            let reason = format!(
                "a network of {count} parameters, but {} holds {have} bytes: they belong to different models",
                self.weights.display()
            );
            let widths = format!("{:?}", self.config.block_out_channels);
            return Err(DiffusersError::key(
                config_file,
                "block_out_channels",
                widths,
                reason,
            ));
        }
        Ok(())
    }

    /// Reads the weights into the tensors of a network built from this configuration
    /// ([`crate::named_tensors`]). Names of attentions before 2023 (`query`, `key`, `value`, `proj_attn`) are those of
    /// today (`to_q`, `to_k`, `to_v`, `to_out.0`); the Fourier frequencies may be called `time_proj.W`, or be there under
    /// both names; files of half precision are widened, which is exact. All or nothing.
    ///
    /// # Errors
    /// [`DiffusersError::Weights`], naming file and tensor; the network is then as before.
    pub fn load(&self, into: &[(String, Tensor)]) -> Result<(), DiffusersError> {
        let file = self.weights.as_path();
        let read = match file.extension().is_some_and(|end| end == "bin") {
            true => weights::pytorch::read_tensors(file)?,
            false => weights::read(file)?,
        };
        let half = read.first().map(|(_, tensor)| tensor.kind());
        let half = half.filter(|kind| matches!(kind, Kind::Half | Kind::BFloat16));
        let half = half.filter(|kind| read.iter().all(|(_, tensor)| tensor.kind() == *kind));
        let both = read.iter().any(|(name, _)| name == FREQUENCIES);
        let mut from = Vec::with_capacity(read.len());
        for (name, tensor) in read {
            let Some(name) = today(name, both, into) else {
                continue;
            };
            let tensor = match half {
                Some(_) => tensor.f_to_kind(Kind::Float).map_err(|e| WeightsError::Torch {
                    file: file.into(),
                    tensor: name.clone(),
                    reason: crate::error::first_line(&e),
                })?,
                None => tensor,
            };
            from.push((name, tensor));
        }
        Ok(weights::assign(file, &from, into)?)
    }
}

const FREQUENCIES: &str = "time_proj.weight";

/// The name that a tensor has today; `None` for a second copy of the frequencies.
fn today(name: String, both: bool, into: &[(String, Tensor)]) -> Option<String> {
    let has = |wanted: &str| into.iter().any(|(own, _)| own == wanted);
    if name == "time_proj.W" && has(FREQUENCIES) {
        return (!both).then(|| FREQUENCIES.into());
    }
    for (old, new) in attention::OLD_NAMES {
        if let Some((place, kind)) = name.rsplit_once('.')
            && let Some(place) = place.strip_suffix(old)
            && place.ends_with('.')
        {
            let renamed = format!("{place}{new}.{kind}");
            if has(&renamed) {
                return Some(renamed);
            }
        }
    }
    Some(name)
}

/// Writes a folder that the library loads: a pipeline of network and scheduler, or without a scheduler the network
/// alone. `tensors` are those of the network ([`crate::named_tensors`]). The folder is made whole or not at all: it must
/// not exist yet, or be empty.
///
/// # Errors
/// [`DiffusersError`]: the configuration is refused, the tensors are not of its network, or the folder cannot be
/// written.
pub fn write_folder(
    path: &Path,
    config: &Unet2dConfig,
    scheduler: Option<&SchedulerConfig>,
    tensors: &[(String, Tensor)],
) -> Result<(), DiffusersError> {
    let plan = Plan::new(config).map_err(|source| DiffusersError::Net {
        file: path.into(),
        source,
    })?;
    let (have, need) = (
        tensors.iter().map(|(_, t)| t.numel() as u64).sum::<u64>(),
        plan.value_count(),
    );
    if have != need {
        let reason = format!("the network of net.kind = \"diffusers-unet2d\" has {need}");
        return Err(DiffusersError::table("tensors", format!("{have} values"), reason));
    }
    let refuse = |what, source| DiffusersError::Io {
        file: path.into(),
        what,
        source,
    };
    files::make_whole(path, refuse, |temporary| {
        fill(temporary, config, scheduler, tensors)
    })
}

fn fill(
    folder: &Path,
    config: &Unet2dConfig,
    scheduler: Option<&SchedulerConfig>,
    tensors: &[(String, Tensor)],
) -> Result<(), DiffusersError> {
    let make = |folder: &Path| {
        files::make_folder(folder).map_err(|source| DiffusersError::Io {
            file: folder.into(),
            what: "cannot create",
            source,
        })
    };
    let write = |file: PathBuf, text: String| {
        files::write_text(&file, &text).map_err(|source| DiffusersError::Io {
            file,
            what: "cannot write",
            source,
        })
    };
    let unet = match scheduler {
        None => folder.to_path_buf(),
        Some(scheduler) => {
            let at = folder.join("scheduler");
            make(&at)?;
            write(at.join(SCHEDULER), scheduler.to_json())?;
            let index = json!({
                "_class_name": scheduler.pipeline(),
                "_diffusers_version": VERSION,
                "scheduler": ["diffusers", scheduler.class()],
                "unet": ["diffusers", "UNet2DModel"],
            });
            write(
                folder.join(INDEX),
                json::text(index.as_object().unwrap_or(&Map::new())),
            )?;
            folder.join("unet")
        }
    };
    make(&unet)?;
    write(unet.join(CONFIG), config.to_json())?;
    Ok(weights::save(&unet.join(WEIGHTS), tensors)?)
}
