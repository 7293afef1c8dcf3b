//! Arguments of the commands about models: import, export, net.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::args::{MachineArgs, PrecisionArgs};

/// Where a model is.
#[derive(Debug, Clone, Default, Args)]
#[group(required = true, multiple = false)]
pub struct Place {
    /// Run folder; the averaged weights of its newest whole checkpoint
    #[arg(long, value_name = "RUN_DIR")]
    pub run: Option<PathBuf>,
    /// Model folder: model.toml and net.safetensors
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
}

/// Programs whose models are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImportFrom {
    /// A folder of the package diffusers: a pipeline, or a network alone
    Diffusers,
    /// A checkpoint (.pth) of score_sde
    ScoreSde,
}

/// Programs for which models are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportTo {
    /// A pipeline folder of the package diffusers
    Diffusers,
}

/// Arguments of `sde import`.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// Program that wrote the files
    #[arg(long, value_enum, value_name = "PROGRAM")]
    pub from: ImportFrom,
    /// The file or folder
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// The model's configuration in score_sde's field names, JSON or TOML; score-sde only
    #[arg(long, value_name = "FILE")]
    pub model_config: Option<PathBuf>,
    /// Take the weights as the optimiser left them, not their average; score-sde only
    #[arg(long)]
    pub raw: bool,
    /// Model folder to create, absent or empty
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Print one JSON object as the last line
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `sde export`.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// Program that shall read the files
    #[arg(long, value_enum, value_name = "PROGRAM")]
    pub to: ExportTo,
    /// The model.
    #[command(flatten)]
    pub place: Place,
    /// Folder to create, absent or empty
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// What `sde net` does.
#[derive(Debug, Clone, Subcommand)]
pub enum NetCommand {
    /// Describe a model: network, process, data, origin
    Info(NetInfoArgs),
    /// Evaluate a network: its raw output, with dropout off
    Forward(NetForwardArgs),
}

/// Arguments of `sde net info`.
#[derive(Debug, Clone, Default, Args)]
pub struct NetInfoArgs {
    /// The model.
    #[command(flatten)]
    pub place: Place,
    /// Print one JSON object as the last line
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `sde net forward`.
#[derive(Debug, Clone, Default, Args)]
pub struct NetForwardArgs {
    /// The model.
    #[command(flatten)]
    pub place: Place,
    /// Tensors `x`, one row after the other; `t`, the network's own time input, one a row or one for all; where it takes
    /// classes, `y`, one a row
    #[arg(long, value_name = "IN.safetensors")]
    pub input: PathBuf,
    /// Where the tensor `out` goes
    #[arg(long, value_name = "OUT.safetensors")]
    pub output: PathBuf,
    /// Precision of the network.
    #[command(flatten)]
    pub precision: PrecisionArgs,
    /// Where libtorch computes.
    #[command(flatten)]
    pub machine: MachineArgs,
}
