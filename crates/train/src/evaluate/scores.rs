//! How samples compare with data: the scores of [`report::metrics`].

use std::path::{Path, PathBuf};

use ndarray::Array2;
use report::metrics::{Best, Evaluation, Options, Reference, Score, evaluate_by};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::features::{self, FeatureChoice, OwnFeatures};
use super::team::Ranks;
use super::{Part, Rows, SCORES_FILE, read_json, write_json};
use crate::data::{Scaling, Values, npy_rows};
use crate::dist::{self, Comm};
use crate::hash::hex;
use crate::{RunConfig, TrainError};

/// Fewest samples, and fewest rows that were not trained on, for scores.
const FEWEST: usize = 10;
/// Most values of an image, since the time of the Fréchet distance grows with their cube. Larger ones are compared by means over
/// squares.
const MOST_VALUES: usize = 1600;
/// Most values of all training rows; of larger sets rows are taken evenly.
const MOST_TRAINING_VALUES: usize = 60_000_000;
/// Shortest series with a spectrum worth a score.
const SHORTEST: i64 = 8;

/// Scores of samples and how they were found; with `--json` one line on stdout, and the file `eval.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// The run folder.
    pub run_dir: PathBuf,
    /// The file with the samples.
    pub samples_file: PathBuf,
    /// Name of the data set.
    pub data_set: String,
    /// The rows that stand in for samples in the floors; absent where these are halves of the training rows.
    pub floor_part: Option<Part>,
    /// Whether the rows are images, whose values are then compared in [0, 1]; else they are in the units of the data.
    pub images: bool,
    /// Images are compared by means over squares of so many pixels a side; 1 for the pixels themselves.
    pub square: usize,
    /// Whose features `feature_frechet` compares, or why there is no such score; absent where none was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<OwnFeatures>,
    /// Seconds of work.
    pub seconds: f64,
    /// The scores.
    #[serde(flatten)]
    pub evaluation: Evaluation,
}

/// Rows of samples or data as they are compared.
struct Compared {
    /// Shape of a row as it was.
    shape: Vec<usize>,
    images: bool,
    square: usize,
}

impl Compared {
    fn new(shape: &[i64]) -> Self {
        let shape: Vec<usize> = shape.iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect();
        let square = match shape.as_slice() {
            &[channels, height, width] => {
                let fits = |side: &usize| height.is_multiple_of(*side) && width.is_multiple_of(*side);
                let small = |side: &usize| channels * (height / side) * (width / side) <= MOST_VALUES;
                (1..=height.min(width)).filter(fits).find(small).unwrap_or(1)
            }
            _ => 1,
        };
        Self {
            images: shape.len() == 3,
            shape,
            square,
        }
    }

    fn row_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Shape of a row as it is compared.
    fn compared_shape(&self) -> Vec<i64> {
        let sizes = self.shape.iter().enumerate();
        let size = |(axis, &size): (usize, &usize)| if axis == 0 { size } else { size / self.square };
        sizes.map(|at| size(at) as i64).collect()
    }

    /// Rows of the original length as they are compared.
    fn rows(&self, values: Vec<f32>) -> Array2<f32> {
        let rows = values.len() / self.row_len().max(1);
        let (len, values) = match (self.shape.as_slice(), self.square) {
            (&[channels, height, width], side) if side > 1 => {
                let planes = rows * channels;
                (
                    channels * (height / side) * (width / side),
                    means(&values, planes, height, width, side),
                )
            }
            _ => (self.row_len(), values),
        };
        Array2::from_shape_vec((rows, len), values).expect("invariant: rows times their length values")
    }
}

/// Means over squares of `side` pixels, plane after plane.
fn means(values: &[f32], planes: usize, height: usize, width: usize, side: usize) -> Vec<f32> {
    let (down, across) = (height / side, width / side);
    let mut out = vec![0.0; planes * down * across];
    for (plane, out) in values
        .chunks_exact(height * width)
        .zip(out.chunks_exact_mut(down * across))
    {
        for (y, line) in plane.chunks_exact(width).enumerate() {
            for (x, value) in line.iter().enumerate() {
                out[y / side * across + x / side] += value / (side * side) as f32;
            }
        }
    }
    out
}

/// Values of images to [0, 1], in the 256 steps that files of images have; others as they are.
fn comparable(raw: impl Iterator<Item = f64>, scaling: &Scaling, images: bool) -> Vec<f32> {
    let (low, high) = scaling.raw_range();
    raw.map(|value| match images {
        true => (((value - low) / (high - low) * 255.0).round().clamp(0.0, 255.0) / 255.0) as f32,
        false => value as f32,
    })
    .collect()
}

