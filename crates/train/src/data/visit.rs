//! What is random about a visit to a row, and what every data set in memory refuses.

use rand::Rng;
use solvers::noise::PhiloxRng;

use super::Visit;
use crate::TrainError;

/// Random numbers of one visit to one row, by (seed, epoch, row): the same whatever was read before.
pub(super) struct RowRandom(PhiloxRng);

impl RowRandom {
    /// Their stream: the top bit sets it apart, 26 bits of the epoch, 37 of the row.
    pub(super) fn new(visit: Visit, row: u64) -> Self {
        let stream = 1 << 63 | (visit.epoch & 0x3ff_ffff) << 37 | (row & 0x1f_ffff_ffff);
        Self(PhiloxRng::new(visit.seed, stream))
    }

    /// Yes or no.
    pub(super) fn coin(&mut self) -> bool {
        self.0.next_u32() >> 31 == 1
    }

    /// On (0, 1).
    pub(super) fn uniform(&mut self) -> f64 {
        (f64::from(self.0.next_u32()) + 0.5) / 4_294_967_296.0
    }

    /// A whole number from 0 to `room`, each as likely as any other; nothing is drawn where there is no choice.
    pub(super) fn place(&mut self, room: usize) -> usize {
        match room {
            0 => 0,
            _ => ((u64::from(self.0.next_u32()) * (room as u64 + 1)) >> 32) as usize,
        }
    }
}

/// Refuses a buffer that is not as long as `rows` rows of `len` values.
pub(super) fn check_buffer(name: &str, rows: &[u64], len: usize, out: &[f32]) -> Result<(), TrainError> {
    let need = rows.len() * len;
    if out.len() == need {
        return Ok(());
    }
    Err(TrainError::Data {
        name: name.to_owned(),
        reason: format!("{} rows need {need} values, not {}", rows.len(), out.len()),
    })
}

/// The error for a row beyond the end.
pub(super) fn no_such_row(name: &str, row: u64, count: usize) -> TrainError {
    TrainError::Data {
        name: name.to_owned(),
        reason: format!("row {row} asked for, there are {count}"),
    }
}
