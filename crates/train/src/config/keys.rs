//! Checks a merged TOML table key by key and says which key is at fault.
//!
//! Serde's errors for internally tagged enums name no key. So when the whole table is refused, each leaf is tried
//! alone, with nothing but the `kind`s above it: the leaf that is refused even then is the one at fault, and serde's
//! message about it lists what would do.

use serde::Deserialize;
use toml::{Table, Value};

use super::load::{KINDED, join, parse_value};
use super::{RunConfig, Sources};
use crate::TrainError;

/// Makes a [`RunConfig`] of a table, mending what can only be meant in one way:
/// whole numbers written with an exponent, texts that look like numbers, and keys of a file that belong to another
/// kind than the one an argument asks for (`changed`), which are left out with a note.
pub(super) fn decode(
    table: &mut Table,
    sources: &mut Sources,
    changed: &[String],
    notes: &mut Vec<String>,
) -> Result<RunConfig, TrainError> {
    loop {
        let message = match try_decode(table) {
            Ok(config) => return Ok(config),
            Err(message) => message,
        };
        let Some(fault) = find_fault(table) else {
            return Err(missing(table, &message, sources));
        };
        if leave_out(table, &fault, sources, changed, notes) || mend(table, &fault, sources) {
            continue;
        }
        return Err(explain(table, &fault, sources));
    }
}

fn try_decode(table: &Table) -> Result<RunConfig, String> {
    RunConfig::deserialize(Value::Table(table.clone())).map_err(|e| e.message().to_string())
}

/// A leaf that is refused.
struct Fault {
    path: Vec<String>,
    message: String,
}

fn find_fault(table: &Table) -> Option<Fault> {
    let mut leaves = Vec::new();
    collect(table, &mut Vec::new(), &mut leaves);
    // Kinds first, outer before inner: a wrong kind makes every key below it look wrong.
    leaves.sort_by_key(|path| (path.last().is_none_or(|k| k != "kind"), path.len()));
    leaves
        .into_iter()
        .find_map(|path| match try_decode(&skeleton(table, &path)) {
            Err(message) if !message.starts_with("missing field") => Some(Fault { path, message }),
            _ => None,
        })
}

fn collect(table: &Table, above: &mut Vec<String>, leaves: &mut Vec<Vec<String>>) {
    for (key, value) in table {
        above.push(key.clone());
        match value {
            Value::Table(below) if !below.is_empty() => collect(below, above, leaves),
            _ => leaves.push(above.clone()),
        }
        above.pop();
    }
}

/// The table with nothing but the value at `path` and the kinds of the tables around it.
fn skeleton(table: &Table, path: &[String]) -> Table {
    let mut out = Table::new();
    if let Some(kind @ Value::String(_)) = table.get("kind") {
        out.insert("kind".to_string(), kind.clone());
    }
    if let [first, rest @ ..] = path {
        let value = match (table.get(first), rest.is_empty()) {
            (Some(Value::Table(below)), false) => Value::Table(skeleton(below, rest)),
            (Some(value), _) => value.clone(),
            (None, _) => Value::Table(Table::new()),
        };
        out.insert(first.clone(), value);
    }
    out
}

fn value_at<'a>(table: &'a mut Table, path: &[String]) -> Option<&'a mut Value> {
    let (last, above) = path.split_last()?;
    let mut slot = table;
    for part in above {
        slot = slot.get_mut(part)?.as_table_mut()?;
    }
    slot.get_mut(last)
}

/// The words between backticks.
fn quoted(message: &str) -> Vec<String> {
    message
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_string)
        .collect()
}

/// The shortest part of the fault's path that is refused as an unknown key.
fn unknown_path(table: &Table, fault: &Fault) -> Vec<String> {
    for end in 1..=fault.path.len() {
        let mut short = skeleton(table, &fault.path[..end]);
        if let Some(value) = value_at(&mut short, &fault.path[..end])
            && value.is_table()
        {
            *value = Value::Table(Table::new());
        }
        if try_decode(&short).is_err_and(|m| m == fault.message) {
            return fault.path[..end].to_vec();
        }
    }
    fault.path.clone()
}

