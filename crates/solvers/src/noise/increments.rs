//! Increments of Brownian paths, some a row, and their splits.

use super::{Draw, NoiseSource, Purpose};
use crate::{Coef, SolveError, State};

/// The split of an increment of one row in two: `first = share whole + scale z`, `second = whole - first`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Split {
    /// Row of the batch.
    pub row: usize,
    /// Address of the normals `z`: [`Draw::step`] with [`Purpose::Path`].
    pub node: u32,
    /// Share of the increment that the first part has on average.
    pub share: f64,
    /// Standard deviation of the first part, given the whole.
    pub scale: f64,
    /// Slot of the whole.
    pub whole: u8,
    /// Slot that the first part goes to, if any; it may be that of the whole.
    pub first: Option<u8>,
    /// Slot that the second part goes to, if any; another one than that of the first.
    pub second: Option<u8>,
}

/// Increments of Brownian paths, each in a slot of its row; all zero at first.
pub trait Increments<S> {
    /// Splits increments, in order: a row may be listed more than once.
    ///
    /// # Errors
    /// As [`NoiseSource::normal`].
    fn split(&mut self, splits: &[Split]) -> Result<(), SolveError>;

    /// `out[row] <- out[row] + a[row] w` with what lies in slot `slots[row]` of the row as `w`.
    fn add(&self, slots: &[u8], a: &[f64], out: &mut S);
}

/// Increments for any state and any noise, by whole batches of normals: one for each address that occurs.
pub(super) struct Batches<'a, S, N: ?Sized> {
    noise: &'a N,
    slots: Vec<S>,
}

impl<'a, S: State, N: NoiseSource<S> + ?Sized> Batches<'a, S, N> {
    pub(super) fn new(noise: &'a N, like: &S, slots: u8) -> Self {
        Self {
            noise,
            slots: (0..slots).map(|_| like.zeros_like()).collect(),
        }
    }

    /// Splits in which no row occurs twice.
    fn split_once(&mut self, splits: &[Split]) -> Result<(), SolveError> {
        let like = &self.slots[0];
        let [mut z, mut first, mut second, mut whole] = std::array::from_fn(|_| like.zeros_like());
        let mut take = vec![false; like.rows()];
        let mut chosen = |choose: &dyn Fn(&Split) -> bool| {
            take.fill(false);
            for split in splits.iter().filter(|split| choose(split)) {
                take[split.row] = true;
            }
            take.clone()
        };
        let mut nodes: Vec<u32> = splits.iter().map(|split| split.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        for node in nodes {
            let draw = Draw {
                step: node,
                purpose: Purpose::Path,
            };
            self.noise.normal(draw, &mut first)?;
            z.select_rows(&chosen(&|split| split.node == node), &first);
        }
        for (slot, state) in self.slots.iter().enumerate() {
            whole.select_rows(&chosen(&|split| usize::from(split.whole) == slot), state);
        }
        let (mut share, mut scale) = (vec![0.0; whole.rows()], vec![0.0; whole.rows()]);
        for split in splits {
            (share[split.row], scale[split.row]) = (split.share, split.scale);
        }
        first.lincomb(&[(Coef::PerRow(&share), &whole), (Coef::PerRow(&scale), &z)]);
        second.lincomb(&[(Coef::All(1.0), &whole), (Coef::All(-1.0), &first)]);
        for (slot, state) in self.slots.iter_mut().enumerate() {
            let is = |to: Option<u8>| to.is_some_and(|to| usize::from(to) == slot);
            state.select_rows(&chosen(&|split| is(split.first)), &first);
            state.select_rows(&chosen(&|split| is(split.second)), &second);
        }
        Ok(())
    }
}

impl<S: State, N: NoiseSource<S> + ?Sized> Increments<S> for Batches<'_, S, N> {
    fn split(&mut self, splits: &[Split]) -> Result<(), SolveError> {
        // The first split of each row, then the second of each, and so on.
        let mut rounds: Vec<Vec<Split>> = Vec::new();
        let mut seen = vec![0; self.slots[0].rows()];
        for split in splits {
            let round: &mut usize = &mut seen[split.row];
            if *round == rounds.len() {
                rounds.push(Vec::new());
            }
            rounds[*round].push(*split);
            *round += 1;
        }
        rounds.iter().try_for_each(|round| self.split_once(round))
    }

    fn add(&self, slots: &[u8], a: &[f64], out: &mut S) {
        for (slot, state) in self.slots.iter().enumerate() {
            let own = |(wanted, a): (&u8, &f64)| if usize::from(*wanted) == slot { *a } else { 0.0 };
            let a: Vec<f64> = slots.iter().zip(a).map(own).collect();
            out.axpy(Coef::PerRow(&a), state);
        }
    }
}
