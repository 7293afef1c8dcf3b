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

    /// The halving of the interval after `level` halvings that contains a position: the halves go to slots or nowhere.
    fn halving(
        &self,
        row: usize,
        level: u32,
        position: u32,
        whole: u8,
        (first, second): (Option<u8>, Option<u8>),
    ) -> Split {
        Split {
            row,
            node: Self::node(level, position),
            share: 0.5,
            scale: self.scale(level),
            whole,
            first,
            second,
        }
    }

    /// Address of the halving of the interval after `level` halvings that contains a position.
    fn node(level: u32, position: u32) -> u32 {
        (1 << level) + (position >> (DEPTH - level))
    }

    /// Standard deviation of half an interval's increment after `level` halvings, given the interval's.
    fn scale(&self, level: u32) -> f64 {
        0.5 * self.length(level).sqrt()
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
        let (mut increments, mut sum) = (noise.increments(out, 2)?, out.zeros_like());
        let targets: Vec<(u32, f64)> = t.iter().map(|t| self.position(*t)).collect();
        let mut splits: Vec<Split> = (0..t.len()).map(|row| self.root(row, WHOLE)).collect();
        increments.split(&splits)?;
        let mut add: Vec<f64> = targets
            .iter()
            .map(|(position, _)| f64::from(u8::from(*position == END)))
            .collect();
        increments.add(&wholes, &add, &mut sum);
        for level in 0..DEPTH {
            splits.clear();
            add.fill(0.0);
            for (row, (position, rest)) in targets.iter().enumerate() {
                let inside = position % (1 << (DEPTH - level));
                if *position == END || (inside == 0 && *rest == 0.0) {
                    continue;
                }
                let second = Self::in_second(*position, level);
                let parts = if second {
                    (Some(PART), Some(WHOLE))
                } else {
                    (Some(WHOLE), None)
                };
                splits.push(self.halving(row, level, *position, WHOLE, parts));
                add[row] = f64::from(u8::from(second));
            }
            if splits.is_empty() {
                break;
            }
            increments.split(&splits)?;
            increments.add(&parts, &add, &mut sum);
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
            increments.add(&parts, &add, &mut sum);
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

/// Second halves that a [`Walk`] keeps for later, a row.
const KEPT: u8 = 4;
/// Splits from which on a [`Walk`] hands them over. A row adds at most as many as there are levels, and the root.
const LISTED: usize = 128;

/// The paths of a batch, walked from start to end with one step size a row: every step is an interval of the tree. An attempt that
/// is too long is halved, which splits its increment as the path is; nothing is drawn anew. One normal a step on average.
///
/// The second halves yet to come are a stack, the next one on top; it lies in the slots of a row, a ring, in which a halving of the
/// interval ahead moves what is ahead one slot on and a step moves it one slot back. The ring keeps the [`KEPT`] topmost; what lies
/// deeper is found again from the root.
pub(crate) struct Walk<'a, S> {
    tree: BrownianTree,
    increments: Option<Box<dyn Increments<S> + 'a>>,
    /// Times at which the rows stand and at which the intervals ahead end.
    pub from: Vec<f64>,
    pub to: Vec<f64>,
    places: Vec<Place>,
    /// Slots of what lies ahead.
    slots: Vec<u8>,
    /// Lengths of the intervals after so many halvings, and what a halving after so many is scaled by.
    lengths: [f64; DEPTH as usize + 1],
    scales: [f64; DEPTH as usize + 1],
    splits: Vec<Split>,
}

/// Where a row stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    position: u32,
    /// Halvings that lead to the interval ahead.
    level: u8,
    /// Slot of what lies ahead, and how many second halves lie in the slots before it.
    slot: u8,
    kept: u8,
    /// What lies ahead is to be found from the root.
    missed: bool,
}

impl Place {
    /// At the start, with the whole span ahead.
    const START: Self = Self {
        position: 0,
        level: 0,
        slot: 0,
        kept: 0,
        missed: true,
    };

    fn is_done(self) -> bool {
        self.position == END
    }

