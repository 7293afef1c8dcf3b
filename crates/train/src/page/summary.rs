//! What a run came to, in a few numbers.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use report::Page;
use serde::Deserialize;

use super::{count, digits};
use crate::checkpoint::{Store, TENSOR_FILES};
use crate::config::Budget;
use crate::log::Record;
use crate::trainer::folder::seconds_of_training;
use crate::{RunConfig, TrainError};

pub(super) fn add(
    mut page: Page,
    run_dir: &Path,
    config: &RunConfig,
    records: &[Record],
) -> Result<Page, TrainError> {
    let newest = Store::new(run_dir, config.train.keep).newest()?;
    let last = records.last();
    let state = newest.found.as_ref().map(|(_, state)| state);
    // Training may have gone on after the newest checkpoint, and a checkpoint may be newer than the last line.
    let line = last.filter(|line| state.is_none_or(|state| line.step > state.step));
    let (step, images, loss, seconds) = match (line, state) {
        (Some(line), _) => (line.step, line.images, line.loss, line.seconds),
        (None, Some(state)) => (
            state.step,
            state.images,
            state.mean_loss(usize::MAX),
            seconds_of_training(run_dir),
        ),
        (None, None) => (0, 0, None, 0.0),
    };
    let mut numbers = vec![("steps", count(step)), ("images", count(images))];
    if seconds > 0.0 {
        numbers.push(("seconds of training", digits(seconds)));
        numbers.push(("images a second", digits(images as f64 / seconds)));
    }
    if let Some(loss) = loss {
        numbers.push(("training loss", digits(loss)));
    }
    if let Some(loss) = records.iter().rev().find_map(|record| record.val_loss) {
        numbers.push(("loss on held-out rows", digits(loss)));
    }
    if let Some((folder, state)) = &newest.found {
        if let Some(values) = trainable_values(&folder.join(TENSOR_FILES[2])) {
            numbers.push(("trainable values", count(values)));
        }
        numbers.push(("newest checkpoint", format!("step {}", count(state.step))));
    }
    let skipped = line.map_or(state.map_or(0, |state| state.skipped), |line| line.skipped);
    if skipped > 0 {
        numbers.push(("steps skipped", count(skipped)));
    }
    let budget = match config.train.budget() {
        Budget::Images(images) => format!("{} images", count(images)),
        Budget::Steps(steps) => format!("{} steps", count(steps)),
        Budget::Seconds(seconds) => format!("{} seconds", digits(seconds)),
    };
    page = page.text(&format!(
        "A score-based generative model of the data set {}, trained in batches of {}{} with a budget of {budget}.",
        config.data.kind(),
        count(config.train.batch),
        match config.train.accumulate {
            1 => String::new(),
            batches => format!(", {} of them a step,", count(batches)),
        },
    ));
    page = page.numbers(&numbers);
    if newest.found.is_none() {
        page = page.text("The run has no whole checkpoint yet.");
    }
    for (path, error) in &newest.damaged {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        page = page.text(&format!("Checkpoint {name} is damaged and passed over: {error}"));
    }
    Ok(page)
}

/// How many values the optimiser of a checkpoint moves: the sizes of its first moments, which the header of its file
/// tells.
fn trainable_values(optim: &Path) -> Option<u64> {
    /// More than any header that the library writes.
    const MOST: u64 = 100 << 20;
    #[derive(Deserialize)]
    struct Entry {
        #[serde(default)]
        shape: Vec<u64>,
    }
    let mut file = File::open(optim).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let length = Some(u64::from_le_bytes(length)).filter(|&n| n <= MOST)?;
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header).ok()?;
    let entries: HashMap<String, Entry> = serde_json::from_slice(&header).ok()?;
    let moments = entries.iter().filter(|(name, _)| name.starts_with("first."));
    Some(
        moments
            .map(|(_, entry)| entry.shape.iter().product::<u64>())
            .sum(),
    )
}
