//! A whole run: from the folder, new or found again, over the loop to the files at its end.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::artefacts::{self, Grid};
use super::folder::RunFolder;
use super::hook::{Action, Hook, StepMetrics};
use super::journal::{Journal, Pace};
use super::memory::peak_memory_mb;
use super::signals::StopFlag;
use super::spent::Shares;
use super::step::Trainer;
use super::wishes::Wishes;
use crate::TrainError;
use crate::dist;
use crate::log::{ProgressReport, Record};

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
/// then draws samples and the loss curve. Of several ranks the first has the folder, and the others have none.
///
/// # Errors
/// The data, network, sampler or disk fails, or training diverges; the last good checkpoint stays.
pub fn run<'a>(
    trainer: &mut Trainer,
    folder: impl Into<Option<&'a RunFolder>>,
    options: &mut RunOptions,
    hooks: &mut [&mut dyn Hook],
) -> Result<Summary, TrainError> {
    let folder = folder.into();
    // Everything that can be refused is refused before the first step.
    let sampler = trainer.sampler()?;
    let mut run = Run::start(trainer, folder, options)?;
    run.train(trainer, options, hooks)
        .map_err(|error| run.with_last_good(error))?;
    let interrupted = run.interrupted;
    let mut summary = run.summary(trainer, interrupted);
    if !interrupted {
        summary.val_loss = trainer.validation_loss()?;
        let started = Instant::now();
        let run_dir = folder.map(RunFolder::path);
        let samples = artefacts::write_all(trainer, sampler.as_ref(), run_dir, options)?;
        if let Some(journal) = &mut run.journal
            && samples.rows() > 0
            && !samples.stopped
        {
            let picture = journal.folder.path().join(artefacts::PICTURE_FILE);
            journal
                .events
                .picture(trainer.state().step, "samples", &picture)?;
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
    /// Of rank 0.
    journal: Option<Journal<'a>>,
    run_dir: PathBuf,
    /// Step of the newest checkpoint, if there is one.
    saved: Option<u64>,
    seconds_before: f64,
    images_before: u64,
    started: Instant,
    /// Time spent on sample grids, which does not count as training.
    paused: Duration,
    pace: Pace,
    interrupted: bool,
}

impl<'a> Run<'a> {
    fn start(
        trainer: &mut Trainer,
        folder: Option<&'a RunFolder>,
        options: &RunOptions,
    ) -> Result<Self, TrainError> {
        let (journal, saved) = match folder {
            Some(folder) => {
                let (journal, saved) = Journal::open(trainer, folder, &options.progress)?;
                (Some(journal), saved)
            }
            None => (None, None),
        };
        trainer.take_from_first()?;
        // Of rank 0, as a number: 0 for none.
        let [saved] = dist::sums(trainer.comm(), [saved.map_or(0.0, |step| step as f64 + 1.0)])?;
        let saved = (saved > 0.0).then(|| saved as u64 - 1);
        let images = trainer.state().images;
        Ok(Self {
            journal,
            run_dir: folder.map_or_else(PathBuf::new, |folder| folder.path().to_path_buf()),
            seconds_before: match (saved, folder) {
                (Some(_), Some(folder)) => folder.seconds(),
                _ => 0.0,
            },
            saved,
            images_before: images,
            started: Instant::now(),
            paused: Duration::ZERO,
            pace: Pace::new(images),
            interrupted: false,
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

    /// What this rank wants; `asked` is what its hooks do.
    fn wishes(&self, trainer: &Trainer, options: &RunOptions, asked: &[Action]) -> Wishes {
        Wishes {
            fraction: trainer.fraction(trainer.config().train.budget(), self.seconds()),
            stop: options.stop.is_set(),
            end: asked.contains(&Action::Stop),
            save: asked.contains(&Action::Save) || options.stop.take_save(),
            sample: asked.contains(&Action::Sample),
        }
    }

    fn train(
        &mut self,
        trainer: &mut Trainer,
        options: &mut RunOptions,
        hooks: &mut [&mut dyn Hook],
    ) -> Result<(), TrainError> {
        let (checkpoint_every, sample_every) = (
            trainer.config().train.checkpoint_every,
            trainer.config().train.sample_every,
        );
        let mut own = self.wishes(trainer, options, &[]);
        let mut next = own.agree(trainer)?;
        while !next.stop && !next.end && next.fraction < 1.0 {
            let (metrics, before) = own.step(trainer, next.fraction)?;
            let step = trainer.state().step;
            self.log(trainer, &metrics, options)?;
            let asked: Vec<Action> = hooks
                .iter_mut()
                .map(|h| h.after_step(trainer.state(), &metrics))
                .collect();
            own = self.wishes(trainer, options, &asked);
            next = own.after(trainer, before);
            if due(checkpoint_every, step) || next.save {
                self.save(trainer)?;
            }
            if due(sample_every, step) || next.sample {
                next.stop |= self.grid(trainer, options)?;
            }
        }
        self.interrupted = !dist::all(trainer.comm(), !options.stop.is_set())?;
        // An interrupted run leaves a checkpoint even if no step was done.
        let owed = trainer.state().step > 0 || self.interrupted;
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
                path: self.run_dir.clone(),
                reason,
            });
        }
        Ok(())
    }

    /// Draws a grid of samples; says whether a signal ended that.
    fn grid(&mut self, trainer: &mut Trainer, options: &RunOptions) -> Result<bool, TrainError> {
        let (before, step) = (Instant::now(), trainer.state().step);
        let run_dir = self.journal.as_ref().map(|journal| journal.folder.path());
        let stopped = match artefacts::write_grid(trainer, run_dir, &options.stop) {
            // A model that is still too bad to be sampled from is no reason to stop training it.
            Err(error @ (TrainError::Solve(_) | TrainError::Ranks { .. })) => {
                options
                    .progress
                    .say(&format!("warning: no sample grid at step {step}: {error}"));
                false
            }
            Err(error) => return Err(error),
            Ok(Grid::Stopped) => true,
            Ok(Grid::Elsewhere) => false,
            Ok(Grid::Written(path)) => {
                if let Some(journal) = &mut self.journal {
                    journal.events.picture(step, "samples", &path)?;
                }
                false
            }
        };
        self.paused += before.elapsed();
        self.pace.pause(before);
        Ok(stopped)
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
        trainer.check_ranks()?;
        let seconds = self.seconds();
        if let Some(journal) = &mut self.journal {
            journal.checkpoint(trainer, seconds)?;
        }
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
            TrainError::Comm(lost) => TrainError::Lost {
                lost,
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
        let record = Record {
            step,
            images,
            loss,
            lr: metrics.lr,
            grad_norm: metrics.grad_norm.is_finite().then_some(metrics.grad_norm),
            ema_decay: metrics.ema_decay,
            images_per_s: self.pace.lap(images),
            seconds: self.seconds(),
            val_loss,
            skipped,
        };
        match &mut self.journal {
            Some(journal) => journal.line(&record),
            None => Ok(()),
        }
    }

    fn summary(&self, trainer: &Trainer, interrupted: bool) -> Summary {
        let state = trainer.state();
        let here = self.seconds_here();
        Summary {
            run_dir: self.run_dir.clone(),
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
