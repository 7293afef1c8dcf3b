//! What an evaluation is asked and what it answers.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::Copies;

/// The data that samples are measured against.
#[derive(Debug, Clone, Copy)]
pub struct Reference<'a, T> {
    /// The data, `[m, d]`: what the model learned from.
    pub rows: ArrayView2<'a, T>,
    /// The class of each row, counted from 0; `None`: no class figures.
    pub labels: Option<&'a [u32]>,
    /// Further real rows, `[h, d]`, which the model has not seen, for the floors; `None`: the floors are those
    /// of one half of the data against the other.
    pub held_out: Option<ArrayView2<'a, T>>,
    /// What a network makes of all these rows and of the samples; `None`: no figures on features.
    pub features: Option<Features<'a>>,
}

impl<'a, T> Reference<'a, T> {
    /// Data without labels and without held-out rows.
    pub fn new(rows: ArrayView2<'a, T>) -> Self {
        Self {
            rows,
            labels: None,
            held_out: None,
            features: None,
        }
    }
}

/// Features of all rows of an evaluation, each set row for row as its rows are given.
#[derive(Debug, Clone, Copy)]
pub struct Features<'a> {
    /// Of the samples, `[n, f]`.
    pub samples: ArrayView2<'a, f32>,
    /// Of the data, `[m, f]`.
    pub rows: ArrayView2<'a, f32>,
    /// Of the held-out rows, `[h, f]`, where there are such.
    pub held_out: Option<ArrayView2<'a, f32>>,
    /// Which network they are of: the score's note ends with it.
    pub network: &'a str,
}

/// How an evaluation is done. The default is meant for all uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The seed of all that is drawn: which rows make a half, directions, folds.
    pub seed: u64,
    /// At most so many rows of each set are compared (copies are looked for among all data rows). The time
    /// grows with its square.
    pub max_rows: usize,
    /// How many directions the sliced Wasserstein distances take.
    pub projections: usize,
    /// Neighbours of each row that make the balls of precision and recall.
    pub precision_neighbours: usize,
    /// Neighbours of each data row that make the balls of density and coverage.
    pub density_neighbours: usize,
    /// A sample whose Euclidean distance to a data row is at most this counts as a copy.
    pub copy_tolerance: f64,
    /// Rows are series of so many channels, stored channel after channel; `None`: no figures for series.
    pub channels: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            max_rows: 10_000,
            projections: 256,
            precision_neighbours: 3,
            density_neighbours: 5,
            copy_tolerance: 0.0,
            channels: None,
        }
    }
}

/// Which values of a score are good.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Best {
    /// The lower, the nearer the samples are to the data.
    Lower,
    /// The higher, the better.
    Higher,
    /// The nearer to this value, the better.
    Nearest(f64),
}

/// One metric's value, and beside it the same metric on real rows against real rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The metric, in snake case: `energy_distance`.
    pub name: String,
    /// Samples against data, of all rows compared.
    pub value: f64,
    /// Standard error of `value`, where one is known.
    pub standard_error: Option<f64>,
    /// Samples against data at the sizes of the floor, for which rows were left out if need be: most metrics
    /// depend on the number of rows, so it is this number to hold against `floor`. Equal to `value` if the
    /// sizes are equal.
    pub matched: f64,
    /// Real rows against the same data, as many as for `matched`: what a perfect model would get.
    pub floor: f64,
    /// Standard error of `floor`, where one is known.
    pub floor_standard_error: Option<f64>,
    /// Which values are good.
    pub best: Best,
    /// The unit: `data units`, `squared data units`, `nats`, `decibels`; empty for a pure number.
    pub unit: String,
    /// What else one must know to repeat the figure: parameters, the choice among definitions.
    pub note: String,
}

/// All scores of a set of samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The scores, in a fixed order.
    pub scores: Vec<Score>,
    /// How many samples were compared.
    pub samples: usize,
    /// With how many data rows.
    pub data: usize,
    /// How many rows stand on the side of the samples in `matched` and `floor`.
    pub floor_samples: usize,
    /// How many data rows stand on the other side there.
    pub floor_data: usize,
    /// Whether the floor's real rows were held out; if not, they are one half of the data and the other half
    /// is what they are held against.
    pub held_out: bool,
    /// The length of a row.
    pub dimension: usize,
    /// The seed.
    pub seed: u64,
    /// The nearest that a sample comes to a data row; both are numbered as they were given.
    pub copies: Copies,
}

impl Evaluation {
    /// The score of this name.
    pub fn score(&self, name: &str) -> Option<&Score> {
        self.scores.iter().find(|score| score.name == name)
    }
}
