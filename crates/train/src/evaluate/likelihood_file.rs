//! `likelihood.json`: what `sde likelihood` found.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::likelihood::{Mean, RowValues};
use super::{LIKELIHOOD_FILE, Part, read_json, write_json};
use crate::TrainError;

/// A likelihood and how it was measured; with `--json` one line on stdout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LikelihoodReport {
    /// The run folder, if it is one.
    pub run_dir: Option<PathBuf>,
    /// The model folder, if it is one.
    pub model_dir: Option<PathBuf>,
    /// Steps that the weights have behind them.
    pub step: Option<u64>,
    /// Name of the data set, or the file.
    pub data: String,
    /// Which rows of it.
    pub part: Part,
    /// Rows measured.
    pub rows: u64,
    /// Rows that there are.
    pub of_rows: u64,
    /// Values in a row.
    pub dim: usize,
    /// Levels of quantised data.
    pub levels: Option<u32>,
    /// Whether training dequantised them.
    #[serde(default)]
    pub dequantised: bool,
    /// Mean negative log likelihood of a row in nats: of the level of its values where they are quantised, else minus the log of
    /// the density in the units of the data.
    pub nll_nats: f64,
    /// Standard error of that over rows.
    pub standard_error: Option<f64>,
    /// Bits per dimension, of quantised data.
    pub bits_per_dim: Option<f64>,
    /// Standard error of that over rows.
    pub bits_standard_error: Option<f64>,
    /// The bound, if asked for.
    pub bound: Option<BoundReport>,
    /// Dequantisations of each row.
    pub repeats: u32,
    /// Probes of the divergence; absent where it is exact.
    pub probes: Option<u32>,
    /// Relative tolerance of the flow.
    pub rtol: f64,
    /// Absolute tolerance of the flow.
    pub atol: f64,
    /// Time whose density it is: the data as noised up to then.
    pub t: f64,
    /// Seed.
    pub seed: u64,
    /// Evaluations of the flow, the most of any batch.
    pub nfe: u64,
    /// Seconds of work.
    pub seconds: f64,
    /// Whether the work was interrupted; the figures are then those of the rows that were done.
    pub interrupted: bool,
}

/// The bound of the reverse SDE, in the units of the likelihood.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoundReport {
    /// Its mean in nats.
    pub nll_nats: f64,
    /// Standard error of that over rows.
    pub standard_error: Option<f64>,
    /// Bits per dimension, of quantised data.
    pub bits_per_dim: Option<f64>,
    /// Standard error of that over rows.
    pub bits_standard_error: Option<f64>,
    /// Times a row at which it looked.
    pub times: u32,
}

impl LikelihoodReport {
    /// What the figures of a model mean that has seen levels and nothing between them.
    pub fn note(&self) -> Option<&'static str> {
        (self.levels.is_some() && !self.dequantised).then_some(
            "The model was trained on bare levels and is asked between them, where it has learned little: the bound is loose, and \
             the likelihood not what the network could do. For likelihoods train with data.dequantise = true.",
        )
    }

    /// The figures in words, a line each.
    pub fn lines(&self) -> Vec<String> {
        let figure = |value: f64, error: Option<f64>, unit: &str| match error {
            Some(error) => format!("{value:.4} +- {error:.4} {unit}"),
            None => format!("{value:.4} {unit}"),
        };
        let both = |nats, nats_error, bits: Option<f64>, bits_error| match bits {
            Some(bits) => format!(
                "{}, {}",
                figure(bits, bits_error, "bits per dimension"),
                figure(nats, nats_error, "nats")
            ),
            None => figure(nats, nats_error, "nats"),
        };
        let mut lines = vec![format!(
            "negative log likelihood  {}",
            both(
                self.nll_nats,
                self.standard_error,
                self.bits_per_dim,
                self.bits_standard_error
            )
        )];
        if let Some(bound) = &self.bound {
            lines.push(format!(
                "bound of the reverse SDE {}",
                both(
                    bound.nll_nats,
                    bound.standard_error,
                    bound.bits_per_dim,
                    bound.bits_standard_error
                )
            ));
        }
        lines.push(format!(
            "{}{} of {} {} of {}, {} values each; {} evaluations of the flow in {:.1} s",
            if self.interrupted { "interrupted: " } else { "" },
            self.rows,
            self.of_rows,
            self.part.rows(),
            self.data,
            self.dim,
            self.nfe,
            self.seconds
        ));
        lines.extend(self.note().map(|note| format!("note: {note}")));
        lines
    }
}

impl BoundReport {
    /// From the values of rows of `dim` values; `None` of no row.
    pub fn of(bounds: &[f64], dim: usize, quantised: bool, times: u32) -> Option<Self> {
        let nats = Mean::of(bounds)?;
        let bits = quantised.then(|| nats.bits(dim));
        Some(Self {
            nll_nats: nats.mean,
            standard_error: nats.standard_error,
            bits_per_dim: bits.map(|bits| bits.mean),
            bits_standard_error: bits.and_then(|bits| bits.standard_error),
            times,
        })
    }
}

/// The file: the report and each row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LikelihoodFile {
    /// The report.
    #[serde(flatten)]
    pub report: LikelihoodReport,
    /// What was measured of each row, nats.
    pub values: RowValues,
}

impl LikelihoodFile {
    /// Writes it into the run folder.
    ///
    /// # Errors
    /// The file cannot be written; what lay there stays.
    pub fn write(&self, run_dir: &Path) -> Result<PathBuf, TrainError> {
        write_json(&run_dir.join(LIKELIHOOD_FILE), self)
    }

    /// That of a run folder, if there is one.
    ///
    /// # Errors
    /// It cannot be read, or is something else.
    pub fn read(run_dir: &Path) -> Result<Option<Self>, TrainError> {
        read_json(&run_dir.join(LIKELIHOOD_FILE))
    }
}
