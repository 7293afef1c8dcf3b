//! Series from a CSV file: a line is a row, all of one length.

use std::io::Read;
use std::path::Path;

use super::files::{damaged, open_unpacked, read_error};
use super::{CsvConfig, MemoryDataset, Values};
use crate::TrainError;

/// Reads `config.path` into rows of shape `[1, length]`.
///
/// Cells are numbers; blank lines are passed over. A first line without any number is a header, unless
/// `config.header` says. The delimiter is ASCII, as [`super::DataConfig::check`] demands.
///
/// # Errors
/// [`TrainError::Io`], or [`TrainError::Format`] naming line and column: text, a value that is not finite, an empty cell,
/// a line of another length, fewer than two rows.
pub fn csv(config: &CsvConfig) -> Result<MemoryDataset, TrainError> {
    let path = config.path.as_path();
    let bad = |reason: String| damaged(path, &reason);
    let text = read_text(path)?;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(config.delimiter as u8)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let (mut values, mut length, mut rows, mut first) = (Vec::new(), 0, 0usize, true);
    for record in reader.records() {
        let record = record.map_err(|e| bad(format!("is no CSV: {e}")))?;
        let line = record.position().map_or(0, csv::Position::line);
        if std::mem::take(&mut first) {
            let numbers = record.iter().filter(|cell| cell.parse::<f64>().is_ok()).count();
            if config.header.unwrap_or(numbers == 0 && !record.is_empty()) {
                continue;
            }
        }
        if rows == 0 {
            length = record.len();
        } else if record.len() != length {
            return Err(bad(format!(
                "line {line}: {} values, the rows before have {length}",
                record.len()
            )));
        }
        for (column, cell) in record.iter().enumerate() {
            let value =
                number(cell).map_err(|what| bad(format!("line {line}, column {}: {what}", column + 1)))?;
            values.push(value);
        }
        rows += 1;
    }
    match rows {
        0 => return Err(bad("is empty: no line of numbers".to_string())),
        1 => return Err(bad("has a single row; a data set needs two or more".to_string())),
        _ => {}
    }
    MemoryDataset::new(
        "csv",
        &[1, length as i64],
        Values::Real(values),
        None,
        config.scaling,
        false,
    )
}

pub(super) fn read_text(path: &Path) -> Result<String, TrainError> {
    let (mut file, packed) = open_unpacked(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .map_err(|e| read_error(path, packed, e))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = e.as_bytes()[..at].iter().filter(|&&b| b == b'\n').count() + 1;
        damaged(path, &format!("line {line}: is no text (UTF-8)"))
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_string).unwrap_or(text))
}

pub(super) fn number(cell: &str) -> Result<f32, String> {
    if cell.is_empty() {
        return Err("the cell is empty".to_string());
    }
    let shown: String = cell.chars().take(40).collect();
    match cell.parse::<f64>() {
        Err(_) => Err(format!("{shown:?} is no number")),
        Ok(v) if !v.is_finite() => Err(format!("{shown} is not finite")),
        Ok(v) if !(v as f32).is_finite() => Err(format!("{shown} is too large for single precision")),
        Ok(v) => Ok(v as f32),
    }
}
