//! Brownian paths whose increments have addresses, so that the path is a function of the seed, the row and the time, whatever is
//! asked for and in which order.
//!
//! The time span is halved [`DEPTH`] times. The increment over the whole is one normal; half an interval's increment, given the
//! interval's, is half of it plus a normal of half its standard deviation (Levy's construction), at the address (seed, row, node).
//! Nothing is stored, no recursion. The construction is the virtual Brownian tree of Li et al. 2020, arXiv:2001.01328, section 4, in
//! terms of intervals as in Kidger et al. 2021, arXiv:2105.13988, section 4; between the points of the finest grid a bridge is
//! sampled, not drawn as a straight line, as in Jelincic et al. 2024, arXiv:2405.06464.

use super::{Increments, NoiseSource, Split};
use crate::{Coef, SolveError, State};

/// Halvings of the time span: the path has 2^30 independent increments. Times closer to each other than `span/2^30` may share the
/// normal of their cell; each of them has the right law on its own.
const DEPTH: u32 = 30;
/// Number of cells, the position of the end.
const END: u32 = 1 << DEPTH;

/// `2^-n`, exact, without a division.
fn power_of_half(n: u32) -> f64 {
    f64::from_bits(u64::from(1023 - n) << 52)
}

/// Standard Brownian motion for every row of a batch, `W(start) = 0`, between two times in either order. Times beyond the ends, as
/// rounding makes them, count as the ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BrownianTree {
    start: f64,
    end: f64,
}

impl BrownianTree {
    /// Between two finite times.
    pub fn new(start: f64, end: f64) -> Self {
        Self { start, end }
    }

    fn span(&self) -> f64 {
        (self.end - self.start).abs()
    }

    /// Length of the intervals after `level` halvings.
    fn length(&self, level: u32) -> f64 {
        self.span() * power_of_half(level)
    }

    /// Time of a position.
    fn time(&self, position: u32) -> f64 {
        if position == END {
            return self.end;
        }
        self.start + (self.end - self.start) * (f64::from(position) * power_of_half(DEPTH))
    }

    /// Position below a time, and how far into the cell it lies.
    fn position(&self, t: f64) -> (u32, f64) {
        let share = ((t - self.start) / (self.end - self.start)).clamp(0.0, 1.0);
        let scaled = share * f64::from(END);
        (scaled.floor() as u32, scaled - scaled.floor())
    }

    /// The draw of the whole increment, in place of what is in the slot.
    fn root(&self, row: usize, slot: u8) -> Split {
        Split {
            row,
            node: 0,
            share: 0.0,
            scale: self.span().sqrt(),
            whole: slot,
            first: Some(slot),
            second: None,
        }
    }

    /// The halving of the interval after `level` halvings that contains a position: the half with the position takes the place of the
    /// whole, the other one goes to a slot or nowhere.
    fn halving(&self, row: usize, level: u32, position: u32, whole: u8, other: Option<u8>) -> Split {
        let (first, second) = if Self::in_second(position, level) {
            (other, Some(whole))
        } else {
            (Some(whole), other)
        };
        Split {
            row,
            node: (1 << level) + (position >> (DEPTH - level)),
            share: 0.5,
            scale: 0.5 * self.length(level).sqrt(),
            whole,
            first,
            second,
        }
    }

    /// Whether a position lies in the second half of its interval after `level` halvings.
    fn in_second(position: u32, level: u32) -> bool {
        position & (END >> (level + 1)) != 0
    }

