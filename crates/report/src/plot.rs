//! Charts as SVG: the text stays text, so that no font is needed to write a chart and a reader can select it.
//!
//! [`line_svg`] makes a file of its own, with its background. [`lines`], [`scatter`], [`clouds`], [`histogram`] and [`curves`] make drawings for a
//! [`crate::Page`], which take colours and width from it.

mod axis;
mod clouds;
mod curves;
mod histogram;
mod inline;

use std::io::Write;
use std::path::Path;

use plotters::element::DashedPathElement;
use plotters::prelude::*;

use crate::{ReportError, atomic};
use axis::{Axis, AxisRange};
pub use clouds::{Cloud, clouds};
pub use curves::curves;
pub use histogram::{Histogram, histogram};
pub use inline::{ScatterChart, lines, scatter};

/// One line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its name in the legend; an empty name keeps it out of the legend.
    pub name: String,
    /// Points (x, y) in the order in which they are joined. A point that is not finite (or
    /// beyond 1e250), or not positive on a logarithmic axis, interrupts the line.
    pub points: Vec<(f64, f64)>,
    /// Drawn pale and thin: the raw values behind a smoothed line. A faint series shares the colour of the
    /// series after it.
    pub faint: bool,
}

impl Series {
    /// A plainly drawn series.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self {
            name: name.into(),
            points,
            faint: false,
        }
    }

    /// A series drawn pale, without a place in the legend, in the colour of the next series.
    pub fn faint(points: Vec<(f64, f64)>) -> Self {
        Self {
            name: String::new(),
            points,
            faint: true,
        }
    }
}

/// A line chart. Smoothing is the caller's business: pass the smoothed points.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LineChart {
    /// The title above the chart.
    pub title: String,
    /// What the horizontal axis shows, with its unit: "step", "images in thousands".
    pub x_label: String,
    /// What the vertical axis shows, with its unit.
    pub y_label: String,
    /// A logarithmic horizontal axis (base 10).
    pub x_log: bool,
    /// A logarithmic vertical axis (base 10).
    pub y_log: bool,
    /// The legend in the lower left corner, which falling lines leave free, and not in the upper right one.
    pub legend_below: bool,
    /// The lines, at least one of them with a drawable point; the first 18 look different.
    pub series: Vec<Series>,
}

/// The size of a chart in pixels.
const SIZE: (u32, u32) = (800, 480);
/// Colours that differ in lightness as well as in hue (Okabe and Ito's palette, without its yellow).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
];

/// Draws a chart and writes it atomically.
///
/// # Errors
/// [`ReportError::Draw`] if no point can be drawn; [`ReportError::Io`] if the file cannot be written.
pub fn line_svg(path: &Path, chart: &LineChart) -> Result<(), ReportError> {
    let svg = render(chart)?;
    atomic::write(path, |file| file.write_all(svg.as_bytes()))
}

/// The chart as the text of an SVG document.
///
/// # Errors
/// [`ReportError::Draw`] if no point can be drawn.
pub fn render(chart: &LineChart) -> Result<String, ReportError> {
    let axes = [Axis { log: chart.x_log }, Axis { log: chart.y_log }];
    let lines: Vec<Vec<Vec<(f64, f64)>>> = chart.series.iter().map(|s| runs(&s.points, axes)).collect();
    let points = || lines.iter().flatten().flatten();
    if points().next().is_none() {
        return Err(nothing_to_draw());
    }
    let x = AxisRange::new(points().map(|p| p.0), axes[0], 0.0);
    let y = AxisRange::new(points().map(|p| p.1), axes[1], 0.04);
    let mut svg = String::new();
    draw(chart, &lines, x, y, &mut svg).map_err(|e| ReportError::Draw {
        what: "a line chart",
        reason: e.to_string(),
    })?;
    Ok(svg)
}

