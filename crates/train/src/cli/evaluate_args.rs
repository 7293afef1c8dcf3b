//! Arguments of the commands that measure a model.

use std::path::PathBuf;

use clap::Args;

use super::args::{MachineArgs, RankArgs};
use super::model_args::Place;
use crate::evaluate::features::FeatureChoice;

/// Rows that a likelihood is taken of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DataArg {
    /// The test rows of the data set where it has some, else the rows that the run held out.
    #[default]
    Test,
    /// The rows that the run held out.
    HeldOut,
    /// The rows that training saw.
    Train,
    /// The rows of an array file.
    File(PathBuf),
}

/// Arguments of `sde likelihood`.
#[derive(Debug, Clone, Args)]
pub struct LikelihoodArgs {
    /// Where the model is.
    #[command(flatten)]
    pub place: Place,
    /// test (the data set's test rows, or the rows that the run held out), held-out, train, or a .npy or .npz file of rows in the
    /// units of the data (of quantised data the levels, as whole numbers); a model folder needs a file
    #[arg(long, value_name = "test|FILE.npy", default_value = "test", value_parser = rows)]
    pub data: DataArg,
    /// Random probes of the divergence [default: exact up to 8 values a row, else 1 probe]
    #[arg(long, value_name = "K", conflicts_with = "exact", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub probes: Option<u32>,
    /// The exact divergence: one backward pass for each value of a row
    #[arg(long)]
    pub exact: bool,
    /// Most rows, evenly spread over those that there are; 64 of small images are done in a few minutes on a processor
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..))]
    pub rows: u64,
    /// How often every row of levels is dequantised and measured
    #[arg(long, value_name = "R", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub repeats: u32,
    /// Relative tolerance of the flow
    #[arg(long, value_name = "TOLERANCE", default_value_t = 1e-5)]
    pub rtol: f64,
    /// Absolute tolerance of the flow
    #[arg(long, value_name = "TOLERANCE", default_value_t = 1e-5)]
    pub atol: f64,
    /// Times a row at which the bound looks, two evaluations each; 0 for no bound
    #[arg(long, value_name = "M", default_value_t = 32, value_parser = clap::value_parser!(u32).range(0..=1_048_576))]
    pub bound_times: u32,
    /// Rows at a time, and the unit that several processes take in turn; changes memory and speed, and results by rounding alone
    #[arg(long, value_name = "B", default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..))]
    pub batch: u64,
    /// Seed of dequantisation, probes and the bound
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub seed: u64,
    /// Where the rows go, .npy: number of the row, negative log likelihood and bound in nats
    #[arg(long, value_name = "FILE.npy", value_parser = npy_file)]
    pub out: Option<PathBuf>,
    /// Print one JSON object as the last line
    #[arg(long)]
    pub json: bool,
    /// Where libtorch computes.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Which of several processes this is.
    #[command(flatten)]
    pub ranks: RankArgs,
}

fn rows(text: &str) -> Result<DataArg, String> {
    let path = PathBuf::from(text);
    Ok(match (text, path.extension().and_then(|e| e.to_str())) {
        ("test", _) => DataArg::Test,
        ("held-out", _) => DataArg::HeldOut,
        ("train", _) => DataArg::Train,
        (_, Some("npy" | "npz")) => DataArg::File(path),
        _ => {
            return Err(
                "rows are test, held-out, train, or a file whose name ends in .npy or .npz".to_owned(),
            );
        }
    })
}

fn npy_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.extension().and_then(|e| e.to_str()) {
        Some("npy") => Ok(path),
        _ => Err("the name must end in .npy".to_owned()),
    }
}

/// Arguments of `sde eval`.
#[derive(Debug, Clone, Args)]
pub struct EvalArgs {
    /// Run folder
    #[arg(long, value_name = "RUN_DIR")]
    pub run: PathBuf,
    /// Samples to score, .npz (arr_0) or .npy: images as uint8 [n, height, width, channels], other rows as float32 in the units of the
    /// data; the run's samples.npz if not given
    #[arg(long, value_name = "FILE.npz")]
    pub samples: Option<PathBuf>,
    /// Most rows of each set that are compared; the time grows with its square
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(10..))]
    pub max_rows: u64,
    /// Features for a Fréchet distance beside that on the values: of a small network that is trained on the training rows, the same
    /// whatever the seed; own takes effect for images and series
    #[arg(long, value_name = "own|none", value_enum, default_value_t = FeatureChoice::Own, hide_possible_values = true)]
    pub features: FeatureChoice,
    /// Seed of all that is drawn: directions, folds, halves
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub seed: u64,
    /// Threads, 1 or more; if not given, OMP_NUM_THREADS, else one a core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Print one JSON object as the last line
    #[arg(long)]
    pub json: bool,
    /// Which of several processes this is.
    #[command(flatten)]
    pub ranks: RankArgs,
}
