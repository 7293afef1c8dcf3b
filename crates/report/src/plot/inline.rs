//! Charts that stand inside a page: small, so that their text is legible on a phone, on the page's own background,
//! with axes in the page's own text colour and lines in colours that differ from white and from near-black alike.

use std::fmt::Write;

use super::axis::{Axis, AxisRange};
use super::{LineChart, nothing_to_draw, runs};
use crate::ReportError;
use crate::markup::{Svg, escape};

/// Width and height of a chart in user units, which are pixels where there is room.
pub(super) const SIZE: (f64, f64) = (480.0, 300.0);
/// Height of a row of the legend.
const ROW: f64 = 18.0;
/// A row holds so many user units of text and keys.
const ROW_WIDTH: f64 = SIZE.0 - 20.0;
/// Width of a character at the size of the labels, about.
const CHARACTER: f64 = 7.5;
/// Lines with more points are thinned out: no column of half a unit needs more than its ends and its extremes.
const MANY: usize = 1_000;
/// The points of lines with fewer are marked.
const FEW: usize = 60;
/// Colours with a contrast of at least 3 to both backgrounds (Okabe and Ito's palette, of which the brighter ones are
/// left out).
pub(crate) const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#b5629a"];

/// A line chart for a page; the title becomes its description for those who cannot see it.
///
/// # Errors
/// [`ReportError::Draw`] if no point can be drawn.
pub fn lines(chart: &LineChart) -> Result<Svg, ReportError> {
    let axes = [Axis { log: chart.x_log }, Axis { log: chart.y_log }];
    let lines: Vec<Vec<Vec<(f64, f64)>>> = chart.series.iter().map(|s| runs(&s.points, axes)).collect();
    let points = || lines.iter().flatten().flatten();
    if points().next().is_none() {
        return Err(nothing_to_draw());
    }
    let names: Vec<&str> = chart.series.iter().map(|s| s.name.as_str()).collect();
    let in_legend = names.iter().filter(|name| !name.is_empty()).count();
    let legend = if in_legend > 1 {
        legend_rows(&names)
    } else {
        Vec::new()
    };
    let frame = Frame {
        x: AxisRange::new(points().map(|p| p.0), axes[0], 0.0),
        y: AxisRange::new(points().map(|p| p.1), axes[1], 0.04),
        left: 66.0,
        right: SIZE.0 - 20.0,
        top: 34.0 + ROW * legend.len() as f64,
        bottom: SIZE.1 - 44.0,
    };
    let mut svg = open(SIZE, &chart.title);
    frame.draw(&mut svg, &chart.x_label, &chart.y_label);
    let colours = colours(chart);
    for (row, entries) in legend.iter().enumerate() {
        let middle = 36.0 + ROW * row as f64;
        for &(at, series) in entries {
            let colour = colours[series];
            let _ = write!(
                svg,
                r#"<path d="M{} {}h20" stroke="{colour}" stroke-width="2.5"/><text x="{}" y="{}">{}</text>"#,
                short(at),
                short(middle),
                short(at + 26.0),
                short(middle + 4.5),
                escape(names[series])
            );
        }
    }
    for ((series, runs), colour) in chart.series.iter().zip(&lines).zip(&colours) {
        let look = if series.faint {
            r#" stroke-width="1.2" opacity=".6""#
        } else {
            r#" stroke-width="2""#
        };
        let _ = write!(
            svg,
            r#"<path fill="none" stroke="{colour}"{look} stroke-linejoin="round" d=""#
        );
        for run in runs {
            frame.push_line(&mut svg, run);
        }
        svg.push_str("\"/>");
        let few = runs.iter().map(Vec::len).sum::<usize>() <= FEW;
        let marked = runs.iter().filter(|run| run.len() == 1 || few && !series.faint);
        let marked: Vec<(f64, f64)> = marked.flatten().copied().collect();
        frame.push_dots(&mut svg, &marked, colour, 5.0);
    }
    svg.push_str("</svg>\n");
    Ok(Svg::trusted(svg))
}

/// Points as dots, over the given extents of both axes, which are drawn to one scale if both are equally long.
#[derive(Debug, Clone, PartialEq)]
pub struct ScatterChart {
    /// What is shown, for those who cannot see it.
    pub title: String,
    /// What the horizontal axis shows, with its unit.
    pub x_label: String,
    /// What the vertical axis shows, with its unit.
    pub y_label: String,
    /// The ends of both axes; points beyond are left out.
    pub extents: [(f64, f64); 2],
    /// The points.
    pub points: Vec<(f64, f64)>,
    /// Which of the four colours.
    pub colour: usize,
}

/// A scatter plot for a page.
///
/// # Errors
/// [`ReportError::Draw`] if no point can be drawn.
pub fn scatter(chart: &ScatterChart) -> Result<Svg, ReportError> {
    let axis = Axis { log: false };
    let [x, y] = chart
        .extents
        .map(|(low, high)| AxisRange::new([low, high].into_iter(), axis, 0.0));
    let inside = |value: f64, (low, high): (f64, f64)| (low..=high).contains(&value);
    let [across, up] = chart.extents;
    let points: Vec<(f64, f64)> = chart
        .points
        .iter()
        .copied()
        .filter(|p| inside(p.0, across) && inside(p.1, up))
        .collect();
    if points.is_empty() {
        return Err(nothing_to_draw());
    }
    let side = 480.0;
    let frame = Frame {
        x,
        y,
        left: 56.0,
        right: side - 12.0,
        top: 34.0,
        bottom: side - 32.0,
    };
    let mut svg = open((side, side + 12.0), &chart.title);
    frame.draw(&mut svg, &chart.x_label, &chart.y_label);
    frame.push_dots(&mut svg, &points, COLOURS[chart.colour % COLOURS.len()], 3.0);
    svg.push_str("</svg>\n");
    Ok(Svg::trusted(svg))
}

