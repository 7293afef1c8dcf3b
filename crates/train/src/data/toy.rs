//! Made-up points in the plane, the usual shapes on which samplers are looked at. Row `i` is a function of
//! (seed, i) alone.

use std::f64::consts::{PI, TAU};

use solvers::noise::{Draw, Purpose, normal_at, uniform};

use super::{MemoryDataset, Toy2dConfig, ToyForm, Values};
use crate::TrainError;

/// Draws `config.rows` points of shape `[2]`, each with the class of the part that it belongs to.
///
/// With `u`, `v` uniform in (0, 1) and Gaussian noise added to all but the checkerboard unless asked for:
/// - `moons`: the unit half circle, and the same upside down, shifted by (1, 0.5); noise 0.1;
/// - `spirals`: radius and 1.5 turns grow with `sqrt(u)`, from 0 to 1; noise 0.02;
/// - `checkerboard`: uniform in the eight dark squares of [-2, 2]^2; noise 0;
/// - `mixture`: Gaussians on the unit circle; noise 0.1;
/// - `circles`: radii 1/k, 2/k, ..., 1; noise 0.05.
///
/// # Errors
/// None for a checked configuration, but for all points being the same (one Gaussian without noise).
pub fn toy_2d(config: &Toy2dConfig) -> Result<MemoryDataset, TrainError> {
    let (parts, noise) = match config.form {
        ToyForm::Moons => (2, 0.1),
        ToyForm::Spirals => (2, 0.02),
        ToyForm::Checkerboard => (8, 0.0),
        ToyForm::Mixture => (8, 0.1),
        ToyForm::Circles => (2, 0.05),
    };
    let noise = config.noise.unwrap_or(noise);
    let parts = match config.form {
        ToyForm::Moons | ToyForm::Checkerboard => parts,
        _ => config.components.unwrap_or(parts),
    };
    let mut values = Vec::with_capacity(2 * config.rows as usize);
    let mut labels = Vec::with_capacity(config.rows as usize);
    let purpose = Purpose::Data;
    for row in 0..config.rows {
        let uniform = |step: u32| uniform(config.seed, Draw { step, purpose }, row);
        let (u, v) = (uniform(1), uniform(2));
        let part = (uniform(0) * f64::from(parts)) as u32;
        let share = f64::from(part) / f64::from(parts);
        let (x, y) = match config.form {
            ToyForm::Moons => {
                let (sin, cos) = (PI * u).sin_cos();
                if part == 0 {
                    (cos, sin)
                } else {
                    (1.0 - cos, 0.5 - sin)
                }
            }
            ToyForm::Spirals => {
                let radius = u.sqrt();
                let (sin, cos) = (TAU * (1.5 * radius + share)).sin_cos();
                (radius * cos, radius * sin)
            }
            ToyForm::Checkerboard => {
                let (row, column) = (part / 2, 2 * (part % 2) + part / 2 % 2);
                (f64::from(column) + u - 2.0, f64::from(row) + v - 2.0)
            }
            ToyForm::Mixture => {
                let (sin, cos) = (TAU * share).sin_cos();
                (cos, sin)
            }
            ToyForm::Circles => {
                let (sin, cos) = (TAU * u).sin_cos();
                let radius = share + 1.0 / f64::from(parts);
                (radius * cos, radius * sin)
            }
        };
        for (position, value) in [x, y].into_iter().enumerate() {
            let z = f64::from(normal_at(
                config.seed,
                Draw { step: 0, purpose },
                row,
                2,
                position,
            ));
            values.push((value + noise * z) as f32);
        }
        labels.push(part);
    }
    MemoryDataset::new(
        "toy-2d",
        &[2],
        Values::Real(values),
        Some(labels),
        config.scaling,
        false,
    )
}