fn nothing_to_draw() -> ReportError {
    ReportError::Draw {
        what: "a chart",
        reason: "nothing in it has a finite value (a positive one, on a logarithmic axis)".to_owned(),
    }
}

fn draw(
    chart: &LineChart,
    lines: &[Vec<Vec<(f64, f64)>>],
    x: AxisRange,
    y: AxisRange,
    svg: &mut String,
) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (x_axis, y_axis) = (x.axis, y.axis);
    let mut context = ChartBuilder::on(&root)
        .margin(14)
        .caption(&chart.title, ("sans-serif", 22))
        .x_label_area_size(44)
        .y_label_area_size(84)
        .build_cartesian_2d(x, y)?;
    context
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .label_style(("sans-serif", 14))
        .axis_desc_style(("sans-serif", 16))
        .x_desc(&chart.x_label)
        .y_desc(&chart.y_label)
        .x_labels(8)
        .y_labels(7)
        .x_label_formatter(&|value| x_axis.label(*value))
        .y_label_formatter(&|value| y_axis.label(*value))
        .draw()?;
    let mut drawn = 0;
    let mut in_legend = 0;
    for (series, runs) in chart.series.iter().zip(lines) {
        let colour = COLOURS[drawn % COLOURS.len()];
        let style = if series.faint {
            colour.mix(0.35).stroke_width(1)
        } else {
            colour.stroke_width(2)
        };
        for run in runs {
            if let [point] = run.as_slice() {
                context.draw_series([Circle::new(*point, 3, colour.filled())])?;
            }
            match dashes(drawn) {
                None => context.draw_series(LineSeries::new(run.iter().copied(), style))?,
                Some((dash, gap)) => {
                    context.draw_series(DashedLineSeries::new(run.iter().copied(), dash, gap, style))?
                }
            };
        }
        if !series.name.is_empty() {
            let legend = context.draw_series(std::iter::empty::<PathElement<(f64, f64)>>())?;
            let pattern = dashes(drawn);
            legend.label(&series.name).legend(move |(left, middle)| {
                let ends = [(left, middle), (left + 20, middle)];
                match pattern {
                    None => PathElement::new(ends, style).into_dyn(),
                    Some((dash, gap)) => DashedPathElement::new(ends, dash, gap, style).into_dyn(),
                }
            });
            in_legend += 1;
        }
        drawn += usize::from(!series.faint);
    }
    // One line needs no legend: the axis names it.
    if in_legend > 1 {
        context
            .configure_series_labels()
            .position(match chart.legend_below {
                true => SeriesLabelPosition::LowerLeft,
                false => SeriesLabelPosition::UpperRight,
            })
            .label_font(("sans-serif", 14))
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.3))
            .draw()?;
    }
    root.present()?;
    Ok(())
}

/// Dashes and gaps, in pixels, of a line whose colour another line before it has.
fn dashes(drawn: usize) -> Option<(u32, u32)> {
    match drawn / COLOURS.len() {
        0 => None,
        1 => Some((9, 5)),
        _ => Some((2, 4)),
    }
}

