//! What can go wrong in a run. Every variant names the place and, where there is one, the remedy.

use std::path::{Path, PathBuf};

use c10d::C10dError;
use thiserror::Error;

use crate::config::Source;

/// An error of the trainer, its data, its configuration or its files.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A value of the configuration is refused.
    #[error("{key} = {value}: {reason}{source_text}", source_text = .origin.suffix())]
    Config {
        /// Dotted key, for example `optim.lr`.
        key: String,
        /// The value as given.
        value: String,
        /// Why it is refused and what would do.
        reason: String,
        /// Where the value stands.
        origin: Source,
    },
    /// A key of the configuration is unknown or lacks, or names no table.
    #[error("{key}: {reason}{source_text}", source_text = .origin.suffix())]
    Key {
        /// Dotted key.
        key: String,
        /// What is the matter and what would do.
        reason: String,
        /// Where the key stands.
        origin: Source,
    },
    /// A file is not TOML.
    #[error("{}:{line}:{column}: {reason}", .file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What the parser expected.
        reason: String,
    },
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The operating system refused something with a file.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// A verb and what follows it, for example `read`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file holds something else than it should.
    #[error("{}: {reason}", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, at which line or byte.
        reason: String,
    },
    /// A data set cannot be used as asked.
    #[error("data set {name}: {reason}")]
    Data {
        /// Its name.
        name: String,
        /// What is wrong and what would do.
        reason: String,
    },
    /// An outside program is absent or failed.
    #[error("{program}: {reason}")]
    Tool {
        /// Program and its arguments.
        program: String,
        /// What happened and the remedy.
        reason: String,
    },
    /// The device asked for is not there.
    #[error("device {device}: {reason}")]
    Device {
        /// The device as asked for.
        device: String,
        /// Why it cannot be used and what would do.
        reason: String,
    },
    /// libtorch failed.
    #[error("libtorch failed in {place}")]
    Tensor {
        /// What was being done.
        place: &'static str,
        /// What it said.
        source: tch::TchError,
    },
    /// A table of the configuration is refused by what it builds.
    #[error(transparent)]
    Table(#[from] sde_core::ConfigError),
    /// A network, its configuration or its weights are refused.
    #[error(transparent)]
    Net(#[from] score_nets::NetError),
    /// A weights file is refused.
    #[error(transparent)]
    Weights(#[from] score_nets::weights::WeightsError),
    /// A model card or a model folder is refused.
    #[error(transparent)]
    Card(#[from] score_nets::CardError),
    /// A folder of the package diffusers is refused, or a model has no place in one.
    #[error(transparent)]
    Diffusers(#[from] score_nets::diffusers::DiffusersError),
    /// A network cannot be trained as it is.
    #[error("network: {0}")]
    Network(String),
    /// A file of results could not be written.
    #[error(transparent)]
    Report(#[from] report::ReportError),
    /// A run folder cannot be used as asked.
    #[error("{}: {reason}", .path.display())]
    RunFolder {
        /// The folder.
        path: PathBuf,
        /// Why, and what would do.
        reason: String,
    },
    /// Loss or gradient stopped being finite.
    #[error(
        "step {step}: loss {loss} and gradient norm {grad_norm} after {streak} steps in a row that are not finite, at learning rate {lr:e}; {}; lower optim.lr",
        last_good(*.saved)
    )]
    Diverged {
        /// Step at which the run gave up.
        step: u64,
        /// Length of the streak.
        streak: u64,
        /// Last loss.
        loss: f64,
        /// Last gradient norm.
        grad_norm: f64,
        /// Learning rate.
        lr: f64,
        /// Step of the last good checkpoint, if there is one.
        saved: Option<u64>,
    },
    /// The system refused a signal handler.
    #[error("cannot listen to signals")]
    Signal {
        /// What it said.
        source: std::io::Error,
    },
    /// Ranks cannot reach each other, or one is gone.
    #[error("{}{}", .0, after(.0))]
    Comm(C10dError),
    /// A run lost one of its ranks.
    #[error(
        "{lost}{}; {}{}",
        after(.lost),
        last_good(*.saved),
        if .saved.is_some() { "; --resume goes on from it" } else { "" }
    )]
    Lost {
        /// What failed here.
        lost: C10dError,
        /// Step of the last good checkpoint, if there is one.
        saved: Option<u64>,
    },
    /// Ranks do not fit together.
    #[error("rank {rank}: {reason}")]
    Ranks {
        /// This rank.
        rank: u32,
        /// What differs and what would do.
        reason: String,
    },
    /// A solver failed.
    #[error(transparent)]
    Solve(#[from] solvers::SolveError),
}

/// What is said after an error between ranks.
fn after(error: &C10dError) -> &'static str {
    match error {
        C10dError::Operation { .. } => "; another rank has ended or cannot be reached, see what it says",
        C10dError::Nccl { .. } => "; NCCL_DEBUG=INFO says more, SDE_NCCL_DISABLE=1 does without NCCL",
        _ => "",
    }
}

impl From<C10dError> for TrainError {
    /// The message stands in that of [`TrainError::Comm`], which therefore names no cause.
    fn from(error: C10dError) -> Self {
        TrainError::Comm(error)
    }
}

fn last_good(saved: Option<u64>) -> String {
    match saved {
        Some(step) => format!("the checkpoint of step {step} is the last good one"),
        None => "no checkpoint was written".to_string(),
    }
}

impl TrainError {
    /// A network that cannot be trained as it is.
    pub fn network(reason: impl Into<String>) -> TrainError {
        TrainError::Network(reason.into())
    }

    /// Exit code of the `sde` program for this error: 2 for a command line that makes no sense, 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            TrainError::Usage(_) => 2,
            _ => 1,
        }
    }

    /// A closure for `map_err` that attaches the file and what was being done with it.
    pub fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> TrainError + 'a {
        move |source| TrainError::Io {
            action,
            path: path.to_path_buf(),
            source,
        }
    }

    /// A closure for `map_err` that attaches what was being done.
    pub fn tensor(place: &'static str) -> impl Fn(tch::TchError) -> TrainError {
        move |source| TrainError::Tensor { place, source }
    }
}
