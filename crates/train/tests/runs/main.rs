//! Runs of the built `sde` program: their files, interruption, resumption, damage and divergence. Everything on one thread
//! of libtorch.

mod common;
mod complete;
mod damage;
mod resume;
mod trouble;
