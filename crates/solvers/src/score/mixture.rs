//! The exact score of noised Gaussian mixtures on host batches: the problem library of samplers.

use std::sync::Arc;

use sde_core::{Mixture, Sde};

use super::coefs::{Cache, Coefs};
use super::isotropic::{Work, isotropic};
use super::kernels::{Batch, LANES, full, small};
use super::per_row::{Scratch, Spectra, Strip, Wanted, strip};
use super::small_rows::{Piece, small_rows};
use crate::real::Real;
use crate::simd::{self, kernels};
use crate::{Coef, HostBatch, ScoreFn, ScoreVjp, SolveError, State};

/// The score `grad_x ln p_t(x)` of a Gaussian mixture under an SDE, and its vector-Jacobian product, on
/// [`HostBatch`]es. The formulas and their source stand with [`sde_core::NoisedMixture`], which is the oracle that
/// this vectorised version is tested against (to 1e-12 in `f64`, to 1e-5 in `f32`).
///
/// One time for all rows: the noised precisions come from `sde-core` once a time (kept for other chunks that ask for
/// the same time, up to 8 MiB), then a row costs `O(components dim^2)` in SIMD lanes, `O(components dim)` for
/// isotropic mixtures. One time a row: each row has its own precisions, diagonal in eigenbases that are found once.
#[derive(Debug)]
pub struct MixtureScore<T: Real> {
    mixture: Mixture,
    sde: Arc<dyn Sde>,
    spectra: Spectra<T>,
    cache: Cache<T>,
}

impl<T: Real> MixtureScore<T> {
    /// The score of `mixture` noised by `sde`.
    pub fn new(mixture: Mixture, sde: Arc<dyn Sde>) -> Self {
        Self {
            spectra: Spectra::new(&mixture),
            cache: Cache::new(),
            mixture,
            sde,
        }
    }

    /// The clean mixture.
    pub fn mixture(&self) -> &Mixture {
        &self.mixture
    }

