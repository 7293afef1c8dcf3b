//! Axes of a chart: where values lie, and round numbers for the ticks.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// Larger values cannot be placed: their extent and the ticks beyond them would leave the range of `f64`.
const LARGEST: f64 = 1e250;

/// Linear or logarithmic; a logarithmic axis is drawn over the logarithms.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    /// Base 10.
    pub log: bool,
}

impl Axis {
    /// Where a value lies; `None` if it cannot be drawn.
    pub fn place(self, value: f64) -> Option<f64> {
        let placed = if self.log { value.log10() } else { value };
        (placed.abs() <= LARGEST).then_some(placed)
    }

    /// The text of a tick.
    pub fn label(self, placed: f64) -> String {
        let value = if self.log { 10f64.powf(placed) } else { placed };
        short_number(value)
    }
}

/// A number as short as it can be read: 20000 as 20000, 1.5e6 as 1.5e6, 0.30000000000000004 as 0.3.
pub(super) fn short_number(value: f64) -> String {
    let rounded: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    let magnitude = rounded.abs();
    if magnitude != 0.0 && !(1e-4..1e6).contains(&magnitude) {
        format!("{rounded:e}")
    } else {
        format!("{}", rounded + 0.0)
    }
}

/// The drawn interval of an axis, with ticks at round numbers.
#[derive(Clone)]
pub(super) struct AxisRange {
    /// The kind of axis.
    pub axis: Axis,
    range: Range<f64>,
}

impl AxisRange {
    /// The interval that holds all values, with a share of `margin` on each side.
    pub fn new(values: impl Iterator<Item = f64>, axis: Axis, margin: f64) -> Self {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
            (low.min(v), high.max(v))
        });
        let pad = if high > low {
            (high - low) * margin
        } else {
            // One value only: some room around it.
            if axis.log {
                0.5
            } else {
                (low.abs() * 0.1).max(1e-6)
            }
        };
        Self {
            axis,
            range: low - pad..high + pad,
        }
    }

    /// Where a placed value lies between the ends: 0 at the low one, 1 at the high one.
    pub fn share(&self, placed: f64) -> f64 {
        // Halved, since the extent may not be a number of its own.
        (0.5 * placed - 0.5 * self.range.start) / (0.5 * self.range.end - 0.5 * self.range.start)
    }

    /// Ticks at round numbers, about as many.
    pub fn ticks(&self, most: usize) -> Vec<f64> {
        if self.axis.log {
            self.log_ticks(most)
        } else {
            self.round_ticks(most)
        }
    }

    /// Ticks on a linear axis: multiples of 1, 2 or 5 times a power of ten.
    fn round_ticks(&self, most: usize) -> Vec<f64> {
        let extent = self.range.end - self.range.start;
        let rough = extent / most.max(1) as f64;
        let power = 10f64.powf(rough.log10().floor());
        let Some(step) = [1.0, 2.0, 5.0, 10.0]
            .iter()
            .map(|m| m * power)
            .find(|step| extent / step <= most as f64)
        else {
            return Vec::new();
        };
        let first = (self.range.start / step - 1e-9).ceil();
        (0..=most)
            .map(|i| (first + i as f64) * step)
            .take_while(|&tick| tick <= self.range.end + 1e-9 * step)
            .collect()
    }

    /// Ticks on a logarithmic axis: powers of ten, thinned out or joined by 2 and 5 as the extent asks.
    fn log_ticks(&self, most: usize) -> Vec<f64> {
        let inside = |ticks: Vec<f64>| -> Vec<f64> {
            ticks
                .into_iter()
                .filter(|tick| (self.range.start..=self.range.end).contains(tick))
                .collect()
        };
        let (first, last) = (self.range.start.floor() as i64, self.range.end.ceil() as i64);
        let decades = usize::try_from(last - first).unwrap_or(1);
        let stride = decades.div_ceil(most.max(1)).max(1);
        let powers = inside((first..=last).step_by(stride).map(|power| power as f64).collect());
        if powers.len() >= 3 {
            return powers;
        }
        let with = |mantissas: &[f64]| -> Vec<f64> {
            let decade = |power| mantissas.iter().map(move |m| power as f64 + m.log10());
            inside((first..=last).flat_map(decade).collect())
        };
        let fine = with(&[1.0, 2.0, 5.0]);
        if fine.len() >= 3 {
            return fine;
        }
        // Less than a decade: round values, as on a linear axis.
        let values = Self {
            axis: Axis { log: false },
            range: 10f64.powf(self.range.start)..10f64.powf(self.range.end),
        };
        inside(
            values
                .round_ticks(most)
                .iter()
                .map(|value| value.log10())
                .collect(),
        )
    }
}

impl Ranged for AxisRange {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        limit.0 + (self.share(*value) * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        self.ticks(hint.max_num_points().min(8))
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for AxisRange {
    fn format_ext(&self, value: &f64) -> String {
        self.axis.label(*value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        let range = |low: f64, high: f64, log| AxisRange {
            axis: Axis { log },
            range: low..high,
        };
        assert_eq!(
            range(0.0, 1000.0, false).round_ticks(8),
            [0.0, 200.0, 400.0, 600.0, 800.0, 1000.0]
        );
        assert_eq!(
            range(-0.3, 0.45, false).round_ticks(8).len(),
            8,
            "-0.3, -0.2, ... 0.4"
        );
        assert_eq!(range(-2.0, 2.0, true).log_ticks(8), [-2.0, -1.0, 0.0, 1.0, 2.0]);
        let labels: Vec<String> = range(-1.0, 0.4, true)
            .log_ticks(8)
            .iter()
            .map(|&t| Axis { log: true }.label(t))
            .collect();
        assert_eq!(labels, ["0.1", "0.2", "0.5", "1", "2"]);
        let narrow: Vec<String> = range(0.79f64.log10(), 0.96f64.log10(), true)
            .log_ticks(8)
            .iter()
            .map(|&t| Axis { log: true }.label(t))
            .collect();
        assert_eq!(narrow, ["0.8", "0.85", "0.9", "0.95"]);
        assert!(range(-300.0, 300.0, true).log_ticks(8).len() <= 9);
    }

    #[test]
    fn numbers_are_short() {
        let cases = [
            (0.1 + 0.2, "0.3"),
            (20000.0, "20000"),
            (1.5e6, "1.5e6"),
            (0.0, "0"),
            (-0.0, "0"),
            (2e-5, "2e-5"),
        ];
        for (value, text) in cases {
            assert_eq!(short_number(value), text);
        }
    }
}
