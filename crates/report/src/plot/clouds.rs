//! Clouds of points in cells, each to a scale of its own.

use std::fmt::Write;

use super::axis::short_number;
use super::inline::{COLOURS, open, short};
use super::nothing_to_draw;
use crate::ReportError;
use crate::markup::{Svg, escape};

/// Cells in a row, the side of one, and the room around it for its numbers, in user units.
const COLUMNS: usize = 3;
const SIDE: f64 = 130.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = 6.0;
const ABOVE: f64 = 24.0;
const BELOW: f64 = 24.0;

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Cloud {
    /// What stands above it.
    pub name: String,
    /// The points; those beyond the ends of the axes, and those that are not finite, are left out.
    pub points: Vec<(f64, f64)>,
    /// The ends of both axes.
    pub extents: [(f64, f64); 2],
}

/// Draws clouds of points in the first of the four colours, three in a row, the ends of both axes written beside each cell.
///
/// # Errors
/// [`ReportError::Draw`] if there is no cell, or if the ends of its axes are no finite intervals.
pub fn clouds(title: &str, cells: &[Cloud]) -> Result<Svg, ReportError> {
    let sound = |&(low, high): &(f64, f64)| low < high && (high - low).is_finite();
    if cells.is_empty() || !cells.iter().flat_map(|cell| &cell.extents).all(sound) {
        return Err(nothing_to_draw());
    }
    let cell = (LEFT + SIDE + RIGHT, ABOVE + SIDE + BELOW);
    let columns = cells.len().min(COLUMNS) as f64;
    let rows = cells.len().div_ceil(COLUMNS) as f64;
    let mut svg = open((cell.0 * columns, cell.1 * rows), title);
    for (number, cloud) in cells.iter().enumerate() {
        let left = LEFT + (number % COLUMNS) as f64 * cell.0;
        let top = ABOVE + (number / COLUMNS) as f64 * cell.1;
        let (right, bottom) = (left + SIDE, top + SIDE);
        let _ = write!(
            svg,
            r#"<text x="{}" y="{}" text-anchor="middle">{}</text><path d="M{} {}V{}H{}" fill="none" stroke="currentColor" opacity=".6"/>"#,
            short(0.5 * (left + right)),
            short(top - 7.0),
            escape(&cloud.name),
            short(left),
            short(top),
            short(bottom),
            short(right),
        );
        let [across, up] = cloud.extents;
        for (x, y, anchor, value) in [
            (left, bottom + 15.0, "start", across.0),
            (right, bottom + 15.0, "end", across.1),
            (left - 5.0, bottom, "end", up.0),
            (left - 5.0, top + 10.0, "end", up.1),
        ] {
            let _ = write!(
                svg,
                r#"<text x="{}" y="{}" text-anchor="{anchor}" font-size="12">{}</text>"#,
                short(x),
                short(y),
                short_number(value)
            );
        }
        let colour = COLOURS[0];
        let _ = write!(
            svg,
            r#"<path fill="none" stroke="{colour}" stroke-width="3.5" stroke-linecap="round" d=""#
        );
        for &(x, y) in &cloud.points {
            let share = |value: f64, (low, high): (f64, f64)| (value - low) / (high - low);
            let (x, y) = (share(x, across), share(y, up));
            if (0.0..=1.0).contains(&x) && (0.0..=1.0).contains(&y) {
                let _ = write!(svg, "M{} {}h0", short(left + SIDE * x), short(bottom - SIDE * y));
            }
        }
        svg.push_str("\"/>");
    }
    svg.push_str("</svg>\n");
    Ok(Svg::trusted(svg))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(points: Vec<(f64, f64)>, extent: (f64, f64)) -> Cloud {
        Cloud {
            name: "t = 1 <s>".to_owned(),
            points,
            extents: [extent; 2],
        }
    }

    #[test]
    fn points_lie_where_the_numbers_beside_the_cell_say() {
        let points = vec![(-2.0, -2.0), (2.0, 0.0), (0.0, f64::NAN), (2.1, 0.0)];
        let four = vec![cell(points, (-2.0, 2.0)); 4];
        let svg = clouds("made up", &four).expect("drawable");
        let text = svg.as_str();
        assert!(
            text.contains(r#"viewBox="0 0 540 356""#),
            "three cells and a second row: {text}"
        );
        assert_eq!(text.matches("t = 1 &lt;s&gt;").count(), 4);
        assert_eq!(text.matches(">-2<").count() + text.matches(">2<").count(), 16);
        // The first cell's corner below, and the middle of its right side; the others are left out.
        assert!(text.contains("d=\"M44 154h0M174 89h0\""), "{text}");
        assert!(!text.contains("NaN"));
    }

    #[test]
    fn what_has_no_scale_is_refused() {
        assert!(clouds("none", &[]).is_err());
        for extent in [
            (1.0, 1.0),
            (2.0, 1.0),
            (f64::NAN, 1.0),
            (0.0, f64::INFINITY),
            (-f64::MAX, f64::MAX),
        ] {
            assert!(
                clouds("bad", &[cell(vec![(0.0, 0.0)], extent)]).is_err(),
                "{extent:?}"
            );
        }
    }
}
