use std::ops::ControlFlow;

use sde_core::{Marginal, Sde};

use super::measurement::{Known, Memory};
use super::work::refuse_value;
use crate::{
    Draw, Job, MethodInfo, Observer, Purpose, Sampler, SolveError, SolveStats, State, StepInfo, StopReason,
};

/// Any sampler on a grid, with the known part of the state replaced by noised data at the start and after each step: inpainting,
/// colourisation and the like without a gradient. At the end the known part is the data themselves.
///
/// Not exact: the unknown part follows a score that never looks ahead to what the known part will be. For a Gaussian in the plane with
/// correlation 0.8 the mean of the unknown coordinate moves 0.50 where it should move 0.80, and its variance is 0.53 for 0.36, with any
/// number of steps. Exact where known and unknown part are independent. The noise is that of the time at which the state
/// stands (the published code takes the time before the step). Methods that carry slopes or estimates from step to step carry
/// those of the states before the replacement.
///
/// Cost: one batch of normals a step, at `Purpose::Guidance`, draw 0 at the start and draw `k + 1` after step `k` (so after the step's own
/// draws); one state. Source: Song et al. 2021, arXiv:2011.13456, appendix I.2.
pub struct Replacement<S: State> {
    sampler: Box<dyn Sampler<S>>,
    known: Known,
}

impl<S: State> Replacement<S> {
    /// `sampler` with the known part replaced at every step.
    pub fn new(sampler: Box<dyn Sampler<S>>, known: Known) -> Self {
        Self { sampler, known }
    }
}

impl<S: State> Sampler<S> for Replacement<S> {
    fn info(&self) -> MethodInfo {
        MethodInfo {
            stochastic: true,
            ..self.sampler.info()
        }
    }

    fn t_start(&self) -> f64 {
        self.sampler.t_start()
    }

    /// # Errors
    /// Those of the sampler and the noise; [`SolveError::Config`] at `guide.sampler` for samplers whose rows stand at times of their own
    /// (adaptive ones).
    fn run(&self, job: &Job<S>, x: &mut S, observer: &mut dyn Observer<S>) -> Result<SolveStats, SolveError> {
        let mut hook = Hook {
            known: &self.known,
            job,
            observer,
            noise: x.zeros_like(),
            memory: Memory::default(),
            draws: 0,
            on_a_grid: true,
        };
        hook.replace(job.sde, self.sampler.t_start(), x)?;
        let stats = self.sampler.run(job, x, &mut hook)?;
        if !hook.on_a_grid || u64::from(hook.draws) != stats.steps + 1 {
            let reason = "needs a state of one time after each step: take a sampler with a grid";
            return Err(refuse_value("sampler", self.sampler.info().name, reason));
        }
        if stats.stop == StopReason::Finished {
            hook.data(x)?;
        }
        hook.observer.end(&stats, x);
        Ok(stats)
    }
}

/// Replaces between the steps; shows the run to the caller's observer, but for the end, which is not the inner sampler's.
struct Hook<'a, S: State> {
    known: &'a Known,
    job: &'a Job<'a, S>,
    observer: &'a mut dyn Observer<S>,
    noise: S,
    memory: Memory,
    draws: u32,
    on_a_grid: bool,
}

impl<S: State> Hook<'_, S> {
    fn replace(&mut self, sde: &dyn Sde, t: f64, x: &mut S) -> Result<(), SolveError> {
        let draw = Draw {
            step: self.draws,
            purpose: Purpose::Guidance,
        };
        self.draws += 1;
        self.job.noise.normal(draw, &mut self.noise)?;
        self.known
            .replace(sde.marginal(t), &self.noise, x, &mut self.memory)
    }

    /// The known part without noise.
    fn data(&mut self, x: &mut S) -> Result<(), SolveError> {
        self.known.replace(CLEAN, &self.noise, x, &mut self.memory)
    }
}

/// The kernel at time 0.
pub(super) const CLEAN: Marginal = Marginal {
    mean_coef: 1.0,
    std: 0.0,
};

impl<S: State> Observer<S> for Hook<'_, S> {
    fn start(&mut self, info: &StepInfo, x: &S) {
        self.on_a_grid = info.steps.is_some();
        self.observer.start(info, x);
    }

    fn adjust(&mut self, info: &StepInfo, x: &mut S) -> Result<(), SolveError> {
        self.replace(self.job.sde, info.t, x)?;
        self.observer.adjust(info, x)
    }

    fn step(&mut self, info: &StepInfo, x: &S) -> ControlFlow<()> {
        if !self.on_a_grid {
            return ControlFlow::Break(());
        }
        self.observer.step(info, x)
    }
}
