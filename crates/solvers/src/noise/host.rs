//! Noise for host batches.

use std::cell::Cell;
use std::sync::Arc;

use ndarray::{Array3, Axis};

use super::addressed::{ByRows, fill_planes};
use super::{Draw, Increments, NoiseSource};
use crate::state::HostBatch;
use crate::{SolveError, State, real::Real};

/// Addressed normals for the rows `first_row..` of a run: the value depends on (seed, row, draw, position) and on
/// the row length alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostNoise {
    /// Seed of the run.
    pub seed: u64,
    /// Row of the whole batch at which this chunk starts.
    pub first_row: u64,
}

impl<T: Real> NoiseSource<HostBatch<T>> for HostNoise {
    fn normal(&self, draw: Draw, out: &mut HostBatch<T>) -> Result<(), SolveError> {
        let rows = out.rows();
        fill_planes(self.seed, draw, self.first_row, rows, out.planes_mut());
        Ok(())
    }

    fn increments<'a>(
        &'a self,
        like: &HostBatch<T>,
        slots: u8,
    ) -> Result<Box<dyn Increments<HostBatch<T>> + 'a>, SolveError>
    where
        HostBatch<T>: 'a,
    {
        Ok(Box::new(ByRows::<T>::new(self.seed, self.first_row, like, slots)))
    }
}

/// Noise given beforehand, `[draws, rows, dim]`: the k-th batch that a sampler asks for is slice k, whatever its
/// purpose. For comparisons with other programs.
#[derive(Debug, Clone)]
pub struct PresetNoise {
    draws: Arc<Array3<f64>>,
    first_row: usize,
    next: Cell<usize>,
}

impl PresetNoise {
    /// Starts at draw 0; a chunk takes the rows `first_row..` of each slice.
    pub fn new(draws: Arc<Array3<f64>>, first_row: usize) -> Self {
        Self {
            draws,
            first_row,
            next: Cell::new(0),
        }
    }
}

impl<T: Real> NoiseSource<HostBatch<T>> for PresetNoise {
    fn normal(&self, _draw: Draw, out: &mut HostBatch<T>) -> Result<(), SolveError> {
        let (have, rows, dim) = self.draws.dim();
        let asked = self.next.get();
        if asked >= have {
            return Err(SolveError::NoiseExhausted { have, asked });
        }
        if dim != out.row_len() || self.first_row + out.rows() > rows {
            return Err(SolveError::Shape {
                what: "preset noise [draws, rows, dim]",
                got: format!("[{have}, {rows}, {dim}]"),
                need: format!("[_, at least {}, {}]", self.first_row + out.rows(), out.row_len()),
            });
        }
        self.next.set(asked + 1);
        let slice = self.draws.index_axis(Axis(0), asked);
        out.fill_rows(&mut |row, values| {
            for (value, z) in values.iter_mut().zip(slice.row(self.first_row + row)) {
                *value = *z;
            }
        });
        Ok(())
    }

    fn extend(
        &self,
        draw: Draw,
        _correlation: f64,
        noise: &mut HostBatch<T>,
        _spare: &mut HostBatch<T>,
    ) -> Result<(), SolveError> {
        self.normal(draw, noise)
    }

    fn increments<'a>(
        &'a self,
        _like: &HostBatch<T>,
        _slots: u8,
    ) -> Result<Box<dyn Increments<HostBatch<T>> + 'a>, SolveError>
    where
        HostBatch<T>: 'a,
    {
        let draws = self.draws.dim().0;
        Err(SolveError::Config {
            key: "noise".into(),
            value: format!("{draws} preset draws"),
            reason: "a sampler that chooses its own steps addresses its noise by time; give a seed, or take one with a grid"
                .into(),
        })
    }
}
