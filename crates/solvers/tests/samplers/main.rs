//! Laws of the samplers on oracles with closed forms: one topic a module.
#![allow(clippy::print_stdout)]

mod adaptive_sde;
mod any_input;
mod bad_scores;
mod bias_signatures;
mod common;
mod dense;
mod determinism;
mod distribution;
mod exact_moments;
mod exponential;
mod exponential_safety;
mod exponential_values;
mod gaussian;
mod multistep;
mod multistep_values;
mod observers;
mod orders;
mod refusals;
mod safety;
mod stats;
mod stochastic;
mod stochastic_laws;
