//! From TOML text and dotted overrides to a checked [`RunConfig`].

use std::path::Path;

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::{LossConfig, RunConfig, Source, Sources, defaults, keys};
use crate::TrainError;

/// `--KEY.PATH VALUE` of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// Dotted key; dashes in it count as underscores.
    pub key: String,
    /// TOML value; what is no TOML value counts as a string.
    pub value: String,
    /// The argument as typed, for errors.
    pub argument: String,
}

impl Override {
    /// `--key value`.
    pub fn new(key: &str, value: &str) -> Self {
        Override {
            key: key.replace('-', "_"),
            value: value.to_string(),
            argument: format!("--{key} {value}"),
        }
    }
}

/// A configuration and where its values stand.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration, resolved.
    pub config: RunConfig,
    /// Where each value stands.
    pub sources: Sources,
    /// What the user should know, for example keys left out because an argument changed the table's kind.
    pub notes: Vec<String>,
}

/// Tables that have a `kind`. A string in the place of such a table means its kind: `loss.time = "importance"`.
pub(super) const KINDED: [&str; 10] = [
    "data",
    "sde",
    "net",
    "precond",
    "loss",
    "sampler",
    "sampler.grid",
    "sampler.clip_x0",
    "loss.weighting",
    "loss.time",
];

const BUDGETS: [&str; 3] = ["images", "steps", "seconds"];

/// Reads a configuration file and applies overrides to it.
///
/// # Errors
/// The file is absent or no TOML; a key is unknown, lacks or has a wrong type; a value is out of range.
pub fn load_file(path: &Path, overrides: &[Override]) -> Result<Loaded, TrainError> {
    if path.is_dir() {
        return Err(TrainError::Format {
            path: path.to_path_buf(),
            reason: "is a folder, need a configuration file (TOML)".to_string(),
        });
    }
    let bytes = std::fs::read(path).map_err(TrainError::io("read the configuration", path))?;
    let text = String::from_utf8(bytes).map_err(|e| TrainError::Format {
        path: path.to_path_buf(),
        reason: format!("is no text: byte {} is not UTF-8", e.utf8_error().valid_up_to()),
    })?;
    load_text(&text, path, overrides)
}

/// As [`load_file`], from text; `file` only names the text in errors.
///
/// # Errors
/// As [`load_file`].
pub fn load_text(text: &str, file: &Path, overrides: &[Override]) -> Result<Loaded, TrainError> {
    let mut sources = Sources::default();
    let mut notes = Vec::new();
    let mut table = parse(text, file, &mut sources)?;
    expand_kinds(&mut table, &mut sources);
    let mut changed = Vec::new();
    for item in overrides {
        apply(&mut table, item, &mut sources, &mut changed)?;
        expand_kinds(&mut table, &mut sources);
    }
    preset_of_an_argument(&mut table, &mut sources, &changed, &mut notes);
    one_budget(&mut table, &mut sources)?;
    defaults::scaling(&mut table, &mut sources);
    defaults::net(&mut table, &mut sources);
    defaults::absolute_paths(&mut table, &sources, file);
    let noise_of_data = defaults::asks_for_largest_noise(&mut table);
    let mut config = keys::decode(&mut table, &mut sources, &changed, &mut notes)?;
    if noise_of_data {
        defaults::largest_noise(&mut config, &sources)?;
    }
    config.sde = config.sde.resolved();
    config.check(&sources)?;
    Ok(Loaded {
        config,
        sources,
        notes,
    })
}

fn parse(text: &str, file: &Path, sources: &mut Sources) -> Result<Table, TrainError> {
    let document = DeTable::parse(text).map_err(|e| {
        let (line, column) = place(text, e.span().map_or(0, |s| s.start));
        let reason = e.message().lines().collect::<Vec<_>>().join(", ");
        TrainError::Syntax {
            file: file.to_path_buf(),
            line,
            column,
            reason,
        }
    })?;
    record(text, file, document.get_ref(), "", sources);
    // The document parsed, so its conversion to values fails only on numbers out of range.
    text.parse::<Table>().map_err(|e| {
        let (line, column) = place(text, e.span().map_or(0, |s| s.start));
        TrainError::Syntax {
            file: file.to_path_buf(),
            line,
            column,
            reason: match e.message().starts_with("invalid type: integer") {
                true => "the number is too large: TOML holds whole numbers below 2^63".to_string(),
                false => e.message().to_string(),
            },
        }
    })
}

fn record(text: &str, file: &Path, table: &DeTable, above: &str, sources: &mut Sources) {
    for (key, value) in table {
        let dotted = join(above, key.get_ref());
        let (line, _) = place(text, key.span().start);
        sources.set(
            dotted.clone(),
            Source::File {
                path: file.to_path_buf(),
                line,
            },
        );
        if let DeValue::Table(below) = Spanned::get_ref(value) {
            record(text, file, below, &dotted, sources);
        }
    }
}