    /// `out[row] <- W(t[row])`. Draws at most 32 batches of normals, fewer where the times are coarse dyadic shares of the span. A
    /// NaN counts as the start.
    ///
    /// # Errors
    /// Those of the noise.
    pub fn value<S: State>(
        &self,
        noise: &dyn NoiseSource<S>,
        t: &[f64],
        out: &mut S,
    ) -> Result<(), SolveError> {
        const WHOLE: u8 = 0;
        const PART: u8 = 1;
        let rows = out.rows();
        let [wholes, parts] = [WHOLE, PART].map(|slot| vec![slot; rows]);
        let (mut increments, mut part, mut sum) =
            (noise.increments(out, 2)?, out.zeros_like(), out.zeros_like());
        let targets: Vec<(u32, f64)> = t.iter().map(|t| self.position(*t)).collect();
        let mut splits: Vec<Split> = (0..t.len()).map(|row| self.root(row, WHOLE)).collect();
        increments.split(&splits)?;
        increments.read(&wholes, &mut part);
        let mut add: Vec<f64> = targets
            .iter()
            .map(|(position, _)| f64::from(u8::from(*position == END)))
            .collect();
        sum.axpy(Coef::PerRow(&add), &part);
        for level in 0..DEPTH {
            splits.clear();
            add.fill(0.0);
            for (row, (position, rest)) in targets.iter().enumerate() {
                let inside = position % (1 << (DEPTH - level));
                if *position == END || (inside == 0 && *rest == 0.0) {
                    continue;
                }
                let second = Self::in_second(*position, level);
                splits.push(self.halving(row, level, *position, WHOLE, second.then_some(PART)));
                add[row] = f64::from(u8::from(second));
            }
            if splits.is_empty() {
                break;
            }
            increments.split(&splits)?;
            increments.read(&parts, &mut part);
            sum.axpy(Coef::PerRow(&add), &part);
        }
        splits.clear();
        add.fill(0.0);
        for (row, (position, rest)) in targets.iter().enumerate().filter(|(_, (_, rest))| *rest > 0.0) {
            splits.push(Split {
                row,
                node: END + position,
                share: *rest,
                scale: (rest * (1.0 - rest) * self.length(DEPTH)).sqrt(),
                whole: WHOLE,
                first: Some(PART),
                second: None,
            });
            add[row] = 1.0;
        }
        if !splits.is_empty() {
            increments.split(&splits)?;
            increments.read(&parts, &mut part);
            sum.axpy(Coef::PerRow(&add), &part);
        }
        out.copy_from(&sum);
        Ok(())
    }

    /// `out[row] <- W(to[row]) - W(from[row])`. Twice the cost of [`BrownianTree::value`].
    ///
    /// # Errors
    /// Those of the noise.
    pub fn increment<S: State>(
        &self,
        noise: &dyn NoiseSource<S>,
        from: &[f64],
        to: &[f64],
        out: &mut S,
    ) -> Result<(), SolveError> {
        let mut before = out.zeros_like();
        self.value(noise, from, &mut before)?;
        self.value(noise, to, out)?;
        out.axpy(Coef::All(-1.0), &before);
        Ok(())
    }
}

/// Increments that a [`Walk`] keeps for later.
const KEPT: usize = 3;
/// Splits that a [`Walk`] hands over together.
const LISTED: usize = 128;

/// The paths of a batch, walked from start to end with one step size a row: every step is an interval of the tree. An attempt that
/// is too long is halved, which splits its increment as the path is; nothing is drawn anew. One normal a step on average; the
/// second halves of the last three lengths are kept, what lies further back is found again from the root.
pub(crate) struct Walk<'a, S> {
    tree: BrownianTree,
    increments: Option<Box<dyn Increments<S> + 'a>>,
    /// Increments over the intervals ahead of the rows, zero without noise.
    pub ahead: S,
    /// Slots of what lies ahead and, by row, of what is kept.
    slot: Vec<u8>,
    kept: Vec<[u8; KEPT]>,
    /// Where the intervals kept start; 0 for none.
    starts: Vec<[u32; KEPT]>,
    position: Vec<u32>,
    level: Vec<u32>,
    /// What lies ahead is to be found from the root.
    missed: Vec<bool>,
    splits: Vec<Split>,
}

