//! Takes `--KEY.PATH VALUE` out of the arguments before the flags are parsed.

use std::ffi::OsString;

use crate::TrainError;
use crate::config::Override;

/// Keys of the outermost level, which have no dot, and tables whose kind they set: `--seed 7`, `--sde ve`.
const TRAIN_KEYS: [&str; 8] = ["seed", "name", "data", "sde", "net", "precond", "loss", "sampler"];
const SAMPLE_KEYS: [&str; 1] = ["sampler"];

/// The arguments without the overrides, and the overrides in their order.
///
/// Only `train` and `sample` take overrides. Nothing after `--` is one.
pub(super) fn split(
    args: impl IntoIterator<Item = OsString>,
) -> Result<(Vec<OsString>, Vec<Override>), TrainError> {
    let mut rest = Vec::new();
    let mut overrides = Vec::new();
    let mut args = args.into_iter();
    rest.extend(args.by_ref().take(2));
    let plain: &[&str] = match rest.get(1).and_then(|c| c.to_str()) {
        Some("train") => &TRAIN_KEYS,
        Some("sample") => &SAMPLE_KEYS,
        _ => {
            rest.extend(args);
            return Ok((rest, overrides));
        }
    };
    while let Some(arg) = args.next() {
        if arg == "--" {
            rest.push(arg);
            rest.extend(args.by_ref());
            break;
        }
        let text = arg.to_string_lossy().into_owned();
        let Some(body) = text.strip_prefix("--") else {
            rest.push(arg);
            continue;
        };
        let (key, inline) = body.split_once('=').map_or((body, None), |(k, v)| (k, Some(v)));
        if !(key.contains('.') || plain.contains(&key)) {
            rest.push(arg);
            continue;
        }
        let value = match inline {
            Some(value) => value.to_string(),
            None => match args.next().map(|v| v.to_string_lossy().into_owned()) {
                Some(value) if !value.starts_with("--") => value,
                _ => return Err(TrainError::Usage(format!("--{key}: a value is needed after it"))),
            },
        };
        overrides.push(Override {
            argument: if inline.is_some() {
                text.clone()
            } else {
                format!("--{key} {value}")
            },
            ..Override::new(key, &value)
        });
    }
    Ok((rest, overrides))
}
