use sde_core::{Grid, Span};

use super::measurement::{Known, Memory};
use super::replacement::CLEAN;
use super::work::refuse_value;
use crate::observe::NanGuard;
use crate::predict::Predictor;
use crate::sampler::{CountedScore, Final, Scratch, StepCtx};
use crate::{
    Coef, Draw, Job, MethodInfo, Observer, Purpose, Sampler, SolveError, SolveStats, State, StepInfo,
    StopReason,
};

/// How often and how far a run goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jumps {
    /// Spans of the grid that a jump goes back, `j` of the paper; 10 there.
    pub length: usize,
    /// How often each stretch is run through in all, `r` of the paper; 10 there. 1 is replacement without jumps.
    pub resamplings: usize,
}

impl Default for Jumps {
    fn default() -> Self {
        Self {
            length: 10,
            resamplings: 10,
        }
    }
}

/// RePaint: predictor steps with the known part replaced by noised data after each, and jumps back in time, so that the unknown part is
/// brought into line with the known one.
///
/// Wherever the number of spans left is a multiple of `length` (0 included), the state is noised `length` spans back, exactly, and run
/// through again, `resamplings - 1` times. The bias of [`Replacement`](super::Replacement) falls with the resamplings: on the same
/// example the mean is 0.50, 0.69 and 0.75 for 0.80 with 1, 5 and 20 of them (50 steps, jumps of 10).
///
/// Evaluations: `N + (resamplings - 1) length floor(N/length)` for `N` spans, and one for the final Tweedie step. Draws at
/// `Purpose::Guidance`, numbered in the order of their use: one at the start, one after each step, one for each jump; the predictor's are
/// numbered by its steps. Memory: four states. Source: Lugmayr et al. 2022, arXiv:2201.09865, algorithm 1 and appendix B.
#[derive(Debug)]
pub struct RePaint<S: State> {
    predictor: Box<dyn Predictor<S>>,
    grid: Grid,
    known: Known,
    jumps: Jumps,
    final_step: Final,
}

impl<S: State> RePaint<S> {
    /// The sampler with this predictor on this grid. It ends with a Tweedie step.
    ///
    /// # Errors
    /// [`SolveError::Config`] at `guide.jumps` for a length of 0 or longer than the grid, no run through at all, or more steps than
    /// can be addressed.
    pub fn new(
        predictor: impl Predictor<S> + 'static,
        grid: Grid,
        known: Known,
        jumps: Jumps,
    ) -> Result<Self, SolveError> {
        let steps = grid.steps();
        if jumps.length == 0 || jumps.length > steps {
            let reason = format!("must be at least 1 and at most the {steps} spans of the grid");
            return Err(refuse_value("jumps.length", jumps.length, reason));
        }
        if jumps.resamplings == 0 {
            return Err(refuse_value("jumps.resamplings", 0, "must be at least 1"));
        }
        let moves = jumps.resamplings.checked_mul(2 * steps);
        if moves.is_none_or(|moves| moves >= u32::MAX as usize) {
            let reason = "makes more steps than can be addressed (4294967295)";
            return Err(refuse_value("jumps.resamplings", jumps.resamplings, reason));
        }
        Ok(Self {
            predictor: Box::new(predictor),
            grid,
            known,
            jumps,
            final_step: Final::default(),
        })
    }

    /// With another last act; the known part is the data themselves after it, whatever it is.
    pub fn ending(self, final_step: Final) -> Self {
        Self { final_step, ..self }
    }

    /// Predictor steps of a run.
    pub fn steps(&self) -> usize {
        let (steps, Jumps { length, resamplings }) = (self.grid.steps(), self.jumps);
        steps + (resamplings - 1) * length * (steps / length)
    }
}

/// One run.
struct Run<'a, S: State> {
    method: &'a RePaint<S>,
    job: &'a Job<'a, S>,
    score: &'a CountedScore<'a, S>,
    scratch: Scratch<S>,
    memory: Memory,
    draws: u32,
}

