use std::ops::ControlFlow;

use sde_core::Sde;

use super::measurement::Measurement;
use super::work::{Pool, Work, refuse_value};
use crate::observe::NanGuard;
use crate::score::evaluate;
use crate::{Coef, Job, MethodInfo, Observer, Sampler, ScoreVjp, SolveError, SolveStats, State, StepInfo};

/// Diffusion posterior sampling as published: any sampler on a grid, whose every step from `x` at time `t` to `x'` is followed by
///
/// ```text
/// x' <- x' - scale grad_x |y - A x0(x)|,   x0(x) = (x + std^2 score(x, t))/mean_coef
/// ```
///
/// with the length of each row's own residual (the authors' code takes that of the whole batch, where rows see each other). A row whose
/// residual is 0 is left alone. The paper writes `zeta'/|y - A x0|` times the gradient of the squared length, which is this with `scale =
/// 2 zeta'`; the authors' code is this. The noise of the measurement does not enter. A last act at the end time (Tweedie) is not corrected.
///
/// Not exact, and with no limit in the number of steps: a correction has a length of its own, not the step's. `scale` times the steps says
/// how far a run can be pulled at all. Where that is enough, a measured coordinate ends evenly spread within `scale` of the measurement,
/// whatever the noise of the measurement. One coordinate of `N(0.2, 0.6^2)` measured as 0.9 with noise 0.3, ancestral steps: scale 0.01
/// and 100 steps leave it 1.06 standard deviations short with 3.0 times the posterior's variance; scale 0.1 and 100 or 1000 steps take it
/// 0.52 too far with 0.046 of it, which is `scale^2/3`. What is not measured inherits it: for a mixture of three whose weights the
/// measurement changes, the other coordinate is off by 1.3 standard deviations with 1.7 times the variance (scale 0.1, 100 steps; 1.1 and
/// 4.0 with 1000). [`PosteriorSampling`](super::PosteriorSampling) is the form that has a limit, [`Pseudoinverse`](super::Pseudoinverse)
/// the one that is exact for round Gaussians.
///
/// Cost: one score and one vector-Jacobian product a step, which the sampler's statistics do not count; four states. Source: Chung et al.
/// 2023, arXiv:2209.14687, algorithm 1.
///
/// ```
/// use std::sync::Arc;
///
/// use sde_core::{Mixture, Sde, sde::Vp};
/// use solvers::config::{PcConfig, PredictorKind, SamplerConfig};
/// use solvers::guide::{Mask, Measurement, PosteriorStep};
/// use solvers::{MixtureScore, sample_host};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sde: Arc<dyn Sde> = Arc::new(Vp::linear(0.1, 20.0)?);
/// let data = Mixture::new(&[1.0], &[vec![0.3, -0.2]], &[vec![0.5, 0.2, 0.2, 0.4]])?;
/// let model = MixtureScore::<f64>::new(data, sde.clone());
/// let ancestral = PcConfig { predictor: PredictorKind::Ancestral, steps: Some(100), ..PcConfig::default() };
/// let seen = Measurement::new(Mask::new(&[true, false])?, &[0.9], 0.1)?;
/// let guided = PosteriorStep::new(SamplerConfig::Pc(ancestral).build(&*sde)?, &model, seen, 0.1)?;
/// let (samples, _) = sample_host(&guided, &*sde, &model, 200, 2, 0)?;
/// assert!((samples.column(0).mean().unwrap() - 0.9).abs() < 0.1);
/// # Ok(())
/// # }
/// ```
pub struct PosteriorStep<S: State, F> {
    sampler: Box<dyn Sampler<S>>,
    score: F,
    measurement: Measurement,
    scale: f64,
}

impl<S: State, F: ScoreVjp<S>> PosteriorStep<S, F> {
    /// `sampler` with the correction after every step; `score` is the model of the run's [`Job`], with its products.
    ///
    /// # Errors
    /// [`SolveError::Config`] at `guide.scale` where it is negative or not finite.
    pub fn new(
        sampler: Box<dyn Sampler<S>>,
        score: F,
        measurement: Measurement,
        scale: f64,
    ) -> Result<Self, SolveError> {
        if !(scale.is_finite() && scale >= 0.0) {
            return Err(refuse_value("scale", scale, "must be a finite number >= 0"));
        }
        Ok(Self {
            sampler,
            score,
            measurement,
            scale,
        })
    }

