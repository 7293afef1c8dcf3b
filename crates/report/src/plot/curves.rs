//! Series as small curves in cells, all to one scale.

use std::fmt::Write;

use ndarray::ArrayView3;

use super::inline::{COLOURS, open, short};
use super::nothing_to_draw;
use crate::ReportError;
use crate::markup::Svg;

/// Cells in a row, their size and the space between them, in user units.
const COLUMNS: usize = 4;
const CELL: (f64, f64) = (112.0, 70.0);
const SPACE: f64 = 6.0;
/// A curve is drawn with so many points at most: two in each column of a unit.
const POINTS: usize = 2 * CELL.0 as usize;

/// Draws `series`, `[n, channels, length]`, one cell a series and one colour a channel, with `scale.0` at the bottom of
/// every cell and `scale.1` at its top. Values that are not finite interrupt a curve; those beyond the scale are cut
/// off at the cell's edge. Of long series, points at even distances are drawn.
///
/// # Errors
/// [`ReportError::Draw`] for an empty array or a scale that is not a finite interval.
pub fn curves(title: &str, series: ArrayView3<'_, f32>, scale: (f64, f64)) -> Result<Svg, ReportError> {
    let (count, _, length) = series.dim();
    let height = scale.1 - scale.0;
    if series.is_empty() || !(height.is_finite() && height > 0.0) {
        return Err(nothing_to_draw());
    }
    let (columns, rows) = (count.min(COLUMNS), count.div_ceil(COLUMNS));
    let extent = |cells: usize, size: f64| cells as f64 * (size + SPACE) - SPACE + 2.0;
    let mut svg = open((extent(columns, CELL.0), extent(rows, CELL.1)), title);
    let stride = length.div_ceil(POINTS);
    for (cell, channels) in series.outer_iter().enumerate() {
        let left = 1.0 + (cell % COLUMNS) as f64 * (CELL.0 + SPACE);
        let top = 1.0 + (cell / COLUMNS) as f64 * (CELL.1 + SPACE);
        let _ = write!(
            svg,
            r#"<rect x="{}" y="{}" width="{}" height="{}" fill="none" stroke="currentColor" opacity=".25"/>"#,
            short(left),
            short(top),
            CELL.0,
            CELL.1
        );
        for (channel, values) in channels.outer_iter().enumerate() {
            let colour = COLOURS[channel % COLOURS.len()];
            let _ = write!(
                svg,
                r#"<path fill="none" stroke="{colour}" stroke-width="1.3" d=""#
            );
            let mut joined = false;
            for (i, &value) in values.iter().enumerate().step_by(stride) {
                if !value.is_finite() {
                    joined = false;
                    continue;
                }
                let across = i as f64 / (length.max(2) - 1) as f64;
                let up = ((f64::from(value) - scale.0) / height).clamp(0.0, 1.0);
                let command = if joined { 'L' } else { 'M' };
                let (x, y) = (left + CELL.0 * across, top + 2.0 + (CELL.1 - 4.0) * (1.0 - up));
                let _ = write!(svg, "{command}{} {}", short(x), short(y));
                joined = true;
            }
            svg.push_str("\"/>");
        }
    }
    svg.push_str("</svg>\n");
    Ok(Svg::trusted(svg))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    #[test]
    fn a_cell_a_series_and_a_gap_where_there_is_no_number() {
        let mut series = Array3::from_shape_fn((5, 2, 9), |(n, c, i)| (n + c) as f32 + i as f32 / 8.0);
        let svg = curves("made up", series.view(), (0.0, 6.0)).expect("drawable");
        assert_eq!(svg.as_str().matches("<rect").count(), 5);
        assert_eq!(svg.as_str().matches('M').count(), 10, "one piece a channel");
        assert!(
            svg.as_str().contains(r#"viewBox="0 0 468 148""#),
            "four cells and a second row: {svg:?}"
        );
        series[[0, 0, 4]] = f32::NAN;
        let svg = curves("made up", series.view(), (0.0, 6.0)).expect("drawable");
        assert_eq!(svg.as_str().matches('M').count(), 11);
        assert!(!svg.as_str().contains("NaN"));
    }

    #[test]
    fn long_series_are_thinned_out_and_empty_ones_refused() {
        let long = Array3::from_shape_fn((1, 1, 100_000), |(_, _, i)| i as f32);
        let svg = curves("long", long.view(), (0.0, 1e5)).expect("drawable");
        assert!(svg.as_str().len() < 5_000, "{}", svg.as_str().len());
        let empty = Array3::zeros((0, 1, 5));
        assert!(curves("none", empty.view(), (0.0, 1.0)).is_err());
        assert!(curves("flat", long.view(), (1.0, 1.0)).is_err());
    }
}
