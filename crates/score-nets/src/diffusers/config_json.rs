//! `config.json` of the network: from and to JSON.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::config::Unet2dConfig;
use super::json::{self, METADATA, VERSION, short};
use super::plan::Plan;
use super::{DiffusersError, nullable};

const CLASS: &str = "UNet2DModel";

/// Keys whose `null` means none; without the key there is another default.
const NULLABLE: [&str; 3] = ["attention_head_dim", "norm_num_groups", "mid_block_type"];

/// Keys whose default is `null`.
const ABSENT: [&str; 6] = [
    "sample_size",
    "time_embedding_dim",
    "attn_norm_num_groups",
    "class_embed_type",
    "num_class_embeds",
    "num_train_timesteps",
];

impl Unet2dConfig {
    /// Reads and checks the text of a `config.json`; `file` names it in errors. `_class_name`, `_diffusers_version` and
    /// `_name_or_path` are not part of the configuration; the first must be `UNet2DModel` where it is given.
    ///
    /// # Errors
    /// [`DiffusersError::Json`], [`DiffusersError::Key`] for a key that is unknown, of another type or of another
    /// class, [`DiffusersError::Net`] for values that make no network.
    pub fn from_json(file: &Path, text: &str) -> Result<Self, DiffusersError> {
        Self::from_map(file, json::parse(file, text)?)
    }

    pub(super) fn from_map(file: &Path, mut map: Map<String, Value>) -> Result<Self, DiffusersError> {
        if let Some(class) = json::class(file, &map)?
            && class != CLASS
        {
            let reason = format!("only {CLASS} is built here");
            return Err(DiffusersError::key(file, "_class_name", class, reason));
        }
        map.retain(|key, _| !METADATA.contains(&key.as_str()));
        let known = Self::default().keys();
        for (key, value) in &map {
            if !known.contains_key(key) {
                let reason = format!("{CLASS} has no such key");
                return Err(DiffusersError::key(file, key, short(value), reason));
            }
            // Alone, so that the error can name it.
            let alone = Map::from_iter([(key.clone(), value.clone())]);
            if let Err(e) = Self::deserialize(Value::Object(alone)) {
                return Err(DiffusersError::key(file, key, short(value), e.to_string()));
            }
        }
        let config = Self::deserialize(Value::Object(map)).map_err(|e| DiffusersError::Json {
            file: file.into(),
            reason: e.to_string(),
        })?;
        Plan::new(&config).map_err(|source| DiffusersError::Net {
            file: file.into(),
            source,
        })?;
        Ok(config)
    }

    /// Every key with its value, as in a `config.json`.
    fn keys(&self) -> Map<String, Value> {
        let Ok(Value::Object(mut map)) = serde_json::to_value(self) else {
            return Map::new();
        };
        for key in NULLABLE {
            if map.get(key).is_some_and(|value| value == nullable::NONE) {
                map.insert(key.into(), Value::Null);
            }
        }
        for key in ABSENT {
            map.entry(key).or_insert(Value::Null);
        }
        for value in map.values_mut() {
            if let Some(number) = value.as_f64()
                && number.fract() == 0.0
                && number.abs() < 1e9
            {
                *value = Value::from(number as i64);
            }
        }
        map
    }

    /// The text of a `config.json` that the library reads as this configuration.
    pub fn to_json(&self) -> String {
        let mut map = self.keys();
        map.insert("_class_name".into(), CLASS.into());
        map.insert("_diffusers_version".into(), VERSION.into());
        json::text(&map)
    }
}
