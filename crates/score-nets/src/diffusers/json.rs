//! JSON files of a diffusers folder: read with a limit, keys once each.

use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::DiffusersError;
use crate::weights::files::read_at_most;

/// Bytes of such a file at most: betas of a million rungs fit.
const LONGEST: u64 = 1 << 25;

/// What diffusers itself writes beside the keys.
pub(super) const METADATA: [&str; 3] = ["_class_name", "_diffusers_version", "_name_or_path"];

/// The version of the library whose keys and names are written here.
pub(super) const VERSION: &str = "0.42.1";

/// An object in which no key comes twice.
struct Strict(Map<String, Value>);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Strict;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Strict, A::Error> {
                let mut map = Map::new();
                while let Some((key, value)) = from.next_entry::<String, Value>()? {
                    if map.contains_key(&key) {
                        return Err(serde::de::Error::custom(format!("the key `{key}` comes twice")));
                    }
                    map.insert(key, value);
                }
                Ok(Strict(map))
            }
        }
        from.deserialize_map(Keys)
    }
}

/// Python writes these numbers, which JSON does not have: a scheduler's file may hold them (`lambda_min_clipped`).
const NOT_FINITE: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// Marks a text that stands for such a number.
const MARK: &str = "not finite: ";

/// The text with such numbers as marked texts.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let (mut inside, mut escaped) = (false, false);
    while let Some(c) = rest.chars().next() {
        let token = NOT_FINITE
            .iter()
            .find(|token| !inside && rest.starts_with(**token));
        if let Some(token) = token {
            out.extend(["\"", MARK, token, "\""]);
            rest = &rest[token.len()..];
            continue;
        }
        match c {
            '"' if !escaped => inside = !inside,
            _ => {}
        }
        escaped = inside && c == '\\' && !escaped;
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}

pub(super) fn parse(file: &Path, text: &str) -> Result<Map<String, Value>, DiffusersError> {
    let parsed: Result<Strict, _> = serde_json::from_str(&quoted(text));
    parsed.map(|strict| strict.0).map_err(|e| DiffusersError::Json {
        file: file.into(),
        reason: e.to_string(),
    })
}

pub(super) fn read(file: &Path) -> Result<Map<String, Value>, DiffusersError> {
    let bytes = read_at_most(file, LONGEST).map_err(|source| DiffusersError::Io {
        file: file.into(),
        what: "cannot read",
        source,
    })?;
    let text = String::from_utf8(bytes).map_err(|_| DiffusersError::Json {
        file: file.into(),
        reason: "not text in UTF-8".into(),
    })?;
    parse(file, &text)
}

/// The text of the class that a file is about.
pub(super) fn class(file: &Path, map: &Map<String, Value>) -> Result<Option<String>, DiffusersError> {
    match map.get("_class_name") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) => Ok(Some(name.clone())),
        Some(other) => Err(DiffusersError::key(
            file,
            "_class_name",
            short(other),
            "need the name of a class",
        )),
    }
}

/// A value as it stands in a file, cut to a line.
pub(super) fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}

/// As the library writes it: sorted keys, two spaces, a newline at the end.
pub(super) fn text(map: &Map<String, Value>) -> String {
    let sorted: std::collections::BTreeMap<_, _> = map.iter().collect();
    // Keys are texts and numbers are finite: nothing here fails.
    let mut text = serde_json::to_string_pretty(&sorted).unwrap_or_default();
    for token in NOT_FINITE {
        text = text.replace(&format!("\"{MARK}{token}\""), token);
    }
    text.push('\n');
    text
}
