//! The folder `ema/` of a run: power-function averages at the moments of its checkpoints, of which none is retired.

use std::fs;
use std::path::{Path, PathBuf};

use score_nets::weights;
use tch::{Device, Kind, Tensor, no_grad};

use super::power::{Profile, exponent, factors, is_length};
use crate::TrainError;

const FOLDER: &str = "ema";

/// Writes the averages of the profiles, each as named views, after `updates` updates.
///
/// # Errors
/// The file cannot be written; it is named.
pub fn write(run: &Path, updates: u64, profiles: &[Vec<(String, Tensor)>]) -> Result<(), TrainError> {
    let folder = run.join(FOLDER);
    fs::create_dir_all(&folder).map_err(TrainError::io("create", &folder))?;
    let named = profiles.iter().enumerate().flat_map(|(profile, views)| {
        views
            .iter()
            .map(move |(name, view)| (format!("{profile}.{name}"), view.shallow_clone()))
    });
    let path = folder.join(format!("updates_{updates:08}.safetensors"));
    Ok(weights::save(&path, &named.collect::<Vec<_>>())?)
}

/// Writes the average of the length `sigma_rel` after `updates` updates into `into`, out of the snapshots of a run that kept the
/// lengths `kept`.
///
/// # Errors
/// The run kept no averages, or none of them before that moment; the length is out of range; a file is damaged.
pub fn rebuild(
    run: &Path,
    kept: &[f64],
    sigma_rel: f64,
    updates: u64,
    into: &[(String, Tensor)],
) -> Result<(), TrainError> {
    let refuse = |reason: String| TrainError::RunFolder {
        path: run.join(FOLDER),
        reason,
    };
    if !is_length(sigma_rel) {
        return Err(refuse(format!(
            "an average has a length above 0 and up to 0.288 of the run, not {sigma_rel}: change ema.length"
        )));
    }
    let files: Vec<(u64, PathBuf)> = files(run)?.into_iter().filter(|(at, _)| *at <= updates).collect();
    if kept.is_empty() || files.is_empty() {
        return Err(refuse(
            "holds no averages to combine: the run must be trained with ema.power, for example [0.05, 0.1]"
                .to_owned(),
        ));
    }
    let profiles: Vec<Profile> = files
        .iter()
        .flat_map(|(at, _)| kept.iter().map(|length| (exponent(*length), *at as f64)))
        .map(|(exponent, updates)| Profile { exponent, updates })
        .collect();
    let wanted = Profile {
        exponent: exponent(sigma_rel),
        updates: updates as f64,
    };
    let factors = factors(&profiles, wanted);
    let fail = TrainError::tensor("combining averages");
    // In f64: factors of both signs may be large.
    let zeros = |(_, tensor): &(String, Tensor)| {
        tensor
            .f_zeros_like()?
            .f_to_device(Device::Cpu)?
            .f_to_kind(Kind::Double)
    };
    let mut sums = into
        .iter()
        .map(zeros)
        .collect::<Result<Vec<_>, _>>()
        .map_err(&fail)?;
    for ((_, path), factors) in files.iter().zip(factors.chunks(kept.len())) {
        let tensors = weights::read(path)?;
        for (profile, factor) in factors.iter().enumerate().filter(|(_, factor)| **factor != 0.0) {
            for ((name, _), sum) in into.iter().zip(&mut sums) {
                let full = format!("{profile}.{name}");
                let found = tensors.iter().find(|(other, _)| *other == full);
                let Some((_, tensor)) = found.filter(|(_, tensor)| tensor.size() == sum.size()) else {
                    return Err(TrainError::Format {
                        path: path.clone(),
                        reason: format!("holds no tensor {full} of the shape {:?}", sum.size()),
                    });
                };
                *sum = (tensor
                    .f_to_kind(Kind::Double)
                    .and_then(|t| t.f_mul_scalar(*factor)))
                .and_then(|term| sum.f_add(&term))
                .map_err(&fail)?;
            }
        }
    }
    for ((_, tensor), sum) in into.iter().zip(&sums) {
        let mut place = tensor.shallow_clone();
        no_grad(|| place.f_copy_(sum)).map_err(&fail)?;
    }
    Ok(())
}

/// Snapshots with their numbers of updates, oldest first.
fn files(run: &Path) -> Result<Vec<(u64, PathBuf)>, TrainError> {
    let folder = run.join(FOLDER);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(TrainError::io("list", &folder))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(TrainError::io("list", &folder))?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let number = name
            .strip_prefix("updates_")
            .and_then(|rest| rest.strip_suffix(".safetensors"));
        files.extend(number.and_then(|number| Some((number.parse().ok()?, path))));
    }
    files.sort();
    Ok(files)
}
