//! The exact score of noised Gaussian mixtures on host batches: the problem library of samplers.

use std::sync::Arc;

use sde_core::{Mixture, Sde};

use super::coefs::{Cache, Coefs};
use super::kernels::{Batch, LANES, full, isotropic, small};
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

    /// Score with one time a row of few components in one or two dimensions; `false` where there are more.
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
    Isotropic<'a, T, const L: usize>((&'a Coefs<T>, Batch<'a, T>, &'a mut [[T; L]])) -> () = isotropic;
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
        (_, _) if coefs.isotropic => {
            // Two vectors of 32 bytes.
            if size_of::<T>() == 4 {
                let mut weights = vec![[T::ZERO; 16]; components];
                simd::dispatch(Isotropic::<T, 16>((coefs, batch, &mut weights[..])));
            } else {
                let mut weights = vec![[T::ZERO; 8]; components];
                simd::dispatch(Isotropic::<T, 8>((coefs, batch, &mut weights[..])));
            }
        }
        _ => {
            let mut y = vec![[T::ZERO; LANES]; components * coefs.dim];
            let mut weights = vec![[T::ZERO; LANES]; components];
            simd::dispatch(Full::<T>((coefs, batch, &mut y[..], &mut weights[..])));
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use sde_core::Marginal;

    use super::*;
    use crate::noise::{Draw, HostNoise, NoiseSource, Purpose};

    fn sde(kind: &str) -> Arc<dyn Sde> {
        toml::from_str::<sde_core::SdeConfig>(&format!("kind = \"{kind}\""))
            .unwrap()
            .build()
            .unwrap()
    }

    /// `count` components in `dim` dimensions, full or isotropic covariances.
    pub(super) fn mixture(dim: usize, count: usize, isotropic: bool) -> Mixture {
        let weights: Vec<f64> = (0..count).map(|k| 1.0 + k as f64).collect();
        let means: Vec<Vec<f64>> = (0..count)
            .map(|k| (0..dim).map(|d| 1.5 * ((3 * k + d) as f64).sin()).collect())
            .collect();
        let covs: Vec<Vec<f64>> = (0..count)
            .map(|k| {
                let factor = |i: usize, j: usize| 0.3 * ((k + 2 * i + 5 * j) as f64).cos();
                let entry = |i: usize, j: usize| {
                    let diagonal = if i == j { 0.05 + 0.1 * k as f64 } else { 0.0 };
                    let product: f64 = (0..dim).map(|m| factor(i, m) * factor(j, m)).sum();
                    diagonal + if isotropic { 0.0 } else { product }
                };
                (0..dim * dim).map(|at| entry(at / dim, at % dim)).collect()
            })
            .collect();
        Mixture::new(&weights, &means, &covs).unwrap()
    }

    fn points<T: Real>(rows: usize, dim: usize, scale: f64) -> HostBatch<T> {
        let mut x = HostBatch::zeros(rows, dim);
        HostNoise {
            seed: 9,
            first_row: 3,
        }
        .normal(
            Draw {
                step: 0,
                purpose: Purpose::Data,
            },
            &mut x,
        )
        .unwrap();
        x.scale(Coef::All(scale));
        x
    }

    /// Largest error of score and vector-Jacobian product against the oracle, relative to the largest value of the row.
    fn worst<T: Real>(mixture: &Mixture, sde: &Arc<dyn Sde>, times: &[f64], rows: usize) -> f64 {
        let dim = mixture.dim();
        let score = MixtureScore::<T>::new(mixture.clone(), Arc::clone(sde));
        let (x, v) = (points::<T>(rows, dim, 2.0), points::<T>(rows, dim, 1.0));
        let (mut one, mut each) = (x.zeros_like(), x.zeros_like());
        let (mut with, mut vjp) = (x.zeros_like(), x.zeros_like());
        let mut worst = 0.0_f64;
        for t in times {
            score.score(&x, Coef::All(*t), &mut one).unwrap();
            score.score(&x, Coef::PerRow(&vec![*t; rows]), &mut each).unwrap();
            score
                .score_vjp(&x, Coef::All(*t), &v, &mut with, &mut vjp)
                .unwrap();
            let noised = mixture.noised(sde.marginal(*t));
            let wide = |batch: &HostBatch<T>| batch.to_rows().mapv(T::to_f64);
            let (x, v) = (wide(&x), wide(&v));
            let close = |got: &Array2<f64>, row: usize, expected: &[f64]| {
                let scale = expected.iter().fold(1e-3_f64, |m, e| m.max(e.abs()));
                got.row(row)
                    .iter()
                    .zip(expected)
                    .fold(0.0_f64, |m, (g, e)| m.max((g - e).abs() / scale))
            };
            let (one, each, with, vjp) = (wide(&one), wide(&each), wide(&with), wide(&vjp));
            for row in 0..rows {
                let (mut s, mut jv) = (vec![0.0; dim], vec![0.0; dim]);
                noised.score_jvp(&x.row(row).to_vec(), &v.row(row).to_vec(), &mut s, &mut jv);
                worst = worst
                    .max(close(&one, row, &s))
                    .max(close(&each, row, &s))
                    .max(close(&with, row, &s))
                    .max(close(&vjp, row, &jv));
            }
        }
        worst
    }

    #[test]
    fn agrees_with_the_oracle() {
        for kind in ["vp", "ve"] {
            let sde = sde(kind);
            for (dim, count) in [
                (1, 1),
                (1, 2),
                (1, 3),
                (1, 5),
                (2, 1),
                (2, 2),
                (2, 3),
                (2, 4),
                (2, 6),
                (3, 3),
                (8, 3),
            ] {
                for isotropic in [false, true] {
                    for rows in [1, 31, 70] {
                        let mixture = mixture(dim, count, isotropic);
                        let error = worst::<f64>(&mixture, &sde, &[0.01, 0.3, 1.0], rows);
                        assert!(
                            error < 1e-12,
                            "f64 {kind} {dim} {count} {isotropic} {rows}: {error:e}"
                        );
                        let error = worst::<f32>(&mixture, &sde, &[0.3, 1.0], rows);
                        assert!(
                            error < 3e-5,
                            "f32 {kind} {dim} {count} {isotropic} {rows}: {error:e}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn each_row_has_its_own_time() {
        let (sde, mixture) = (sde("vp"), mixture(2, 3, false));
        let score = MixtureScore::<f64>::new(mixture.clone(), Arc::clone(&sde));
        let x = points::<f64>(67, 2, 2.0);
        let times: Vec<f64> = (0..67).map(|row| 0.01 + 0.99 * f64::from(row) / 66.0).collect();
        let mut out = x.zeros_like();
        score.score(&x, Coef::PerRow(&times), &mut out).unwrap();
        for (row, t) in times.iter().enumerate() {
            let mut expected = [0.0; 2];
            mixture
                .noised(sde.marginal(*t))
                .score(&[x.plane(0)[row], x.plane(1)[row]], &mut expected);
            for (d, expected) in expected.iter().enumerate() {
                assert!((out.plane(d)[row] - expected).abs() < 1e-12 * (1.0 + expected.abs()));
            }
        }
    }

    #[test]
    fn far_points_and_not_a_number_stay_in_their_row() {
        let (sde, mixture) = (sde("vp"), mixture(2, 3, false));
        let score = MixtureScore::<f32>::new(mixture, sde);
        let mut x = points::<f32>(40, 2, 1.0);
        let mut expected = x.zeros_like();
        score.score(&x, Coef::All(0.2), &mut expected).unwrap();
        x.plane_mut(0)[5] = f32::NAN;
        x.plane_mut(1)[6] = 1e15;
        let mut out = x.zeros_like();
        score.score(&x, Coef::All(0.2), &mut out).unwrap();
        assert_eq!(out.first_non_finite_row(), Some(5));
        assert!(out.plane(1)[6] < -1e14);
        for row in (0..40).filter(|row| !(5..7).contains(row)) {
            assert_eq!(out.plane(0)[row], expected.plane(0)[row]);
        }
    }

    #[test]
    fn wrong_shapes_are_refused_and_empty_batches_are_not() {
        let score = MixtureScore::<f64>::new(mixture(2, 3, false), sde("vp"));
        let x = HostBatch::zeros(4, 3);
        let error = score.score(&x, Coef::All(0.5), &mut x.zeros_like()).unwrap_err();
        assert!(error.to_string().contains("got [4, 3], need [4, 2]"), "{error}");
        let x = HostBatch::zeros(4, 2);
        let error = score
            .score(&x, Coef::All(0.5), &mut HostBatch::zeros(3, 2))
            .unwrap_err();
        assert!(error.to_string().contains("got [3, 2], need [4, 2]"), "{error}");
        let error = score
            .score(&x, Coef::PerRow(&[0.5; 3]), &mut x.zeros_like())
            .unwrap_err();
        assert!(error.to_string().contains("got [3], need [4]"), "{error}");
        let x = HostBatch::zeros(0, 2);
        score.score(&x, Coef::All(0.5), &mut x.zeros_like()).unwrap();
        let kernel = Marginal {
            mean_coef: 1.0,
            std: 0.0,
        };
        assert!(
            score
                .mixture()
                .noised(kernel)
                .log_density(&[0.0, 0.0])
                .is_finite()
        );
    }
}
