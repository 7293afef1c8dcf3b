//! DPM-2: the midpoint method in `sigma` with the midpoint in `ln sigma`, with churn; `sample_dpm_2` of k-diffusion. It joins
//! DPM-Solver-2 (Lu et al. 2022, arXiv:2206.00927, algorithm 1) to algorithm 2 of Karras et al. 2022, arXiv:2206.00364: DPM-Solver-2 with
//! `r_1 = 1/2` has the same midpoint and the same step. Order 2, two evaluations a step, one where the step ends without noise.

use std::mem;

use super::euler;
use super::one_step::StepArgs;
use crate::sampler::Scratch;
use crate::sampler::level::Level;
use crate::{Coef, SolveError, State};

pub(super) fn step<S: State>(args: &StepArgs<S>, x: &mut S, w: &mut Scratch<S>) -> Result<f64, SolveError> {
    let (from, to) = (args.from, args.to);
    if to.sigma == 0.0 {
        return euler::step(args, x, w);
    }
    let middle = Level::at_sigma(args.sde, from.sigma.sqrt() * to.sigma.sqrt());
    args.score.evaluate(x, Coef::All(from.t), &mut w.score)?;
    args.euler(middle, x, &w.score, &mut w.next);
    args.score.evaluate(&w.next, Coef::All(middle.t), &mut w.score)?;
    let slope = (from.sigma - to.sigma) * middle.std * to.mean_coef;
    w.noise.lincomb(&[
        (Coef::All(to.mean_coef / from.mean_coef), &*x),
        (Coef::All(slope), &w.score),
    ]);
    mem::swap(x, &mut w.noise);
    Ok(middle.t)
}
