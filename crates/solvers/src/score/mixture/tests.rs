//! The vectorised score against the oracle.
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
