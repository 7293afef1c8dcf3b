//! Series of the UCR and UEA archives (Dau et al. 2019, arXiv:1810.07758; Bagnall et al. 2018, arXiv:1811.00075): `.ts` files
//! with a header, and `.tsv` files whose first value is the class.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cache;
use super::csv::{number, read_text};
use super::files::damaged;
use super::{MemoryDataset, ScalingKind, Values};
use crate::TrainError;

/// `kind = "ucr"`: series with classes, of one or several channels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UcrConfig {
    /// Name of a set; of those in the cache, or whose files lie in the folder `path`.
    pub set: String,
    /// A `.ts` or `.tsv` file, or a folder with `<set>_TRAIN.ts` and `<set>_TEST.ts` (or `.tsv`); the cache if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Which files of a set.
    pub split: UcrSplit,
    /// What becomes of series that are shorter than the longest one.
    pub pad: Padding,
    /// Range of the values.
    pub scaling: ScalingKind,
}

impl Default for UcrConfig {
    fn default() -> Self {
        UcrConfig {
            set: "ItalyPowerDemand".to_owned(),
            path: None,
            split: UcrSplit::Train,
            pad: Padding::Refuse,
            scaling: ScalingKind::ZScore,
        }
    }
}

/// Files of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UcrSplit {
    /// The training file.
    Train,
    /// The test file.
    Test,
    /// Both, the training file first.
    All,
}

/// What becomes of series that are shorter than the longest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Padding {
    /// They are an error.
    Refuse,
    /// Zeros follow.
    Zero,
    /// Their last value is repeated.
    Edge,
}

/// One series: its channels, its class as written, and where it stands.
struct Series {
    channels: Vec<Vec<f32>>,
    class: Option<String>,
    place: (PathBuf, u64),
}

/// Reads the files of a set into rows `[channels, length]`.
///
/// Classes are numbered in the order of their values where all are numbers, else by name.
///
/// # Errors
/// A file is absent or damaged: the error names file, line and channel; series of different lengths, unless they are padded.
pub fn ucr(config: &UcrConfig) -> Result<MemoryDataset, TrainError> {
    let mut all = Vec::new();
    for path in files(config)? {
        let text = read_text(&path)?;
        match path.extension().and_then(|e| e.to_str()) {
            Some("tsv") => read_tsv(&path, &text, &mut all)?,
            _ => read_ts(&path, &text, &mut all)?,
        }
    }
    let Some(first) = all.first() else {
        let reason = "it is empty: no line of numbers".to_owned();
        return Err(TrainError::Data {
            name: config.set.clone(),
            reason,
        });
    };
    let (channels, shown) = (first.channels.len(), first.place.1);
    let length = |series: &Series| series.channels.iter().map(Vec::len).max().unwrap_or(0);
    let longest = all.iter().map(length).max().unwrap_or(0);
    let mut values = Vec::with_capacity(all.len() * channels * longest);
    for Series {
        channels: row,
        place: (path, line),
        ..
    } in &all
    {
        let bad = |reason: String| Err(damaged(path, &format!("line {line}: {reason}")));
        if row.len() != channels {
            return bad(format!("{} channels, line {shown} has {channels}", row.len()));
        }
        for (channel, series) in row.iter().enumerate() {
            let missing = longest - series.len();
            let fill = match (config.pad, series.last()) {
                (_, None) => return bad(format!("channel {} is empty", channel + 1)),
                (Padding::Refuse, _) if missing > 0 => {
                    return bad(format!(
                        "{} values in channel {}, the longest series has {longest}; data.pad = \"edge\" or \"zero\" fills them up",
                        series.len(),
                        channel + 1
                    ));
                }
                (Padding::Zero, _) => 0.0,
                (_, Some(last)) => *last,
            };
            values.extend_from_slice(series);
            values.extend(std::iter::repeat_n(fill, missing));
        }
    }
    let shape = [channels as i64, longest as i64];
    let labels = numbered(&all);
    MemoryDataset::new("ucr", &shape, Values::Real(values), labels, config.scaling, false)
}