/// Leaves a file's key out where an argument changed the kind of its table and the new kind does not know it.
fn leave_out(
    table: &mut Table,
    fault: &Fault,
    sources: &mut Sources,
    changed: &[String],
    notes: &mut Vec<String>,
) -> bool {
    if !fault.message.starts_with("unknown field") {
        return false;
    }
    let path = unknown_path(table, fault);
    let Some((last, above)) = path.split_last() else {
        return false;
    };
    let (key, table_key) = (path.join("."), above.join("."));
    if sources.is_argument(&key) || !changed.contains(&table_key) {
        return false;
    }
    let Some(below) = value_at(table, above).and_then(Value::as_table_mut) else {
        return false;
    };
    below.remove(last);
    let kind = below.get("kind").map(Value::to_string).unwrap_or_default();
    notes.push(format!(
        "{key}{} is no key of {table_key}.kind = {kind}: left out",
        sources.get(&key).suffix()
    ));
    sources.remove(&key);
    true
}

fn mend(table: &mut Table, fault: &Fault, sources: &Sources) -> bool {
    let key = fault.path.join(".");
    let Some(value) = value_at(table, &fault.path) else {
        return false;
    };
    let new = match (&*value, &fault.message) {
        // 1e5 where a whole number is needed.
        (Value::Float(f), m) if m.starts_with("invalid type: floating point") && whole(*f) => {
            Value::Integer(*f as i64)
        }
        // A text that happens to be a TOML value, given as an argument.
        (other, m) if !other.is_str() && m.ends_with("expected a string") => match sources.get(&key) {
            super::Source::Argument(text) => {
                let text = text.split_once([' ', '=']).map_or("", |(_, v)| v);
                if parse_value(text) != *other {
                    return false;
                }
                Value::String(text.to_string())
            }
            _ => return false,
        },
        _ => return false,
    };
    let old = std::mem::replace(value, new);
    let message = try_decode(&skeleton(table, &fault.path)).err();
    if message.is_none_or(|m| m.starts_with("missing field")) {
        return true;
    }
    if let Some(value) = value_at(table, &fault.path) {
        *value = old;
    }
    false
}

fn whole(f: f64) -> bool {
    f.fract() == 0.0 && f.abs() < 9e15
}

fn explain(table: &mut Table, fault: &Fault, sources: &Sources) -> TrainError {
    let path = fault.path.join(".");
    let value = value_at(table, &fault.path)
        .map(|v| v.to_string())
        .unwrap_or_default();
    if fault.message.starts_with("unknown field") {
        let path = unknown_path(table, fault);
        let words = quoted(&fault.message);
        return TrainError::Key {
            key: path.join("."),
            reason: format!(
                "unknown key; {}",
                nearest_key(&path, &words[1.min(words.len())..], table)
            ),
            origin: origin(&path, sources),
        };
    }
    let origin = origin(&fault.path, sources);
    if fault.message.starts_with("unknown variant") {
        let words = quoted(&fault.message);
        let (given, known) = words
            .split_first()
            .map_or(("", &[][..]), |(g, k)| (g.as_str(), k));
        let hint = nearest(given, known)
            .map(|n| format!("did you mean \"{n}\"? "))
            .unwrap_or_default();
        let reason = format!("{hint}known: {}", known.join(", "));
        return TrainError::Config {
            key: path,
            value,
            reason,
            origin,
        };
    }
    TrainError::Config {
        key: path,
        value,
        reason: plain(&fault.message),
        origin,
    }
}

/// The origin of a key, or of the first thing that was set below it.
fn origin(path: &[String], sources: &Sources) -> super::Source {
    sources.first_at_or_below(&path.join("."))
}

