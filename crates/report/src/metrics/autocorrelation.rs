//! Autocorrelations of series.

use ndarray::{ArrayView2, s};
use rayon::prelude::*;

use super::estimate::Estimate;
use super::spectrum::series_length;
use super::{MetricError, rows};

/// Rows of a block.
const ROWS: usize = 256;

/// The difference of the mean autocorrelation functions of two sets of series: the root of the mean over channels
/// and lags h = 1 .. L/2 of `(r_h - s_h)^2`, with `r_h` the mean over rows of `sum_t (x_t - m)(x_(t+h) - m) / sum_t
/// (x_t - m)^2`, m the row's own mean (G. E. P. Box and G. M. Jenkins, Time series analysis, 1970, section 2.1.5).
/// A constant series counts as r = 0. A pure number in [0, 2].
///
/// Rows hold `channels` series of length L, one after the other. Time (n + m) channels L^2 / 2.
///
/// # Errors
/// [`MetricError`]; [`MetricError::Series`] unless rows are made of `channels` series of at least 3 values.
pub fn autocorrelation_distance<T: Copy + Into<f64>, U: Copy + Into<f64>>(
    first: ArrayView2<'_, T>,
    second: ArrayView2<'_, U>,
    channels: usize,
) -> Result<f64, MetricError> {
    rows::check_pair(first, second, [1, 1])?;
    let (x, y) = (first.mapv(Into::into), second.mapv(Into::into));
    of_rows(x.view(), y.view(), channels)
}

pub(super) fn of_rows(
    x: ArrayView2<'_, f64>,
    y: ArrayView2<'_, f64>,
    channels: usize,
) -> Result<f64, MetricError> {
    let length = series_length(x.ncols(), channels, 3)?;
    let squares: f64 = (0..channels)
        .map(|channel| {
            let columns = s![.., channel * length..(channel + 1) * length];
            let r = mean_autocorrelation(x.slice(columns));
            let s = mean_autocorrelation(y.slice(columns));
            r.iter().zip(&s).map(|(r, s)| (r - s) * (r - s)).sum::<f64>()
        })
        .sum();
    let count = (channels * (length / 2)) as f64;
    Ok(Estimate::bare((squares / count).sqrt())
        .finite("an autocorrelation")?
        .value)
}

/// The mean over rows at the lags 1 .. L/2.
fn mean_autocorrelation(series: ArrayView2<'_, f64>) -> Vec<f64> {
    let (count, length) = series.dim();
    let lags = length / 2;
    let starts: Vec<usize> = (0..count).step_by(ROWS).collect();
    let blocks: Vec<Vec<f64>> = starts
        .into_par_iter()
        .map(|start| {
            let mut sums = vec![0.0; lags];
            for row in series.slice(s![start..count.min(start + ROWS), ..]).rows() {
                let mean = row.sum() / length as f64;
                let centred: Vec<f64> = row.iter().map(|value| value - mean).collect();
                let product = |lag: usize| {
                    centred
                        .iter()
                        .zip(&centred[lag..])
                        .map(|(a, b)| a * b)
                        .sum::<f64>()
                };
                let variance = product(0);
                // Rounding of the mean leaves about 1e-16 of the size of the values in a constant series.
                let smallest = 1e-28 * row.iter().map(|value| value * value).sum::<f64>();
                if variance > smallest {
                    sums.iter_mut()
                        .enumerate()
                        .for_each(|(h, sum)| *sum += product(h + 1) / variance);
                }
            }
            sums
        })
        .collect();
    (0..lags)
        .map(|h| blocks.iter().map(|sums| sums[h]).sum::<f64>() / count as f64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::testing::normals;
    use ndarray::{Array2, array};

    fn distance(x: &Array2<f64>, y: &Array2<f64>, channels: usize) -> f64 {
        autocorrelation_distance(x.view(), y.view(), channels).expect("defined")
    }

    #[test]
    fn short_series_by_hand() {
        // 1, -1, 1, -1: r_1 = -3/4, r_2 = 2/4. 1, 1, -1, -1: r_1 = 1/4, r_2 = -2/4.
        let (fast, slow) = (array![[1.0, -1.0, 1.0, -1.0]], array![[1.0, 1.0, -1.0, -1.0]]);
        assert_eq!(mean_autocorrelation(fast.view()), [-0.75, 0.5]);
        assert_eq!(mean_autocorrelation(slow.view()), [0.25, -0.5]);
        assert!((distance(&fast, &slow, 1) - 1.0).abs() < 1e-15);
        // A constant series counts as 0, wherever it lies.
        let constant = array![[0.1 + 0.2; 4]];
        assert!((distance(&constant, &slow, 1) - (0.3125f64 / 2.0).sqrt()).abs() < 1e-15);
        // Means over rows; two channels, of which one is equal.
        let mixed = array![[1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0]];
        assert_eq!(mean_autocorrelation(mixed.view()), [-0.25, 0.0]);
        let (a, b) = (
            array![[1.0, -1.0, 1.0, -1.0, 1.0, 1.0, -1.0, -1.0]],
            array![[1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0]],
        );
        assert!((distance(&a, &b, 2) - 0.5f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn scale_and_level_do_not_count() {
        let x = normals(300, 20, 1);
        assert!(distance(&x, &(&x * 7.0 - 100.0), 2) < 1e-12);
    }

    #[test]
    fn an_autoregression_has_powers() {
        // x_(t+1) = phi x_t + noise: r_h = phi^h, up to the bias of order 1/L of a short row.
        let (phi, length) = (0.6f64, 400);
        let mut x = normals(200, length, 1);
        for mut row in x.rows_mut() {
            row[0] /= (1.0 - phi * phi).sqrt();
            for t in 1..length {
                row[t] += phi * row[t - 1];
            }
        }
        let r = mean_autocorrelation(x.view());
        // Bartlett: Var r_h is below (1 + phi^2) / (1 - phi^2) / L for a row; the bias below (1 + 4 phi) / L + 1 / (1 - phi) / L.
        let error = ((1.0 + phi * phi) / (1.0 - phi * phi) / length as f64 / 200.0).sqrt();
        let bias = (1.0 + 4.0 * phi + 4.0 / (1.0 - phi)) / length as f64;
        for (h, r) in r.iter().take(8).enumerate() {
            let expected = phi.powi(h as i32 + 1);
            assert!(
                (r - expected).abs() < 4.0 * error + bias,
                "{r} against {expected} at lag {}",
                h + 1
            );
        }
    }
}