/// Starts a document of a size.
pub(super) fn open((width, height): (f64, f64), title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"14\" fill=\"currentColor\">",
        escape(title)
    )
}

/// A coordinate to a tenth of a unit.
pub(super) fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// The colour of each series: a faint one has that of the series after it.
fn colours(chart: &LineChart) -> Vec<&'static str> {
    let mut drawn = 0;
    let mut colours = Vec::new();
    for series in &chart.series {
        colours.push(COLOURS[drawn % COLOURS.len()]);
        drawn += usize::from(!series.faint);
    }
    colours
}

/// Rows of (where an entry begins, number of its series).
fn legend_rows(names: &[&str]) -> Vec<Vec<(f64, usize)>> {
    let mut rows = vec![Vec::new()];
    let mut at = 10.0;
    for (series, name) in names.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
        let width = 46.0 + CHARACTER * name.chars().count() as f64;
        if at + width > ROW_WIDTH && at > 10.0 {
            rows.push(Vec::new());
            at = 10.0;
        }
        if let Some(row) = rows.last_mut() {
            row.push((at, series));
        }
        at += width;
    }
    rows
}

/// Where the axes lie.
pub(super) struct Frame {
    pub x: AxisRange,
    pub y: AxisRange,
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
}

impl Frame {
    /// Where a point of the axes lies in user units.
    pub fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (
            self.left + (self.right - self.left) * self.x.share(x),
            self.bottom - (self.bottom - self.top) * self.y.share(y),
        )
    }

    /// Grid, ticks and the labels of both axes.
    pub fn draw(&self, svg: &mut String, x_label: &str, y_label: &str) {
        let (left, right, top, bottom) = (
            short(self.left),
            short(self.right),
            short(self.top),
            short(self.bottom),
        );
        let mut grid = String::new();
        let mut text = String::new();
        for tick in self.y.ticks(6) {
            let y = self.place((0.0, tick)).1;
            let _ = write!(grid, "M{left} {}H{right}", short(y));
            let label = self.y.axis.label(tick);
            let at = (short(self.left - 7.0), short(y + 4.5));
            let _ = write!(
                text,
                r#"<text x="{}" y="{}" text-anchor="end">{label}</text>"#,
                at.0, at.1
            );
        }
        for tick in self.x.ticks(6) {
            let x = self.place((tick, 0.0)).0;
            let _ = write!(grid, "M{} {top}V{bottom}", short(x));
            let label = self.x.axis.label(tick);
            let at = (short(x), short(self.bottom + 18.0));
            let _ = write!(
                text,
                r#"<text x="{}" y="{}" text-anchor="middle">{label}</text>"#,
                at.0, at.1
            );
        }
        let _ = write!(
            svg,
            r#"<path d="{grid}" fill="none" stroke="currentColor" opacity=".15"/>"#
        );
        let axes = format!("M{left} {top}V{bottom}H{right}");
        let _ = write!(
            svg,
            r#"<path d="{axes}" fill="none" stroke="currentColor" opacity=".6"/>{text}"#
        );
        let _ = write!(svg, r#"<text x="2" y="15">{}</text>"#, escape(y_label));
        let _ = write!(
            svg,
            r#"<text x="{}" y="{}" text-anchor="middle">{}</text>"#,
            short(0.5 * (self.left + self.right)),
            short(self.bottom + 37.0),
            escape(x_label)
        );
    }

    /// A piece of a path that joins the points.
    fn push_line(&self, path: &mut String, run: &[(f64, f64)]) {
        let placed: Vec<(f64, f64)> = run.iter().map(|&p| self.place(p)).collect();
        let kept = if placed.len() > MANY {
            thin(&placed)
        } else {
            placed
        };
        for (i, (x, y)) in kept.iter().enumerate() {
            let command = if i == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{command}{} {}", short(*x), short(*y));
        }
    }

    /// Points as dots: pieces of a path without length that have round ends.
    fn push_dots(&self, svg: &mut String, points: &[(f64, f64)], colour: &str, size: f64) {
        if points.is_empty() {
            return;
        }
        let _ = write!(
            svg,
            r#"<path fill="none" stroke="{colour}" stroke-width="{size}" stroke-linecap="round" d=""#
        );
        for &point in points {
            let (x, y) = self.place(point);
            let _ = write!(svg, "M{} {}h0", short(x), short(y));
        }
        svg.push_str("\"/>");
    }
}

/// Of the points that follow each other in one column, half a unit wide, the first, the lowest, the highest and the
/// last, in their order: the line looks the same.
fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let column = |p: &(f64, f64)| (2.0 * p.0).floor();
    let mut kept = Vec::new();
    for group in points.chunk_by(|a, b| column(a) == column(b)) {
        let mut picked = [0, 0, 0, group.len() - 1];
        for (i, point) in group.iter().enumerate() {
            if point.1 < group[picked[1]].1 {
                picked[1] = i;
            }
            if point.1 > group[picked[2]].1 {
                picked[2] = i;
            }
        }
        picked.sort_unstable();
        let mut last = None;
        for i in picked {
            if last != Some(i) {
                kept.push(group[i]);
            }
            last = Some(i);
        }
    }
    kept
}

#[cfg(test)]
#[path = "inline_tests.rs"]
mod tests;