impl<S: State> Run<'_, S> {
    /// Fresh normals in the scratch.
    fn draw(&mut self) -> Result<(), SolveError> {
        let draw = Draw {
            step: self.draws,
            purpose: Purpose::Guidance,
        };
        self.draws += 1;
        self.job.noise.normal(draw, &mut self.scratch.noise)
    }

    fn replace(&mut self, t: f64, x: &mut S) -> Result<(), SolveError> {
        self.draw()?;
        let at = self.job.sde.marginal(t);
        self.method
            .known
            .replace(at, &self.scratch.noise, x, &mut self.memory)
    }

    fn down(&mut self, step: usize, span: Span, x: &mut S) -> Result<(), SolveError> {
        let mut ctx = StepCtx::new(self.job, self.score, step as u32);
        let last = step + 1 == self.method.steps();
        ctx.mean_only = last && self.method.final_step == Final::Mean;
        self.method.predictor.step(&ctx, span, x, &mut self.scratch)?;
        let guard = NanGuard::new(self.job.first_row);
        guard.check(x, Some(&self.scratch.score), span.from, span.to, step as u64)?;
        self.replace(span.to, x)
    }

    /// Noises the state from time `to` back to time `from`, exactly.
    fn up(&mut self, from: f64, to: f64, x: &mut S) -> Result<(), SolveError> {
        self.draw()?;
        let kernel = self.job.sde.transition(from, to);
        x.scale(Coef::All(kernel.mean_coef));
        x.axpy(Coef::All(kernel.std), &self.scratch.noise);
        Ok(())
    }
}

impl<S: State> Sampler<S> for RePaint<S> {
    fn info(&self) -> MethodInfo {
        MethodInfo {
            name: "repaint",
            stochastic: true,
            ..self.predictor.info()
        }
    }

    fn t_start(&self) -> f64 {
        self.grid.start()
    }

    fn run(&self, job: &Job<S>, x: &mut S, observer: &mut dyn Observer<S>) -> Result<SolveStats, SolveError> {
        let score = CountedScore::new(job.score);
        let mut run = Run {
            method: self,
            job,
            score: &score,
            scratch: Scratch::new(x),
            memory: Memory::default(),
            draws: 0,
        };
        let (times, spans, length) = (self.grid.times(), self.grid.spans(), self.jumps.length);
        NanGuard::new(job.first_row).check(x, None, times[0], times[0], 0)?;
        run.replace(times[0], x)?;
        let mut info = StepInfo {
            step: 0,
            steps: Some(self.steps() as u64),
            t: times[0],
            nfe: 0,
            first_row: job.first_row,
        };
        observer.start(&info, x);
        // Runs through each stretch that are still to come, by spans left.
        let mut again: Vec<usize> = (0..=spans.len())
            .map(|left| {
                let starts = left % length == 0 && left + length <= spans.len();
                if starts { self.jumps.resamplings - 1 } else { 0 }
            })
            .collect();
        let (mut left, mut steps, mut stop) = (spans.len(), 0, StopReason::Finished);
        while left > 0 {
            let span = spans[spans.len() - left];
            run.down(steps, span, x)?;
            info = StepInfo {
                step: steps as u64,
                t: span.to,
                nfe: score.nfe(),
                ..info
            };
            (left, steps) = (left - 1, steps + 1);
            observer.adjust(&info, x)?;
            if observer.step(&info, x).is_break() {
                stop = StopReason::Stopped;
                break;
            }
            if again[left] > 0 {
                again[left] -= 1;
                let here = spans.len() - left;
                run.up(times[here - length], times[here], x)?;
                left += length;
            }
        }
        if stop == StopReason::Finished {
            let guard = NanGuard::new(job.first_row);
            let w = &mut run.scratch;
            self.final_step
                .apply(job.sde, &score, guard, self.grid.end(), steps as u64, x, w)?;
            self.known
                .replace(CLEAN, &run.scratch.noise, x, &mut run.memory)?;
        }
        let stats = SolveStats {
            nfe: score.nfe(),
            steps: steps as u64,
            rejected: 0,
            row_evaluations: score.nfe() * x.rows() as u64,
            stop,
            t: info.t,
        };
        observer.end(&stats, x);
        Ok(stats)
    }
}
