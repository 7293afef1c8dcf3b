//! Made-up series: sums of a few waves. Row `i` is a function of (seed, i) alone.

use std::f64::consts::TAU;

use solvers::noise::{Draw, Purpose, normal_at, uniform};

use super::{MemoryDataset, SeriesForm, Synthetic1dConfig, Values};
use crate::TrainError;

/// Draws `config.rows` series of shape `[1, length]`.
///
/// With `K` uniform in 1 to `components`, `x_j = K^(-1/2) sum_k a_k sin(2 pi (f_k s + c_k s^2 / 2) + phase_k) + noise z_j`
/// at `s = j / length`; `a_k` uniform in [0.5, 1], `f_k` in [min_cycles, max_cycles], phases in [0, 2 pi];
/// `c_k = 0` for sines, and such that the frequency ends at another draw of its range for chirps.
/// The class is `K - 1`.
///
/// # Errors
/// [`TrainError::Data`] if all values are the same (no cycles, for example).
pub fn synthetic_1d(config: &Synthetic1dConfig) -> Result<MemoryDataset, TrainError> {
    let (rows, length) = (config.rows, config.length as usize);
    let mut values = Vec::with_capacity(rows as usize * length);
    let mut labels = Vec::with_capacity(rows as usize);
    for row in 0..rows {
        let mut step = 0;
        let mut next = || {
            step += 1;
            uniform(
                config.seed,
                Draw {
                    step: step - 1,
                    purpose: Purpose::Data,
                },
                row,
            )
        };
        let count = (next() * f64::from(config.components)) as u32 + 1;
        let spread = config.max_cycles - config.min_cycles;
        let waves: Vec<[f64; 4]> = (0..count)
            .map(|_| {
                let (amplitude, start) = (0.5 + 0.5 * next(), config.min_cycles + spread * next());
                let (end, phase) = (config.min_cycles + spread * next(), TAU * next());
                let chirp = if config.form == SeriesForm::Chirps {
                    end - start
                } else {
                    0.0
                };
                [amplitude, start, chirp, phase]
            })
            .collect();
        let scale = 1.0 / f64::from(count).sqrt();
        for j in 0..length {
            let s = j as f64 / length as f64;
            let sum: f64 = waves
                .iter()
                .map(|[a, f, c, phase]| a * (TAU * (f * s + 0.5 * c * s * s) + phase).sin())
                .sum();
            let draw = Draw {
                step: 0,
                purpose: Purpose::Data,
            };
            let noise = match config.noise {
                0.0 => 0.0,
                std => std * f64::from(normal_at(config.seed, draw, row, length, j)),
            };
            values.push((scale * sum + noise) as f32);
        }
        labels.push(count - 1);
    }
    MemoryDataset::new(
        "synthetic-1d",
        &[1, length as i64],
        Values::Real(values),
        Some(labels),
        config.scaling,
        false,
    )
}
