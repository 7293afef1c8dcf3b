//! A whole run: from the folder, new or found again, over the loop to the files at its end.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::artefacts;
use super::environment::Environment;
use super::folder::RunFolder;
use super::hook::{Action, Hook, StepMetrics};
use super::memory::peak_memory_mb;
use super::signals::StopFlag;
use super::spent::Shares;
use super::step::Trainer;
use crate::TrainError;
use crate::checkpoint::Store;
use crate::log::{EventLog, MetricsLog, ProgressReport, Record};

/// How a run shows itself and is stopped.
#[derive(Debug)]
pub struct RunOptions {
    /// Where progress goes.
    pub progress: ProgressReport,
    /// Asks the run to save and end early.
    pub stop: StopFlag,
}

/// What a run did; one line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The run folder.
    pub run_dir: PathBuf,
    /// Steps done, earlier parts of the run included.
    pub steps: u64,
    /// Rows seen, likewise.
    pub images: u64,
    /// Seconds of training, likewise.
    pub seconds: f64,
    /// Rows a second in this process.
    pub images_per_s: f64,
    /// Where the time of the steps of this process went, if it did any.
    pub step_shares: Option<Shares>,
    /// Mean loss of the last 100 steps.
    pub loss: Option<f64>,
    /// Loss of the averaged weights on the held-out rows, if there are any.
    pub val_loss: Option<f64>,
    /// Steps skipped because loss or gradient was not finite.
    pub skipped: u64,
    /// Trainable values.
    pub parameters: i64,
    /// Network evaluations a batch of the samples drawn at the end.
    pub nfe: u64,
    /// Samples drawn at the end.
    pub samples: u64,
    /// Seconds that they took.
    pub sample_seconds: f64,
    /// Peak resident memory in MiB, where the system tells.
    pub peak_memory_mb: Option<f64>,
    /// Whether the run was asked to stop before its end.
    pub interrupted: bool,
}

/// Trains until the budget of the configuration is spent, or goes on from the newest whole checkpoint in the folder,
/// then draws samples and the loss curve.
///
/// # Errors
/// The data, network, sampler or disk fails, or training diverges; the last good checkpoint stays.
pub fn run(
    trainer: &mut Trainer,
    folder: &RunFolder,
    options: &mut RunOptions,
    hooks: &mut [&mut dyn Hook],
) -> Result<Summary, TrainError> {
    // Everything that can be refused is refused before the first step.
    let sampler = trainer.sampler()?;
    let mut run = Run::start(trainer, folder, options)?;
    run.train(trainer, options, hooks)?;
    let interrupted = options.stop.is_set();
    let mut summary = run.summary(trainer, interrupted);
    if !interrupted {
        summary.val_loss = trainer.validation_loss()?;
        let started = Instant::now();
        let samples = artefacts::write_all(trainer, sampler.as_ref(), folder.path(), options)?;
        if samples.rows() > 0 && !samples.stopped {
            let picture = folder.path().join(artefacts::PICTURE_FILE);
            run.events.picture(trainer.state().step, "samples", &picture)?;
        }
        summary.sample_seconds = started.elapsed().as_secs_f64();
        summary.nfe = samples.nfe;
        summary.samples = samples.rows() as u64;
        summary.interrupted = samples.stopped;
    }
    options.progress.finish();
    summary.peak_memory_mb = peak_memory_mb();
    Ok(summary)
}

/// Whether something that happens every so many steps, 0 for never, happens now.
fn due(every: u64, step: u64) -> bool {
    every > 0 && step.is_multiple_of(every)
}

struct Run<'a> {
    folder: &'a RunFolder,
    store: Store,
    metrics: MetricsLog,
    events: EventLog,
    /// Step of the newest checkpoint, if there is one.
    saved: Option<u64>,
    seconds_before: f64,
    images_before: u64,
    started: Instant,
    /// Time spent on sample grids, which does not count as training.
    paused: Duration,
    /// Time and images at the last line of metrics.
    last_line: (Instant, u64),
}

