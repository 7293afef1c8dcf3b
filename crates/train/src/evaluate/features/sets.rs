//! Features of the sets that an evaluation compares, and what is said of them.

use clap::ValueEnum;
use ndarray::{Array2, ArrayView2};
use report::metrics::{Features, floor_sizes};
use serde::{Deserialize, Serialize};

use super::{CHANCE, FEATURES, FEWEST_ROWS, FeatureNet, RECIPE};
use crate::TrainError;

/// Which features an evaluation compares beside the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum FeatureChoice {
    /// Those of a small network that is trained on the training rows.
    #[default]
    Own,
    /// None.
    None,
}

/// The network whose features were compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkFacts {
    /// SHA-256 of its weights. Scores of one hash can be compared with each other.
    pub hash: String,
    /// How it was made: [`RECIPE`].
    pub recipe: u32,
    /// Features of a row.
    pub features: usize,
    /// Steps of its training.
    pub steps: usize,
    /// Share of right answers, on the rows that stand in the floor for samples where there are such, else on training rows.
    pub accuracy: f64,
    /// The share that guessing gives.
    pub chance: f64,
    /// Seconds for training it and for all features.
    pub seconds: f64,
}

/// What came of the features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnFeatures {
    /// A network was trained, and the scores have `feature_frechet`.
    Network(NetworkFacts),
    /// They lack it, for this reason.
    LeftOut(String),
}

impl NetworkFacts {
    /// The network in few words.
    fn name(&self) -> String {
        format!(
            "the project's own network {}",
            &self.hash[..self.hash.len().min(12)]
        )
    }
}

impl OwnFeatures {
    /// In a sentence.
    pub fn sentence(&self) -> String {
        match self {
            Self::Network(facts) => format!(
                "feature frechet: on {} features of {}, not comparable with FID; it names the change of {:.0} % of changed rows (by chance {:.0} %)",
                facts.features,
                facts.name(),
                100.0 * facts.accuracy,
                100.0 * facts.chance
            ),
            Self::LeftOut(reason) => format!("no feature frechet: {reason}"),
        }
    }
}

/// Features of the sets of an evaluation.
pub(in crate::evaluate) struct OfSets {
    samples: Array2<f32>,
    rows: Array2<f32>,
    held_out: Option<Array2<f32>>,
    network: String,
}

impl OfSets {
    /// As an evaluation takes them.
    pub fn features(&self) -> Features<'_> {
        Features {
            samples: self.samples.view(),
            rows: self.rows.view(),
            held_out: self.held_out.as_ref().map(|rows| rows.view()),
            network: &self.network,
        }
    }
}

/// Trains a network on the training rows and gives the features of all sets; none, with the reason, where the shape of a row or
/// the number of rows does not do.
pub(in crate::evaluate) fn of_sets(
    samples: ArrayView2<'_, f32>,
    rows: ArrayView2<'_, f32>,
    held_out: Option<ArrayView2<'_, f32>>,
    shape: &[i64],
    max_rows: usize,
) -> Result<(OwnFeatures, Option<OfSets>), TrainError> {
    if let Some(reason) = unfit([&samples, &rows], held_out.as_ref(), shape, max_rows) {
        return Ok((OwnFeatures::LeftOut(reason), None));
    }
    let started = std::time::Instant::now();
    let net = FeatureNet::train(rows, shape)?;
    let mut facts = NetworkFacts {
        hash: net.hash().to_owned(),
        recipe: RECIPE,
        features: FEATURES,
        steps: net.steps(),
        accuracy: net.accuracy(held_out.unwrap_or(rows))?,
        chance: CHANCE,
        seconds: 0.0,
    };
    let found = OfSets {
        samples: net.features(samples)?,
        rows: net.features(rows)?,
        held_out: held_out.map(|rows| net.features(rows)).transpose()?,
        network: format!("features of {}, not comparable with FID", facts.name()),
    };
    facts.seconds = started.elapsed().as_secs_f64();
    Ok((OwnFeatures::Network(facts), Some(found)))
}

/// Why there are no features.
fn unfit(
    [samples, rows]: [&ArrayView2<'_, f32>; 2],
    held_out: Option<&ArrayView2<'_, f32>>,
    shape: &[i64],
    max_rows: usize,
) -> Option<String> {
    if !(2..=3).contains(&shape.len()) {
        return Some("the rows are neither images nor series".to_owned());
    }
    let values = rows.ncols();
    if values < FEATURES {
        return Some(format!(
            "rows of {values} values say all themselves, a network would make {FEATURES} features of them"
        ));
    }
    let held_out = held_out.map(|rows| rows.nrows());
    let [few, many] = floor_sizes(samples.nrows(), rows.nrows(), held_out, max_rows);
    (few.min(many) < FEWEST_ROWS).then(|| {
        format!(
            "its floor would be that of {few} rows against {many}, need {FEWEST_ROWS} or more on each side, twice the number of features"
        )
    })
}
