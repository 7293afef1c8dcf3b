//! Arguments and flags.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use score_nets::Precision;

use super::DeviceArg;
use super::evaluate_args::{EvalArgs, LikelihoodArgs};
use super::model_args::{ExportArgs, ImportArgs, NetCommand, Place};
use crate::TrainError;
use crate::config::{Loaded, Override, load_file, load_text};

/// Configuration of a run that names none.
const DEFAULT_CONFIG: &str = "configs/digits_vp.toml";
/// The same file as it was when the program was built, for use outside the checkout.
const BUILT_IN_CONFIG: &str = include_str!("../../../../configs/digits_vp.toml");

/// Trains score-based generative models and samples from them.
#[derive(Debug, Parser)]
#[command(name = "sde", version, disable_help_subcommand = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Train a model, or go on with a run
    #[command(
        override_usage = "sde train [OPTIONS] [--KEY.PATH VALUE]...",
        after_help = "Any key of the configuration can be given as an argument, for example --optim.lr 1e-4, \
                      --train.seconds 60, --seed 7 or --sde.kind ve."
    )]
    Train(TrainArgs),
    /// Draw samples from a trained model
    #[command(
        override_usage = "sde sample --run RUN_DIR|--model DIR [OPTIONS] [--sampler.KEY VALUE]... [--condition.KEY VALUE]...",
        after_help = "Any key of the sampler and of the conditions can be given as an argument, for example --sampler.steps 100, or\n--condition.labels [7] --condition.guidance_scale 2 for a network that knows classes, or --condition.vectors FILE.npy\n(one row a sample, in turn) and --condition.images FILE.npy for one that is told vectors or images. A run trained with ema.power\ntakes --ema.length VALUE, the length of the average to sample with."
    )]
    Sample(SampleArgs),
    /// Negative log likelihood and bits per dimension of data under a trained model
    #[command(
        after_help = "By the probability flow, with the standard error over rows; beside it an upper bound by the reverse SDE. The rows \
                      of quantised data are dequantised. The result goes into likelihood.json of the folder, which sde report shows of a run."
    )]
    Likelihood(LikelihoodArgs),
    /// Scores of samples against the data, each beside its floor, the score of real rows
    #[command(after_help = "The result goes into RUN_DIR/eval.json, which sde report shows.")]
    Eval(EvalArgs),
    /// List, describe and fetch data sets
    Data {
        #[command(subcommand)]
        command: DataCommand,
    },
    /// List the checkpoints of a run: step, whole or damaged, fingerprint
    Checkpoint(CheckpointArgs),
    /// Write a page that shows a run, report.html
    Report(ReportArgs),
    /// Make a model folder of a network that another program trained
    #[command(
        after_help = "score-sde needs the model's configuration in score_sde's own field names, as JSON or TOML: the \
                      tables model, data and training, or all fields in one table."
    )]
    Import(ImportArgs),
    /// Write a model in the files of another program
    Export(ExportArgs),
    /// Describe or evaluate a network by itself
    Net {
        #[command(subcommand)]
        command: NetCommand,
    },
}

/// Arguments of `sde train`.
#[derive(Debug, Clone, Default, Args)]
pub struct TrainArgs {
    /// Configuration file (TOML); configs/digits_vp.toml if absent
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    pub config: Option<PathBuf>,
    /// Run folder to go on with, to the budget given or to its own
    #[arg(long, value_name = "RUN_DIR")]
    pub resume: Option<PathBuf>,
    /// Run folder to create, absent or empty; runs/TIME_NAME if not given
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub out: Option<PathBuf>,
    /// Check everything, print the resolved configuration, train nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object as the last line
    #[arg(long)]
    pub json: bool,
    /// Where libtorch computes.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Which of several processes this is.
    #[command(flatten)]
    pub ranks: RankArgs,
    /// Overrides of configuration keys.
    #[arg(skip)]
    pub overrides: Vec<Override>,
}

/// Where libtorch computes; the same for every command that uses it.
#[derive(Debug, Clone, Default, Args)]
pub struct MachineArgs {
    /// auto, cpu, cuda (of several ranks on a machine each takes its own), cuda:N or mps
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceArg,
    /// Threads of libtorch, 1 or more; if not given, OMP_NUM_THREADS, else one a core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
}

/// Several processes that work together; without any of it, a launcher's environment is looked at (torchrun, Slurm).
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Several processes")]
pub struct RankArgs {
    /// Ranks to start on this machine, which share the work and the cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024), conflicts_with_all = ["rank", "world_size", "meet"])]
    pub nproc: Option<u32>,
    /// Number of this rank, from 0
    #[arg(long, value_name = "R")]
    pub rank: Option<u32>,
    /// Ranks in all
    #[arg(long, value_name = "W")]
    pub world_size: Option<u32>,
    /// Where ranks meet: tcp://HOST:PORT, HOST being that of rank 0, or file:///PATH, a new file that all reach
    #[arg(long, value_name = "PLACE")]
    pub meet: Option<String>,
    /// Seconds that ranks wait for each other before they give up
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    pub rank_timeout: u64,
    /// Network interface between ranks, by name; GLOO_SOCKET_IFNAME, or the one that leads to rank 0, if not given
    #[arg(long, value_name = "NAME")]
    pub interface: Option<String>,
    /// Process that started this rank, with which it ends
    #[arg(long, value_name = "PID", hide = true)]
    pub launcher: Option<i32>,
}

impl Default for RankArgs {
    fn default() -> Self {
        Self {
            nproc: None,
            rank: None,
            world_size: None,
            meet: None,
            rank_timeout: 600,
            interface: None,
            launcher: None,
        }
    }
}

