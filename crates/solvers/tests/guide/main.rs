//! Guidance against closed forms: one method a module.
#![allow(clippy::print_stdout)]

mod any_rows;
mod clip;
#[path = "../samplers/common.rs"]
mod common;
mod conditions;
mod inverse;
mod operators;
mod posterior_step;
mod posterior_step_values;
mod problems;
mod replacement;
