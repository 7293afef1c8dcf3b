//! `sde import`.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use score_nets::card::{Origin, OriginKind, WeightsKind};
use score_nets::diffusers::{DataRange, SchedulerConfig, read_folder};
use score_nets::score_sde::ModelConfigFile;
use score_nets::weights::{ScoreSdeCheckpoint, write_model};
use score_nets::{ModelCard, named_parameters, named_tensors};
use serde::Serialize;
use tch::Device;
use tch::nn::VarStore;

use super::print_json;
use crate::TrainError;
use crate::cli::{DONE, ImportArgs, ImportFrom, print_line};
use crate::log::ProgressReport;
use crate::model::check_new;

/// Bytes of a model configuration at most.
const LONGEST: u64 = 4 << 20;

/// What was made; one line of JSON.
#[derive(Debug, Serialize)]
struct ImportSummary<'a> {
    /// The model folder.
    model_dir: &'a Path,
    /// Trained values.
    parameters: u64,
    /// What is known about it.
    card: &'a ModelCard,
}

/// Makes a model folder of another program's files; the answer is the exit code.
///
/// # Errors
/// The files are refused, the configuration does not fit them, or the folder cannot be written.
pub fn import(args: &ImportArgs) -> Result<u8, TrainError> {
    check_new(&args.out)?;
    let progress = ProgressReport::new("import");
    let (card, vs) = match args.from {
        ImportFrom::ScoreSde => score_sde(args, &progress)?,
        ImportFrom::Diffusers => diffusers(args, &progress)?,
    };
    write_model(&args.out, &card, &named_tensors(&vs))?;
    let parameters = named_parameters(&vs)
        .iter()
        .map(|(_, tensor)| tensor.numel() as u64)
        .sum();
    if args.json {
        print_json(&ImportSummary {
            model_dir: &args.out,
            parameters,
            card: &card,
        })?;
    } else {
        print_line(&format!(
            "model: {} ({parameters} parameters)",
            args.out.display()
        ))?;
    }
    Ok(DONE)
}

/// The name of a file or folder without its last extension, and whole.
fn names(path: &Path) -> (String, String) {
    let text = |name: Option<&std::ffi::OsStr>| {
        name.map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
    };
    (text(path.file_stem()), text(path.file_name()))
}

fn score_sde(args: &ImportArgs, progress: &ProgressReport) -> Result<(ModelCard, VarStore), TrainError> {
    let Some(config_path) = &args.model_config else {
        return Err(TrainError::Usage(
            "--from score-sde needs --model-config FILE: the checkpoint holds weights alone; FILE (JSON or TOML) is the \
             model's configuration in score_sde's field names (model.name, nf, ch_mult, ..., data.image_size, \
             data.num_channels, data.centered, training.sde, training.continuous)"
                .to_owned(),
        ));
    };
    let refuse = |error: score_nets::NetError| TrainError::Format {
        path: config_path.clone(),
        reason: error.to_string(),
    };
    let text = read_text(config_path)?;
    let json = text.trim_start().starts_with('{');
    let config = match json {
        true => ModelConfigFile::from_json(&text),
        false => ModelConfigFile::from_toml(&text),
    };
    let config = config.map_err(refuse)?;
    let process = config.process();
    for note in &process.concluded {
        progress.say(&format!("note: {}: {note}", config_path.display()));
    }
    let checkpoint = ScoreSdeCheckpoint::open(&args.path)?;
    let (need, have) = (
        config.net.param_count(&config.shape).map_err(refuse)?,
        checkpoint.values()?,
    );
    if need > have {
        return Err(TrainError::Format {
            path: config_path.clone(),
            reason: format!(
                "describes a network of {need} parameters, {} holds {have} values: it belongs to another model",
                args.path.display()
            ),
        });
    }
    let which = match args.raw {
        true => WeightsKind::Raw,
        false => WeightsKind::Ema,
    };
    let vs = VarStore::new(Device::Cpu);
    config.net.build(&vs.root(), &config.shape).map_err(refuse)?;
    checkpoint.load(&vs, which)?;
    let (name, file) = names(&args.path);
    let card = ModelCard {
        format: ModelCard::FORMAT,
        name,
        licence: "not stated; the terms of whoever trained the model apply".to_owned(),
        betas: None,
        origin: Origin {
            source: OriginKind::ScoreSde,
            file,
            weights: which,
            step: checkpoint.step(),
        },
        data: process.data,
        sde: process.sde,
        precond: process.precond,
        net: config.net,
    };
    Ok((card, vs))
}

fn diffusers(args: &ImportArgs, progress: &ProgressReport) -> Result<(ModelCard, VarStore), TrainError> {
    if args.model_config.is_some() || args.raw {
        let reason =
            "--model-config and --raw are for --from score-sde; a diffusers folder holds its configuration";
        return Err(TrainError::Usage(reason.to_owned()));
    }
    let refuse = |reason: &str| TrainError::Format {
        path: args.path.clone(),
        reason: reason.to_owned(),
    };
    let folder = read_folder(&args.path)?;
    let shape = folder.config.shape();
    let shape =
        shape.ok_or_else(|| refuse("config.json has no sample_size, so the shape of the data is unknown"))?;
    let scheduler = match &folder.scheduler {
        Some(scheduler) => scheduler.clone(),
        None => {
            // Without a scheduler, the library's own defaults for the kind of network.
            let class = match folder.data_range {
                DataRange::Unit => "ScoreSdeVeScheduler",
                DataRange::Symmetric => "DDPMScheduler",
            };
            progress.say(&format!(
                "note: {}: no scheduler_config.json: taken as {class} with its defaults",
                args.path.display()
            ));
            SchedulerConfig::from_json(&args.path, "{}", Some(class))?
        }
    };
    let (betas, sde, precond) = scheduler.process().for_card().ok_or_else(|| {
        refuse("the scheduler has no place in a model card: no table says clean data predicted on the noise levels of Karras et al.")
    })?;
    let net = folder.net_config();
    let vs = VarStore::new(Device::Cpu);
    net.build(&vs.root(), &shape)?;
    folder.load(&named_tensors(&vs))?;
    let (_, name) = names(&args.path);
    let card = ModelCard {
        format: ModelCard::FORMAT,
        name: name.clone(),
        licence: "not stated; see the model's page".to_owned(),
        betas,
        origin: Origin {
            source: OriginKind::Diffusers,
            file: name,
            weights: WeightsKind::Unknown,
            step: None,
        },
        data: folder.data_range.card(&shape),
        sde,
        precond,
        net,
    };
    Ok((card, vs))
}

fn read_text(path: &PathBuf) -> Result<String, TrainError> {
    let refuse = |reason: String| TrainError::Format {
        path: path.clone(),
        reason,
    };
    let file = fs::File::open(path).map_err(TrainError::io("read the model configuration", path))?;
    let mut bytes = Vec::new();
    let read = file.take(LONGEST + 1).read_to_end(&mut bytes);
    read.map_err(TrainError::io("read the model configuration", path))?;
    if bytes.len() as u64 > LONGEST {
        return Err(refuse(format!(
            "has more than {LONGEST} bytes, too long for a model configuration"
        )));
    }
    String::from_utf8(bytes).map_err(|e| {
        refuse(format!(
            "is no text: byte {} is not UTF-8",
            e.utf8_error().valid_up_to()
        ))
    })
}