/// The samples of a file for a model of these rows.
fn samples(
    path: &Path,
    shape: &[i64],
    scaling: &Scaling,
    compared: &Compared,
) -> Result<Array2<f32>, TrainError> {
    let refuse = |reason: String| TrainError::Format {
        path: path.to_path_buf(),
        reason,
    };
    let (found, values) = npy_rows(path)?;
    if found != shape {
        return Err(refuse(format!(
            "holds samples of the shape {found:?}, the data have {shape:?}"
        )));
    }
    let values = match values {
        Values::Levels(bytes, _) if compared.images => {
            bytes.into_iter().map(|v| f32::from(v) / 255.0).collect()
        }
        Values::Levels(bytes, _) => bytes.into_iter().map(f32::from).collect(),
        Values::Real(values) => {
            if let Some(at) = values.iter().position(|value| !value.is_finite()) {
                let sample = at / compared.row_len().max(1);
                return Err(refuse(format!(
                    "sample {sample} holds {}, need finite numbers",
                    values[at]
                )));
            }
            comparable(values.into_iter().map(f64::from), scaling, compared.images)
        }
    };
    let count = values.len() / compared.row_len().max(1);
    if count < FEWEST {
        return Err(refuse(format!(
            "holds {count} samples, the scores need {FEWEST} or more: draw them with sde sample --n, or train with train.samples"
        )));
    }
    Ok(compared.rows(values))
}

impl Scores {
    /// Scores the samples of a file against the training rows of a run. The floors are those of its test rows, or the rows that it
    /// held out, or, where there are fewer than ten of them, of halves of the training rows. With [`FeatureChoice::Own`] a small
    /// network is trained on the training rows, where these are images or series, for a distance on its features.
    /// The ranks of `comm` share the work; each trains this network, which is the same for all.
    ///
    /// # Errors
    /// The data set or the file cannot be read; samples of another shape, too few of them, or values that are not finite; ranks that
    /// were started with other options or have other rows.
    pub fn of(
        run_dir: &Path,
        file: &Path,
        config: &RunConfig,
        options: &Options,
        choice: FeatureChoice,
        comm: &dyn Comm,
    ) -> Result<Self, TrainError> {
        let started = std::time::Instant::now();
        let train = Rows::train(config)?;
        let scaling = train.scaling();
        let compared = Compared::new(train.shape());
        let samples = samples(file, train.shape(), &scaling, &compared)?;
        dist::same_text(comm, "evaluation", || {
            let mut hash = Sha256::new();
            samples.iter().for_each(|value| hash.update(value.to_le_bytes()));
            Ok(format!(
                "{options:?}\nfeatures: {choice:?}\n{} samples, hash {}\n{}\n{}",
                samples.nrows(),
                hex(hash.finalize()),
                train.fingerprint()?,
                config.to_toml()?
            ))
        })?;
        let train = train.at_most((MOST_TRAINING_VALUES / compared.row_len().max(1)).max(FEWEST));
        let rows = |rows: &Rows| -> Result<Array2<f32>, TrainError> {
            let mut values = Vec::with_capacity(rows.numbers().len() * compared.row_len());
            for numbers in rows.numbers().chunks(1024) {
                values.extend(comparable(
                    rows.raw(numbers)?.into_iter(),
                    &scaling,
                    compared.images,
                ));
            }
            Ok(compared.rows(values))
        };
        // No test rows is no failure here.
        let unseen = match config.data.test_part() {
            Some(_) => Some(Rows::test(config)?),
            None => Rows::held_out(config).ok(),
        };
        let unseen = unseen.filter(|unseen| unseen.numbers().len() >= FEWEST);
        if let Some(unseen) = &unseen
            && unseen.shape() != train.shape()
        {
            return Err(TrainError::Data {
                name: train.name().to_owned(),
                reason: format!(
                    "its {} have the shape {:?}, its training rows {:?}",
                    unseen.part().rows(),
                    unseen.shape(),
                    train.shape()
                ),
            });
        }
        let data = rows(&train)?;
        let held_out = unseen.as_ref().map(rows).transpose()?;
        let labels: Option<Vec<u32>> = train
            .labels()
            .map(|labels| train.numbers().iter().map(|row| labels[*row as usize]).collect());
        let channels = match train.shape() {
            &[channels, length] if length >= SHORTEST => usize::try_from(channels).ok(),
            _ => None,
        };
        let unseen_rows = held_out.as_ref().map(|rows| rows.view());
        let (features, of_sets) = match choice {
            FeatureChoice::None => (None, None),
            FeatureChoice::Own => {
                let shape = compared.compared_shape();
                let (told, of_sets) =
                    features::of_sets(samples.view(), data.view(), unseen_rows, &shape, options.max_rows)?;
                if let OwnFeatures::Network(facts) = &told {
                    dist::same_text(
                        comm,
                        "processor or number of threads (by its feature network)",
                        || Ok(format!("hash {}", facts.hash)),
                    )?;
                }
                (Some(told), of_sets)
            }
        };
        let reference = Reference {
            rows: data.view(),
            labels: labels.as_deref(),
            held_out: unseen_rows,
            features: of_sets.as_ref().map(features::OfSets::features),
        };
        let options = Options {
            channels,
            ..options.clone()
        };
        let mut evaluation =
            evaluate_by(&Ranks(comm), samples.view(), &reference, &options).map_err(|error| {
                TrainError::Data {
                    name: train.name().to_owned(),
                    reason: format!(
                        "its rows and the samples of {} cannot be compared: {error}",
                        file.display()
                    ),
                }
            })?;
        // By the number in the data set, not by the place among the training rows.
        if let Some(row) = train.numbers().get(evaluation.copies.training) {
            evaluation.copies.training = usize::try_from(*row).unwrap_or(usize::MAX);
        }
        Ok(Self {
            run_dir: run_dir.to_path_buf(),
            samples_file: file.to_path_buf(),
            data_set: train.name().to_owned(),
            floor_part: unseen.map(|unseen| unseen.part()),
            images: compared.images,
            square: compared.square,
            features,
            seconds: started.elapsed().as_secs_f64(),
            evaluation,
        })
    }

