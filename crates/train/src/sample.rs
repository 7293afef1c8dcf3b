//! Drawing samples from a trained model, in batches of which the result does not depend.

use std::ops::ControlFlow;

use score_nets::{Given, NetScore, ScoreNet, TensorNoise, TensorState};
use sde_core::{Precond, Sde};
use solvers::guide::ClassifierFree;
use solvers::observe::Chain;
use solvers::sampler::draw_prior;
use solvers::{Job, Observer, Sampler, ScoreFn, SolveError, SolveStats, State, StepInfo, StopReason};
use tch::{Device, Kind};

use crate::TrainError;
use crate::config::ConditionConfig;
use crate::dist::{self, Comm};
use crate::trainer::StopFlag;

mod told;
mod trajectory;

pub use told::Told;
use trajectory::Recorder;
pub use trajectory::{STATES, Trajectory};

/// How many samples, from which noise, how many at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleOptions {
    /// Number of samples.
    pub count: u64,
    /// Seed of the noise. Sample `i` of a seed is the same for every `count` and `batch`, up to rounding, unless the
    /// sampler couples rows.
    pub seed: u64,
    /// Rows a network evaluation; 0 takes [`DEFAULT_BATCH`]. A sampler that couples rows gets them all at once, and
    /// refuses a smaller number.
    pub batch: u64,
    /// Whether some states on the way of the first rows are kept: [`Samples::trajectory`]. The samples have the same bits with and
    /// without. It costs one evaluation of these rows a state.
    pub trajectory: bool,
}

/// Rows at a time where nothing else is asked for.
pub const DEFAULT_BATCH: u64 = 256;

/// Samples in the scale of the model, and what they cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    /// Values, row after row; shorter than asked for only if the draw was stopped.
    pub values: Vec<f32>,
    /// Shape of one row.
    pub shape: Vec<i64>,
    /// Network evaluations of a batch (the most of any batch).
    pub nfe: u64,
    /// Whether the stop flag ended the draw.
    pub stopped: bool,
    /// The way of the first rows, where that was asked for; of several ranks the first has it.
    pub trajectory: Option<Trajectory>,
}

impl Samples {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        let row_len: i64 = self.shape.iter().product();
        self.values
            .len()
            .checked_div(usize::try_from(row_len).unwrap_or(0))
            .unwrap_or(0)
    }
}

/// What samples are drawn from.
#[derive(Debug, Clone, Copy)]
pub struct Model<'a> {
    /// The network.
    pub net: &'a dyn ScoreNet,
    /// How its output becomes a score.
    pub precond: &'a Precond,
    /// The forward process.
    pub sde: &'a dyn Sde,
    /// Shape of one row.
    pub shape: &'a [i64],
    /// Where the network's tensors lie.
    pub device: Device,
    /// Which classes are drawn, and how strongly; of a network without classes not looked at.
    pub condition: &'a ConditionConfig,
    /// Vectors and images that the samples are drawn for.
    pub told: &'a Told,
    /// Ranks that draw batches in turn; every one of them gets all samples.
    pub comm: &'a dyn Comm,
}