/// Serde's message about a wrong type in plain words.
fn plain(message: &str) -> String {
    let Some(rest) = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))
    else {
        return message.to_string();
    };
    let Some((found, expected)) = rest.rsplit_once(", expected ") else {
        return message.to_string();
    };
    let expected = match expected {
        "f64" | "f32" => "a number",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "a boolean" => "true or false",
        "variant identifier" => "the name of a kind",
        other if other.starts_with("struct ") || other.contains("tagged enum") || other == "a map" => {
            "a table"
        }
        other => other,
    };
    let found = match found.split([' ', '`']).next() {
        Some("floating") => "a number with a fraction",
        Some("integer") if found.contains('-') => "a negative number",
        Some("integer") => "a whole number",
        Some("string") => "a string",
        Some("boolean") => "true or false",
        Some("sequence") => "a list",
        Some("map") => "a table",
        _ => found,
    };
    format!("expected {expected}, found {found}")
}

fn nearest<'a>(word: &str, known: &'a [String]) -> Option<&'a str> {
    let score = |k: &str| {
        (
            strsim::normalized_damerau_levenshtein(word, k),
            strsim::jaro_winkler(word, k),
        )
    };
    let better = |a: &(f64, f64), b: &(f64, f64)| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1));
    known
        .iter()
        .map(|k| (score(k), k))
        .max_by(|a, b| better(&a.0, &b.0))
        .map(|(_, k)| k.as_str())
}

fn nearest_key(path: &[String], known: &[String], table: &Table) -> String {
    let (word, above) = path.split_last().expect("a fault has a path");
    let here = nearest(word, known);
    let score = here.map_or(0.0, |n| strsim::normalized_damerau_levenshtein(word, n));
    // A right key in a wrong table.
    if score < 0.6 {
        let mut leaves = Vec::new();
        if let Ok(Value::Table(all)) = Value::try_from(try_decode(&kinds_only(table)).unwrap_or_default()) {
            collect(&all, &mut Vec::new(), &mut leaves);
        }
        if let Some(found) = leaves.iter().find(|leaf| leaf.last() == Some(word)) {
            return format!("did you mean {}?", found.join("."));
        }
    }
    let above = above.join(".");
    match here {
        Some(near) if score >= 0.4 => format!("did you mean {}?", join(&above, near)),
        Some(near) => {
            format!(
                "the nearest is {}; known here: {}",
                join(&above, near),
                known.join(", ")
            )
        }
        None => "this table has no further keys".to_string(),
    }
}

/// The kinds of a table alone, to ask for the defaults that belong to them.
fn kinds_only(table: &Table) -> Table {
    let mut out = Table::new();
    for name in KINDED.into_iter().filter(|n| !n.contains('.')) {
        if let Some(kind) = table.get(name).and_then(|t| t.get("kind")) {
            out.insert(
                name.to_string(),
                Value::Table(Table::from_iter([("kind".to_string(), kind.clone())])),
            );
        }
    }
    out
}

/// The error for a table that lacks a key.
fn missing(table: &Table, message: &str, sources: &Sources) -> TrainError {
    let field = quoted(message).into_iter().next().unwrap_or_default();
    let refused_alone = |path: &&str| {
        let parts: Vec<String> = path.split('.').map(str::to_string).collect();
        let mut whole = table.clone();
        let Some(content) = value_at(&mut whole, &parts).cloned() else {
            return false;
        };
        if field == "kind" && content.get("kind").is_some() {
            return false;
        }
        let mut alone = skeleton(table, &parts);
        if let Some(slot) = value_at(&mut alone, &parts) {
            *slot = content;
        }
        try_decode(&alone).is_err_and(|m| m == message)
    };
    let place = KINDED.into_iter().find(refused_alone).unwrap_or_default();
    let parts: Vec<String> = place.split('.').map(str::to_string).collect();
    let reason = if message.starts_with("missing field") {
        format!(
            "this key is needed and missing; give it in [{place}] or as --{} VALUE",
            join(place, &field)
        )
    } else {
        message.to_string()
    };
    TrainError::Key {
        key: join(place, &field),
        reason,
        origin: origin(&parts, sources),
    }
}
