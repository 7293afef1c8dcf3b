//! Rows that are kept out of training, and the loss on them.

use score_nets::{Given, ScoreNet};
use solvers::noise::{Draw, Purpose, uniform};
use tch::{Device, Kind, Tensor, no_grad};

use super::conditions::Conditions;
use crate::dist::{self, Comm};
use crate::loss::{DrawSource, Loss};
use crate::{Dataset, TrainError, Visit};

/// The rows of a data set in two parts, a function of (seed, share) alone.
#[derive(Debug)]
pub struct Holdout {
    /// Rows that training sees.
    pub train: Vec<u64>,
    /// Rows that it never sees.
    pub held_out: Vec<u64>,
}

impl Holdout {
    /// Keeps `share` of `len` rows out, at least one where `share > 0`, chosen at random.
    pub fn new(seed: u64, len: usize, share: f64) -> Self {
        let mut rows: Vec<u64> = (0..len as u64).collect();
        if share <= 0.0 {
            return Self {
                train: rows,
                held_out: Vec::new(),
            };
        }
        let count = ((len as f64 * share).round() as usize).clamp(1, len);
        let draw = Draw {
            step: 0,
            purpose: Purpose::Data,
        };
        rows.sort_by_cached_key(|&row| (uniform(seed, draw, row).to_bits(), row));
        let mut train = rows.split_off(count);
        rows.sort_unstable();
        train.sort_unstable();
        Self {
            train,
            held_out: rows,
        }
    }
}

/// The loss on the held-out rows: the same rows, times and noise each time, so that only the weights change it.
#[derive(Debug)]
pub struct Validation {
    rows: Vec<f32>,
    /// What the network is told of them.
    given: Given,
    shape: Vec<i64>,
    count: usize,
    batch: usize,
    device: Device,
}

impl Validation {
    /// Reads the held-out rows of `data` once; `batch` of them go through the network at a time, with what it is
    /// told of them.
    ///
    /// # Errors
    /// The data set fails.
    pub fn new(
        data: &dyn Dataset,
        held_out: &[u64],
        seed: u64,
        batch: usize,
        device: Device,
        conditions: &Conditions,
    ) -> Result<Self, TrainError> {
        let mut rows = vec![0.0; held_out.len() * data.row_len()];
        data.read(held_out, Visit { seed, epoch: 0 }, &mut rows)?;
        Ok(Self {
            rows,
            given: conditions.of(held_out)?,
            shape: data.shape().to_vec(),
            count: held_out.len(),
            batch: batch.clamp(1, held_out.len().max(1)),
            device,
        })
    }

    /// Mean loss of the held-out rows, of which each rank takes some batches, without dropout and without gradients; `None` where there
    /// are none.
    ///
    /// # Errors
    /// The network or libtorch fails.
    pub fn loss(
        &self,
        net: &dyn ScoreNet,
        loss: &dyn Loss,
        draws: &DrawSource,
        comm: &dyn Comm,
    ) -> Result<Option<f64>, TrainError> {
        if self.count == 0 {
            return Ok(None);
        }
        let fail = TrainError::tensor("the validation batch");
        let row_len = self.rows.len() / self.count;
        let mut sum = 0.0;
        let (rank, world) = (comm.rank() as usize, comm.world() as usize);
        let pieces = self.rows.chunks(self.batch * row_len).enumerate();
        for (piece, values) in pieces.filter(|(piece, _)| piece % world == rank) {
            let rows = values.len() / row_len;
            let mut size = vec![rows as i64];
            size.extend_from_slice(&self.shape);
            let x0 = Tensor::f_from_slice(values)
                .and_then(|t| t.f_view(size.as_slice()))
                .and_then(|t| t.f_to_device(self.device))
                .map_err(&fail)?;
            let first = piece * self.batch;
            let mut draw = draws.validation(first as u64, rows, self.count as u64, &self.shape, self.device);
            draw.given = self.given.narrow(first as i64, rows as i64)?;
            let per_row = no_grad(|| loss.per_row(net, &x0, &draw))?;
            let part = per_row.f_sum(Kind::Double).and_then(|t| t.f_double_value(&[]));
            sum += part.map_err(&fail)?;
        }
        let [sum] = dist::sums(comm, [sum])?;
        Ok(Some(sum / self.count as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every row is in exactly one part, the share is kept, and another seed gives other rows.
    #[test]
    fn every_row_has_one_side() {
        for (len, share, count) in [(1797, 0.1, 180), (10, 0.01, 1), (7, 0.5, 4), (5, 0.0, 0)] {
            let split = Holdout::new(3, len, share);
            assert_eq!(split.held_out.len(), count, "{len} {share}");
            let mut all = [split.train.clone(), split.held_out.clone()].concat();
            all.sort_unstable();
            assert_eq!(all, (0..len as u64).collect::<Vec<_>>(), "{len} {share}");
        }
        let rows = |seed| Holdout::new(seed, 1797, 0.1).held_out;
        assert_eq!(rows(1), rows(1));
        assert_ne!(rows(1), rows(2));
    }
}
