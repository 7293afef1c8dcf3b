//! Noise for any rows of a data set, by their numbers.

use score_nets::TensorState;
use solvers::noise::fill_rows_f32;
use solvers::{Draw, NoiseSource, SolveError, State};

/// Standard normals that belong to (seed, number of the row, draw): the same whichever rows stand in a batch.
pub(super) struct RowNoise<'a> {
    pub seed: u64,
    /// The number of each row of the batch.
    pub rows: &'a [u64],
    /// Added to the step of each draw, to set repeats apart.
    pub offset: u32,
}

impl NoiseSource<TensorState> for RowNoise<'_> {
    fn normal(&self, draw: Draw, out: &mut TensorState) -> Result<(), SolveError> {
        let draw = Draw {
            step: self.offset.wrapping_add(draw.step),
            ..draw
        };
        let len = out.row_len();
        let mut values = vec![0.0_f32; len];
        out.fill_rows(&mut |at, row| {
            fill_rows_f32(self.seed, draw, self.rows[at], len, &mut values);
            for (to, from) in row.iter_mut().zip(&values) {
                *to = f64::from(*from);
            }
        });
        Ok(())
    }
}
