//! The rows that a model is measured on, in the units of the data.

use std::path::Path;

use score_nets::Given;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tch::Device;

use crate::data::{self, Scaling, ScalingKind, Values, npy_rows};
use crate::hash::hex;
use crate::trainer::conditions::Conditions;
use crate::trainer::holdout::Holdout;
use crate::{Dataset, RunConfig, TrainError, Visit};

/// Which rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The test rows that the data set comes with.
    Test,
    /// The rows that the run kept out of training.
    HeldOut,
    /// The rows that training saw.
    Train,
    /// The rows of a file.
    File,
}

impl Part {
    /// As in a sentence: `held-out rows`.
    pub fn rows(self) -> &'static str {
        match self {
            Part::Test => "test rows",
            Part::HeldOut => "held-out rows",
            Part::Train => "training rows",
            Part::File => "rows of the file",
        }
    }
}

#[derive(Debug)]
enum Source {
    Set(Box<dyn Dataset>),
    File { shape: Vec<i64>, values: Vec<f64> },
}

/// Rows, without what chance does to rows in training.
#[derive(Debug)]
pub struct Rows {
    source: Source,
    part: Part,
    name: String,
    numbers: Vec<u64>,
    /// What the network is told of every row of the source.
    conditions: Option<Conditions>,
}

impl Rows {
    /// The test rows of the data set of a run where it has some, else the rows that the run held out.
    ///
    /// # Errors
    /// There are neither; the data set cannot be opened.
    pub fn test(config: &RunConfig) -> Result<Self, TrainError> {
        match config.data.test_part() {
            Some(test) => {
                let set = data::open(&test.still())?;
                let numbers = (0..set.len() as u64).collect();
                Ok(Self::of_set(set, Part::Test, numbers))
            }
            None => Self::held_out(config),
        }
    }

    /// The rows that the run held out.
    ///
    /// # Errors
    /// There are none; the data set cannot be opened.
    pub fn held_out(config: &RunConfig) -> Result<Self, TrainError> {
        let set = data::open(&config.data.clone().still())?;
        let numbers = Holdout::new(config.seed, set.len(), config.train.holdout).held_out;
        if numbers.is_empty() {
            return Err(TrainError::Data {
                name: set.name().to_owned(),
                reason: "it has no test rows, and the run held none out of training (train.holdout = 0); give rows of your own with \
                         --data FILE.npy, or the training rows with --data train"
                    .to_owned(),
            });
        }
        Ok(Self::of_set(set, Part::HeldOut, numbers))
    }

    /// The rows that training saw.
    ///
    /// # Errors
    /// The data set cannot be opened.
    pub fn train(config: &RunConfig) -> Result<Self, TrainError> {
        let set = data::open(&config.data.clone().still())?;
        let numbers = Holdout::new(config.seed, set.len(), config.train.holdout).train;
        Ok(Self::of_set(set, Part::Train, numbers))
    }

    /// The rows of an array in the units of the data: of quantised data the levels, as whole numbers.
    ///
    /// # Errors
    /// The file cannot be read, holds rows of another shape than `shape`, no row, a value that is not finite or is no level.
    pub fn file(path: &Path, shape: &[i64], levels: Option<u32>) -> Result<Self, TrainError> {
        let refuse = |reason: String| TrainError::Format {
            path: path.to_path_buf(),
            reason,
        };
        let (found, values) = npy_rows(path)?;
        let values: Vec<f64> = match values {
            Values::Levels(values, _) => values.into_iter().map(f64::from).collect(),
            Values::Real(values) => values.into_iter().map(f64::from).collect(),
        };
        if found != shape {
            return Err(refuse(format!(
                "holds rows of the shape {found:?}, those of the model have {shape:?}"
            )));
        }
        if values.is_empty() {
            return Err(refuse("holds no row".to_owned()));
        }
        let row_len = shape.iter().product::<i64>() as usize;
        let sound = |value: &f64| match levels {
            None => value.is_finite(),
            Some(levels) => value.fract() == 0.0 && (0.0..f64::from(levels)).contains(value),
        };
        if let Some(at) = values.iter().position(|value| !sound(value)) {
            let need = levels.map_or("finite numbers".to_owned(), |levels| {
                format!(
                    "the {levels} levels of the data, whole numbers from 0 to {}",
                    levels - 1
                )
            });
            return Err(refuse(format!(
                "row {} holds {}, need {need}",
                at / row_len,
                values[at]
            )));
        }
        let count = (values.len() / row_len) as u64;
        Ok(Self {
            source: Source::File {
                shape: shape.to_vec(),
                values,
            },
            part: Part::File,
            name: path.display().to_string(),
            numbers: (0..count).collect(),
            conditions: None,
        })
    }

