//! Random vectors that estimate a trace.

use serde::{Deserialize, Serialize};

use super::flow::Trace;
use crate::{Draw, NoiseSource, Purpose, SolveError, State};

/// The law of the probe vectors `v`, `E[v v^T] = I`, so that `E[v^T A v] = tr A` (Skilling 1989; Hutchinson 1989).
///
/// The variance of `v^T A v` for a symmetric `A` is `2 (|A|_F^2 - sum_i a_ii^2)` for signs and `2 |A|_F^2` for normals. Signs are
/// exact where `A` is diagonal and never worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeLaw {
    /// Independent signs, +1 or -1 with equal chance: the signs of the addressed normals.
    #[default]
    Rademacher,
    /// Independent standard normals.
    Gaussian,
}

impl ProbeLaw {
    /// Probe number `probe` of every row, from the draw `(probe, Purpose::Probe)`.
    fn draw<S: State>(self, probe: u32, noise: &dyn NoiseSource<S>, like: &S) -> Result<S, SolveError> {
        let mut v = like.zeros_like();
        let draw = Draw {
            step: probe,
            purpose: Purpose::Probe,
        };
        noise.normal(draw, &mut v)?;
        if self == Self::Rademacher {
            let mut signs = Vec::with_capacity(v.rows() * v.row_len());
            v.read_rows(&mut |_, values| signs.extend(values.iter().map(|z| 1f64.copysign(*z))));
            let mut rows = signs.chunks_exact(v.row_len());
            v.fill_rows(&mut |_, values| {
                if let Some(signs) = rows.next() {
                    values.copy_from_slice(signs);
                }
            });
        }
        Ok(v)
    }

    /// `count` probes a row.
    pub(super) fn trace<S: State>(
        self,
        count: u32,
        noise: &dyn NoiseSource<S>,
        like: &S,
    ) -> Result<Trace<S>, SolveError> {
        let probes = (0..count)
            .map(|probe| self.draw(probe, noise, like))
            .collect::<Result<Vec<S>, _>>()?;
        let mut squares = vec![0.0; probes.len() * like.rows()];
        for (probe, squares) in probes.iter().zip(squares.chunks_exact_mut(like.rows().max(1))) {
            probe.dot_rows(probe, squares);
        }
        Ok(Trace::Probes {
            probes,
            squares,
            product: like.zeros_like(),
        })
    }
}
