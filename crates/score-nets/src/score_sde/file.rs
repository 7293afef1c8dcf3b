//! Reads score_sde's own configurations: what a checkpoint of that code goes with.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::config::{DdpmConfig, EmbeddingType, NcsnppConfig, with_defaults};
use crate::{NetConfig, NetError};

/// `training.sde` of such a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SdeKind {
    /// Variance preserving.
    VpSde,
    /// Sub-variance preserving.
    SubVpSde,
    /// Variance exploding.
    VeSde,
}

/// A configuration of score_sde, in its own field names: either its tables (`model`, `data`, `training`, of which the
/// others are passed over), or the fields of `model` and `data`, and `sde` and `continuous`, in one table; or either of these under the key `config`.
///
/// Nothing is guessed: a field that the reference needs and the file lacks is an error, and so is one that it does not
/// have.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfigFile {
    /// The network.
    pub net: NetConfig,
    /// `[channels, height, width]` of the images that it was made for (the reference's are square).
    pub shape: [i64; 3],
    /// `training.sde`, if it is there.
    pub sde: Option<SdeKind>,
    /// `training.continuous`, if it is there.
    pub continuous: Option<bool>,
    /// Whether the data are in `[-1, 1]` (if not, in `[0, 1]`).
    pub centered: bool,
    /// `model.beta_min` and `model.beta_max`, score_sde's defaults 0.1 and 20 if absent.
    pub beta: (f64, f64),
    /// `model.sigma_min` and `model.sigma_max`, score_sde's defaults 0.01 and 50 if absent.
    pub sigma: (f64, f64),
    /// `model.num_scales`: steps of the discrete ladder.
    pub num_scales: i64,
    /// `model.ema_rate`, if it is there.
    pub ema_rate: Option<f64>,
}

/// Fields that any of the networks reads.
const SHARED: [&str; 15] = [
    "nf",
    "ch_mult",
    "num_res_blocks",
    "attn_resolutions",
    "resamp_with_conv",
    "conditional",
    "scale_by_sigma",
    "nonlinearity",
    "dropout",
    "sigma_min",
    "sigma_max",
    "num_scales",
    "centered",
    "image_size",
    "num_channels",
];
/// Those of NCSN++ beyond them.
const NCSNPP: [&str; 10] = [
    "fir",
    "fir_kernel",
    "skip_rescale",
    "resblock_type",
    "progressive",
    "progressive_input",
    "progressive_combine",
    "embedding_type",
    "init_scale",
    "fourier_scale",
];
/// Fields without which the reference does not build a network.
const REQUIRED: [&str; 11] = [
    "nf",
    "ch_mult",
    "num_res_blocks",
    "attn_resolutions",
    "resamp_with_conv",
    "conditional",
    "scale_by_sigma",
    "nonlinearity",
    "centered",
    "image_size",
    "num_channels",
];
/// The same for NCSN++.
const REQUIRED_NCSNPP: [&str; 7] = [
    "fir",
    "skip_rescale",
    "resblock_type",
    "progressive",
    "progressive_input",
    "progressive_combine",
    "init_scale",
];
/// Fields that the reference has, but that no network reads: what they may say.
const FIXED: [(&str, &[&str]); 3] = [
    ("normalization", &["GroupNorm"]),
    ("attention_type", &["ddpm"]),
    ("conv_size", &["3"]),
];
/// Fields of `data` that say nothing about the network.
const DATA: [&str; 4] = [
    "dataset",
    "random_flip",
    "uniform_dequantization",
    "tfrecords_path",
];
/// Fields of `training` that say what the network learns.
const TRAINING: [&str; 2] = ["sde", "continuous"];
/// The tables of such a file.
const TABLES: [&str; 8] = [
    "model", "data", "training", "sampling", "eval", "optim", "seed", "device",
];
/// Fields whose texts the reference compares in lower case.
const LOWERED: [&str; 6] = [
    "nonlinearity",
    "resblock_type",
    "progressive",
    "progressive_input",
    "progressive_combine",
    "embedding_type",
];

impl ModelConfigFile {
    /// From JSON.
    ///
    /// # Errors
    /// [`NetError::Config`] naming the key at fault.
    pub fn from_json(text: &str) -> Result<Self, NetError> {
        let value = serde_json::from_str(text).map_err(|e| unreadable("JSON", &e.to_string()))?;
        ModelConfigFile::from_value(value)
    }

