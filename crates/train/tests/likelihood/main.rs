//! `sde likelihood`: figures against closed forms, and the command from end to end.

mod closed_forms;
mod command;
#[path = "../runs/common.rs"]
#[allow(dead_code, reason = "shared with the tests of runs")]
mod common;
