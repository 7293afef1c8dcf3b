//! How training went: the lines of `metrics.jsonl` as charts.

use report::Page;
use report::plot::{LineChart, Series, lines};

use crate::TrainError;
use crate::log::Record;

pub(super) fn add(page: Page, records: &[Record]) -> Result<Page, TrainError> {
    let mut page = page.section("Training");
    let loss_caption = match records.iter().any(|record| record.val_loss.is_some()) {
        true => "Training loss, and the loss on rows held out of training",
        false => "Training loss",
    };
    let charts = [
        loss_chart(records).map(|chart| (loss_caption, chart)),
        chart(records, "learning rate", |record| Some(record.lr))
            .map(|chart| ("Learning rate (dimensionless)", chart)),
        chart(records, "gradient norm", |record| record.grad_norm)
            .map(|chart| ("2-norm of the gradient before clipping", log(chart))),
        chart(records, "images a second", |record| Some(record.images_per_s)).map(|chart| ("Speed", chart)),
    ];
    let mut shown = 0;
    for (caption, chart) in charts.into_iter().flatten() {
        // A column of values none of which is a number has no chart.
        if let Ok(svg) = lines(&chart) {
            page = page.figure_svg(caption, &svg);
            shown += 1;
        }
    }
    if shown == 0 {
        page = page.text("No metrics were written yet.");
    }
    Ok(page)
}

/// The loss over the steps, with the loss on held-out rows where it was computed; `None` if no line has a loss.
pub fn loss_chart(records: &[Record]) -> Option<LineChart> {
    let points = points(records, |record| record.loss);
    if points.is_empty() {
        return None;
    }
    let validation = self::points(records, |record| record.val_loss);
    let smooth = smooth(&points);
    let mut series = vec![
        Series::faint(points),
        Series::new("running mean of 10 lines", smooth),
    ];
    if !validation.is_empty() {
        series.push(Series::new("held-out rows, averaged weights", validation));
    }
    Some(log(LineChart {
        title: "Training loss".to_owned(),
        x_label: "step".to_owned(),
        y_label: "loss (dimensionless)".to_owned(),
        series,
        ..LineChart::default()
    }))
}

fn chart(records: &[Record], name: &str, value: fn(&Record) -> Option<f64>) -> Option<LineChart> {
    let points = points(records, value);
    (!points.is_empty()).then(|| LineChart {
        title: format!("{name} over the steps"),
        x_label: "step".to_owned(),
        y_label: name.to_owned(),
        series: vec![Series::new("", points)],
        ..LineChart::default()
    })
}

/// The same on a logarithmic axis, if all values are positive.
fn log(chart: LineChart) -> LineChart {
    let y_log = chart
        .series
        .iter()
        .flat_map(|series| &series.points)
        .all(|point| point.1 > 0.0);
    LineChart { y_log, ..chart }
}

fn points(records: &[Record], value: fn(&Record) -> Option<f64>) -> Vec<(f64, f64)> {
    let point = |record: &Record| Some((record.step as f64, value(record)?));
    records.iter().filter_map(point).collect()
}

fn smooth(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    const WINDOW: usize = 10;
    let mean = |end: usize| {
        let window = &points[(end + 1).saturating_sub(WINDOW)..=end];
        window.iter().map(|point| point.1).sum::<f64>() / window.len() as f64
    };
    (0..points.len()).map(|end| (points[end].0, mean(end))).collect()
}