    /// From TOML.
    ///
    /// # Errors
    /// As [`ModelConfigFile::from_json`].
    pub fn from_toml(text: &str) -> Result<Self, NetError> {
        let value = toml::from_str(text).map_err(|e: toml::de::Error| unreadable("TOML", e.message()))?;
        ModelConfigFile::from_value(value)
    }

    /// From a parsed file.
    ///
    /// # Errors
    /// As [`ModelConfigFile::from_json`].
    pub fn from_value(value: Value) -> Result<Self, NetError> {
        let mut tables = flatten(table(value, "the file")?)?;
        let training = tables.training;
        let fields = &mut tables.fields;
        lower(fields);
        for (key, allowed) in FIXED {
            if let Some(value) = fields.remove(key) {
                let text = text_of(&value);
                if !allowed.contains(&text.as_str()) {
                    let reason = format!("the reference builds its network with {} alone", allowed[0]);
                    return Err(NetError::config(key, text, reason));
                }
            }
        }
        let beta = (
            take(fields, "beta_min")?.unwrap_or(0.1),
            take(fields, "beta_max")?.unwrap_or(20.0),
        );
        let ema_rate = take(fields, "ema_rate")?;
        let name: String = take(fields, "name")?.ok_or_else(|| missing("name"))?;
        // score_sde's own defaults, the same in all its configurations.
        for (key, value) in [
            ("sigma_min", Value::from(0.01)),
            ("sigma_max", Value::from(50.0)),
            ("num_scales", Value::from(1000)),
            ("dropout", Value::from(0.1)),
        ] {
            fields.entry(key).or_insert(value);
        }
        let sigma = (present(fields, "sigma_min")?, present(fields, "sigma_max")?);
        let net = match name.as_str() {
            "ncsnpp" => ncsnpp(fields)?,
            "ddpm" => ddpm(fields)?,
            _ => {
                let reason = "the networks of score_sde that are built here are \"ncsnpp\" (NCSN++ and DDPM++) and \"ddpm\"";
                return Err(NetError::config("name", name, reason));
            }
        };
        let size = present(fields, "image_size")?;
        let continuous = optional(&training, "continuous")?;
        if let (Some(false), NetConfig::Ncsnpp(config)) = (continuous, &net)
            && config.embedding_type == EmbeddingType::Fourier
        {
            let reason = "Fourier features go with training.continuous = true only";
            return Err(NetError::config("embedding_type", "fourier", reason));
        }
        Ok(ModelConfigFile {
            shape: [present(fields, "num_channels")?, size, size],
            sde: optional(&training, "sde")?,
            continuous,
            centered: optional(fields, "centered")?.unwrap_or(false),
            beta,
            sigma,
            num_scales: present(fields, "num_scales")?,
            ema_rate,
            net,
        })
    }
}

/// The fields of the network and those of `training`.
struct Tables {
    fields: Map<String, Value>,
    training: Map<String, Value>,
}

fn flatten(mut all: Map<String, Value>) -> Result<Tables, NetError> {
    if let Some(inner) = all.remove("config") {
        all = table(inner, "config")?;
    }
    let Some(model) = all.remove("model") else {
        all.retain(|key, _| !DATA.contains(&key.as_str()));
        let mut training = Map::new();
        for key in TRAINING {
            training.extend(all.remove(key).map(|value| (key.to_string(), value)));
        }
        return Ok(Tables {
            fields: all,
            training,
        });
    };
    if let Some(key) = all.keys().find(|key| !TABLES.contains(&key.as_str())) {
        let reason = "no such table in a configuration of score_sde";
        return Err(NetError::Config {
            key: key.clone(),
            value: "{...}".into(),
            reason: reason.into(),
        });
    }
    let mut fields = table(model, "model")?;
    for (key, value) in table(all.remove("data").unwrap_or_default(), "data")? {
        if !DATA.contains(&key.as_str()) {
            fields.insert(key, value);
        }
    }
    let training = table(all.remove("training").unwrap_or_default(), "training")?;
    Ok(Tables { fields, training })
}

