//! Log densities by the probability flow against closed forms.
#![allow(clippy::print_stdout, reason = "the tests print the figures that they bound")]

mod bits;
mod bound;
mod closed_forms;
mod common;
mod cuts;
mod latents;
mod observed;
mod probes;
mod refusals;
