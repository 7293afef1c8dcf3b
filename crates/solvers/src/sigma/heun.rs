//! Heun's method in `sigma`: algorithm 2 of Karras et al. 2022, arXiv:2206.00364, with churn; `sample_heun` of k-diffusion. Order 2, two
//! evaluations a step, one where the step ends without noise.

use std::mem;

use super::euler;
use super::one_step::StepArgs;
use crate::sampler::Scratch;
use crate::{Coef, SolveError, State};

pub(super) fn step<S: State>(args: &StepArgs<S>, x: &mut S, w: &mut Scratch<S>) -> Result<f64, SolveError> {
    let (from, to) = (args.from, args.to);
    if to.sigma == 0.0 {
        return euler::step(args, x, w);
    }
    args.score.evaluate(x, Coef::All(from.t), &mut w.score)?;
    args.euler(to, x, &w.score, &mut w.next);
    args.score.evaluate(&w.next, Coef::All(to.t), &mut w.score)?;
    // The mean of the two slopes: half way between the state and Euler's point, and half a step from there.
    let scale = to.mean_coef / from.mean_coef;
    let slope = 0.5 * (from.sigma - to.sigma) * to.sigma * to.mean_coef * to.mean_coef;
    w.noise.lincomb(&[
        (Coef::All(0.5 * scale), &*x),
        (Coef::All(0.5), &w.next),
        (Coef::All(slope), &w.score),
    ]);
    mem::swap(x, &mut w.noise);
    Ok(to.t)
}