/// Cuts a line where a point cannot be drawn, and takes logarithms where the axis is logarithmic.
fn runs(points: &[(f64, f64)], [x, y]: [Axis; 2]) -> Vec<Vec<(f64, f64)>> {
    let placed = points.iter().map(|&(px, py)| x.place(px).zip(y.place(py)));
    let mut runs = vec![Vec::new()];
    for point in placed {
        match (point, runs.last_mut()) {
            (Some(point), Some(run)) => run.push(point),
            _ => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(series: Vec<Series>) -> LineChart {
        LineChart {
            title: "Loss of digits_vp".to_owned(),
            x_label: "step".to_owned(),
            y_label: "loss [per pixel]".to_owned(),
            series,
            ..LineChart::default()
        }
    }

    #[test]
    fn lines_beyond_the_colours_are_dashed_so_that_no_two_look_alike() {
        let series = (0..13).map(|i| Series::new(format!("line {i}"), vec![(0.0, f64::from(i)), (9.0, 1.0)]));
        let svg = render(&chart(series.collect())).expect("drawable");
        let colour = |part: &str| {
            svg.lines()
                .filter(|line| line.starts_with("<polyline") && line.contains(part))
                .count()
        };
        // The first colour: a whole line with its key, one of dashes, one of dots.
        let first = colour(r##"stroke="#0072B2""##);
        // The fifth: a whole line with its key and one of dashes.
        let fifth = colour(r##"stroke="#56B4E9""##);
        assert!(first > 100 && fifth > 20 && first > fifth, "{first} {fifth}");
    }

    #[test]
    fn titles_labels_legend_and_background_are_in_the_document() {
        let points = |scale: f64| {
            (0..100)
                .map(|i| (f64::from(i), scale / f64::from(1 + i)))
                .collect()
        };
        let mut chart = chart(vec![
            Series::faint(points(1.0)),
            Series::new("train <mean>", points(1.0)),
            Series::new("held out", points(2.0)),
        ]);
        for y_log in [false, true] {
            chart.y_log = y_log;
            let svg = render(&chart).expect("drawable");
            for text in [
                "Loss of digits_vp",
                "step",
                "loss [per pixel]",
                "train &lt;mean&gt;",
                "held out",
                "#FFFFFF",
            ] {
                assert!(svg.contains(text), "{text} is missing");
            }
            assert!(svg.trim_end().ends_with("</svg>"));
            let lines = |part: &str| {
                svg.lines()
                    .filter(|l| l.starts_with("<polyline") && l.contains(part))
                    .count()
            };
            assert_eq!(
                lines(r#"stroke-width="2""#),
                4,
                "two lines and their keys in the legend"
            );
            assert_eq!(
                lines(r##"opacity="0.35" stroke="#0072B2""##),
                1,
                "the raw values behind the first line"
            );
        }
    }

    #[test]
    fn a_gap_interrupts_the_line() {
        let points = vec![
            (0.0, 1.0),
            (1.0, 2.0),
            (2.0, f64::NAN),
            (3.0, 3.0),
            (4.0, 0.0),
            (5.0, 1.0),
        ];
        let linear = runs(&points, [Axis { log: false }; 2]);
        assert_eq!(linear.iter().map(Vec::len).collect::<Vec<_>>(), [2, 3]);
        let log = runs(&points[1..], [Axis { log: false }, Axis { log: true }]);
        assert_eq!(log.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1]);
    }

    #[test]
    fn nothing_to_draw_is_an_error() {
        for series in [
            vec![],
            vec![Series::new("a", vec![])],
            vec![Series::new("a", vec![(0.0, f64::NAN)])],
        ] {
            assert!(matches!(render(&chart(series)), Err(ReportError::Draw { .. })));
        }
    }

    #[test]
    fn extreme_points_are_drawn() {
        let cases: [&[(f64, f64)]; 6] = [
            &[(0.0, 0.0)],
            &[(5.0, 1e30), (5.0, 1e30)],
            &[(0.0, 1e250), (1.0, -1e250), (2.0, f64::MAX)],
            &[(0.0, 1e-300), (1e-300, 2e-300)],
            &[(1e15, 1.0), (1e15 + 1.0, 1.0 + 1e-12)],
            &[(-1.0, -5.0), (-2.0, -7.0)],
        ];
        for points in cases {
            for y_log in [false, true] {
                let mut chart = chart(vec![Series::new("a", points.to_vec())]);
                chart.y_log = y_log;
                match render(&chart) {
                    Ok(svg) => assert!(!svg.contains("NaN") && !svg.contains("inf"), "{points:?}"),
                    Err(error) => assert!(y_log && points.iter().all(|p| p.1 <= 0.0), "{points:?}: {error}"),
                }
            }
        }
    }
}
