//! Reading problems and samplers, reading and writing arrays, with errors of one line.

use std::path::Path;
use std::sync::Arc;

use ndarray::{Array, Dimension};
use ndarray_npy::{ReadNpyExt, WriteNpyExt};
use sde_core::{Mixture, MixtureConfig, Sde, SdeConfig};
use serde::de::DeserializeOwned;
use solvers::config::SamplerConfig;

/// A message of one line.
pub type Failure = String;

/// What is to be sampled.
pub struct Problem {
    /// The forward process.
    pub sde: Arc<dyn Sde>,
    /// The data, where the file has some.
    pub mixture: Option<Mixture>,
}

impl Problem {
    /// Reads `[sde]` and `[mixture]`.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let mut tables = read_tables(path, &["sde", "mixture"])?;
        let sde: SdeConfig = parse(path, &mut tables, "sde")?.ok_or_else(|| missing(path, "sde"))?;
        let mixture: Option<MixtureConfig> = parse(path, &mut tables, "mixture")?;
        let name = |error: sde_core::ConfigError| format!("{}: {error}", path.display());
        Ok(Self {
            sde: sde.build().map_err(name)?,
            mixture: mixture.map(|table| table.build()).transpose().map_err(name)?,
        })
    }

    /// The data, which the command needs.
    pub fn mixture(&self, path: &Path) -> Result<&Mixture, Failure> {
        self.mixture.as_ref().ok_or_else(|| missing(path, "mixture"))
    }
}

/// Reads `[sampler]`.
pub fn read_sampler(path: &Path) -> Result<SamplerConfig, Failure> {
    let mut tables = read_tables(path, &["sampler"])?;
    parse(path, &mut tables, "sampler")?.ok_or_else(|| missing(path, "sampler"))
}

/// Reads `[sampler]` without looking into it.
pub fn read_sampler_table(path: &Path) -> Result<toml::Table, Failure> {
    let mut tables = read_tables(path, &["sampler"])?;
    match tables.remove("sampler") {
        Some(toml::Value::Table(table)) => Ok(table),
        _ => Err(missing(path, "sampler")),
    }
}

fn missing(path: &Path, table: &str) -> Failure {
    format!("{}: the table [{table}] is missing", path.display())
}

fn read_tables(path: &Path, known: &[&str]) -> Result<toml::Table, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let tables: toml::Table = toml::from_str(&text).map_err(|error| {
        let line = error
            .span()
            .map_or(1, |span| text[..span.start].lines().count().max(1));
        format!("{}:{line}: {}", path.display(), one_line(error.message()))
    })?;
    match tables.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(tables),
        Some(key) => Err(format!(
            "{}: {key}: unknown table; there is {}",
            path.display(),
            known.join(", ")
        )),
    }
}

/// Takes one table out and reads it. The message names the key: the one without which the message changes.
fn parse<T: DeserializeOwned>(
    path: &Path,
    tables: &mut toml::Table,
    name: &str,
) -> Result<Option<T>, Failure> {
    let Some(table) = tables.remove(name) else {
        return Ok(None);
    };
    let error = match table.clone().try_into::<T>() {
        Ok(value) => return Ok(Some(value)),
        Err(error) => one_line(error.message()),
    };
    let guilty = table.as_table().and_then(|table| {
        let mut keys: Vec<_> = table.keys().collect();
        keys.sort_by_key(|key| *key == "kind");
        keys.into_iter().find(|key| {
            let mut rest = table.clone();
            rest.remove(key.as_str());
            toml::Value::Table(rest)
                .try_into::<T>()
                .map_or_else(|other| one_line(other.message()) != error, |_| true)
        })
    });
    let place = match guilty {
        Some(key) => format!("{name}.{key} = {}", one_line(&table[key.as_str()].to_string())),
        None => name.to_owned(),
    };
    Err(format!("{}: {place}: {error}", path.display()))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Reads a float64 `.npy` file.
pub fn read_npy<D: Dimension>(path: &Path, shape: &str) -> Result<Array<f64, D>, Failure> {
    let name =
        |error: &dyn std::fmt::Display| format!("{}: {}", path.display(), one_line(&error.to_string()));
    let file = std::fs::File::open(path).map_err(|error| name(&error))?;
    let array = Array::<f64, D>::read_npy(std::io::BufReader::new(file))
        .map_err(|error| format!("{}; need float64 {shape}", name(&error)))?;
    Ok(array.as_standard_layout().into_owned())
}

/// Writes a float64 `.npy` file, whole or not at all.
pub fn write_npy<D: Dimension>(path: &Path, array: &Array<f64, D>) -> Result<(), Failure> {
    let name =
        |error: &dyn std::fmt::Display| format!("{}: {}", path.display(), one_line(&error.to_string()));
    let mut bytes = Vec::new();
    array.write_npy(&mut bytes).map_err(|error| name(&error))?;
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    std::fs::write(&part, bytes)
        .and_then(|()| std::fs::rename(&part, path))
        .map_err(|error| {
            let _ = std::fs::remove_file(&part);
            name(&error)
        })
}
