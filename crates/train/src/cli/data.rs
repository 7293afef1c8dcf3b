//! `sde data`.

use super::{DataCommand, print_line};
use crate::TrainError;
use crate::data::fetch::{fetch, is_cached};
use crate::data::sets::{Origin, SETS, SetInfo, find_set};
use crate::data::{
    DataConfig, Dataset, EmojiConfig, MnistConfig, Padding, Split, UcrConfig, UcrSplit, cache, open,
};

pub(super) fn run(command: &DataCommand) -> Result<(), TrainError> {
    match command {
        DataCommand::List => {
            for set in &SETS {
                print_line(&format!("{:14} {:12} {}", set.name, state(set), set.about))?;
            }
            Ok(())
        }
        DataCommand::Info { name } => info(named(name)?),
        DataCommand::Fetch { name, from } => {
            let set = named(name)?;
            let done = fetch(set, from.as_deref())?;
            let what = if done.present {
                "is in the cache already, whole"
            } else {
                "fetched and checked"
            };
            print_line(&format!("{name}: {what}: {}", done.folder.display()))
        }
    }
}

fn named(name: &str) -> Result<&'static SetInfo, TrainError> {
    find_set(name).map_err(|nearest| TrainError::Data {
        name: name.to_string(),
        reason: format!("there is no such data set; did you mean {nearest}? `sde data list` names them all"),
    })
}

fn state(set: &SetInfo) -> &'static str {
    match set.origin {
        Origin::Embedded => "embedded",
        Origin::MadeUp => "made up",
        Origin::Own => "yours",
        Origin::Npm(_) | Origin::Debian(_) | Origin::PyPi(_) => match is_cached(set) {
            Ok(true) => "fetched",
            _ => "not fetched",
        },
    }
}

fn info(set: &SetInfo) -> Result<(), TrainError> {
    print_line(&format!(
        "name      {}\nabout     {}\nlicence   {}",
        set.name, set.about, set.licence
    ))?;
    print_line(&match set.origin {
        Origin::Embedded => "source    embedded in the program".to_string(),
        Origin::MadeUp => "source    computed, see the keys of its [data] table".to_string(),
        Origin::Own => "source    data.path".to_string(),
        Origin::Npm(package) => format!("source    npm package {package}"),
        Origin::Debian(package) => format!("source    Debian package {package}"),
        Origin::PyPi(package) => format!("source    PyPI package {package}"),
    })?;
    if !set.files.is_empty() {
        let folder = cache::data_folder(set.name)?;
        if !is_cached(set)? {
            return print_line(&format!("cache     not fetched; `sde data fetch {}`", set.name));
        }
        print_line(&format!("cache     {}", folder.display()))?;
    }
    let mnist = |split| MnistConfig {
        split,
        ..MnistConfig::default()
    };
    let parts = match set.name {
        "mnist" => vec![
            ("train", DataConfig::Mnist(mnist(Split::Train))),
            ("test", DataConfig::Mnist(mnist(Split::Test))),
        ],
        "fashion-mnist" => vec![
            ("train", DataConfig::FashionMnist(mnist(Split::Train))),
            ("test", DataConfig::FashionMnist(mnist(Split::Test))),
        ],
        "emoji" => vec![("all", DataConfig::Emoji(EmojiConfig::default()))],
        "ucr" => {
            let sets = set
                .files
                .iter()
                .filter_map(|file| file.name.strip_suffix("_TRAIN.ts"));
            sets.map(|set| (set, DataConfig::Ucr(ucr_set(set)))).collect()
        }
        "digits" => vec![("all", DataConfig::default())],
        "synthetic-1d" => vec![("default", DataConfig::Synthetic1d(Default::default()))],
        "toy-2d" => vec![("default", DataConfig::Toy2d(Default::default()))],
        _ => Vec::new(),
    };
    for (part, config) in parts {
        print_line(&describe(part, open(&config)?.as_ref()))?;
    }
    Ok(())
}

fn ucr_set(set: &str) -> UcrConfig {
    UcrConfig {
        set: set.to_owned(),
        split: UcrSplit::All,
        pad: Padding::Edge,
        ..UcrConfig::default()
    }
}

fn describe(part: &str, data: &dyn Dataset) -> String {
    let shape = data
        .shape()
        .iter()
        .map(i64::to_string)
        .collect::<Vec<_>>()
        .join("x");
    let (low, high) = data.scaling().model_range();
    let classes = data.labels().map_or(String::new(), |labels| {
        let top = labels.iter().copied().max().unwrap_or(0) as usize;
        let mut counts = vec![0usize; top + 1];
        labels.iter().for_each(|&l| counts[l as usize] += 1);
        format!(", rows a class {counts:?}")
    });
    format!(
        "{part:16} {} rows of {shape}, scaled to [{low:.4}, {high:.4}]{classes}",
        data.len()
    )
}
