use std::mem;

use sde_core::Span;
use sde_core::grid::Grid;

use super::Prediction;
use crate::sampler::level::Level;
use crate::sampler::march::{self, Frame, GridSteps};
use crate::sampler::{Final, Job, MethodInfo, Sampler, SolveStats};
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

impl<S: State> GridSteps<S> for Ddim {
    type Memory = ();

    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn final_step(&self) -> Final {
        self.final_step
    }

    fn memory(&self, _: &Job<S>, _: &S) {}

    fn step(
        &self,
        frame: &mut Frame<S>,
        _: &mut (),
        step: usize,
        span: Span,
        x: &mut S,
    ) -> Result<(), SolveError> {
        let (eta, sde, w) = (self.eta, frame.job.sde, &mut frame.scratch);
        let (from, to) = (Level::at(sde, span.from), Level::at(sde, span.to));
        frame.score.evaluate(x, Coef::All(from.t), &mut w.score)?;
        let exact = Prediction::Noise.span(&from, &to);
        // c^2/std_to^2, and what 1 - sqrt(1 - c^2/std_to^2) takes from the noise that is kept, without cancellation.
        let fresh = -eta * eta * (-2.0 * exact.h).exp_m1();
        let dropped = fresh / (1.0 + (1.0 - fresh).sqrt());
        let score_coef = from.std * (to.std * dropped - exact.first);
        let last = step + 1 == self.grid.steps();
        let noisy = eta > 0.0 && !(last && self.final_step == Final::Mean);
        if noisy {
            let draw = Draw {
                step: step as u32,
                purpose: Purpose::Predictor,
            };
            frame.job.noise.normal(draw, &mut w.noise)?;
        }
        let terms = [
            (Coef::All(exact.state), &*x),
            (Coef::All(score_coef), &w.score),
            (Coef::All(to.std * fresh.sqrt()), &w.noise),
        ];
        w.next.lincomb(&terms[..if noisy { 3 } else { 2 }]);
        mem::swap(x, &mut w.next);
        frame.check(x, from.t, to.t, step)
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
        march::run(self, job, x, observer)
    }
}
