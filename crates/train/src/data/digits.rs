//! The embedded digits (E. Alpaydin and C. Kaynak, UCI; CC BY 4.0, see `data/digits/ATTRIBUTION.md`).

use std::io::Read;

use super::{DigitsConfig, MemoryDataset, Values};
use crate::TrainError;

static FILE: &[u8] = include_bytes!("../../data/digits/digits.csv.gz");

/// 1,797 digits of shape `[1, 8, 8]` with 17 levels and their classes 0 to 9.
///
/// # Errors
/// Never for the embedded file, which a test reads.
pub fn digits(config: &DigitsConfig) -> Result<MemoryDataset, TrainError> {
    let damaged = |reason: String| TrainError::Format {
        path: "embedded digits.csv.gz".into(),
        reason,
    };
    let mut text = String::new();
    flate2::read::GzDecoder::new(FILE)
        .read_to_string(&mut text)
        .map_err(|e| damaged(e.to_string()))?;
    let (mut pixels, mut labels) = (Vec::with_capacity(1797 * 64), Vec::with_capacity(1797));
    for (line, text) in text.lines().enumerate() {
        let row: Result<Vec<u8>, _> = text.split(',').map(str::parse).collect();
        match row.as_deref() {
            Ok([image @ .., label]) if image.len() == 64 => {
                pixels.extend_from_slice(image);
                labels.push(u32::from(*label));
            }
            _ => return Err(damaged(format!("line {} is no digit", line + 1))),
        }
    }
    let values = Values::Levels(pixels, 17);
    MemoryDataset::new(
        "digits",
        &[1, 8, 8],
        values,
        Some(labels),
        config.scaling,
        config.dequantise,
    )
}
