//! `sde sample`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use score_nets::{TensorState, named_tensors, weights};
use serde::Serialize;
use solvers::Sampler;
use tch::nn::VarStore;

use super::{print_json, set_up};
use crate::TrainError;
use crate::checkpoint::Store;
use crate::cli::{DONE, INTERRUPTED, SampleArgs};
use crate::log::ProgressReport;
use crate::sample::{Model, SampleOptions};
use crate::trainer::StopFlag;
use crate::trainer::artefacts::{write_array, write_picture};
use crate::trainer::memory::peak_memory_mb;

/// What was drawn; one line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct SampleSummary {
    /// The run folder.
    run_dir: PathBuf,
    /// Step of the checkpoint.
    step: u64,
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
    /// Peak resident memory in MiB, where the system tells.
    peak_memory_mb: Option<f64>,
}

/// Draws samples with the averaged weights of the newest whole checkpoint; the answer is the exit code. Where neither
/// `--out` nor `--png` is given, `sampled.npz` and `sampled.png` go into the run folder.
///
/// # Errors
/// The folder is no run, has no whole checkpoint, or the sampler or a file fails.
pub fn sample(args: &SampleArgs) -> Result<u8, TrainError> {
    set_up(args.machine.threads);
    let device = args.machine.device.resolve()?;
    let run_dir = &args.run;
    let config = args.load()?.config;
    let stop = StopFlag::on_signals()?;
    let data = crate::data::open(&config.data)?;
    let sde = config.sde.build()?;
    let precond = config.precond.build(Arc::clone(&sde))?;
    let sampler: Box<dyn Sampler<TensorState>> = config.sampler.build(sde.as_ref())?;
    let vs = VarStore::new(device);
    let net = config.net.build(&vs.root(), data.shape())?;
    let mut progress = ProgressReport::new("sampling");
    let newest = Store::new(run_dir, config.train.keep).newest()?;
    for (path, error) in &newest.damaged {
        progress.say(&format!(
            "warning: checkpoint {} passed over: {error}",
            path.display()
        ));
    }
    let Some((checkpoint, state)) = newest.found else {
        let reason = "holds no whole checkpoint; go on with the run by sde train --resume".to_owned();
        return Err(TrainError::RunFolder {
            path: run_dir.clone(),
            reason,
        });
    };
    weights::load(&checkpoint.join("ema.safetensors"), &named_tensors(&vs))?;
    let (count, seed) = (args.n, args.seed.unwrap_or(config.seed));
    let options = SampleOptions {
        count,
        seed,
        batch: args.batch.unwrap_or(0),
    };
    let model = Model {
        net: net.as_ref(),
        precond: &precond,
        sde: sde.as_ref(),
        shape: data.shape(),
        device,
    };
    let (mut out, mut png) = match (&args.out, &args.png) {
        (None, None) => (
            Some(run_dir.join("sampled.npz")),
            Some(run_dir.join("sampled.png")),
        ),
        (out, png) => (out.clone(), png.clone()),
    };
    for path in out.iter().chain(&png) {
        check_target(path)?;
    }
    let started = Instant::now();
    let mut show = |done: f64| progress.update(done, || format!("{} samples", options.count));
    let samples = model.sample(sampler.as_ref(), options, &stop, &mut show)?;
    let seconds = started.elapsed().as_secs_f64();
    progress.finish();
    if samples.stopped {
        (out, png) = (None, None);
    } else {
        if let Some(path) = &out {
            write_array(&samples, data.scaling(), path)?;
            progress.say(&format!("samples: {}", path.display()));
        }
        if let Some(path) = &png {
            write_picture(&samples, data.scaling(), usize::MAX, path)?;
            progress.say(&format!("picture: {}", path.display()));
        }
    }
    let summary = SampleSummary {
        run_dir: run_dir.clone(),
        step: state.step,
        samples: samples.rows() as u64,
        nfe: samples.nfe,
        seconds,
        samples_per_s: samples.rows() as f64 / seconds.max(1e-9),
        seed: options.seed,
        out,
        png,
        peak_memory_mb: peak_memory_mb(),
    };
    if args.json {
        print_json(&summary)?;
    }
    Ok(if samples.stopped { INTERRUPTED } else { DONE })
}

/// Refuses a file that cannot be written before minutes are spent on what shall go into it.
fn check_target(path: &Path) -> Result<(), TrainError> {
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