    /// Every batch has `rows` rows of the mixture's dimension, and there are as many times where each row has its own.
    fn check(
        &self,
        rows: usize,
        t: Coef,
        batches: &[(&'static str, &HostBatch<T>)],
    ) -> Result<(), SolveError> {
        let dim = self.mixture.dim();
        for (what, batch) in batches {
            if (batch.rows(), batch.row_len()) != (rows, dim) {
                return Err(SolveError::Shape {
                    what,
                    got: format!("[{}, {}]", batch.rows(), batch.row_len()),
                    need: format!("[{rows}, {dim}], the rows of the state and the mixture's dimension"),
                });
            }
        }
        match t {
            Coef::PerRow(times) if times.len() != rows => Err(SolveError::Shape {
                what: "times given to the mixture score",
                got: format!("[{}]", times.len()),
                need: format!("[{rows}], one a row"),
            }),
            _ => Ok(()),
        }
    }

    fn coefs(&self, t: f64) -> Arc<Coefs<T>> {
        self.cache
            .get(t, || Coefs::new(&self.mixture.noised(self.sde.marginal(t))))
    }

    /// `mean_coef` and `std^2` of the rows from `start` on, the same bits for one time and for one a row.
    fn marginals(&self, t: Coef, start: usize, mean_coef: &mut [f64], var: &mut [f64]) {
        match t {
            Coef::PerRow(times) => self
                .sde
                .marginals(&times[start..start + var.len()], mean_coef, var),
            Coef::All(t) => {
                let [mut one, mut other] = [[0.0]; 2];
                self.sde.marginals(&[t], &mut one, &mut other);
                mean_coef.fill(one[0]);
                var.fill(other[0]);
            }
        }
    }

    /// Score and what else is wanted, in eigenbases: any number of components and dimensions.
    fn by_rows(&self, x: &HostBatch<T>, t: Coef, score: &mut HostBatch<T>, mut wanted: Wanted<T>) {
        let rows = x.rows();
        let mut scratch = self.spectra.scratch(&wanted);
        for start in (0..rows).step_by(LANES) {
            let len = LANES.min(rows - start);
            let [mut mean_coef, mut var] = [[1.0; LANES]; 2];
            self.marginals(t, start, &mut mean_coef[..len], &mut var[..len]);
            let at = Strip {
                start,
                len,
                rows,
                mean_coef: mean_coef.map(T::from_f64),
                var: var.map(T::from_f64),
            };
            simd::dispatch(StripScore::<T>((
                &self.spectra,
                &at,
                x.planes(),
                score.planes_mut(),
                wanted.again(),
                &mut scratch,
            )));
        }
    }

    /// Score with one time a row of isotropic components, or of few in one or two dimensions; `false` for others.
    fn by_small_rows(&self, x: &HostBatch<T>, t: Coef, score: &mut HostBatch<T>) -> bool {
        let (rows, shape) = (x.rows(), (x.row_len(), self.mixture.components()));
        for start in (0..rows).step_by(PIECE) {
            let len = PIECE.min(rows - start);
            let [mut mean_coef, mut var] = [[1.0; PIECE]; 2];
            self.marginals(t, start, &mut mean_coef[..len], &mut var[..len]);
            let piece = Piece {
                x: x.planes(),
                out: score.planes_mut(),
                rows,
                start,
                mean_coef: &mean_coef[..len],
                var: &var[..len],
            };
            let with = (&self.spectra, piece);
            match shape {
                (1, 1) => simd::dispatch(SmallRows::<T, 1, 1>(with)),
                (1, 2) => simd::dispatch(SmallRows::<T, 1, 2>(with)),
                (1, 3) => simd::dispatch(SmallRows::<T, 1, 3>(with)),
                (2, 1) => simd::dispatch(SmallRows::<T, 2, 1>(with)),
                (2, 2) => simd::dispatch(SmallRows::<T, 2, 2>(with)),
                (2, 3) => simd::dispatch(SmallRows::<T, 2, 3>(with)),
                (2, 4) => simd::dispatch(SmallRows::<T, 2, 4>(with)),
                _ if self.spectra.isotropic => isotropic(Work::ByRows(with.0, with.1)),
                _ => return false,
            }
        }
        true
    }
}

/// Rows whose kernels are computed at a time.
const PIECE: usize = 256;

impl<T: Real> ScoreFn<HostBatch<T>> for MixtureScore<T> {
    fn score(&self, x: &HostBatch<T>, t: Coef, out: &mut HostBatch<T>) -> Result<(), SolveError> {
        let batches = [
            ("state given to the mixture score", x),
            ("output of the mixture score", &*out),
        ];
        self.check(x.rows(), t, &batches)?;
        if x.rows() == 0 {
            return Ok(());
        }
        match t {
            Coef::All(t) => one_time(&self.coefs(t), (x.planes(), out.planes_mut(), x.rows())),
            Coef::PerRow(_) => {
                if !self.by_small_rows(x, t, out) {
                    self.by_rows(x, t, out, Wanted::Score);
                }
            }
        }
        Ok(())
    }

    fn takes_any_rows(&self) -> bool {
        true
    }
}

impl<T: Real> ScoreVjp<HostBatch<T>> for MixtureScore<T> {
    fn score_vjp(
        &self,
        x: &HostBatch<T>,
        t: Coef,
        v: &HostBatch<T>,
        score: &mut HostBatch<T>,
        vjp: &mut HostBatch<T>,
    ) -> Result<(), SolveError> {
        let batches = [
            ("state given to the mixture score", x),
            ("vector given to the mixture score", v),
            ("score of the mixture", &*score),
            ("product of the mixture score", &*vjp),
        ];
        self.check(x.rows(), t, &batches)?;
        self.by_rows(x, t, score, Wanted::Product(v.planes(), vjp.planes_mut()));
        Ok(())
    }

    /// In closed form, at the cost of one score: `tr J = sum_k r_k (|q_k - s|^2 - tr P_k)`.
    fn score_divergence(
        &self,
        x: &HostBatch<T>,
        t: Coef,
        score: &mut HostBatch<T>,
        divergence: &mut [f64],
        _scratch: [&mut HostBatch<T>; 2],
    ) -> Result<(), SolveError> {
        let batches = [
            ("state given to the mixture score", x),
            ("score of the mixture", &*score),
        ];
        self.check(x.rows(), t, &batches)?;
        if divergence.len() != x.rows() {
            return Err(SolveError::Shape {
                what: "divergence of the mixture score",
                got: format!("[{}]", divergence.len()),
                need: format!("[{}], one a row", x.rows()),
            });
        }
        self.by_rows(x, t, score, Wanted::Divergence(divergence));
        Ok(())
    }
}

kernels! {
    Small<'a, T, const D: usize, const K: usize>((&'a Coefs<T>, Batch<'a, T>)) -> () = small;
    Full<'a, T>((&'a Coefs<T>, Batch<'a, T>, &'a mut [[T; LANES]], &'a mut [[T; LANES]])) -> () = full;
    SmallRows<'a, T, const D: usize, const K: usize>((&'a Spectra<T>, Piece<'a, T>)) -> () = small_rows;
    StripScore<'a, T>((&'a Spectra<T>, &'a Strip<T>, &'a [T], &'a mut [T], Wanted<'a, T>, &'a mut Scratch<T>)) -> () = strip;
}

/// Picks the kernel for the shape.
fn one_time<T: Real>(coefs: &Coefs<T>, batch: Batch<T>) {
    let components = coefs.log_weights.len();
    match (coefs.dim, components) {
        (1, 1) => simd::dispatch(Small::<T, 1, 1>((coefs, batch))),
        (1, 2) => simd::dispatch(Small::<T, 1, 2>((coefs, batch))),
        (1, 3) => simd::dispatch(Small::<T, 1, 3>((coefs, batch))),
        (2, 1) => simd::dispatch(Small::<T, 2, 1>((coefs, batch))),
        (2, 2) => simd::dispatch(Small::<T, 2, 2>((coefs, batch))),
        (2, 3) => simd::dispatch(Small::<T, 2, 3>((coefs, batch))),
        (2, 4) => simd::dispatch(Small::<T, 2, 4>((coefs, batch))),
        _ if coefs.isotropic => isotropic(Work::OneTime(coefs, batch)),
        _ => {
            let mut y = vec![[T::ZERO; LANES]; components * coefs.dim];
            let mut weights = vec![[T::ZERO; LANES]; components];
            simd::dispatch(Full::<T>((coefs, batch, &mut y[..], &mut weights[..])));
        }
    }
}

#[cfg(test)]
mod tests;