fn ncsnpp(fields: &Map<String, Value>) -> Result<NetConfig, NetError> {
    let known = |key: &str| SHARED.contains(&key) || NCSNPP.contains(&key);
    check_keys(fields, known, &[&REQUIRED[..], &REQUIRED_NCSNPP[..]].concat())?;
    let mut given = fields.clone();
    // score_sde's default, unlike the other kinds of defaults.
    given.entry("embedding_type").or_insert("fourier".into());
    if given["fir"] == Value::Bool(true) && !given.contains_key("fir_kernel") {
        return Err(missing("fir_kernel"));
    }
    if given["embedding_type"] == "fourier" && !given.contains_key("fourier_scale") {
        return Err(missing("fourier_scale"));
    }
    let config = with_defaults(NcsnppConfig::ncsnpp(), given).map_err(|e| refused(fields, &e))?;
    Ok(match (config.embedding_type, config.fir) {
        (EmbeddingType::Positional, false) => NetConfig::Ddpmpp(config),
        _ => NetConfig::Ncsnpp(config),
    })
}

fn ddpm(fields: &Map<String, Value>) -> Result<NetConfig, NetError> {
    // Its configurations inherit fields of the other network, which it does not read.
    let known = |key: &str| SHARED.contains(&key) || NCSNPP.contains(&key);
    check_keys(fields, known, &REQUIRED)?;
    let mut given = fields.clone();
    given.retain(|key, _| SHARED.contains(&key.as_str()));
    let config = DdpmConfig::deserialize(Value::Object(given)).map_err(|e| refused(fields, &e))?;
    Ok(NetConfig::Ddpm(config))
}

fn check_keys(
    fields: &Map<String, Value>,
    known: impl Fn(&str) -> bool,
    required: &[&str],
) -> Result<(), NetError> {
    if let Some((key, value)) = fields.iter().find(|(key, _)| !known(key)) {
        let reason = "no such field in a configuration of score_sde's network";
        return Err(NetError::config(key, text_of(value), reason));
    }
    match required.iter().find(|key| !fields.contains_key(**key)) {
        Some(key) => Err(missing(key)),
        None => Ok(()),
    }
}

fn lower(fields: &mut Map<String, Value>) {
    for key in LOWERED {
        if let Some(Value::String(text)) = fields.get_mut(key) {
            *text = text.to_lowercase();
        }
    }
}

fn table(value: Value, what: &str) -> Result<Map<String, Value>, NetError> {
    match value {
        Value::Object(table) => Ok(table),
        Value::Null => Ok(Map::new()),
        other => Err(NetError::Config {
            key: what.into(),
            value: text_of(&other),
            reason: "must be a table".into(),
        }),
    }
}

/// The value of a key, where it is there.
fn optional<T: for<'de> Deserialize<'de>>(
    fields: &Map<String, Value>,
    key: &str,
) -> Result<Option<T>, NetError> {
    match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match T::deserialize(value) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(NetError::config(key, text_of(value), error.to_string())),
        },
    }
}

/// The same, and the table no longer has it.
fn take<T: for<'de> Deserialize<'de>>(
    fields: &mut Map<String, Value>,
    key: &str,
) -> Result<Option<T>, NetError> {
    let value = optional(fields, key)?;
    fields.remove(key);
    Ok(value)
}

fn present<T: for<'de> Deserialize<'de>>(fields: &Map<String, Value>, key: &str) -> Result<T, NetError> {
    optional(fields, key)?.ok_or_else(|| missing(key))
}

fn missing(key: &str) -> NetError {
    NetError::config(key, "(absent)", "the reference needs it to build the network")
}

/// Serde names no key where a value is refused: the first one that is refused alone.
fn refused(fields: &Map<String, Value>, error: &serde_json::Error) -> NetError {
    let alone = |(key, value): (&String, &Value)| {
        let one = Map::from_iter([(key.clone(), value.clone())]);
        let error = with_defaults(NcsnppConfig::ncsnpp(), one).err()?;
        Some(NetError::config(key, text_of(value), error.to_string()))
    };
    fields
        .iter()
        .find_map(alone)
        .unwrap_or_else(|| unreadable("configuration", &error.to_string()))
}

fn unreadable(what: &str, reason: &str) -> NetError {
    NetError::Config {
        key: "the file".into(),
        value: format!("not a {what} of a network"),
        reason: reason.lines().next().unwrap_or_default().into(),
    }
}

/// A value as the file has it; long ones cut.
fn text_of(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
