//! What a configuration leaves to its data: the kind of network, scaling, paths, the largest noise.

use std::path::Path;

use sde_core::config::largest_distance;
use toml::{Table, Value};

use super::{RunConfig, SdeConfig, Source, Sources};
use crate::{TrainError, Visit};

/// Data sets of images with levels.
const IMAGES: [&str; 6] = [
    "digits",
    "mnist",
    "fashion-mnist",
    "cifar10",
    "image-folder",
    "emoji",
];

/// The kind of network follows the shape of the data unless the configuration names one.
pub(super) fn net(table: &mut Table, sources: &mut Sources) {
    let data = table
        .get("data")
        .and_then(|t| t.get("kind"))
        .and_then(Value::as_str)
        .unwrap_or("digits");
    let kind = match data {
        "csv" | "synthetic-1d" | "ucr" => "unet1d",
        "toy-2d" => "mlp",
        _ => "unet2d",
    };
    let text = format!("the default for data.kind = \"{data}\"");
    let net = table.entry("net").or_insert_with(|| Value::Table(Table::new()));
    if let Some(net) = net.as_table_mut()
        && !net.contains_key("kind")
    {
        net.insert("kind".to_string(), Value::from(kind));
        sources.set("net.kind".to_string(), Source::Default(text));
    }
}

/// A path in a file is relative to the file's folder, or else to the current one, as is a path in an argument. The
/// resolved configuration has it absolute, so that it holds from everywhere.
pub(super) fn absolute_paths(table: &mut Table, sources: &Sources, file: &Path) {
    let Some(Value::Table(data)) = table.get_mut("data") else {
        return;
    };
    for key in ["path", "labels", "vectors", "images"] {
        let Some(Value::String(text)) = data.get_mut(key) else {
            continue;
        };
        // The others name arrays inside the file at `path`, unless they end like a file.
        let names_file = key == "path" || text.ends_with(".npy") || text.ends_with(".npz");
        if !text.is_empty() && names_file {
            *text = absolute(text, sources.get(&format!("data.{key}")), file);
        }
    }
}

fn absolute(text: &str, source: Source, file: &Path) -> String {
    let given = Path::new(text);
    let mut path = given.to_path_buf();
    if let (Source::File { .. }, Some(folder)) = (source, file.parent())
        && folder.join(given).exists()
    {
        path = folder.join(given);
    }
    let whole = path.canonicalize().or_else(|_| std::path::absolute(&path));
    whole.map_or_else(|_| text.to_owned(), |path| path.to_string_lossy().into_owned())
}

/// Images of a VE model live in [0, 1] unless the configuration says otherwise (Song et al. 2021, appendix C).
pub(super) fn scaling(table: &mut Table, sources: &mut Sources) {
    let kind = |name: &str| {
        table
            .get(name)
            .and_then(|t| t.get("kind"))
            .and_then(Value::as_str)
    };
    let ve = kind("sde") == Some("ve");
    let images = kind("data").is_none_or(|k| IMAGES.contains(&k));
    if !(ve && images) {
        return;
    }
    let data = table
        .entry("data")
        .or_insert_with(|| Value::Table(Table::from_iter([("kind".to_string(), Value::from("digits"))])));
    if let Some(data) = data.as_table_mut()
        && !data.contains_key("scaling")
    {
        data.insert("scaling".to_string(), Value::from("unit"));
        let text = "the default for sde.kind = \"ve\"".to_string();
        sources.set("data.scaling".to_string(), Source::Default(text));
    }
}

/// Rows between which the largest distance is sought.
const MOST_ROWS: usize = 1000;

/// Whether `sde.sigma_max = "data"` stands in the table; a number takes its place, so that the table can be decoded.
pub(super) fn asks_for_largest_noise(table: &mut Table) -> bool {
    let sigma_max = table
        .get_mut("sde")
        .and_then(Value::as_table_mut)
        .and_then(|sde| sde.get_mut("sigma_max"));
    match sigma_max {
        Some(value) if value.as_str() == Some("data") => {
            *value = Value::Float(1.0);
            true
        }
        _ => false,
    }
}

/// `sde.sigma_max = "data"`: the largest distance between two rows of the data as the model sees them (Song and Ermon 2020,
/// arXiv:2006.09011, technique 1), of a thousand rows spread evenly over the data set. The resolved configuration has the number.
pub(super) fn largest_noise(config: &mut RunConfig, sources: &Sources) -> Result<(), TrainError> {
    let sigma_max = match &mut config.sde {
        SdeConfig::Ve(sde) => &mut sde.sigma_max,
        SdeConfig::Edm(sde) => &mut sde.sigma_max,
        SdeConfig::Vp(_) | SdeConfig::SubVp(_) => return Ok(()),
    };
    config.data.check().map_err(|e| sources.refuse(e))?;
    let data = crate::data::open(&config.data)?;
    let rows = data.len().min(MOST_ROWS);
    let rows: Vec<u64> = (0..rows).map(|k| (k * data.len() / rows) as u64).collect();
    let mut values = vec![0.0_f32; rows.len() * data.row_len()];
    data.read(&rows, Visit { seed: 0, epoch: 0 }, &mut values)?;
    let points: Vec<f64> = values.into_iter().map(f64::from).collect();
    let largest = largest_distance(&points, data.row_len()).map_err(|e| sources.refuse(e))?;
    // Three digits are more than the rule knows.
    let digits = 10_f64.powf(2.0 - largest.log10().floor());
    *sigma_max = Some((largest * digits).round() / digits);
    Ok(())
}
