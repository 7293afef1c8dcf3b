//! Memory of a batch.

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::real::Real;

/// The bytes that a cache line and the widest vector have: a vector that lies across two lines costs two accesses.
const LINE: usize = 64;
/// Batches made one after the other would often lie a multiple of 4 KiB apart, where processors take a load from one for a load of
/// what was just stored to another, and wait.
const STAGGER: usize = 9 * LINE;

/// A slice of fixed length that starts at a cache line.
pub(super) struct Aligned<T> {
    memory: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Real> Aligned<T> {
    /// `len` zeros.
    pub(super) fn zeros(len: usize) -> Self {
        let memory = vec![T::ZERO; len + (LINE + STAGGER) / size_of::<T>()];
        let start = memory.as_ptr().align_offset(LINE);
        // The offset is a hint: any will do.
        let start = if start > LINE / size_of::<T>() { 0 } else { start };
        Self { memory, start, len }
    }

    /// Keeps the first `len` values.
    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        &self.memory[self.start..self.start + self.len]
    }
}

impl<T> DerefMut for Aligned<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

impl<T: Real> Clone for Aligned<T> {
    fn clone(&self) -> Self {
        let mut copy = Self::zeros(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl<T: PartialEq> PartialEq for Aligned<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: fmt::Debug> fmt::Debug for Aligned<T> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_start_at_a_cache_line_also_in_copies() {
        let mut values = Aligned::<f32>::zeros(100);
        values[99] = 1.0;
        let mut copy = values.clone();
        assert!(copy == values && copy.len() == 100);
        for made in [&values, &copy] {
            assert_eq!(made.as_ptr().align_offset(LINE), 0);
        }
        copy.truncate(99);
        assert!(copy.iter().all(|value| *value == 0.0) && copy.len() == 99);
        assert_eq!(Aligned::<f64>::zeros(0).len(), 0);
    }
}
