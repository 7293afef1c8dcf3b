//! What the network is told of the rows in training: classes, vectors, images.

use score_nets::Given;
use tch::Device;

use crate::loss::TrainDraw;
use crate::sample::Told;
use crate::{Dataset, TrainError};

/// What a data set tells a network of its rows.
#[derive(Debug)]
pub struct Conditions {
    /// Class of every row, for a network that is told classes.
    labels: Option<Vec<i64>>,
    /// Probability of not telling a class.
    dropout: f64,
    told: Told,
}

impl Conditions {
    /// The vectors and images of `data`, and its classes where the network knows `classes` of them, 1 or more.
    ///
    /// # Errors
    /// The data set has no classes, or one that the network does not know; libtorch cannot allocate.
    pub fn new(data: &dyn Dataset, classes: i64, dropout: f64, device: Device) -> Result<Self, TrainError> {
        Ok(Self {
            labels: match classes {
                0 => None,
                _ => Some(known_labels(data, classes)?),
            },
            dropout,
            told: Told::of_data(data, device)?,
        })
    }

    /// The vectors and images of the rows.
    pub fn told(&self) -> &Told {
        &self.told
    }

    /// All that is told of some rows.
    ///
    /// # Errors
    /// libtorch cannot allocate.
    pub fn of(&self, rows: &[u64]) -> Result<Given, TrainError> {
        self.given(rows, |_| false)
    }

    /// What is told of the rows of a training batch: all, but for the classes that the draw leaves out.
    ///
    /// # Errors
    /// libtorch cannot allocate.
    pub fn of_batch(&self, rows: &[u64], draw: &TrainDraw) -> Result<Given, TrainError> {
        self.given(rows, |slot| draw.extra(slot, DROPOUT) < self.dropout)
    }

    fn given(&self, rows: &[u64], left_out: impl Fn(usize) -> bool) -> Result<Given, TrainError> {
        let told = self.told.rows(rows.iter().copied())?;
        let Some(labels) = &self.labels else {
            return Ok(told);
        };
        let label = |(slot, row): (usize, &u64)| match left_out(slot) {
            true => -1,
            false => labels[*row as usize],
        };
        let labels: Vec<i64> = rows.iter().enumerate().map(label).collect();
        Ok(told.overlaid(&Given::labels(&labels)?))
    }
}

/// The classes of a data set, all below `classes`.
fn known_labels(data: &dyn Dataset, classes: i64) -> Result<Vec<i64>, TrainError> {
    let refuse = |reason: String| TrainError::Data {
        name: data.name().to_owned(),
        reason,
    };
    let Some(labels) = data.labels() else {
        let reason = "its rows have no classes, but the network is told some: set net.classes = 0";
        return Err(refuse(reason.to_owned()));
    };
    match labels.iter().position(|label| i64::from(*label) >= classes) {
        Some(row) => Err(refuse(format!(
            "row {row} is of class {}, but the network knows {classes} classes; set net.classes = {}",
            labels[row],
            labels.iter().max().map_or(0, |most| most + 1)
        ))),
        None => Ok(labels.iter().map(|label| i64::from(*label)).collect()),
    }
}

/// Which of a row's further uniforms decides; the first two place a window.
const DROPOUT: usize = 2;