/// Line and column, from 1, of a byte offset.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
    let start = before.iter().rposition(|&b| b == b'\n').map_or(0, |p| p + 1);
    (
        line,
        String::from_utf8_lossy(&before[start..]).chars().count() + 1,
    )
}

pub(super) fn join(above: &str, key: &str) -> String {
    if above.is_empty() {
        key.to_string()
    } else {
        format!("{above}.{key}")
    }
}

fn expand_kinds(table: &mut Table, sources: &mut Sources) {
    for path in KINDED {
        let (above, last) = path.rsplit_once('.').map_or((None, path), |(a, l)| (Some(a), l));
        let place = match above {
            None => Some(&mut *table),
            Some(above) => table.get_mut(above).and_then(Value::as_table_mut),
        };
        let Some(slot) = place.and_then(|t| t.get_mut(last)) else {
            continue;
        };
        if let Value::String(kind) = slot {
            *slot = Value::Table(Table::from_iter([(
                "kind".to_string(),
                Value::String(std::mem::take(kind)),
            )]));
            sources.set(format!("{path}.kind"), sources.get(path));
        }
    }
}

/// Applies one override; kinded tables whose kind it changes go into `changed`.
fn apply(
    table: &mut Table,
    item: &Override,
    sources: &mut Sources,
    changed: &mut Vec<String>,
) -> Result<(), TrainError> {
    let origin = Source::Argument(item.argument.clone());
    let mut parts: Vec<&str> = item.key.split('.').collect();
    if parts.iter().any(|p| p.is_empty()) {
        return Err(TrainError::Usage(format!(
            "{}: the key has an empty part",
            item.argument
        )));
    }
    let value = parse_value(&item.value);
    if KINDED.contains(&item.key.as_str()) && value.is_str() {
        parts.push("kind");
    }
    let key = parts.join(".");
    let (last, above) = parts.split_last().expect("split gives at least one part");
    let mut slot = &mut *table;
    let mut path = String::new();
    for part in above {
        path = join(&path, part);
        let entry = slot
            .entry(part.to_string())
            .or_insert_with(|| Value::Table(Table::new()));
        slot = match entry {
            Value::Table(below) => below,
            other => {
                return Err(TrainError::Key {
                    key: item.key.clone(),
                    reason: format!("{path} is {}, no table", other.type_str()),
                    origin,
                });
            }
        };
    }
    let old = slot.insert(last.to_string(), value.clone());
    if *last == "kind" && old.is_some_and(|old| old != value) {
        changed.push(above.join("."));
    }
    sources.remove(&key);
    sources.set(key, origin);
    Ok(())
}

/// A TOML value, or the text itself.
pub(super) fn parse_value(text: &str) -> Value {
    let document = toml::de::ValueDeserializer::parse(text);
    match document.map(<Value as serde::Deserialize>::deserialize) {
        Ok(Ok(value)) => value,
        _ => Value::String(text.to_string()),
    }
}

/// One budget: an argument's replaces the file's, two from the same place are an error.
fn one_budget(table: &mut Table, sources: &mut Sources) -> Result<(), TrainError> {
    let train = table.entry("train").or_insert_with(|| Value::Table(Table::new()));
    let Some(train) = train.as_table_mut() else {
        return Ok(());
    };
    let given = |train: &Table| {
        BUDGETS
            .into_iter()
            .filter(|b| train.contains_key(*b))
            .collect::<Vec<_>>()
    };
    let names = given(train);
    if names.iter().any(|b| sources.is_argument(&format!("train.{b}"))) {
        for name in names {
            let key = format!("train.{name}");
            if !sources.is_argument(&key) {
                train.remove(name);
                sources.remove(&key);
            }
        }
    }
    if let [first, second, ..] = given(train)[..] {
        return Err(TrainError::Key {
            key: format!("train.{second}"),
            reason: format!("train.{first} is given as well; a run has one budget: images, steps or seconds"),
            origin: sources.get(&format!("train.{second}")),
        });
    }
    if given(train).is_empty() {
        train.insert(
            "images".to_string(),
            Value::Integer(super::TrainConfig::DEFAULT_IMAGES as i64),
        );
    }
    Ok(())
}

/// A preset that an argument asks for stands for its own weights, times and reduction, not for those that a file gives to another
/// kind of loss.
fn preset_of_an_argument(
    table: &mut Table,
    sources: &mut Sources,
    changed: &[String],
    notes: &mut Vec<String>,
) {
    let Some(loss) = table.get_mut("loss").and_then(Value::as_table_mut) else {
        return;
    };
    let kind = loss
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    if !(changed.iter().any(|key| key == "loss") && LossConfig::PRESETS.contains(&kind.as_str())) {
        return;
    }
    for name in LossConfig::PRESET_KEYS {
        let key = format!("loss.{name}");
        if loss.contains_key(name) && !sources.any_argument(&key) {
            loss.remove(name);
            let place = sources.first_at_or_below(&key).suffix();
            notes.push(format!("{key}{place} is left to loss.kind = \"{kind}\""));
            sources.remove(&key);
        }
    }
}
