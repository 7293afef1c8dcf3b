//! `clip_x0`, a key of every kind.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, MapDeserializer};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use super::check::refuse;
use crate::guide::{Clip, ClippedSampler};
use crate::{Sampler, SolveError, State};

/// `clip_x0`: a name, or a table with the name as its `kind`. What each does stands with [`Clip`].
///
/// ```
/// use solvers::config::{ClipConfig, SamplerConfig};
/// for text in [
///     "kind = \"heun\"\nclip_x0 = \"static\"",
///     "kind = \"heun\"\nclip_x0 = { kind = \"static\", min = -1 }",
///     "kind = \"heun\"\n[clip_x0]\nkind = \"static\"\nmax = 1.0",
/// ] {
///     let SamplerConfig::Heun(table) = toml::from_str(text).unwrap() else { panic!() };
///     assert_eq!(table.clip_x0, Some(ClipConfig::Static { min: -1.0, max: 1.0 }));
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ClipConfig {
    /// No clipping.
    None {},
    /// To a fixed range.
    Static {
        /// Least value of clean data; -1.
        #[serde(default = "least")]
        min: f64,
        /// Largest value of clean data; 1.
        #[serde(default = "largest")]
        max: f64,
    },
    /// To the range that each row asks for, scaled back to [-1, 1].
    Dynamic {
        /// Share of a row's values that are left alone, in (0, 1]; 0.995.
        #[serde(default = "share")]
        quantile: f64,
    },
}

fn least() -> f64 {
    -1.0
}

fn largest() -> f64 {
    1.0
}

fn share() -> f64 {
    0.995
}

impl Serialize for ClipConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for ClipConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrTable)
    }
}

struct NameOrTable;

impl<'de> Visitor<'de> for NameOrTable {
    type Value = ClipConfig;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("\"none\", \"static\", \"dynamic\" or a table with such a kind")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<ClipConfig, E> {
        ClipConfig::deserialize(MapDeserializer::new([("kind", name)].into_iter()))
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<ClipConfig, A::Error> {
        ClipConfig::deserialize(MapAccessDeserializer::new(table))
    }
}

impl ClipConfig {
    /// The checked rule; `None` where nothing is clipped.
    ///
    /// # Errors
    /// [`SolveError::Config`] at `sampler.clip_x0`: a range that is empty or not finite, a share outside (0, 1].
    pub fn build(&self) -> Result<Option<Clip>, SolveError> {
        match *self {
            Self::None {} => Ok(None),
            Self::Static { min, max } => {
                if let Some((key, value)) = [("min", min), ("max", max)]
                    .into_iter()
                    .find(|v| !v.1.is_finite())
                {
                    return Err(refuse(
                        &format!("clip_x0.{key}"),
                        value,
                        "must be a finite number",
                    ));
                }
                if min >= max {
                    return Err(refuse("clip_x0.min", min, format!("must lie below max = {max}")));
                }
                Ok(Some(Clip::Static { min, max }))
            }
            Self::Dynamic { quantile } => {
                if !(quantile > 0.0 && quantile <= 1.0) {
                    let reason = "is a share of a row's values: take a number above 0 and at most 1";
                    return Err(refuse("clip_x0.quantile", quantile, reason));
                }
                Ok(Some(Clip::Dynamic { quantile }))
            }
        }
    }
}

/// The sampler with its evaluations clipped as the key asks.
pub(super) fn clipped<S: State + 'static>(
    sampler: Box<dyn Sampler<S>>,
    clip: Option<ClipConfig>,
) -> Result<Box<dyn Sampler<S>>, SolveError> {
    let clip = clip.map(|table| table.build()).transpose()?.flatten();
    Ok(match clip {
        None => sampler,
        Some(clip) => Box::new(ClippedSampler::new(sampler, clip)),
    })
}
