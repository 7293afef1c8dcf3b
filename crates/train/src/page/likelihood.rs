//! What data are worth under the model.

use std::path::Path;

use report::Page;
use report::plot::{Histogram, histogram};

use super::{count, digits, two_digits};
use crate::TrainError;
use crate::checkpoint::Store;
use crate::evaluate::{LikelihoodFile, LikelihoodReport};

/// The section, where a likelihood was measured.
pub(super) fn add(page: Page, run_dir: &Path, keep: u64) -> Result<Page, TrainError> {
    let file = match LikelihoodFile::read(run_dir) {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(page),
        Err(error) => {
            let text = format!("The likelihood cannot be shown: {error}");
            return Ok(page.section("Likelihood").text(&text));
        }
    };
    let found = &file.report;
    let newest = Store::new(run_dir, keep)
        .newest()?
        .found
        .map(|(_, state)| state.step);
    let mut page = page.section("Likelihood").numbers(&numbers(found));
    if let (Some(step), Some(newest)) = (found.step, newest)
        && step != newest
    {
        page = page.text(&format!(
            "Measured at step {}, before the newest checkpoint.",
            count(step)
        ));
    }
    page = page.text(&how(found));
    if let Some(note) = found.note() {
        page = page.text(note);
    }
    let unit = |nats: f64| match found.levels {
        Some(_) => nats / (found.dim as f64 * std::f64::consts::LN_2),
        None => nats,
    };
    let of_what = match found.levels {
        Some(_) => "bits per dimension",
        None => "negative log likelihood (nats)",
    };
    let chart = Histogram {
        title: format!("Histogram of {of_what} over the rows"),
        x_label: of_what.to_owned(),
        y_label: "rows".to_owned(),
        values: file.values.nll.iter().map(|nats| unit(*nats)).collect(),
        mark: Some(unit(found.nll_nats)),
    };
    let caption = format!(
        "{} of each of {} rows, and their mean",
        of_what,
        count(found.rows)
    );
    Ok(match histogram(&chart) {
        Ok(svg) => page.figure_svg(&caption, &svg),
        Err(error) => page.text(&format!("The rows cannot be shown: {error}")),
    })
}

fn numbers(found: &LikelihoodReport) -> Vec<(&'static str, String)> {
    let with = |value: f64, error: Option<f64>| match error {
        Some(error) => format!("{} ± {}", digits(value), two_digits(error)),
        None => digits(value),
    };
    let mut numbers = Vec::new();
    if let Some(bits) = found.bits_per_dim {
        numbers.push(("bits per dimension", with(bits, found.bits_standard_error)));
    }
    numbers.push(("nats a row", with(found.nll_nats, found.standard_error)));
    if let Some(bound) = &found.bound {
        match bound.bits_per_dim {
            Some(bits) => numbers.push(("bound, bits per dimension", with(bits, bound.bits_standard_error))),
            None => numbers.push(("bound, nats a row", with(bound.nll_nats, bound.standard_error))),
        }
    }
    numbers.push(("rows", count(found.rows)));
    numbers.push(("evaluations of the flow", count(found.nfe)));
    numbers.push(("seconds", digits(found.seconds)));
    numbers
}

fn how(found: &LikelihoodReport) -> String {
    let what = match found.levels {
        Some(levels) => format!(
            "of the {levels} levels of the data, dequantised {} a row",
            match found.repeats {
                1 => "once".to_owned(),
                times => format!("{} times", count(u64::from(times))),
            }
        ),
        None => "minus the log of a density in the units of the data".to_owned(),
    };
    let divergence = match found.probes {
        None => "its exact divergence".to_owned(),
        Some(1) => "one random probe of its divergence a row".to_owned(),
        Some(probes) => format!(
            "{} random probes of its divergence a row",
            count(u64::from(probes))
        ),
    };
    let bound = match &found.bound {
        None => String::new(),
        Some(_) => " The bound lies above the value of the reverse SDE, which is another density than that of the flow where the score \
                    is not exact."
            .to_owned(),
    };
    format!(
        "Negative log likelihood of {} of {} {} of {}: {what}. By the probability flow with the averaged weights and {divergence}, at \
         relative tolerance {}, of the data as noised up to t = {}; lower is better. After ±: the standard error over rows.{bound}",
        count(found.rows),
        count(found.of_rows),
        found.part.rows(),
        found.data,
        digits(found.rtol),
        digits(found.t),
    )
}