/// How the network of a trained model computes.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct PrecisionArgs {
    /// f32, or bf16 for its matrix products and convolutions: faster where the device has bf16, and less exact
    #[arg(long, value_name = "PRECISION", default_value = "f32", value_parser = precision)]
    pub precision: Precision,
}

impl TrainArgs {
    /// The configuration of the run: the file named, the run's own when going on, or the default.
    ///
    /// # Errors
    /// As [`load_file`]; a run folder without a configuration.
    pub fn load(&self) -> Result<Loaded, TrainError> {
        if let Some(run) = &self.resume {
            return load_run(run, &self.overrides);
        }
        let path = self.config.as_deref().unwrap_or(Path::new(DEFAULT_CONFIG));
        if self.config.is_none() && !path.exists() {
            return load_text(
                BUILT_IN_CONFIG,
                Path::new("built-in digits_vp.toml"),
                &self.overrides,
            );
        }
        load_file(path, &self.overrides)
    }
}

/// Arguments of `sde sample`.
#[derive(Debug, Clone, Default, Args)]
pub struct SampleArgs {
    /// The model.
    #[command(flatten)]
    pub place: Place,
    /// Number of samples
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..))]
    pub n: u64,
    /// Seed of the noise; the run's own, or 0, if not given
    #[arg(long, value_name = "SEED")]
    pub seed: Option<u64>,
    /// Rows that go through the network at a time; changes memory and speed, not the samples
    #[arg(long, value_name = "B", value_parser = clap::value_parser!(u64).range(1..))]
    pub batch: Option<u64>,
    /// Where the samples go, .npz or .npy
    #[arg(long, value_name = "FILE", value_parser = array_file)]
    pub out: Option<PathBuf>,
    /// Where a picture of the samples goes
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
    /// Where some states of the first samples on their way go, .npz: x and x0 (what the model took them for), step, t, sigma
    #[arg(long, value_name = "FILE")]
    pub trajectory: Option<PathBuf>,
    /// Precision of the network.
    #[command(flatten)]
    pub precision: PrecisionArgs,
    /// Print one JSON object as the last line
    #[arg(long)]
    pub json: bool,
    /// Where libtorch computes.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Which of several processes this is.
    #[command(flatten)]
    pub ranks: RankArgs,
    /// Overrides of `[sampler]` keys.
    #[arg(skip)]
    pub overrides: Vec<Override>,
}

impl SampleArgs {
    /// Refuses overrides of anything but the sampler, the conditions and, for a run, the length of its average.
    ///
    /// # Errors
    /// [`TrainError::Usage`].
    pub fn check(&self) -> Result<(), TrainError> {
        match self.overrides.iter().find(|o| match o.key.as_str() {
            "ema.length" => self.place.run.is_none(),
            key => !["sampler", "condition"].contains(&key.split('.').next().unwrap_or_default()),
        }) {
            None => Ok(()),
            Some(other) => Err(TrainError::Usage(format!(
                "{}: a trained model keeps its configuration; sde sample takes --sampler.KEY VALUE and --condition.KEY VALUE only, and of a run --ema.length VALUE",
                other.argument
            ))),
        }
    }
}

/// Arguments of `sde checkpoint`.
#[derive(Debug, Clone, Default, Args)]
pub struct CheckpointArgs {
    /// Run folder
    #[arg(long, value_name = "RUN_DIR")]
    pub run: PathBuf,
    /// Print one JSON object as the last line
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `sde report`.
#[derive(Debug, Clone, Default, Args)]
pub struct ReportArgs {
    /// Run folder
    #[arg(long, value_name = "RUN_DIR")]
    pub run: PathBuf,
    /// Write the page again whenever the run has gone on, until Ctrl-C; a browser that shows the file follows
    #[arg(long)]
    pub watch: bool,
    /// Seconds between two looks at the run
    #[arg(long, value_name = "SECONDS", requires = "watch", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub every: u32,
}

impl ReportArgs {
    /// The configuration of the run.
    ///
    /// # Errors
    /// As [`load_file`]; a run folder without a configuration.
    pub fn load(&self) -> Result<Loaded, TrainError> {
        load_run(&self.run, &[])
    }
}

/// What `sde data` does.
#[derive(Debug, Clone, Subcommand)]
pub enum DataCommand {
    /// The data sets, and which of them are at hand
    List,
    /// Rows, shape, classes, origin and licence of a data set
    Info {
        /// Name of the data set
        name: String,
    },
    /// Fetch a data set into the cache, through the package manager that has it or from files at hand
    Fetch {
        /// Name of the data set
        name: String,
        /// Folder or archive that holds its files
        #[arg(long, value_name = "PATH")]
        from: Option<PathBuf>,
    },
}

/// The configuration of a run folder, with overrides.
///
/// # Errors
/// As [`load_file`]; a run folder without a configuration.
pub fn load_run(run: &Path, overrides: &[Override]) -> Result<Loaded, TrainError> {
    let config = run.join("config.toml");
    if !config.is_file() {
        let reason = match (run.exists(), run.is_dir()) {
            (false, _) => "there is no such run folder",
            (_, false) => "is a file, need a run folder",
            _ => "is no run folder: it has no config.toml",
        };
        return Err(TrainError::Format {
            path: run.to_path_buf(),
            reason: reason.to_string(),
        });
    }
    load_file(&config, overrides)
}

fn precision(text: &str) -> Result<Precision, String> {
    let found = Precision::ALL.into_iter().find(|one| one.name() == text);
    found.ok_or_else(|| "precisions are f32 and bf16".to_string())
}

fn array_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.extension().and_then(|e| e.to_str()) {
        Some("npz" | "npy") => Ok(path),
        _ => Err("the name must end in .npz or .npy".to_string()),
    }
}
