use std::mem;

use sde_core::Span;
use sde_core::grid::Grid;

use super::Prediction;
use crate::observe::NanGuard;
use crate::sampler::level::Level;
use crate::sampler::march::{GridMethod, march};
use crate::sampler::{CountedScore, Final, Job, MethodInfo, Sampler, Scratch, SolveStats};
use crate::{Coef, Draw, Observer, Purpose, SolveError, State};

/// DDIM in continuous time. With the prediction held constant,
///
/// ```text
/// x_to = mean_coef_to x0 + sqrt(std_to^2 - c^2) eps + c z,    c = eta std_to sqrt(1 - e^{-2 h}),    h = lambda_to - lambda_from.
/// ```
///
/// Source: Song, Meng and Ermon 2021, arXiv:2010.02502, equations 12 and 16; for VP, `1 - e^{-2 h}` is their `(1 - alpha_bar
/// ratio)/(1 - alpha_bar_from)`. `eta = 0` is DPM-Solver-1 (Lu et al. 2022, arXiv:2206.00927, equation 3.7) of either algorithm; `eta = 1`
/// draws from the posterior of `x_to` given `x` and the predicted data, the ancestral step of DDPM. Exact where the predicted data
/// are constant.
///
/// Order 1, one evaluation a step. One draw a step, also where its factor is zero, none with `eta = 0`; with `final = "mean"` the
/// last step draws none. Memory: four states.
#[derive(Debug, Clone)]
pub struct Ddim {
    pub(crate) name: &'static str,
    pub(crate) eta: f64,
    pub(crate) grid: Grid,
    pub(crate) final_step: Final,
}

/// One run.
struct Run<'a, S: State> {
    method: &'a Ddim,
    job: &'a Job<'a, S>,
    score: &'a CountedScore<'a, S>,
    scratch: Scratch<S>,
    guard: NanGuard,
}

impl<S: State> GridMethod<S> for Run<'_, S> {
    fn step(&mut self, step: usize, span: Span, x: &mut S) -> Result<(), SolveError> {
        let (eta, w) = (self.method.eta, &mut self.scratch);
        let (from, to) = (
            Level::at(self.job.sde, span.from),
            Level::at(self.job.sde, span.to),
        );
        self.score.evaluate(x, Coef::All(from.t), &mut w.score)?;
        let exact = Prediction::Noise.span(&from, &to);
        // c^2/std_to^2, and what 1 - sqrt(1 - c^2/std_to^2) takes from the noise that is kept, without cancellation.
        let fresh = -eta * eta * (-2.0 * exact.h).exp_m1();
        let dropped = fresh / (1.0 + (1.0 - fresh).sqrt());
        let score_coef = from.std * (to.std * dropped - exact.first);
        let last = step + 1 == self.method.grid.steps();
        let noisy = eta > 0.0 && !(last && self.method.final_step == Final::Mean);
        if noisy {
            let draw = Draw {
                step: step as u32,
                purpose: Purpose::Predictor,
            };
            self.job.noise.normal(draw, &mut w.noise)?;
        }
        let terms = [
            (Coef::All(exact.state), &*x),
            (Coef::All(score_coef), &w.score),
            (Coef::All(to.std * fresh.sqrt()), &w.noise),
        ];
        w.next.lincomb(&terms[..if noisy { 3 } else { 2 }]);
        mem::swap(x, &mut w.next);
        self.guard.check(x, Some(&w.score), from.t, to.t, step as u64)
    }

    fn finish(&mut self, t: f64, step: usize, x: &mut S) -> Result<(), SolveError> {
        let (end, w) = (self.method.final_step, &mut self.scratch);
        end.apply(self.job.sde, self.score, self.guard, t, step as u64, x, w)
    }
}

impl<S: State> Sampler<S> for Ddim {
    fn info(&self) -> MethodInfo {
        MethodInfo {
            name: self.name,
            order: 1.0,
            evaluations: 1,
            stochastic: self.eta > 0.0,
            couples_rows: false,
        }
    }

    fn t_start(&self) -> f64 {
        self.grid.times()[0]
    }

    fn run(&self, job: &Job<S>, x: &mut S, observer: &mut dyn Observer<S>) -> Result<SolveStats, SolveError> {
        let score = CountedScore::new(job.score);
        let run = Run {
            method: self,
            job,
            score: &score,
            scratch: Scratch::new(x),
            guard: NanGuard::new(job.first_row),
        };
        march(&self.grid, job, &score, run, x, observer)
    }
}
