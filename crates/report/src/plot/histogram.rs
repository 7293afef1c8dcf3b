//! Histograms for a page.

use std::fmt::Write;

use super::axis::{Axis, AxisRange};
use super::inline::{COLOURS, Frame, SIZE, open, short};
use super::nothing_to_draw;
use crate::ReportError;
use crate::markup::Svg;

/// Bars, at least and at most.
const BARS: (usize, usize) = (5, 40);

/// How often values lie in intervals of one width.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// What is shown, for those who cannot see it.
    pub title: String,
    /// What the values are, with their unit.
    pub x_label: String,
    /// What is counted.
    pub y_label: String,
    /// The values; those that are not finite are left out.
    pub values: Vec<f64>,
    /// A value to mark by a line, for example the mean.
    pub mark: Option<f64>,
}

impl Histogram {
    /// The lower end of each bar and its count, and the width of a bar: about the root of the number of values as many bars, between
    /// the smallest value and the largest.
    fn bars(&self) -> Option<(Vec<(f64, usize)>, f64)> {
        let finite: Vec<f64> = self.values.iter().copied().filter(|v| v.abs() < 1e250).collect();
        let (low, high) = finite
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| {
                (l.min(*v), h.max(*v))
            });
        if finite.is_empty() {
            return None;
        }
        let count = ((finite.len() as f64).sqrt().ceil() as usize).clamp(BARS.0, BARS.1);
        // Equal values fill the bar in the middle.
        let spread = if high > low {
            high - low
        } else {
            low.abs().max(1.0) * 0.1
        };
        let (from, width) = (0.5 * (low + high) - 0.5 * spread, spread / count as f64);
        let mut bars: Vec<(f64, usize)> = (0..count).map(|i| (from + width * i as f64, 0)).collect();
        for value in finite {
            let bar = ((value - from) / width).floor().clamp(0.0, count as f64 - 1.0);
            bars[bar as usize].1 += 1;
        }
        Some((bars, width))
    }
}

/// Draws a histogram for a page.
///
/// # Errors
/// [`ReportError::Draw`] where no value is finite.
pub fn histogram(chart: &Histogram) -> Result<Svg, ReportError> {
    let (bars, width) = chart.bars().ok_or_else(nothing_to_draw)?;
    let linear = Axis { log: false };
    let ends = [bars[0].0, bars[bars.len() - 1].0 + width];
    let most = bars.iter().map(|bar| bar.1).max().unwrap_or(1) as f64;
    let mark = chart.mark.filter(|mark| (ends[0]..=ends[1]).contains(mark));
    let frame = Frame {
        x: AxisRange::new(ends.into_iter(), linear, 0.02),
        y: AxisRange::new([0.0, 1.05 * most].into_iter(), linear, 0.0),
        left: 66.0,
        right: SIZE.0 - 20.0,
        top: 34.0,
        bottom: SIZE.1 - 44.0,
    };
    let mut svg = open(SIZE, &chart.title);
    frame.draw(&mut svg, &chart.x_label, &chart.y_label);
    let _ = write!(svg, r#"<path fill="{}" opacity=".85" d=""#, COLOURS[0]);
    for (from, count) in bars.into_iter().filter(|bar| bar.1 > 0) {
        let (left, top) = frame.place((from, count as f64));
        let (right, bottom) = frame.place((from + width, 0.0));
        // A gap sets bars apart, unless they are too narrow for one.
        let right = right - f64::min(1.0, 0.2 * (right - left));
        let _ = write!(
            svg,
            "M{} {}V{}H{}V{}z",
            short(left),
            short(bottom),
            short(top),
            short(right),
            short(bottom)
        );
    }
    svg.push_str("\"/>");
    if let Some(mark) = mark {
        let (x, top) = frame.place((mark, 1.05 * most));
        let bottom = frame.place((mark, 0.0)).1;
        let _ = write!(
            svg,
            r#"<path d="M{} {}V{}" fill="none" stroke="{}" stroke-width="2.5"/>"#,
            short(x),
            short(bottom),
            short(top),
            COLOURS[1]
        );
    }
    svg.push_str("</svg>\n");
    Ok(Svg::trusted(svg))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Histogram {
        Histogram {
            title: "a & b".to_owned(),
            x_label: "x".to_owned(),
            y_label: "rows".to_owned(),
            values: values.to_vec(),
            mark: Some(2.0),
        }
    }

    #[test]
    fn every_finite_value_is_counted_once() {
        let mut values: Vec<f64> = (0..1_000).map(|i| f64::from(i * i % 997)).collect();
        values.extend([f64::NAN, f64::INFINITY]);
        let (bars, width) = of(&values).bars().expect("values");
        assert_eq!(bars.len(), 32);
        assert_eq!(bars.iter().map(|bar| bar.1).sum::<usize>(), 1_000);
        for (i, (from, count)) in bars.iter().enumerate() {
            let inside = values
                .iter()
                .filter(|v| **v >= *from && (**v < from + width || i == 31) && v.is_finite());
            assert_eq!(inside.count(), *count, "bar {i} from {from}");
        }
    }

    #[test]
    fn equal_values_and_no_values() {
        let (bars, _) = of(&[3.0; 9]).bars().expect("values");
        assert_eq!(bars.iter().map(|bar| bar.1).collect::<Vec<_>>(), [0, 0, 9, 0, 0]);
        for values in [&[][..], &[f64::NAN]] {
            assert!(matches!(histogram(&of(values)), Err(ReportError::Draw { .. })));
        }
    }

    #[test]
    fn the_mark_is_drawn_where_it_lies_inside() {
        let svg = |values: &[f64]| histogram(&of(values)).expect("drawable").as_str().to_owned();
        assert!(svg(&[1.0, 4.0]).contains(COLOURS[1]));
        assert!(!svg(&[3.0, 4.0]).contains(COLOURS[1]));
        assert!(svg(&[1.0]).contains("aria-label=\"a &amp; b\""));
    }
}