    /// Position at which the interval ahead ends.
    fn end(self) -> u32 {
        self.position + (END >> self.level)
    }

    /// Goes from the interval after `level` halvings to the half in which the row stands; keeps the other one where it is yet to come.
    /// Gives the slots of the whole and of the halves.
    #[inline(always)]
    fn halve(&mut self, level: u8) -> (u8, (Option<u8>, Option<u8>)) {
        let whole = self.slot;
        if BrownianTree::in_second(self.position, level.into()) {
            return (whole, (None, Some(whole)));
        }
        self.slot = if whole == KEPT { 0 } else { whole + 1 };
        self.kept = KEPT.min(self.kept + 1);
        (whole, (Some(self.slot), Some(whole)))
    }

    /// Goes to the interval that follows.
    #[inline(always)]
    fn advance(&mut self) {
        self.position = self.end();
        self.level = (DEPTH - self.position.trailing_zeros()) as u8;
        self.missed = self.kept == 0;
        if !self.missed {
            self.kept -= 1;
            self.slot = if self.slot == 0 { KEPT } else { self.slot - 1 };
        }
    }
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
            increments: noise.map(|noise| noise.increments(like, KEPT + 1)).transpose()?,
            from: vec![tree.start; rows],
            to: vec![tree.end; rows],
            places: vec![Place::START; rows],
            slots: vec![0; rows],
            lengths: std::array::from_fn(|level| tree.length(level as u32)),
            scales: std::array::from_fn(|level| tree.scale(level as u32)),
            splits: Vec::with_capacity(LISTED + DEPTH as usize + 1),
        })
    }

    /// Whether the row stands at the end.
    pub fn is_done(&self, row: usize) -> bool {
        self.places[row].is_done()
    }

    /// Whether the interval ahead is the last.
    pub fn is_last(&self, row: usize) -> bool {
        let place = self.places[row];
        !place.is_done() && place.end() == END
    }

    /// The shortest interval.
    pub fn resolution(&self) -> f64 {
        self.lengths[DEPTH as usize]
    }

    /// Halves the intervals ahead until none is longer than wanted.
    pub fn narrow(&mut self, wanted: &[f64]) -> Result<(), SolveError> {
        for (row, wanted) in wanted.iter().enumerate() {
            let mut place = self.places[row];
            if place.is_done() {
                continue;
            }
            if place.missed {
                place.missed = false;
                self.splits.push(self.tree.root(row, place.slot));
                for level in 0..place.level {
                    self.halve(row, &mut place, level);
                }
            }
            while u32::from(place.level) < DEPTH && self.lengths[usize::from(place.level)] > *wanted {
                let level = place.level;
                self.halve(row, &mut place, level);
                place.level += 1;
            }
            self.to[row] = self.tree.time(place.end());
            if self.splits.len() > LISTED {
                self.flush()?;
            }
            self.slots[row] = place.slot;
            self.places[row] = place;
        }
        self.flush()
    }

    /// `out[row] <- out[row] + a[row] w` with the increments `w` over the intervals ahead; nothing without noise.
    pub fn add_ahead(&self, a: &[f64], out: &mut S) {
        if let Some(increments) = &self.increments {
            increments.add(&self.slots, a, out);
        }
    }

    /// Lists the halving of the interval after `level` halvings.
    #[inline(always)]
    fn halve(&mut self, row: usize, place: &mut Place, level: u8) {
        let (whole, (first, second)) = place.halve(level);
        self.splits.push(Split {
            row,
            node: BrownianTree::node(level.into(), place.position),
            share: 0.5,
            scale: self.scales[usize::from(level)],
            whole,
            first,
            second,
        });
    }

    fn flush(&mut self) -> Result<(), SolveError> {
        if let Some(increments) = &mut self.increments {
            increments.split(&self.splits)?;
        }
        self.splits.clear();
        Ok(())
    }

    /// Moves a row over the interval ahead of it.
    #[inline]
    pub fn advance(&mut self, row: usize) {
        self.places[row].advance();
        self.from[row] = self.to[row];
    }
}

#[cfg(test)]
mod tests;