impl Model<'_> {
    /// Draws samples. `progress` gets the done fraction; a set `stop` flag ends the draw at the next step with the
    /// batches that are finished; where there are several ranks, with none.
    ///
    /// # Errors
    /// The sampler or the network fails; the error names row, time and step. Another rank fails or is gone.
    pub fn sample(
        &self,
        sampler: &dyn Sampler<TensorState>,
        options: SampleOptions,
        stop: &StopFlag,
        progress: &mut dyn FnMut(f64),
    ) -> Result<Samples, TrainError> {
        let _guard = tch::no_grad_guard();
        let info = sampler.info();
        let batch = match options.batch {
            // Such a sampler needs the whole batch; the network still sees it in pieces.
            0 if info.couples_rows => options.count.max(1),
            0 => DEFAULT_BATCH,
            batch if info.couples_rows && batch < options.count => {
                return Err(SolveError::Config {
                    key: "batch".to_owned(),
                    value: batch.to_string(),
                    reason: format!(
                        "the rows of {} influence each other: give --batch {} or take another corrector",
                        info.name, options.count
                    ),
                }
                .into());
            }
            batch => batch,
        };
        let at_once = if options.batch == 0 { DEFAULT_BATCH } else { batch };
        let rows_at_once = usize::try_from(at_once).unwrap_or(usize::MAX);
        let parts: Vec<Part> = (0..options.count.div_ceil(batch))
            .map(|number| Part {
                first_row: number * batch,
                rows: batch.min(options.count - number * batch),
                rows_at_once,
            })
            .collect();
        let row_len = self.shape.iter().product::<i64>() as usize;
        let lengths: Vec<usize> = parts.iter().map(|part| part.rows as usize * row_len).collect();
        let (mut nfe, mut trajectory) = (0, None);
        let drawn = dist::in_turn(self.comm, "samples", &lengths, &mut |number| {
            let drawn = self.part(sampler, options, parts[number], stop, progress)?;
            Ok(drawn.map(|drawn| {
                nfe = nfe.max(drawn.nfe);
                trajectory = trajectory.take().or(drawn.trajectory);
                drawn.values
            }))
        })?;
        Ok(Samples {
            values: drawn.parts.concat(),
            shape: self.shape.to_vec(),
            nfe: dist::largest(self.comm, nfe)?,
            stopped: drawn.stopped,
            trajectory,
        })
    }

    /// Draws some rows; `None` if that was stopped.
    fn part(
        &self,
        sampler: &dyn Sampler<TensorState>,
        options: SampleOptions,
        part: Part,
        stop: &StopFlag,
        progress: &mut dyn FnMut(f64),
    ) -> Result<Option<Drawn>, TrainError> {
        let Part { first_row, rows, .. } = part;
        let size = i64::try_from(rows).unwrap_or(i64::MAX);
        let mut x = TensorState::zeros(size, self.shape, Kind::Float, self.device)?;
        let noise = TensorNoise {
            seed: options.seed,
            first_row,
        };
        let score = self.score(first_row, rows, part.rows_at_once)?;
        draw_prior(self.sde, sampler.t_start(), &noise, &mut x)?;
        let job = Job {
            sde: self.sde,
            score: score.as_ref(),
            noise: &noise,
            first_row,
        };
        let mut watch = Watch {
            stop,
            progress,
            done: first_row as f64 / options.count as f64,
            share: rows as f64 / options.count as f64,
        };
        let mut recorder = (options.trajectory && first_row == 0).then(|| Recorder::new(self.shape, rows));
        let mut observers = Chain(vec![&mut watch]);
        observers.0.extend(
            recorder
                .iter_mut()
                .map(|recorder| recorder as &mut dyn Observer<_>),
        );
        let stats: SolveStats = sampler.run(&job, &mut x, &mut observers)?;
        if stats.stop == StopReason::Stopped {
            return Ok(None);
        }
        let mut values = Vec::new();
        x.read_rows(&mut |_, row| values.extend(row.iter().map(|&v| v as f32)));
        let trajectory = recorder.map(|recorder| {
            let score = self.score(0, recorder.rows() as u64, part.rows_at_once)?;
            recorder.finish(self.sde, score.as_ref(), self.device)
        });
        Ok(Some(Drawn {
            values,
            nfe: stats.nfe,
            trajectory: trajectory.transpose()?,
        }))
    }

    /// The score of the rows `first_row..first_row + rows`: of their vectors and images, of their classes where the network knows
    /// classes, and guided towards those.
    fn score(
        &self,
        first_row: u64,
        rows: u64,
        rows_at_once: usize,
    ) -> Result<Box<dyn ScoreFn<TensorState> + '_>, TrainError> {
        let told = self.told.rows(first_row..first_row + rows)?;
        let score = |given| {
            let score = NetScore::new(self.net, self.precond.clone());
            score.with_max_rows(rows_at_once).with_given(given)
        };
        let (classes, condition) = (self.net.classes(), self.condition);
        if classes == 0 {
            return Ok(Box::new(score(told)));
        }
        let labels = (first_row..first_row + rows).map(|row| condition.label(row, classes));
        let given = Given::labels(&labels.collect::<Vec<_>>())?;
        given.classes(classes)?;
        let conditional = score(told.overlaid(&given));
        if condition.guidance_scale == 1.0 {
            return Ok(Box::new(conditional));
        }
        let guided = ClassifierFree::new(conditional, score(told), condition.guidance_scale)?;
        Ok(Box::new(match condition.guidance_interval {
            Some([low, high]) => guided.within(self.sde, low, high)?,
            None => guided,
        }))
    }
}

/// Rows that go through a sampler together, and how many of them through the network.
#[derive(Clone, Copy)]
struct Part {
    first_row: u64,
    rows: u64,
    rows_at_once: usize,
}

/// What came of them.
struct Drawn {
    values: Vec<f32>,
    nfe: u64,
    trajectory: Option<Trajectory>,
}

struct Watch<'a> {
    stop: &'a StopFlag,
    progress: &'a mut dyn FnMut(f64),
    done: f64,
    share: f64,
}

impl<S: State> Observer<S> for Watch<'_> {
    fn step(&mut self, info: &StepInfo, _x: &S) -> ControlFlow<()> {
        let inside = info
            .steps
            .map_or(0.0, |steps| (info.step + 1) as f64 / steps.max(1) as f64);
        (self.progress)(self.done + self.share * inside);
        if self.stop.is_set() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}
