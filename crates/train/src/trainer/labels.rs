//! Classes of the rows in training.

use score_nets::Given;

use crate::loss::TrainDraw;
use crate::{Dataset, TrainError};

/// The class of every row of a data set, for a network that is told them.
#[derive(Debug)]
pub struct Labels {
    labels: Vec<i64>,
    /// Probability of not telling.
    dropout: f64,
}

impl Labels {
    /// The classes of `data` for a network of so many; `None` for a network without.
    ///
    /// # Errors
    /// The data set has no classes, or one that the network does not know.
    pub fn new(data: &dyn Dataset, classes: i64, dropout: f64) -> Result<Option<Self>, TrainError> {
        if classes == 0 {
            return Ok(None);
        }
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
            None => Ok(Some(Self {
                labels: labels.iter().map(|label| i64::from(*label)).collect(),
                dropout,
            })),
        }
    }

    /// The classes of some rows.
    pub fn of(&self, rows: &[u64]) -> Vec<i64> {
        rows.iter().map(|row| self.labels[*row as usize]).collect()
    }

    /// What the network is told of a batch: its classes, but for those that the draw leaves out.
    ///
    /// # Errors
    /// libtorch cannot allocate.
    pub fn told(&self, rows: &[u64], draw: &TrainDraw) -> Result<Given, TrainError> {
        let mut labels = self.of(rows);
        for (row, label) in labels.iter_mut().enumerate() {
            if draw.extra(row, DROPOUT) < self.dropout {
                *label = -1;
            }
        }
        Ok(Given::labels(&labels)?)
    }
}

/// Which of a row's further uniforms decides; the first two place a window.
const DROPOUT: usize = 2;