impl<'a, S: State> Walk<'a, S> {
    /// At the start, with the whole span ahead. `like` gives the shape; without noise, all increments are zero.
    pub fn new(
        tree: BrownianTree,
        noise: Option<&'a dyn NoiseSource<S>>,
        like: &S,
    ) -> Result<Self, SolveError> {
        let rows = like.rows();
        Ok(Self {
            tree,
            increments: noise
                .map(|noise| noise.increments(like, KEPT as u8 + 1))
                .transpose()?,
            ahead: like.zeros_like(),
            slot: vec![0; rows],
            kept: vec![std::array::from_fn(|k| k as u8 + 1); rows],
            starts: vec![[0; KEPT]; rows],
            position: vec![0; rows],
            level: vec![0; rows],
            missed: vec![true; rows],
            splits: Vec::with_capacity(LISTED),
        })
    }

    /// Whether the row stands at the end.
    pub fn is_done(&self, row: usize) -> bool {
        self.position[row] == END
    }

    /// Time at which the row stands.
    pub fn from(&self, row: usize) -> f64 {
        self.tree.time(self.position[row])
    }

    /// Time at which the interval ahead of the row ends.
    pub fn to(&self, row: usize) -> f64 {
        self.tree.time(self.position[row] + (END >> self.level[row]))
    }

    /// Whether the interval ahead is the last.
    pub fn is_last(&self, row: usize) -> bool {
        !self.is_done(row) && self.position[row] + (END >> self.level[row]) == END
    }

    /// The shortest interval.
    pub fn resolution(&self) -> f64 {
        self.tree.length(DEPTH)
    }

    /// Halves the intervals ahead until none is longer than wanted.
    pub fn narrow(&mut self, wanted: &[f64]) -> Result<(), SolveError> {
        for (row, wanted) in wanted.iter().enumerate() {
            if self.is_done(row) {
                continue;
            }
            if self.missed[row] {
                self.missed[row] = false;
                self.list(self.tree.root(row, self.slot[row]))?;
                for level in 0..self.level[row] {
                    self.halve(row, level)?;
                }
            }
            while self.level[row] < DEPTH && self.tree.length(self.level[row]) > *wanted {
                self.halve(row, self.level[row])?;
                self.level[row] += 1;
            }
        }
        self.flush()?;
        if let Some(increments) = &self.increments {
            increments.read(&self.slot, &mut self.ahead);
        }
        Ok(())
    }

    /// Goes from the interval after `level` halvings to the half in which the row stands; keeps the other one where it is yet to come.
    fn halve(&mut self, row: usize, level: u32) -> Result<(), SolveError> {
        let (position, half) = (self.position[row], END >> (level + 1));
        let mut other = None;
        if !BrownianTree::in_second(position, level) {
            let k = (DEPTH - level - 1) as usize % KEPT;
            self.starts[row][k] = (position & !(half - 1)) + half;
            other = Some(self.kept[row][k]);
        }
        self.list(self.tree.halving(row, level, position, self.slot[row], other))
    }

    fn list(&mut self, split: Split) -> Result<(), SolveError> {
        if self.splits.len() == LISTED {
            self.flush()?;
        }
        self.splits.push(split);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SolveError> {
        if let Some(increments) = &mut self.increments {
            increments.split(&self.splits)?;
        }
        self.splits.clear();
        Ok(())
    }

    /// Moves the rows flagged over the intervals ahead of them.
    pub fn advance(&mut self, rows: &[bool]) {
        for (row, _) in rows.iter().enumerate().filter(|(_, moves)| **moves) {
            let position = self.position[row] + (END >> self.level[row]);
            let halvings = position.trailing_zeros();
            self.position[row] = position;
            self.level[row] = DEPTH - halvings;
            let k = halvings as usize % KEPT;
            if self.starts[row][k] == position {
                std::mem::swap(&mut self.slot[row], &mut self.kept[row][k]);
            } else {
                self.missed[row] = true;
            }
        }
    }
}

#[cfg(test)]
mod tests;
