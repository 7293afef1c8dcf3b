//! Diffusion posterior sampling as published, step by step against the algorithm by hand.

use std::sync::Arc;

use ndarray::Array3;
use sde_core::Mixture;
use solvers::PresetNoise;
use solvers::guide::{Matrix, Measurement, PosteriorStep};
use solvers::observe::Trajectory;

use crate::common::{batch, job, rows, sampler, sde};
use crate::problems::score_of;

/// `N(M, C)` in the plane, measured three ways.
const M: [f64; 2] = [0.7, -0.4];
const C: [f64; 3] = [0.5, 0.2, 0.3];
const A: [[f64; 2]; 3] = [[1.0, -0.5], [0.3, 2.0], [0.7, 0.1]];
const Y: [f64; 3] = [0.9, -0.3, 0.2];
const SCALE: f64 = 0.25;

/// Mean coefficient and standard deviation of VP's kernel (`beta` from 0.1 to 20) and VE's (0.01 to 50).
fn kernel(kind: &str, t: f64) -> (f64, f64) {
    match kind {
        "vp" => {
            let integral = 0.1 * t + 0.5 * 19.9 * t * t;
            ((-0.5 * integral).exp(), (-(-integral).exp_m1()).sqrt())
        }
        _ => (1.0, 0.01 * 5000f64.powf(t)),
    }
}

fn times_plane([a, b, d]: [f64; 3], v: [f64; 2]) -> [f64; 2] {
    [a * v[0] + b * v[1], b * v[0] + d * v[1]]
}

/// Score at `x` and gradient of the residual's length, from the closed form of the Gaussian.
fn score_and_gradient((mean_coef, std): (f64, f64), x: [f64; 2]) -> ([f64; 2], [f64; 2]) {
    let (square, var) = (mean_coef * mean_coef, std * std);
    let [a, b, d] = [square * C[0] + var, square * C[1], square * C[2] + var];
    let determinant = a * d - b * b;
    let precision = [d / determinant, -b / determinant, a / determinant];
    let score = times_plane(precision, [0, 1].map(|i| mean_coef * M[i] - x[i]));
    let estimate = [0, 1].map(|i| (x[i] + var * score[i]) / mean_coef);
    let residual = [0, 1, 2].map(|k| Y[k] - A[k][0] * estimate[0] - A[k][1] * estimate[1]);
    let length = residual.iter().map(|r| r * r).sum::<f64>().sqrt();
    let back = [0, 1].map(|i| (0..3).map(|k| A[k][i] * residual[k]).sum::<f64>() / length);
    // The Jacobian of the estimate is (1 - var precision)/mean_coef, symmetric.
    let turned = times_plane(precision, back);
    let gradient = [0, 1].map(|i| -(back[i] - var * turned[i]) / mean_coef);
    (score, gradient)
}

/// One step of the sampler alone, by hand.
fn free_step(method: &str, (from, to): (f64, f64), x: [f64; 2], score: [f64; 2], z: [f64; 2]) -> [f64; 2] {
    let gap = from - to;
    let beta = (0.1 + 19.9 * from) * gap;
    let root = (1.0 - beta).sqrt();
    let grown = kernel("ve", from).1.powi(2) * 2.0 * 5000f64.ln() * gap;
    [0, 1].map(|i| match method {
        "ancestral" => (x[i] + beta * score[i]) / root + beta.sqrt() * z[i],
        "vp" => x[i] + 0.5 * beta * x[i] + beta * score[i] + beta.sqrt() * z[i],
        _ => x[i] + grown * score[i] + grown.sqrt() * z[i],
    })
}

/// Ancestral steps and Euler-Maruyama steps against the algorithm by hand, with the same noise.
#[test]
fn steps_are_those_of_the_algorithm_by_hand() {
    let (count, steps) = (4, 40);
    let wave = |k: usize| ((k * 37 + 11) as f64 * 0.618).fract() * 4.0 - 2.0;
    let noise = Array3::from_shape_fn((steps, count, 2), |(k, row, d)| wave(101 * k + 7 * row + d));
    for (kind, method, predictor) in [
        ("vp", "ancestral", "ancestral"),
        ("vp", "vp", "euler-maruyama"),
        ("ve", "ve", "euler-maruyama"),
    ] {
        let sde = sde(&format!("kind = \"{kind}\""));
        let score = score_of(
            Mixture::new(&[1.0], &[M.to_vec()], &[vec![C[0], C[1], C[1], C[2]]]).unwrap(),
            &sde,
        );
        let table = format!(
            "kind = \"pc\"\npredictor = \"{predictor}\"\nsteps = {steps}\nt_end = 0.1\nfinal = \"none\"\ngrid = {{ kind = \"uniform\" }}"
        );
        let measured = Measurement::new(Matrix::new(A.as_flattened(), 2).unwrap(), &Y, 0.0).unwrap();
        let guided = PosteriorStep::new(sampler(&table, &*sde), &score, measured, SCALE).unwrap();
        let (_, start) = kernel(kind, 1.0);
        let mut x = batch(count, 2, |row, d| start * wave(3 * row + d));
        let mut by_hand: Vec<[f64; 2]> = rows(&x).iter().map(|row| [row[0], row[1]]).collect();
        let preset = PresetNoise::new(Arc::new(noise.clone()), 0);
        let mut path = Trajectory::new(1);
        let job = job(&*sde, &score, &preset);
        guided.run(&job, &mut x, &mut path).unwrap();

        let time = |k: usize| 1.0 - 0.9 * k as f64 / steps as f64;
        let mut moved: f64 = 0.0;
        for k in 0..steps {
            for (row, x) in by_hand.iter_mut().enumerate() {
                let (score, gradient) = score_and_gradient(kernel(kind, time(k)), *x);
                let z = [0, 1].map(|d| noise[[k, row, d]]);
                let free = free_step(method, (time(k), time(k + 1)), *x, score, z);
                *x = [0, 1].map(|i| free[i] - SCALE * gradient[i]);
                moved = moved.max((SCALE * gradient[0]).abs());
            }
            let seen = rows(&path.states()[k + 1]);
            for (seen, x) in seen.iter().zip(&by_hand) {
                for i in 0..2 {
                    let error = (seen[i] - x[i]).abs();
                    assert!(
                        error < 1e-9 * (1.0 + x[i].abs()),
                        "{method} step {k}: {seen:?} {x:?}"
                    );
                }
            }
        }
        assert!(moved > 0.05, "{method}: the correction is seen, {moved}");
    }
}