/// The files of the set, in order.
fn files(config: &UcrConfig) -> Result<Vec<PathBuf>, TrainError> {
    let folder = match &config.path {
        Some(path) if !path.is_dir() => return Ok(vec![path.clone()]),
        Some(folder) => folder.clone(),
        None => cache::data_folder("ucr")?,
    };
    let parts = match config.split {
        UcrSplit::Train => &["TRAIN"][..],
        UcrSplit::Test => &["TEST"],
        UcrSplit::All => &["TRAIN", "TEST"],
    };
    let find = |part: &&str| {
        let stem = format!("{}_{part}", config.set);
        // The archives hold a folder for each set.
        let candidates = ["ts", "tsv"].map(|end| format!("{stem}.{end}")).into_iter();
        candidates
            .flat_map(|name| [folder.join(&name), folder.join(&config.set).join(&name)])
            .find(|path| path.is_file())
            .ok_or_else(|| TrainError::Data {
                name: "ucr".to_owned(),
                reason: format!(
                    "{} has no {stem}.ts (or .tsv); run `sde data fetch ucr`, or name a file or a folder that has it with data.path",
                    folder.display()
                ),
            })
    };
    parts.iter().map(find).collect()
}

/// `@` keys, then a line a series: channels apart by `:`, values by `,`, the class last if there are classes.
fn read_ts(path: &Path, text: &str, all: &mut Vec<Series>) -> Result<(), TrainError> {
    let (mut classes, mut data) = (false, false);
    for (line, number) in text.lines().zip(1..) {
        let bad = |reason: &str| damaged(path, &format!("line {number}: {reason}"));
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(key) = line.strip_prefix('@') {
            let mut words = key.split_whitespace().map(str::to_lowercase);
            let (name, value) = (words.next().unwrap_or_default(), words.next());
            let on = value.as_deref() == Some("true");
            match name.as_str() {
                "data" => data = true,
                "classlabel" => classes = on,
                "timestamps" if on => return Err(bad("series with time stamps are not read")),
                "targetlabel" if on => return Err(bad("series with target values are not read")),
                _ => {}
            }
            continue;
        }
        if !data {
            return Err(bad("a line of values before @data: this is no .ts file"));
        }
        let mut parts: Vec<&str> = line.split(':').collect();
        let class = match (classes, parts.len()) {
            (false, _) => None,
            (true, 0..=1) => return Err(bad("no class after the values, but @classLabel is true")),
            (true, _) => parts.pop().map(|class| class.trim().to_owned()),
        };
        let channels = parts.iter().zip(1..).map(|(part, channel)| {
            let cells = part.split(',').zip(1..);
            let read = cells.map(|(cell, at)| {
                number_of(cell).map_err(|what| bad(&format!("channel {channel}, value {at}: {what}")))
            });
            read.collect::<Result<Vec<f32>, _>>()
        });
        all.push(Series {
            channels: channels.collect::<Result<_, _>>()?,
            class,
            place: (path.to_path_buf(), number),
        });
    }
    match data {
        true => Ok(()),
        false => Err(damaged(
            path,
            "has no line @data: this is no .ts file, or it is truncated",
        )),
    }
}

/// A line a series: the class, then the values; NaN where a series has ended.
fn read_tsv(path: &Path, text: &str, all: &mut Vec<Series>) -> Result<(), TrainError> {
    for (line, number) in text.lines().zip(1..) {
        let bad = |reason: String| damaged(path, &format!("line {number}: {reason}"));
        let mut cells: Vec<&str> = line.split_whitespace().collect();
        if cells.is_empty() {
            continue;
        }
        let class = cells.remove(0).to_owned();
        while cells.last().is_some_and(|cell| cell.eq_ignore_ascii_case("nan")) {
            cells.pop();
        }
        let values = cells
            .iter()
            .zip(1..)
            .map(|(cell, at)| number_of(cell).map_err(|what| bad(format!("value {at}: {what}"))));
        all.push(Series {
            channels: vec![values.collect::<Result<_, _>>()?],
            class: Some(class),
            place: (path.to_path_buf(), number),
        });
    }
    Ok(())
}

fn number_of(cell: &str) -> Result<f32, String> {
    match cell.trim() {
        "?" => Err("a value is missing".to_owned()),
        cell => number(cell),
    }
}

/// The classes as numbers from 0.
fn numbered(all: &[Series]) -> Option<Vec<u32>> {
    let written: Vec<&str> = all
        .iter()
        .map(|series| series.class.as_deref())
        .collect::<Option<_>>()?;
    let mut distinct = written.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let value = |class: &&str| class.parse::<f64>().ok().filter(|v| v.is_finite());
    if distinct.iter().all(|class| value(class).is_some()) {
        distinct.sort_by(|a, b| value(a).unwrap_or(0.0).total_cmp(&value(b).unwrap_or(0.0)));
    }
    let index = |class: &str| distinct.iter().position(|other| *other == class).unwrap_or(0) as u32;
    Some(written.into_iter().map(index).collect())
}
