//! Spectra of series.

use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use super::estimate::Estimate;
use super::{MetricError, rows};

/// Rows of a block.
const ROWS: usize = 256;
/// Powers below this part of a channel's mean power (200 dB) count as this.
const FLOOR: f64 = 1e-20;

/// The log-spectral distance between two sets of series in decibels: for each channel the root of the mean over
/// frequencies k = 1 .. L/2 of `(10 log10(P_k / Q_k))^2` (A. H. Gray and J. D. Markel, Distance measures for
/// speech processing, 1976), averaged over channels. P and Q are mean periodograms, `|sum_t x_t exp(-2 pi i k t /
/// L)|^2 / L` averaged over rows; the constant part, k = 0, is left out. Powers more than 200 dB below the mean
/// power of both sets count as 200 dB below.
///
/// Rows hold `channels` series of length L, one after the other. Time (n + m) channels L^2, by a matrix product.
///
/// # Errors
/// [`MetricError`]; [`MetricError::Series`] unless rows are made of `channels` series of at least 2 values.
pub fn spectrum_distance<T: Copy + Into<f64>, U: Copy + Into<f64>>(
    first: ArrayView2<'_, T>,
    second: ArrayView2<'_, U>,
    channels: usize,
) -> Result<f64, MetricError> {
    rows::check_pair(first, second, [1, 1])?;
    series_length(first.ncols(), channels, 2)?;
    let (x, y) = (first.mapv(Into::into), second.mapv(Into::into));
    of_rows(x.view(), y.view(), channels)
}

/// The length of each of a row's series.
pub(super) fn series_length(columns: usize, channels: usize, fewest: usize) -> Result<usize, MetricError> {
    let length = columns.checked_div(channels).unwrap_or(0);
    if length < fewest || length * channels != columns {
        return Err(MetricError::Series {
            columns,
            channels,
            fewest,
        });
    }
    Ok(length)
}

pub(super) fn of_rows(
    x: ArrayView2<'_, f64>,
    y: ArrayView2<'_, f64>,
    channels: usize,
) -> Result<f64, MetricError> {
    let length = series_length(x.ncols(), channels, 2)?;
    let waves = waves(length);
    let of_channel = |channel: usize| {
        let columns = s![.., channel * length..(channel + 1) * length];
        let p = mean_periodogram(x.slice(columns), &waves);
        let q = mean_periodogram(y.slice(columns), &waves);
        let floor = FLOOR * 0.5 * (p.sum() + q.sum()) / p.len() as f64;
        if floor == 0.0 {
            return 0.0;
        }
        let decibels = |(p, q): (&f64, &f64)| 10.0 * (p.max(floor) / q.max(floor)).log10();
        let squares: f64 = p.iter().zip(&q).map(decibels).map(|d| d * d).sum();
        (squares / p.len() as f64).sqrt()
    };
    let sum: f64 = (0..channels).map(of_channel).sum();
    Ok(Estimate::bare(sum / channels as f64)
        .finite("a periodogram")?
        .value)
}

/// Cosines and sines of the frequencies 1 .. L/2, as columns, over the root of L.
fn waves(length: usize) -> Array2<f64> {
    let frequencies = length / 2;
    let scale = (length as f64).sqrt().recip();
    Array2::from_shape_fn((length, 2 * frequencies), |(t, column)| {
        // The phase in whole turns is reduced in whole numbers.
        let turns = (t * (column / 2 + 1) % length) as f64 / length as f64;
        let phase = std::f64::consts::TAU * turns;
        scale * if column % 2 == 0 { phase.cos() } else { phase.sin() }
    })
}

fn mean_periodogram(series: ArrayView2<'_, f64>, waves: &Array2<f64>) -> Array1<f64> {
    let starts: Vec<usize> = (0..series.nrows()).step_by(ROWS).collect();
    let blocks: Vec<Array1<f64>> = starts
        .into_par_iter()
        .map(|start| {
            let block = series.slice(s![start..series.nrows().min(start + ROWS), ..]);
            block.dot(waves).mapv(|value| value * value).sum_axis(Axis(0))
        })
        .collect();
    let mut sum = Array1::zeros(waves.ncols());
    blocks.iter().for_each(|block| sum += block);
    let powers = sum
        .exact_chunks(2)
        .into_iter()
        .map(|pair| (pair[0] + pair[1]) / series.nrows() as f64);
    powers.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::testing::normals;

    fn distance(x: &Array2<f64>, y: &Array2<f64>, channels: usize) -> f64 {
        spectrum_distance(x.view(), y.view(), channels).expect("defined")
    }

    #[test]
    fn a_wave_has_one_line() {
        // |L/2|^2 / L at its frequency; at the highest |L|^2 / L.
        for length in [16, 17] {
            let wave = |k: usize| {
                Array2::from_shape_fn((3, length), |(_, t)| {
                    5.0 + (std::f64::consts::TAU * (k * t) as f64 / length as f64).cos()
                })
            };
            let power = mean_periodogram(wave(3).view(), &waves(length));
            for (index, power) in power.iter().enumerate() {
                let expected = if index + 1 == 3 { length as f64 / 4.0 } else { 0.0 };
                assert!((power - expected).abs() < 1e-12, "{power} against {expected}");
            }
        }
        let highest = Array2::from_shape_fn((1, 8), |(_, t)| if t % 2 == 0 { 1.0 } else { -1.0 });
        assert!((mean_periodogram(highest.view(), &waves(8))[3] - 8.0).abs() < 1e-12);
    }

    #[test]
    fn ten_times_the_amplitude_is_twenty_decibels() {
        let x = normals(300, 24, 1);
        assert!((distance(&x, &(&x * 10.0), 1) - 20.0).abs() < 1e-9);
        assert!(
            (distance(&(&x + 3.0), &x, 1)).abs() < 1e-9,
            "the constant part does not count"
        );
        // The first of two channels louder, the second equal: the mean of 20 and 0.
        let mut louder = x.clone();
        louder.slice_mut(s![.., ..12]).mapv_inplace(|value| value * 10.0);
        assert!((distance(&x, &louder, 2) - 10.0).abs() < 1e-9);
        assert_eq!(distance(&Array2::ones((4, 6)), &Array2::ones((5, 6)), 1), 0.0);
    }

    #[test]
    fn white_noise_against_white_noise() {
        // Mean powers are known to a relative 1/sqrt(n), 4.34 dB each; the last frequency of an even length has twice the variance.
        let (n, m) = (400, 600);
        let value = distance(&normals(n, 31, 1), &normals(m, 31, 2), 1);
        let expected = 10.0 / 10f64.ln() * (1.0 / n as f64 + 1.0 / m as f64).sqrt();
        // The root mean square of 15 nearly normal numbers: 1/sqrt(30) of itself.
        assert!(
            (value / expected - 1.0).abs() < 4.0 / 30f64.sqrt(),
            "{value} against {expected}"
        );
    }

    #[test]
    fn rows_must_be_series() {
        let x = normals(3, 12, 0);
        for channels in [0, 5, 12, 24] {
            let error = spectrum_distance(x.view(), x.view(), channels);
            assert!(
                matches!(error, Err(MetricError::Series { columns: 12, .. })),
                "{channels}"
            );
        }
    }
}
