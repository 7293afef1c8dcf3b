//! `sde train`.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::ranks::Place;
use super::{print_json, set_up};
use crate::TrainError;
use crate::cli::{DONE, INTERRUPTED, TrainArgs, print_line};
use crate::config::Override;
use crate::dist::{Engine, Membership, Route};
use crate::log::ProgressReport;
use crate::trainer::folder::CONFIG_FILE;
use crate::trainer::{RunFolder, RunOptions, StopFlag, Summary, Trainer, run};

/// What may be changed when a run goes on: how long, how often it saves, what it shows.
const CHANGEABLE: [&str; 10] = [
    "train.images",
    "train.steps",
    "train.seconds",
    "train.checkpoint_every",
    "train.keep",
    "train.sample_every",
    "train.samples",
    "train.validate_every",
    "log.",
    "sampler.",
];

/// Trains, or goes on with a run; the answer is the exit code.
///
/// # Errors
/// See [`run()`]; besides, the configuration, the device or the run folder is refused.
pub fn train(args: &TrainArgs) -> Result<u8, TrainError> {
    let membership = match Place::find(&args.ranks)? {
        Place::Launched(code) => return Ok(code),
        Place::Rank(membership) => Some(membership),
        Place::Alone => None,
    };
    set_up(args.machine.threads);
    let local_rank = membership.as_ref().map_or(0, |place| place.local_rank);
    let device = args.machine.device.resolve(local_rank)?;
    // A run that a launcher has started again goes on by itself.
    let again = args
        .out
        .as_deref()
        .filter(|out| is_restart(membership.as_ref(), out));
    let args = &TrainArgs {
        resume: args.resume.clone().or(again.map(Path::to_path_buf)),
        ..args.clone()
    };
    if args.resume.is_some() && again.is_none() {
        refuse_changes(&args.overrides)?;
    }
    let loaded = args.load()?;
    let config = &loaded.config;
    let leads = membership.as_ref().is_none_or(|place| place.rank == 0);
    let progress = match leads {
        true => ProgressReport::new("training"),
        false => ProgressReport::silent(),
    };
    for note in &loaded.notes {
        progress.say(&format!("note: {note}"));
    }
    if let Some(note) = config.train.precision.note(device) {
        progress.say(&format!("note: {note}"));
    }
    // Everything is built, so that everything is checked, before a folder is touched.
    let mut trainer = Trainer::new(config, device)?;
    trainer.sampler()?;
    if args.dry_run {
        if leads {
            progress.say(&format!("{} trainable values", trainer.parameter_count()));
            print_line(config.to_toml()?.trim_end())?;
        }
        return Ok(DONE);
    }
    let stop = StopFlag::on_signals()?;
    if let Some(place) = &membership {
        let (engine, route) = Engine::join(place)?.on(device, place.nccl)?;
        trainer = trainer.join(Box::new(engine))?;
        progress.say(&format!("{} ranks, which met at {}", place.world, place.store));
        match route {
            Route::Nccl => progress.say("gradients are summed by NCCL"),
            Route::Host(why) => progress.say(&format!("note: gradients are summed on the host: {why}")),
            Route::NoGpus => {}
        }
    }
    let folder = match (&args.resume, leads) {
        (_, false) => None,
        (Some(run_dir), true) => Some(RunFolder::resume(run_dir, config)?),
        (None, true) => {
            let out = args.out.clone().unwrap_or_else(|| default_folder(&config.name));
            Some(RunFolder::create(&out, config)?)
        }
    };
    if let Some(folder) = &folder {
        progress.say(&format!("run folder {}", folder.path().display()));
    }
    let mut options = RunOptions { progress, stop };
    let summary = run(&mut trainer, folder.as_ref(), &mut options, &mut [])?;
    if leads {
        tell(&summary, &options.progress);
        if args.json {
            print_json(&summary)?;
        }
    }
    Ok(if summary.interrupted { INTERRUPTED } else { DONE })
}

fn tell(summary: &Summary, progress: &ProgressReport) {
    let loss = summary
        .loss
        .map_or("none".to_owned(), |loss| format!("{loss:.4}"));
    progress.say(&format!(
        "{}: step {}, loss {loss}, {:.0} s of training at {:.0} images/s, {} samples in {:.1} s; see {}",
        if summary.interrupted {
            "interrupted"
        } else {
            "done"
        },
        summary.steps,
        summary.seconds,
        summary.images_per_s,
        summary.samples,
        summary.sample_seconds,
        summary.run_dir.display()
    ));
}

/// Whether this group was started again over a run in `out`.
fn is_restart(membership: Option<&Membership>, out: &Path) -> bool {
    membership.is_some_and(|place| place.restarts > 0) && out.join(CONFIG_FILE).is_file()
}

/// What a run is made of stays as it is.
fn refuse_changes(overrides: &[Override]) -> Result<(), TrainError> {
    let changeable = |key: &str| {
        CHANGEABLE
            .iter()
            .any(|&known| key == known || (known.ends_with('.') && key.starts_with(known)))
    };
    match overrides.iter().find(|given| !changeable(&given.key)) {
        None => Ok(()),
        Some(refused) => Err(TrainError::Usage(format!(
            "{}: a run that goes on keeps this; to change are its budget, train.checkpoint_every, keep, sample_every, \
             samples, validate_every, and the tables log and sampler",
            refused.argument
        ))),
    }
}

/// `runs/<YYYYMMDD-HHMMSS>_<name>`, in universal time.
fn default_folder(name: &str) -> PathBuf {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs();
    let name: String = name
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '-'
            }
        })
        // File systems hold names of up to 255 bytes.
        .take(60)
        .collect();
    let base = format!("{}_{name}", timestamp(now));
    let mut path = Path::new("runs").join(&base);
    let mut number = 2;
    while path.exists() {
        path = Path::new("runs").join(format!("{base}-{number}"));
        number += 1;
    }
    path
}

/// `YYYYMMDD-HHMMSS` of seconds since 1970 (days to civil date in 400-year cycles that start in March).
fn timestamp(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!(
        "{year:04}{month:02}{day:02}-{hour:02}{minute:02}{:02}",
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::timestamp;

    #[test]
    fn timestamps_are_civil_dates() {
        assert_eq!(timestamp(0), "19700101-000000");
        assert_eq!(timestamp(951_782_399), "20000228-235959");
        assert_eq!(timestamp(951_782_400), "20000229-000000");
        assert_eq!(timestamp(1_709_251_199), "20240229-235959");
        assert_eq!(timestamp(4_102_444_799), "20991231-235959");
    }
}
