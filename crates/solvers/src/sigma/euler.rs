//! Euler's method in `sigma`: algorithm 2 of Karras et al. 2022, arXiv:2206.00364, without the second-order correction, with churn;
//! `sample_euler` of k-diffusion. Without churn it is DDIM (Song et al. 2021, arXiv:2010.02502, equation 13). Order 1, one evaluation
//! a step.

use std::mem;

use super::one_step::StepArgs;
use crate::sampler::Scratch;
use crate::{Coef, SolveError, State};

pub(super) fn step<S: State>(args: &StepArgs<S>, x: &mut S, w: &mut Scratch<S>) -> Result<f64, SolveError> {
    let t = args.from.t;
    args.score.evaluate(x, Coef::All(t), &mut w.score)?;
    args.euler(args.to, x, &w.score, &mut w.next);
    mem::swap(x, &mut w.next);
    Ok(t)
}
