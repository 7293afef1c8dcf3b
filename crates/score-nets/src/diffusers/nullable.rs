//! A value or nothing, where nothing is not the default: `null` in JSON, `"none"` in TOML.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What TOML says for nothing.
pub(super) const NONE: &str = "none";

/// A type of values that a key may have.
pub(super) trait Value: Sized {
    /// From a text; `None` where a text is no such value.
    fn from_text(text: &str) -> Option<Self>;
    /// From a whole number; `None` where a number is no such value.
    fn from_number(number: i64) -> Option<Self>;
    /// What to give, in words.
    const NEED: &'static str;
}

impl Value for String {
    fn from_text(text: &str) -> Option<Self> {
        Some(text.into())
    }
    fn from_number(_: i64) -> Option<Self> {
        None
    }
    const NEED: &'static str = "a name, or none";
}

impl Value for i64 {
    fn from_text(_: &str) -> Option<Self> {
        None
    }
    fn from_number(number: i64) -> Option<Self> {
        Some(number)
    }
    const NEED: &'static str = "a whole number, or none";
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a whole number, a text or null")]
enum Raw {
    Number(i64),
    Text(String),
}

pub(super) fn serialize<T: Serialize, S: Serializer>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => value.serialize(to),
        None => NONE.serialize(to),
    }
}

pub(super) fn deserialize<'de, T: Value, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    let (value, shown) = match Option::<Raw>::deserialize(from)? {
        None => return Ok(None),
        Some(Raw::Text(text)) if text == NONE => return Ok(None),
        Some(Raw::Text(text)) => (T::from_text(&text), text),
        Some(Raw::Number(number)) => (T::from_number(number), number.to_string()),
    };
    value
        .map(Some)
        .ok_or_else(|| serde::de::Error::custom(format!("invalid value `{shown}`, expected {}", T::NEED)))
}

/// A text; `null` stands for `conv`.
pub(super) fn or_conv<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(from)?.unwrap_or_else(|| "conv".into()))
}