    /// What stands against what, in a sentence.
    pub fn about(&self) -> String {
        let found = &self.evaluation;
        let values = match (self.images, self.square) {
            (true, 1) => "values in [0, 1]".to_owned(),
            (true, side) => format!("values in [0, 1], means over {side} x {side} pixels"),
            (false, _) => "in the units of the data".to_owned(),
        };
        let floor = match self.floor_part {
            Some(part) => format!(
                "{} {} against {} training rows",
                found.floor_samples,
                part.rows(),
                found.floor_data
            ),
            None => format!(
                "{} training rows against {} others",
                found.floor_samples, found.floor_data
            ),
        };
        format!(
            "{} samples against {} training rows of {}, {values}; floor: {floor}",
            found.samples, found.data, self.data_set
        )
    }

    /// The table: metric, value, value at the sizes of the floor, floor, what is better.
    pub fn table(&self, number: fn(f64) -> String, of_error: fn(f64) -> String) -> Vec<Vec<String>> {
        let with = |value: f64, error: Option<f64>| match error {
            Some(error) => format!("{} ± {}", number(value), of_error(error)),
            None => number(value),
        };
        let row = |score: &Score| {
            vec![
                score.name.replace('_', " "),
                with(score.value, score.standard_error),
                number(score.matched),
                with(score.floor, score.floor_standard_error),
                match score.best {
                    Best::Lower => "lower".to_owned(),
                    Best::Higher => "higher".to_owned(),
                    Best::Nearest(value) => format!("near {}", number(value)),
                },
            ]
        };
        self.evaluation.scores.iter().map(row).collect()
    }

    /// Writes `eval.json` into the run folder.
    ///
    /// # Errors
    /// The file cannot be written; what lay there stays.
    pub fn write(&self, run_dir: &Path) -> Result<PathBuf, TrainError> {
        write_json(&run_dir.join(SCORES_FILE), self)
    }

    /// Those of a run folder, if there are any.
    ///
    /// # Errors
    /// The file cannot be read, or is something else.
    pub fn read(run_dir: &Path) -> Result<Option<Self>, TrainError> {
        read_json(&run_dir.join(SCORES_FILE))
    }
}

/// Heads of the columns of [`Scores::table`].
pub const COLUMNS: [&str; 5] = ["metric", "samples", "at the floor's sizes", "floor", "better"];

#[cfg(test)]
mod tests {
    use super::{Compared, means};

    #[test]
    fn large_images_are_compared_by_means() {
        for (shape, square, len) in [
            (&[1, 28, 28][..], 1, 784),
            (&[3, 32, 32], 2, 768),
            (&[3, 64, 64], 4, 768),
            (&[3, 17, 31], 1, 1581),
            (&[1, 8, 8], 1, 64),
            (&[2, 5000], 1, 10_000),
        ] {
            let compared = Compared::new(shape);
            assert_eq!(compared.square, square, "{shape:?}");
            let rows = compared.rows(vec![0.5; 2 * compared.row_len()]);
            assert_eq!(rows.dim(), (2, len), "{shape:?}");
            assert!(rows.iter().all(|value| *value == 0.5));
        }
        let plane: Vec<f32> = (0..16u8).map(f32::from).collect();
        assert_eq!(means(&plane, 1, 4, 4, 2), [2.5, 4.5, 10.5, 12.5]);
    }
}
