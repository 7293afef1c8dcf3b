//! Ranks as those who compute scores.

use rayon::prelude::*;
use report::metrics::{MetricError, Team};

use crate::dist::{self, Comm};

/// The ranks of a group, each on all threads of rayon's pool.
#[derive(Debug)]
pub(super) struct Ranks<'a>(pub &'a dyn Comm);

impl Team for Ranks<'_> {
    fn share(
        &self,
        lengths: &[usize],
        work: &(dyn Fn(usize) -> Vec<f64> + Sync),
    ) -> Result<Vec<Vec<f64>>, MetricError> {
        let (rank, world) = (self.0.rank() as usize, self.0.world() as usize);
        let own: Vec<usize> = (rank..lengths.len()).step_by(world).collect();
        let mut done = own.into_par_iter().map(work).collect::<Vec<_>>().into_iter();
        let turns = dist::in_turn(self.0, "scores", lengths, &mut |_| Ok(done.next()));
        turns.map(|turns| turns.parts).map_err(|error| MetricError::Team {
            reason: error.to_string(),
        })
    }
}
