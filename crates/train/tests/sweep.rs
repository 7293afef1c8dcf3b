//! Numbers out of range: every number of a configuration in turn is replaced by zero, negative, huge and non-finite ones.

use std::error::Error;
use std::path::Path;

use tch::Device;
use toml::{Table, Value};
use train::TrainError;
use train::checkpoint::RunState;
use train::config::{Override, load_text};
use train::log::ProgressReport;
use train::trainer::{Action, RunFolder, RunOptions, StepMetrics, StopFlag, Trainer, run};

const VALUES: [&str; 6] = ["0", "-1", "nan", "inf", "1e30", "1e308"];

const COMMON: &str = "[net]\nkind = 'mlp'\nhidden_size = 8\nnum_layers = 1\n[data]\nkind = 'toy-2d'\nrows = 64\nnoise = 0.1\n\
                      [train]\nsteps = 2\nsamples = 4\nbatch = 16\nholdout = 0.1\n";

/// Tables beside the common ones, and the keys that are swept.
const BASES: [(&str, &str); 3] = [
    (
        "[sampler]\nkind = 'heun'\nsteps = 3\n[loss]\nkind = 'dsm'\ncontrol_variate = 0.1",
        "",
    ),
    (
        "[sampler]\nkind = 'heun'\nsteps = 3\n[sde]\nkind = 've'\n[precond]\nkind = 'edm'\nsigma_data = 0.5",
        "sde precond",
    ),
    ("[sampler]\nkind = 'pc'\nsteps = 3", "sampler"),
];

fn numbers(table: &Table, above: &str, out: &mut Vec<String>) {
    for (name, value) in table {
        let key = match above {
            "" => name.clone(),
            above => format!("{above}.{name}"),
        };
        match value {
            Value::Table(below) => numbers(below, &key, out),
            Value::Integer(_) | Value::Float(_) => out.push(key),
            _ => {}
        }
    }
}

fn lines(error: &TrainError) -> Vec<String> {
    let mut lines = vec![error.to_string()];
    let mut cause: Option<&dyn Error> = error.source();
    while let Some(error) = cause {
        lines.push(error.to_string());
        cause = error.source();
    }
    lines
}

/// Two steps and four samples in a folder of their own; the answer is what refused the run, if anything did.
fn attempt(text: &str, key: &str, value: &str) -> Result<(), (bool, TrainError)> {
    let refused = |error| (true, error);
    let config = load_text(text, Path::new("base.toml"), &[Override::new(key, value)])
        .map_err(refused)?
        .config;
    let mut trainer = Trainer::new(&config, Device::Cpu).map_err(refused)?;
    let place = tempfile::tempdir().expect("a folder");
    let folder = RunFolder::create(&place.path().join("run"), &config).map_err(refused)?;
    let mut options = RunOptions {
        progress: ProgressReport::silent(),
        stop: StopFlag::default(),
    };
    let mut two = |state: &RunState, _: &StepMetrics| match state.step {
        0..=1 => Action::None,
        _ => Action::Stop,
    };
    let done = run(&mut trainer, &folder, &mut options, &mut [&mut two]);
    done.map(drop).map_err(|error| (false, error))
}

#[test]
fn a_number_out_of_range_is_refused_by_its_key_and_never_panics() {
    tch::set_num_threads(1);
    let (mut refused, mut failed) = (0, 0);
    for (tables, swept) in BASES {
        let text = format!("{COMMON}{tables}\n");
        let config = load_text(&text, Path::new("base.toml"), &[])
            .unwrap_or_else(|error| panic!("{text}: {error}"))
            .config;
        let table: Table = config.to_toml().expect("TOML").parse().expect("TOML");
        let mut keys = Vec::new();
        numbers(&table, "", &mut keys);
        // Samples are drawn as many as asked for, and huge networks are made.
        keys.retain(|key| key != "train.samples" && swept.split(' ').any(|part| key.starts_with(part)));
        assert!(keys.len() >= 4, "{keys:?}");
        for (key, value) in keys.iter().flat_map(|key| VALUES.map(|value| (key, value))) {
            let Err((at_once, error)) = attempt(&text, key, value) else {
                continue;
            };
            let lines = lines(&error);
            assert!(
                lines.iter().all(|line| !line.contains('\n')),
                "{key} = {value}: {lines:?}"
            );
            if at_once {
                refused += 1;
                assert!(lines[0].contains(key.as_str()), "{key} = {value}: {lines:?}");
            } else {
                failed += 1;
            }
        }
    }
    // What can be known beforehand is refused beforehand.
    assert!(
        refused > 100 && failed < refused / 5,
        "{refused} refused, {failed} failed"
    );
}