impl<'a> Run<'a> {
    fn start(trainer: &mut Trainer, folder: &'a RunFolder, options: &RunOptions) -> Result<Self, TrainError> {
        let store = Store::new(folder.path(), trainer.config().train.keep);
        store.prepare()?;
        let newest = store.newest()?;
        for (path, error) in &newest.damaged {
            options.progress.say(&format!(
                "warning: checkpoint {} passed over: {error}",
                path.display()
            ));
        }
        let mut saved = None;
        if let Some((path, state)) = &newest.found {
            trainer.restore(path, state)?;
            store.point_to(state.step)?;
            saved = Some(state.step);
            options
                .progress
                .say(&format!("going on from step {} ({})", state.step, path.display()));
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
        let seconds_before = if saved.is_some() { folder.seconds() } else { 0.0 };
        let (now, images) = (Instant::now(), trainer.state().images);
        Ok(Self {
            folder,
            store,
            metrics,
            events,
            saved,
            seconds_before,
            images_before: images,
            started: now,
            paused: Duration::ZERO,
            last_line: (now, images),
        })
    }

    /// Seconds of training in this process.
    fn seconds_here(&self) -> f64 {
        self.started.elapsed().saturating_sub(self.paused).as_secs_f64()
    }

    /// Seconds of training in all.
    fn seconds(&self) -> f64 {
        self.seconds_before + self.seconds_here()
    }

    fn train(
        &mut self,
        trainer: &mut Trainer,
        options: &mut RunOptions,
        hooks: &mut [&mut dyn Hook],
    ) -> Result<(), TrainError> {
        let budget = trainer.config().train.budget();
        let (checkpoint_every, sample_every) = (
            trainer.config().train.checkpoint_every,
            trainer.config().train.sample_every,
        );
        let mut stopped = false;
        while !stopped && !options.stop.is_set() {
            let fraction = trainer.fraction(budget, self.seconds());
            if fraction >= 1.0 {
                break;
            }
            let metrics = trainer
                .step(fraction)
                .map_err(|error| self.with_last_good(error))?;
            let step = trainer.state().step;
            self.log(trainer, &metrics, options)?;
            let actions: Vec<Action> = hooks
                .iter_mut()
                .map(|h| h.after_step(trainer.state(), &metrics))
                .collect();
            stopped = actions.contains(&Action::Stop);
            let asked = actions.contains(&Action::Save) || options.stop.take_save();
            if due(checkpoint_every, step) || asked {
                self.save(trainer)?;
            }
            if due(sample_every, step) || actions.contains(&Action::Sample) {
                let before = Instant::now();
                match artefacts::write_grid(trainer, self.folder.path(), &options.stop) {
                    // A model that is still too bad to be sampled from is no reason to stop training it.
                    Err(TrainError::Solve(error)) => {
                        options
                            .progress
                            .say(&format!("warning: no sample grid at step {step}: {error}"));
                    }
                    Err(error) => return Err(error),
                    Ok(None) => {}
                    Ok(Some(path)) => self.events.picture(step, "samples", &path)?,
                }
                self.paused += before.elapsed();
                self.last_line.0 += before.elapsed();
            }
        }
        // An interrupted run leaves a checkpoint even if no step was done.
        let owed = trainer.state().step > 0 || options.stop.is_set();
        if self.saved != Some(trainer.state().step) && owed && !self.save(trainer)? {
            let step = trainer.state().step;
            let reason = match self.saved {
                Some(saved) => format!(
                    "the weights after step {step} give no finite loss; step {saved} is the last good checkpoint"
                ),
                None => format!(
                    "the weights after step {step} give no finite loss; nothing was saved; lower optim.lr"
                ),
            };
            return Err(TrainError::RunFolder {
                path: self.folder.path().to_path_buf(),
                reason,
            });
        }
        Ok(())
    }

    /// Writes a checkpoint unless the weights are not fit to be one; says whether it did.
    fn save(&mut self, trainer: &mut Trainer) -> Result<bool, TrainError> {
        let step = trainer.state().step;
        if self.saved == Some(step) {
            return Ok(true);
        }
        if !trainer.healthy()? {
            return Ok(false);
        }
        self.metrics.sync()?;
        if trainer.config().log.histograms {
            self.events.histograms(step, &trainer.histograms()?)?;
        }
        self.events.sync()?;
        trainer.write_power_averages(self.folder.path())?;
        self.store.save(&trainer.snapshot())?;
        self.folder.write_seconds(self.seconds())?;
        self.saved = Some(step);
        Ok(true)
    }

    fn with_last_good(&self, error: TrainError) -> TrainError {
        match error {
            TrainError::Diverged {
                step,
                streak,
                loss,
                grad_norm,
                lr,
                ..
            } => TrainError::Diverged {
                step,
                streak,
                loss,
                grad_norm,
                lr,
                saved: self.saved,
            },
            other => other,
        }
    }

    fn log(
        &mut self,
        trainer: &mut Trainer,
        metrics: &StepMetrics,
        options: &mut RunOptions,
    ) -> Result<(), TrainError> {
        let (state, every) = (trainer.state(), trainer.config().log.every);
        let budget = trainer.config().train.budget();
        let loss = state.mean_loss(usize::try_from(every).unwrap_or(usize::MAX));
        let done = trainer.fraction(budget, self.seconds());
        let rate = (state.images - self.images_before) as f64 / self.seconds_here();
        options.progress.update(done, || {
            let loss = loss.map_or("none".to_owned(), |loss| format!("{loss:.4}"));
            format!("step {} loss {loss} {rate:.0} images/s", state.step)
        });
        let validate = due(trainer.config().train.validate_every, state.step);
        if !due(every, state.step) && !validate {
            return Ok(());
        }
        let (step, images, skipped) = (state.step, state.images, state.skipped);
        let val_loss = if validate {
            trainer.validation_loss()?
        } else {
            None
        };
        let (now, (before, images_before)) = (Instant::now(), self.last_line);
        self.last_line = (now, images);
        let record = Record {
            step,
            images,
            loss,
            lr: metrics.lr,
            grad_norm: metrics.grad_norm.is_finite().then_some(metrics.grad_norm),
            ema_decay: metrics.ema_decay,
            images_per_s: (images - images_before) as f64 / (now - before).as_secs_f64().max(1e-9),
            seconds: self.seconds(),
            val_loss,
            skipped,
        };
        self.metrics.write(&record)?;
        self.events.write(&record)
    }

    fn summary(&self, trainer: &Trainer, interrupted: bool) -> Summary {
        let state = trainer.state();
        let here = self.seconds_here();
        Summary {
            run_dir: self.folder.path().to_path_buf(),
            steps: state.step,
            images: state.images,
            seconds: self.seconds(),
            images_per_s: (state.images - self.images_before) as f64 / here.max(1e-9),
            step_shares: trainer.spent().shares(),
            loss: state.mean_loss(usize::MAX),
            val_loss: None,
            skipped: state.skipped,
            parameters: trainer.parameter_count(),
            nfe: 0,
            samples: 0,
            sample_seconds: 0.0,
            peak_memory_mb: None,
            interrupted,
        }
    }
}
