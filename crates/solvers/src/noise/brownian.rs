//! Brownian paths whose increments have addresses, so that the path is a function of the seed, the row and the time, whatever is
//! asked for and in which order.
//!
//! The time span is halved [`DEPTH`] times. The increment over the whole is one normal; half an interval's increment, given the
//! interval's, is half of it plus a normal of half its standard deviation (Levy's construction), at the address (seed, row, node).
//! Nothing is stored, no recursion. The construction is the virtual Brownian tree of Li et al. 2020, arXiv:2001.01328, section 4, in
//! terms of intervals as in Kidger et al. 2021, arXiv:2105.13988, section 4; between the points of the finest grid a bridge is
//! sampled, not drawn as a straight line, as in Jelincic et al. 2024, arXiv:2405.06464.

use super::{Draw, NoiseSource, Purpose};
use crate::{Coef, SolveError, State};

/// Halvings of the time span: the path has 2^30 independent increments. Times closer to each other than `span/2^30` may share the
/// normal of their cell; each of them has the right law on its own.
const DEPTH: u32 = 30;
/// Number of cells, the position of the end.
const END: u32 = 1 << DEPTH;

/// The split of one row's increment in two, see [`NoiseSource::split`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Split {
    /// Row of the batch.
    pub row: usize,
    /// Address of the normals: [`Draw::step`] with [`Purpose::Path`].
    pub node: u32,
    /// Share of the increment that the first part has on average.
    pub share: f64,
    /// Standard deviation of the first part, given the whole.
    pub scale: f64,
    /// Keep the second part in place of the whole, not the first.
    pub keep_second: bool,
    /// Where the other part goes, if anywhere.
    pub other: Option<usize>,
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
        self.span() / f64::from(1 << level)
    }

    /// Time of a position.
    fn time(&self, position: u32) -> f64 {
        if position == END {
            return self.end;
        }
        self.start + (self.end - self.start) * (f64::from(position) / f64::from(END))
    }

    /// Position below a time, and how far into the cell it lies.
    fn position(&self, t: f64) -> (u32, f64) {
        let share = ((t - self.start) / (self.end - self.start)).clamp(0.0, 1.0);
        let scaled = share * f64::from(END);
        (scaled.floor() as u32, scaled - scaled.floor())
    }

    /// The draw of the whole increment.
    fn root(&self, row: usize) -> Split {
        Split {
            row,
            node: 0,
            share: 0.0,
            scale: self.span().sqrt(),
            keep_second: false,
            other: None,
        }
    }

    /// The halving of the interval after `level` halvings that contains a position.
    fn halving(&self, row: usize, level: u32, position: u32, keep_second: bool) -> Split {
        Split {
            row,
            node: (1 << level) + (position >> (DEPTH - level)),
            share: 0.5,
            scale: 0.5 * self.length(level).sqrt(),
            keep_second,
            other: None,
        }
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
        let (mut whole, mut part, mut sum) = (out.zeros_like(), [out.zeros_like()], out.zeros_like());
        let targets: Vec<(u32, f64)> = t.iter().map(|t| self.position(*t)).collect();
        let mut splits: Vec<Split> = (0..t.len()).map(|row| self.root(row)).collect();
        noise.split(&splits, &mut whole, &mut part)?;
        let mut add: Vec<f64> = targets
            .iter()
            .map(|(position, _)| f64::from(u8::from(*position == END)))
            .collect();
        sum.axpy(Coef::PerRow(&add), &whole);
        for level in 0..DEPTH {
            splits.clear();
            add.fill(0.0);
            for (row, (position, rest)) in targets.iter().enumerate() {
                let inside = position % (1 << (DEPTH - level));
                if *position == END || (inside == 0 && *rest == 0.0) {
                    continue;
                }
                let second = inside >> (DEPTH - level - 1) == 1;
                splits.push(Split {
                    other: second.then_some(0),
                    ..self.halving(row, level, *position, second)
                });
                add[row] = f64::from(u8::from(second));
            }
            if splits.is_empty() {
                break;
            }
            noise.split(&splits, &mut whole, &mut part)?;
            sum.axpy(Coef::PerRow(&add), &part[0]);
        }
        splits.clear();
        add.fill(0.0);
        for (row, (position, rest)) in targets.iter().enumerate().filter(|(_, (_, rest))| *rest > 0.0) {
            splits.push(Split {
                row,
                node: END + position,
                share: *rest,
                scale: (rest * (1.0 - rest) * self.length(DEPTH)).sqrt(),
                keep_second: false,
                other: None,
            });
            add[row] = 1.0;
        }
        if !splits.is_empty() {
            noise.split(&splits, &mut whole, &mut part)?;
            sum.axpy(Coef::PerRow(&add), &whole);
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

/// The paths of a batch, walked from start to end with one step size a row: every step is an interval of the tree. An attempt that
/// is too long is halved, which splits its increment as the path is; nothing is drawn anew. One normal a step on average; the
/// second halves of the last three lengths are kept, what lies further back is found again from the root.
pub(crate) struct Walk<S> {
    tree: BrownianTree,
    /// Increments over the intervals ahead of the rows.
    pub ahead: S,
    kept: [S; KEPT],
    /// Where the intervals of `kept` start; 0 for none.
    starts: [Vec<u32>; KEPT],
    position: Vec<u32>,
    level: Vec<u32>,
    splits: Vec<Split>,
    take: Vec<bool>,
    missed: Vec<bool>,
}

impl<S: State> Walk<S> {
    /// At the start, with the whole span ahead. `like` gives the shape; without noise, all increments are zero.
    pub fn new(tree: BrownianTree, noise: Option<&dyn NoiseSource<S>>, like: &S) -> Result<Self, SolveError> {
        let rows = like.rows();
        let mut walk = Self {
            tree,
            ahead: like.zeros_like(),
            kept: std::array::from_fn(|_| like.zeros_like()),
            starts: std::array::from_fn(|_| vec![0; rows]),
            position: vec![0; rows],
            level: vec![0; rows],
            splits: Vec::with_capacity(rows),
            take: vec![false; rows],
            missed: vec![false; rows],
        };
        if let Some(noise) = noise {
            walk.splits.extend((0..rows).map(|row| tree.root(row)));
            noise.split(&walk.splits, &mut walk.ahead, &mut [])?;
        }
        Ok(walk)
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
    pub fn narrow(&mut self, noise: Option<&dyn NoiseSource<S>>, wanted: &[f64]) -> Result<(), SolveError> {
        loop {
            self.splits.clear();
            for (row, wanted) in wanted.iter().enumerate() {
                let (level, position) = (self.level[row], self.position[row]);
                if position == END || level == DEPTH || self.tree.length(level) <= *wanted {
                    continue;
                }
                let slot = (DEPTH - level - 1) as usize % KEPT;
                self.splits.push(Split {
                    other: Some(slot),
                    ..self.tree.halving(row, level, position, false)
                });
                self.starts[slot][row] = position + (END >> (level + 1));
                self.level[row] = level + 1;
            }
            if self.splits.is_empty() {
                return Ok(());
            }
            if let Some(noise) = noise {
                noise.split(&self.splits, &mut self.ahead, &mut self.kept)?;
            }
        }
    }

    /// Moves the rows flagged over the intervals ahead of them. `spare` is overwritten.
    pub fn advance(
        &mut self,
        noise: Option<&dyn NoiseSource<S>>,
        rows: &[bool],
        spare: &mut S,
    ) -> Result<(), SolveError> {
        let mut deepest = 0;
        self.missed.fill(false);
        for (row, _) in rows.iter().enumerate().filter(|(_, moves)| **moves) {
            let position = self.position[row] + (END >> self.level[row]);
            self.position[row] = position;
            let halvings = position.trailing_zeros();
            self.level[row] = DEPTH - halvings;
            self.missed[row] = position != END && self.starts[halvings as usize % KEPT][row] != position;
            if self.missed[row] {
                deepest = deepest.max(self.level[row]);
            }
        }
        let Some(noise) = noise else {
            return Ok(());
        };
        for slot in 0..KEPT {
            for (row, take) in self.take.iter_mut().enumerate() {
                *take = rows[row] && !self.missed[row] && self.starts[slot][row] == self.position[row];
            }
            if self.take.contains(&true) {
                self.ahead.select_rows(&self.take, &self.kept[slot]);
            }
        }
        if deepest > 0 {
            self.descend(noise, deepest, spare)?;
        }
        Ok(())
    }

    /// Finds the intervals ahead of the rows missed from the root, and the next ones on the way.
    fn descend(&mut self, noise: &dyn NoiseSource<S>, deepest: u32, whole: &mut S) -> Result<(), SolveError> {
        whole.lincomb(&[]);
        self.splits.clear();
        let missed = self.missed.iter().enumerate().filter(|(_, missed)| **missed);
        self.splits.extend(missed.map(|(row, _)| self.tree.root(row)));
        noise.split(&self.splits, whole, &mut self.kept)?;
        for level in 0..deepest {
            self.splits.clear();
            let half = END >> (level + 1);
            for (row, _) in self.missed.iter().enumerate().filter(|(_, missed)| **missed) {
                let position = self.position[row];
                if self.level[row] <= level {
                    continue;
                }
                let second = position & half != 0;
                let slot = (DEPTH - level - 1) as usize % KEPT;
                if !second {
                    self.starts[slot][row] = (position & !(half - 1)) + half;
                }
                self.splits.push(Split {
                    other: (!second).then_some(slot),
                    ..self.tree.halving(row, level, position, second)
                });
            }
            noise.split(&self.splits, whole, &mut self.kept)?;
        }
        self.ahead.select_rows(&self.missed, whole);
        Ok(())
    }
}

/// [`NoiseSource::split`] by whole batches of normals.
pub(super) fn split_by_batches<S: State, N: NoiseSource<S> + ?Sized>(
    noise: &N,
    splits: &[Split],
    kept: &mut S,
    others: &mut [S],
) -> Result<(), SolveError> {
    let rows = kept.rows();
    let (mut z, mut first, mut second) = (kept.zeros_like(), kept.zeros_like(), kept.zeros_like());
    let mut nodes: Vec<u32> = splits.iter().map(|split| split.node).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let mut take = vec![false; rows];
    for node in nodes {
        let draw = Draw {
            step: node,
            purpose: Purpose::Path,
        };
        noise.normal(draw, &mut first)?;
        take.fill(false);
        for split in splits.iter().filter(|split| split.node == node) {
            take[split.row] = true;
        }
        z.select_rows(&take, &first);
    }
    let (mut share, mut scale) = (vec![0.0; rows], vec![0.0; rows]);
    for split in splits {
        (share[split.row], scale[split.row]) = (split.share, split.scale);
    }
    first.lincomb(&[(Coef::PerRow(&share), &*kept), (Coef::PerRow(&scale), &z)]);
    second.lincomb(&[(Coef::All(1.0), &*kept), (Coef::All(-1.0), &first)]);
    for keep_second in [false, true] {
        let (keep, rest) = if keep_second {
            (&second, &first)
        } else {
            (&first, &second)
        };
        let mut flag = |other: Option<Option<usize>>| {
            take.fill(false);
            for split in splits {
                take[split.row] |=
                    split.keep_second == keep_second && other.is_none_or(|to| to == split.other);
            }
            take.clone()
        };
        kept.select_rows(&flag(None), keep);
        for (slot, other) in others.iter_mut().enumerate() {
            other.select_rows(&flag(Some(Some(slot))), rest);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
