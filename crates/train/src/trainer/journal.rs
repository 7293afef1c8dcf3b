//! What a run writes into its folder while it trains. Of several ranks, the first alone keeps one.

use std::time::Instant;

use super::Trainer;
use super::environment::Environment;
use super::folder::RunFolder;
use crate::TrainError;
use crate::checkpoint::Store;
use crate::log::{EventLog, MetricsLog, ProgressReport, Record};

/// Checkpoints, metrics and events of a run.
pub(super) struct Journal<'a> {
    pub(super) folder: &'a RunFolder,
    store: Store,
    metrics: MetricsLog,
    pub(super) events: EventLog,
}

impl<'a> Journal<'a> {
    /// Opens the folder, with the trainer put back to the newest whole checkpoint in it, if there is one; then its step comes along.
    pub(super) fn open(
        trainer: &mut Trainer,
        folder: &'a RunFolder,
        progress: &ProgressReport,
    ) -> Result<(Self, Option<u64>), TrainError> {
        let store = Store::new(folder.path(), trainer.config().train.keep);
        store.prepare()?;
        let newest = store.newest()?;
        for (path, error) in &newest.damaged {
            progress.say(&format!(
                "warning: checkpoint {} passed over: {error}",
                path.display()
            ));
        }
        let mut saved = None;
        if let Some((path, state)) = &newest.found {
            trainer.restore(path, state)?;
            store.point_to(state.step)?;
            saved = Some(state.step);
            progress.say(&format!("going on from step {} ({})", state.step, path.display()));
        } else if !newest.damaged.is_empty() {
            let reason = "no checkpoint in it is whole; start again with another --out".to_owned();
            return Err(TrainError::RunFolder {
                path: folder.path().to_path_buf(),
                reason,
            });
        }
        Environment::here(trainer.device).write(folder.path())?;
        let metrics = MetricsLog::open(folder.path(), trainer.state().step)?;
        let mut events = EventLog::new(folder.path(), trainer.state().step);
        if saved.is_none() && trainer.fraction(trainer.config().train.budget(), 0.0) < 1.0 {
            // Indented by four: a block of code in Markdown.
            let config = trainer.config().to_toml()?;
            let lines: Vec<String> = config.lines().map(|line| format!("    {line}")).collect();
            events.text(0, "config", &lines.join("\n"))?;
        }
        let journal = Self {
            folder,
            store,
            metrics,
            events,
        };
        Ok((journal, saved))
    }

    /// A line of metrics.
    pub(super) fn line(&mut self, record: &Record) -> Result<(), TrainError> {
        self.metrics.write(record)?;
        self.events.write(record)
    }

    /// A checkpoint, after `seconds` of training.
    pub(super) fn checkpoint(&mut self, trainer: &Trainer, seconds: f64) -> Result<(), TrainError> {
        self.metrics.sync()?;
        if trainer.config().log.histograms {
            let histograms = trainer.histograms()?;
            self.events.histograms(trainer.state().step, &histograms)?;
        }
        self.events.sync()?;
        trainer.write_power_averages(self.folder.path())?;
        self.store.save(&trainer.snapshot())?;
        self.folder.write_seconds(seconds)
    }
}

/// Rows a second since the last line of metrics.
pub(super) struct Pace {
    since: Instant,
    images: u64,
}

impl Pace {
    pub(super) fn new(images: u64) -> Self {
        Self {
            since: Instant::now(),
            images,
        }
    }

    /// Leaves out what took from `before` until now.
    pub(super) fn pause(&mut self, before: Instant) {
        self.since += before.elapsed();
    }

    /// The pace since this was last asked.
    pub(super) fn lap(&mut self, images: u64) -> f64 {
        let seconds = self.since.elapsed().as_secs_f64().max(1e-9);
        let done = images - self.images;
        *self = Self::new(images);
        done as f64 / seconds
    }
}