    fn of_set(set: Box<dyn Dataset>, part: Part, numbers: Vec<u64>) -> Self {
        Self {
            name: set.name().to_owned(),
            source: Source::Set(set),
            part,
            numbers,
            conditions: None,
        }
    }

    /// With what the data set tells a network that knows so many classes. A file tells nothing.
    ///
    /// # Errors
    /// The data set has no classes, or one that the network does not know.
    pub fn telling(mut self, classes: i64, device: Device) -> Result<Self, TrainError> {
        if let Source::Set(set) = &self.source {
            self.conditions = Some(Conditions::new(set.as_ref(), classes, 0.0, device)?);
        }
        Ok(self)
    }

    /// At most `most` rows, evenly spread.
    #[must_use]
    pub fn at_most(mut self, most: usize) -> Self {
        self.numbers = self.evenly(most);
        self
    }

    /// The numbers of at most so many rows, evenly spread.
    fn evenly(&self, most: usize) -> Vec<u64> {
        let len = self.numbers.len();
        let most = most.min(len);
        (0..most).map(|i| self.numbers[i * len / most]).collect()
    }

    /// Which rows these are.
    pub fn part(&self) -> Part {
        self.part
    }

    /// Name of the data set or of the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The numbers of the rows in the data set or file, ascending.
    pub fn numbers(&self) -> &[u64] {
        &self.numbers
    }

    /// Shape of a row.
    pub fn shape(&self) -> &[i64] {
        match &self.source {
            Source::Set(set) => set.shape(),
            Source::File { shape, .. } => shape,
        }
    }

    /// Number of values in a row.
    pub fn row_len(&self) -> usize {
        self.shape().iter().product::<i64>() as usize
    }

    /// How the values of the data set are scaled in training; of a file nothing is known.
    pub fn scaling(&self) -> Scaling {
        match &self.source {
            Source::Set(set) => *set.scaling(),
            Source::File { .. } => Scaling::series(ScalingKind::None, (0.0, 1.0), 0.0, 1.0),
        }
    }

    /// Classes of all rows of the data set, by the number of the row.
    pub fn labels(&self) -> Option<&[u32]> {
        match &self.source {
            Source::Set(set) => set.labels(),
            Source::File { .. } => None,
        }
    }

    /// The values of some rows in the units of the data, one after the other; levels are whole numbers.
    ///
    /// # Errors
    /// The data set cannot be read.
    pub fn raw(&self, numbers: &[u64]) -> Result<Vec<f64>, TrainError> {
        let len = self.row_len();
        match &self.source {
            Source::File { values, .. } => Ok(numbers
                .iter()
                .flat_map(|&row| &values[row as usize * len..(row as usize + 1) * len])
                .copied()
                .collect()),
            Source::Set(set) => {
                let mut scaled = vec![0.0; numbers.len() * len];
                set.read(numbers, Visit { seed: 0, epoch: 0 }, &mut scaled)?;
                let scaling = set.scaling();
                let raw = scaled.iter().map(|v| scaling.to_raw(f64::from(*v)));
                Ok(match scaling.levels() {
                    Some(_) => raw.map(f64::round).collect(),
                    None => raw.collect(),
                })
            }
        }
    }

    /// Which rows these are and, by a hash, what they hold: what differs between ranks whose data do. Looks at 16 rows.
    ///
    /// # Errors
    /// As [`Rows::raw`].
    pub fn fingerprint(&self) -> Result<String, TrainError> {
        let count = self.numbers.len();
        let looked_at = self.evenly(16);
        let bytes: Vec<u8> = self
            .raw(&looked_at)?
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let hash = hex(Sha256::digest(bytes));
        Ok(format!(
            "{count} {} of {}, hash {hash}",
            self.part.rows(),
            self.name
        ))
    }

    /// What the network is told of some rows.
    ///
    /// # Errors
    /// libtorch cannot allocate.
    pub fn given(&self, numbers: &[u64]) -> Result<Given, TrainError> {
        match &self.conditions {
            Some(conditions) => conditions.of(numbers),
            None => Ok(Given::default()),
        }
    }
}
