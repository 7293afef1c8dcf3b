//! `sde sample`.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use score_nets::TensorState;
use sde_core::SdeConfig;
use serde::Serialize;
use solvers::Sampler;
use tch::Device;

use super::ranks::{Joined, join};
use super::{print_json, set_up};
use crate::cli::{DONE, INTERRUPTED, SampleArgs, load_run};
use crate::config::load_text;
use crate::data::Scaling;
use crate::dist;
use crate::log::ProgressReport;
use crate::model::OpenModel;
use crate::sample::{Model, SampleOptions, Told};
use crate::trainer::StopFlag;
use crate::trainer::artefacts::{write_array, write_picture};
use crate::trainer::memory::peak_memory_mb;
use crate::{RunConfig, TrainError};

/// What was drawn; one line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct SampleSummary {
    /// The run folder, if it is one.
    run_dir: Option<PathBuf>,
    /// The model folder, if it is one.
    model_dir: Option<PathBuf>,
    /// Steps that the weights have behind them, where that is known.
    step: Option<u64>,
    /// Samples drawn.
    samples: u64,
    /// Network evaluations a batch.
    nfe: u64,
    /// Seconds of sampling.
    seconds: f64,
    /// Samples a second.
    samples_per_s: f64,
    /// Seed of the noise.
    seed: u64,
    /// The array file.
    out: Option<PathBuf>,
    /// The picture.
    png: Option<PathBuf>,
    /// The states on the way.
    trajectory: Option<PathBuf>,
    /// Peak resident memory in MiB, where the system tells.
    peak_memory_mb: Option<f64>,
}

/// Draws samples from a model folder, or with the averaged weights of the newest whole checkpoint of a run; the answer is
/// the exit code. Where neither `--out` nor `--png` is given, `sampled.npz` and `sampled.png` go into that folder.
///
/// # Errors
/// The folder is no run and no model, has no whole checkpoint, or the sampler or a file fails.
pub fn sample(args: &SampleArgs) -> Result<u8, TrainError> {
    args.check()?;
    let Joined { comm, local_rank } = match join(&args.ranks)? {
        ControlFlow::Break(code) => return Ok(code),
        ControlFlow::Continue(joined) => joined,
    };
    let leads = dist::leads(comm.as_ref());
    set_up(args.machine.threads);
    let device = args.machine.device.resolve(local_rank)?;
    let stop = StopFlag::on_signals()?;
    let (opened, config) = open(args, device)?;
    let opened = opened.in_precision(args.precision.precision)?;
    let (sde, precond) = opened.card.process(&opened.card_file())?;
    let sampler: Box<dyn Sampler<TensorState>> = config.sampler.build(sde.as_ref())?;
    let mut progress = match leads {
        true => ProgressReport::new("sampling"),
        false => ProgressReport::silent(),
    };
    for note in &opened.notes {
        progress.say(note);
    }
    let (count, seed) = (args.n, args.seed.unwrap_or(config.seed));
    let options = SampleOptions {
        count,
        seed,
        batch: args.batch.unwrap_or(0),
        trajectory: args.trajectory.is_some(),
    };
    dist::same_text(comm.as_ref(), "draw", || {
        Ok(format!(
            "{options:?}\nprecision {:?}\n{}\n{}",
            args.precision.precision,
            opened.fingerprint()?,
            config.to_toml()?
        ))
    })?;
    let told = Told::read(&config.condition, &opened.card.data.shape, device)?.or(&opened.told);
    let model = Model {
        net: opened.net.as_ref(),
        precond: &precond,
        sde: sde.as_ref(),
        shape: &opened.card.data.shape,
        device,
        condition: &config.condition,
        told: &told,
        comm: comm.as_ref(),
    };
    let scaling = Scaling::of_card(&opened.card.data);
    let (mut out, mut png) = match (&args.out, &args.png) {
        (None, None) => (
            Some(opened.folder.join("sampled.npz")),
            Some(opened.folder.join("sampled.png")),
        ),
        (out, png) => (out.clone(), png.clone()),
    };
    let mut way = args.trajectory.clone();
    for path in out.iter().chain(&png).chain(&way) {
        check_target(path)?;
    }
    let started = Instant::now();
    let mut show = |done: f64| progress.update(done, || format!("{} samples", options.count));
    let samples = model.sample(sampler.as_ref(), options, &stop, &mut show)?;
    let seconds = started.elapsed().as_secs_f64();
    progress.finish();
    if samples.stopped || !leads {
        (out, png, way) = (None, None, None);
    } else {
        if let Some(path) = &out {
            write_array(&samples, &scaling, path)?;
            progress.say(&format!("samples: {}", path.display()));
        }
        if let Some(path) = &png {
            write_picture(&samples, &scaling, usize::MAX, path)?;
            progress.say(&format!("picture: {}", path.display()));
        }
        if let (Some(path), Some(trajectory)) = (&way, &samples.trajectory) {
            trajectory.write(&scaling, path)?;
            progress.say(&format!("trajectory: {}", path.display()));
        }
    }
    let summary = SampleSummary {
        run_dir: args.place.run.clone(),
        model_dir: args.place.model.clone(),
        step: opened.card.origin.step,
        samples: samples.rows() as u64,
        nfe: samples.nfe,
        seconds,
        samples_per_s: samples.rows() as f64 / seconds.max(1e-9),
        seed: options.seed,
        out,
        png,
        trajectory: way,
        peak_memory_mb: peak_memory_mb(),
    };
    if args.json && leads {
        print_json(&summary)?;
    }
    Ok(if samples.stopped { INTERRUPTED } else { DONE })
}

/// The model, and the configuration whose sampler draws from it. A model folder has no sampler of its own: it gets the
/// default one on its SDE.
fn open(args: &SampleArgs, device: Device) -> Result<(OpenModel, RunConfig), TrainError> {
    if let Some(run) = &args.place.run {
        let config = load_run(run, &args.overrides)?.config;
        return Ok((OpenModel::of_run(run, &config, device)?, config));
    }
    let folder = args.place.model.as_deref().unwrap_or(Path::new("."));
    let opened = OpenModel::of_folder(folder, device)?;
    let file = opened.card_file();
    let base = RunConfig {
        // A ladder of listed betas is a VP SDE, whose table alone would be another one.
        sde: match opened.card.betas {
            None => opened.card.sde,
            Some(_) => SdeConfig::default(),
        },
        ..RunConfig::default()
    };
    // What the arguments override: the SDE of the card, the default sampler, and no guidance.
    let table = toml::Table::try_from(&base).map(|mut table| {
        table.retain(|key, _| ["sde", "sampler", "condition"].contains(&key));
        table.to_string()
    });
    let table = table.map_err(|e| TrainError::Format {
        path: file.clone(),
        reason: e.to_string(),
    })?;
    let config = load_text(&table, &file, &args.overrides)?.config;
    Ok((opened, config))
}

/// Refuses a file that cannot be written before minutes are spent on what shall go into it.
pub(super) fn check_target(path: &Path) -> Result<(), TrainError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let probe = match path.is_dir() {
        true => Err(io::Error::from(io::ErrorKind::IsADirectory)),
        false => tempfile::tempfile_in(folder),
    };
    probe.map(drop).map_err(TrainError::io("write", path))
}
