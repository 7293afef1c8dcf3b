//! Which rows a step sees: a fresh permutation of the data set every epoch, a function of (seed, epoch) alone.

use solvers::noise::{Draw, Purpose, uniform};

/// The endless sequence of rows of a data set, epoch after epoch, each a random permutation.
///
/// Nothing is carried along: image number `i` of a run is entry `i mod len` of epoch `i / len`. The permutation of one
/// epoch is cached.
#[derive(Debug)]
pub struct Order {
    seed: u64,
    len: u64,
    cached: Option<(u64, Vec<u64>)>,
}

impl Order {
    /// For `len` rows, one or more.
    pub fn new(seed: u64, len: usize) -> Self {
        Self {
            seed,
            len: len.max(1) as u64,
            cached: None,
        }
    }

    /// The rows of images `first..first + count`, in pieces that lie in one epoch: (epoch, rows).
    pub fn pieces(&mut self, first: u64, count: u64) -> Vec<(u64, Vec<u64>)> {
        let mut pieces = Vec::new();
        let mut at = first;
        while at < first + count {
            let (epoch, from) = (at / self.len, at % self.len);
            let to = self.len.min(from + first + count - at);
            let range = index(from)..index(to);
            pieces.push((epoch, self.permutation(epoch)[range].to_vec()));
            at += to - from;
        }
        pieces
    }

    fn permutation(&mut self, epoch: u64) -> &[u64] {
        if self.cached.as_ref().is_none_or(|(cached, _)| *cached != epoch) {
            // Sorting by random keys: ties have probability 2^-52 a pair and are broken by the row number.
            let draw = Draw {
                step: u32::MAX - (epoch % (1 << 31)) as u32,
                purpose: Purpose::Training,
            };
            let mut keyed: Vec<(f64, u64)> = (0..self.len)
                .map(|row| (uniform(self.seed, draw, row), row))
                .collect();
            keyed.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            self.cached = Some((epoch, keyed.into_iter().map(|(_, row)| row).collect()));
        }
        &self.cached.as_ref().expect("invariant: just filled").1
    }
}

fn index(position: u64) -> usize {
    usize::try_from(position).expect("invariant: positions lie inside a data set in memory")
}
