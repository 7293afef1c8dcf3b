//! The command line of the `sde` program: arguments, overrides, exit codes, error lines.

mod args;
mod data;
mod device;
mod evaluate_args;
mod model_args;
mod output;
mod overrides;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;

pub use args::{CheckpointArgs, DataCommand, RankArgs, ReportArgs, SampleArgs, TrainArgs, load_run};
pub use device::DeviceArg;
pub use evaluate_args::{DataArg, EvalArgs, LikelihoodArgs};
pub use model_args::{
    ExportArgs, ExportTo, ImportArgs, ImportFrom, NetCommand, NetForwardArgs, NetInfoArgs, Place,
};
pub use output::{error_lines, print_line};

use crate::TrainError;
use args::{Arguments, Command};

/// Done.
pub const DONE: u8 = 0;
/// Failed, with a line on stderr.
pub const FAILED: u8 = 1;
/// A command line that makes no sense.
pub const USAGE: u8 = 2;
/// Interrupted by a signal, with a checkpoint saved.
pub const INTERRUPTED: u8 = 130;

/// What a command does; the answer is the exit code.
pub type Run<A> = fn(&A) -> Result<u8, TrainError>;

/// The commands that need a network.
#[derive(Debug, Clone, Copy)]
pub struct Commands {
    /// `sde train`.
    pub train: Run<TrainArgs>,
    /// `sde sample`.
    pub sample: Run<SampleArgs>,
    /// `sde likelihood`.
    pub likelihood: Run<LikelihoodArgs>,
    /// `sde eval`.
    pub eval: Run<EvalArgs>,
    /// `sde checkpoint`.
    pub checkpoint: Run<CheckpointArgs>,
    /// `sde report`.
    pub report: Run<ReportArgs>,
    /// `sde import`.
    pub import: Run<ImportArgs>,
    /// `sde export`.
    pub export: Run<ExportArgs>,
    /// `sde net`.
    pub net: Run<NetCommand>,
}

/// Runs the program with its arguments (the first is the program's name).
///
/// Failures end as one line on stderr, followed by the chain of causes, and a panic, which is a fault of ours, as
/// one line that says so.
pub fn run(args: impl IntoIterator<Item = OsString>, commands: &Commands) -> ExitCode {
    std::panic::set_hook(Box::new(|info| {
        output::complain(&[format!(
            "error: internal fault, please report it: {}",
            output::one_line(&info.to_string())
        )]);
    }));
    let code = catch_unwind(AssertUnwindSafe(|| match dispatch(args, commands) {
        Ok(code) => code,
        Err(error) => {
            output::complain(&error_lines(&error));
            error.exit_code()
        }
    }));
    ExitCode::from(code.unwrap_or(FAILED))
}

fn dispatch(args: impl IntoIterator<Item = OsString>, commands: &Commands) -> Result<u8, TrainError> {
    let (args, overrides) = overrides::split(args)?;
    let arguments = match Arguments::try_parse_from(&args) {
        Ok(arguments) => arguments,
        Err(error) => return Ok(output::usage(&error, &args)),
    };
    match arguments.command {
        Command::Train(args) => (commands.train)(&TrainArgs { overrides, ..args }),
        Command::Sample(args) => (commands.sample)(&SampleArgs { overrides, ..args }),
        Command::Likelihood(args) => (commands.likelihood)(&args),
        Command::Eval(args) => (commands.eval)(&args),
        Command::Checkpoint(args) => (commands.checkpoint)(&args),
        Command::Report(args) => (commands.report)(&args),
        Command::Import(args) => (commands.import)(&args),
        Command::Export(args) => (commands.export)(&args),
        Command::Net { command } => (commands.net)(&command),
        Command::Data { command } => data::run(&command).map(|()| DONE),
    }
}