    /// [`Sampler::run`], for models that no two threads may use as well.
    ///
    /// # Errors
    /// Those of the sampler and of the model; [`SolveError::Shape`] for rows that the operator does not take;
    /// [`SolveError::NonFinite`] for a state that the correction takes out of range; [`SolveError::Config`] at `guide.sampler` for
    /// samplers whose rows stand at times of their own (adaptive ones).
    pub fn run(
        &self,
        job: &Job<S>,
        x: &mut S,
        observer: &mut dyn Observer<S>,
    ) -> Result<SolveStats, SolveError> {
        self.measurement.check_rows(x)?;
        let mut hook = Hook {
            method: self,
            sde: job.sde,
            observer,
            before: (x.clone(), self.sampler.t_start()),
            work: Pool::new(3),
            corrections: 0,
            on_a_grid: true,
        };
        let stats = self.sampler.run(job, x, &mut hook)?;
        if !hook.on_a_grid || hook.corrections != stats.steps {
            let reason = "needs a state of one time after each step: take a sampler with a grid";
            return Err(refuse_value("sampler", self.sampler.info().name, reason));
        }
        hook.observer.end(&stats, x);
        Ok(stats)
    }
}

impl<S: State, F: ScoreVjp<S> + Send + Sync> Sampler<S> for PosteriorStep<S, F> {
    fn info(&self) -> MethodInfo {
        self.sampler.info()
    }

    fn t_start(&self) -> f64 {
        self.sampler.t_start()
    }

    /// # Errors
    /// As [`PosteriorStep::run`].
    fn run(&self, job: &Job<S>, x: &mut S, observer: &mut dyn Observer<S>) -> Result<SolveStats, SolveError> {
        self.run(job, x, observer)
    }
}

/// Corrects after each step; shows the run to the caller's observer, but for the end, which waits for the last check.
struct Hook<'a, S: State, F> {
    method: &'a PosteriorStep<S, F>,
    sde: &'a dyn Sde,
    observer: &'a mut dyn Observer<S>,
    /// The state at the start of the step under way, and its time.
    before: (S, f64),
    work: Pool<S>,
    corrections: u64,
    on_a_grid: bool,
}

/// `r <- r/|r|`, and 0 for 0; no overflow on the way.
fn direction(residual: &mut [f64]) {
    let largest = residual.iter().fold(0.0, |most: f64, r| most.max(r.abs()));
    if residual.iter().all(|r| *r == 0.0) {
        return;
    }
    residual.iter_mut().for_each(|r| *r /= largest);
    let length = residual.iter().map(|r| r * r).sum::<f64>().sqrt();
    residual.iter_mut().for_each(|r| *r /= length);
}

impl<S: State, F: ScoreVjp<S>> Hook<'_, S, F> {
    fn remember(&mut self, info: &StepInfo, x: &S) {
        self.before.0.copy_from(x);
        self.before.1 = info.t;
    }

    fn correct(&self, info: &StepInfo, x: &mut S) -> Result<(), SolveError> {
        let (before, t) = (&self.before.0, Coef::All(self.before.1));
        let PosteriorStep {
            score,
            measurement,
            scale,
            ..
        } = self.method;
        let weigh = |_sigma: f64, residual: &mut [f64], _memory: &mut Vec<f64>| direction(residual);
        self.work.with(before, |work: &mut Work<S>| {
            evaluate(score, before, t, &mut work.states[0])?;
            measurement.add_pull(score, self.sde, weigh, *scale, (before, t), x, work)?;
            let guard = NanGuard::new(info.first_row);
            guard.check(x, Some(&work.states[1]), self.before.1, info.t, info.step)
        })
    }
}

impl<S: State, F: ScoreVjp<S>> Observer<S> for Hook<'_, S, F> {
    fn start(&mut self, info: &StepInfo, x: &S) {
        self.on_a_grid = info.steps.is_some();
        self.remember(info, x);
        self.observer.start(info, x);
    }

    fn adjust(&mut self, info: &StepInfo, x: &mut S) -> Result<(), SolveError> {
        self.corrections += 1;
        if self.method.scale > 0.0 {
            self.correct(info, x)?;
        }
        self.observer.adjust(info, x)
    }

    fn step(&mut self, info: &StepInfo, x: &S) -> ControlFlow<()> {
        if !self.on_a_grid {
            return ControlFlow::Break(());
        }
        self.remember(info, x);
        self.observer.step(info, x)
    }
}
