//! Samplers without a network, on mixtures of Gaussians whose score is known: `lab schedule | score | sample | ...`.
//!
//! Each command is a module with its `Args` and `run`. Exit code 0 done, 1 failed with one line on stderr, 2 usage.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod accuracy;
mod catalogue;
mod files;
mod logp;
mod normals;
mod sample;
mod schedule;
mod score;
mod throughput;

use std::process::ExitCode;

use clap::Parser;

/// Samplers of score-based generative models on problems with a known score.
#[derive(Parser)]
#[command(name = "lab")]
enum Command {
    /// Drift, diffusion, kernel and prior of the SDE at given times.
    Schedule(schedule::Args),
    /// The exact score of the noised mixture at given points.
    Score(score::Args),
    /// Samples of the mixture by a sampler; the last line is JSON.
    Sample(sample::Args),
    /// Log densities of the mixture by the probability flow; the last line is JSON.
    Logp(logp::Args),
    /// Evaluations a second.
    Throughput(throughput::Args),
    /// Error against evaluations, and order, of every sampler.
    Accuracy(accuracy::Args),
    /// Speed and moments of the noise.
    Normals(normals::Args),
}

fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Schedule(args) => schedule::run(&args),
        Command::Score(args) => score::run(&args),
        Command::Sample(args) => sample::run(&args),
        Command::Logp(args) => logp::run(&args),
        Command::Throughput(args) => throughput::run(&args),
        Command::Accuracy(args) => accuracy::run(&args),
        Command::Normals(args) => normals::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
