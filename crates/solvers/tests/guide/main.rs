//! Guidance against closed forms: one method a module.
#![allow(clippy::print_stdout)]

mod any_rows;
mod clip;
#[path = "../samplers/common.rs"]
mod common;
mod conditions;
mod inverse;
mod operators;
mod problems;
mod replacement;
