//! Guidance against closed forms: one method a module.
#![allow(clippy::print_stdout)]

mod clip;
#[path = "../samplers/common.rs"]
#[allow(dead_code)]
mod common;
mod conditions;
mod inverse;
mod operators;
mod problems;
mod replacement;
