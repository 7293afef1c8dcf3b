//! Runs of the built `sde` program: their files, interruption, resumption, damage and divergence. Everything on one thread
//! of libtorch.
#![allow(clippy::print_stdout)]

mod browser;
mod common;
mod complete;
mod damage;
mod losses;
mod page;
mod ranks;
mod resume;
mod small;
mod tensorboard;
mod trajectory;
mod trouble;
#[path = "../../../report/tests/page/wellformed.rs"]
mod wellformed;
