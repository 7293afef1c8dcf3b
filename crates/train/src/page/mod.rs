//! `report.html`: one page that shows a run. It is made from the run folder and the data set alone, so that the same
//! folder gives the same bytes; what is missing is said in a sentence.

mod likelihood;
mod neighbours;
mod process;
mod samples;
mod scores;
mod summary;
mod training;
mod trajectory;

use std::fs;
use std::path::{Path, PathBuf};

use report::Page;

pub use training::loss_chart;

use crate::log::MetricsLog;
use crate::trainer::environment::Environment;
use crate::trainer::folder::CONFIG_FILE;
use crate::{Dataset, RunConfig, TrainError};

/// Its name in the run folder.
pub const PAGE_FILE: &str = "report.html";

/// Writes the page of a run folder and says where it is. `data` is the data set, or the reason why there is none.
///
/// # Errors
/// The configuration or the metrics cannot be read, a table of the configuration is refused, or the page cannot be
/// written. Missing or damaged checkpoints, metrics, samples and data are no errors.
pub fn write(
    run_dir: &Path,
    config: &RunConfig,
    data: Result<&dyn Dataset, &TrainError>,
) -> Result<PathBuf, TrainError> {
    write_live(run_dir, config, data, None)
}

/// As [`write()`]; where `refresh` is given, a browser loads the page again every so many seconds.
///
/// # Errors
/// As [`write()`].
pub fn write_live(
    run_dir: &Path,
    config: &RunConfig,
    data: Result<&dyn Dataset, &TrainError>,
    refresh: Option<u32>,
) -> Result<PathBuf, TrainError> {
    let records = MetricsLog::read(run_dir)?;
    let mut page = Page::new(&config.name);
    if let Some(seconds) = refresh {
        page = page.refresh(seconds);
    }
    page = summary::add(page, run_dir, config, &records)?;
    page = training::add(page, &records)?;
    page = samples::add(page, run_dir, data)?;
    if let Ok(data) = data {
        page = neighbours::add(page, run_dir, config, data);
    }
    page = trajectory::add(page, run_dir);
    page = scores::add(page, run_dir);
    page = likelihood::add(page, run_dir, config.train.keep)?;
    page = process::add_schedules(page, config)?;
    page = process::add_sampler(page, config)?;
    let path = run_dir.join(CONFIG_FILE);
    let text = fs::read_to_string(&path).map_err(TrainError::io("read", &path))?;
    page = page
        .section("Configuration")
        .text("config.toml of the run folder. It alone reproduces the run.")
        .code(text.trim_end());
    page = page.section("Environment");
    page = match Environment::read(run_dir) {
        Some(environment) => page
            .text("What the process that worked on the run last was and had.")
            .table(&[], &environment.rows()),
        None => page.text("The run folder does not say what the run was trained on."),
    };
    let path = run_dir.join(PAGE_FILE);
    page.write(&path)?;
    Ok(path)
}

/// A number to four digits: 0.1234, 1235, 1.235e-5.
fn digits(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    if !(1e-3..1e6).contains(&magnitude) {
        let text = format!("{value:.3e}");
        let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{power}", trimmed(mantissa));
    }
    let decimals = (3.0 - magnitude.log10().floor()).max(0.0) as usize;
    trimmed(&format!("{value:.decimals$}")).to_owned()
}

/// An error, to two digits: 0.012, 12, 1.2e-5.
fn two_digits(error: f64) -> String {
    if !(error.is_finite() && error != 0.0) || (0.001..10.0).contains(&error.abs()) {
        let decimals = if error == 0.0 {
            0.0
        } else {
            1.0 - error.abs().log10().floor()
        };
        return format!("{error:.*}", decimals.max(0.0) as usize);
    }
    digits(format!("{error:.1e}").parse().unwrap_or(error))
}

/// Without zeros that say nothing.
fn trimmed(text: &str) -> &str {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => text,
    }
}

/// A whole number with its thousands set off: 1,797.
fn count(value: u64) -> String {
    let text = value.to_string();
    let mut out = String::new();
    for (i, digit) in text.chars().enumerate() {
        if i > 0 && (text.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{count, digits, two_digits};

    #[test]
    fn numbers_are_short() {
        let cases = [
            (0.0, "0"),
            (0.123_456, "0.1235"),
            (12.0, "12"),
            (99_999.9, "100000"),
            (-0.5, "-0.5"),
            (1.5e-5, "1.5e-5"),
            (2e9, "2e9"),
            (1_234_567.0, "1.235e6"),
            (f64::NAN, "NaN"),
        ];
        for (value, text) in cases {
            assert_eq!(digits(value), text);
        }
        let errors = [0.0, 0.012_34, 0.5, 5.04, 123.0, 0.000_054_3, f64::NAN].map(two_digits);
        assert_eq!(errors, ["0", "0.012", "0.50", "5.0", "120", "5.4e-5", "NaN"]);
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
