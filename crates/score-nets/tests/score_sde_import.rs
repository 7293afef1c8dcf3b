//! Checkpoints of score_sde become networks; configurations become processes.

use std::path::PathBuf;

use score_nets::card::WeightsKind;
use score_nets::score_sde::ModelConfigFile;
use score_nets::weights::{ScoreSdeCheckpoint, WeightsError};
use score_nets::{named_parameters, named_tensors};
use sde_core::config::SdeConfig;
use sde_core::precond::{PrecondConfig, RawTable, TimeInputKind};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor, nn};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/pytorch")
        .join(name)
}

fn config() -> Value {
    let text = std::fs::read_to_string(fixture("score_sde_tiny.json")).expect("there");
    serde_json::from_str(&text).expect("JSON")
}

fn built(config: Value) -> (ModelConfigFile, nn::VarStore) {
    tch::set_num_threads(1);
    let file = ModelConfigFile::from_value(config).expect("a configuration");
    let vs = nn::VarStore::new(Device::Cpu);
    file.net.build(&vs.root(), &file.shape).expect("builds");
    (file, vs)
}

#[test]
fn averaged_and_raw_weights_are_told_apart() {
    let open = ScoreSdeCheckpoint::open(&fixture("score_sde_tiny.pth")).expect("opens");
    assert_eq!(
        (open.step(), open.values().expect("counts")),
        (Some(7), 2865 + 4 + 10)
    );
    for (which, shift) in [(WeightsKind::Ema, 0.0), (WeightsKind::Raw, -0.25)] {
        let (_, vs) = built(config());
        open.load(&vs, which).expect("loads");
        let parameters = named_parameters(&vs);
        for (number, (name, tensor)) in parameters.iter().enumerate() {
            let count = tensor.numel() as i64;
            let need = Tensor::arange(count, (Kind::Float, Device::Cpu)) / 1024.0 + (number as f64 + shift);
            assert_eq!(tensor.detach().view([-1]), need, "{name}");
        }
        let tensors = named_tensors(&vs);
        let (_, fourier) = tensors
            .iter()
            .find(|(name, _)| name == "all_modules.0.W")
            .expect("frequencies");
        assert_eq!(*fourier, Tensor::from_slice(&[1.5_f32, -2.0, 3.25, 0.5]));
        assert_eq!(parameters.len(), 74);
    }
}

/// Another configuration than the checkpoint's is refused, and the network stays as it was.
#[test]
fn other_configurations_are_refused() {
    let open = ScoreSdeCheckpoint::open(&fixture("score_sde_tiny.pth")).expect("opens");
    for (table, key, value, says) in [
        ("model", "nf", json!(8), "has shape"),
        ("model", "num_res_blocks", json!(2), "is missing"),
        ("model", "sigma_max", json!(90.0), "sigmas run from 50 to"),
        ("model", "num_scales", json!(20), "sigmas` has shape [10]"),
        ("model", "embedding_type", json!("positional"), "all_modules"),
        ("data", "num_channels", json!(3), "has shape"),
    ] {
        let mut other = config();
        other[table][key] = value;
        let (_, vs) = built(other);
        let before: Vec<Tensor> = named_tensors(&vs)
            .iter()
            .map(|(_, tensor)| tensor.copy())
            .collect();
        for which in [WeightsKind::Ema, WeightsKind::Raw] {
            let error = open.load(&vs, which).expect_err(key);
            let text = error.to_string();
            assert!(
                text.contains("score_sde_tiny.pth") && text.contains(says),
                "{key}: {text}"
            );
            for ((name, now), before) in named_tensors(&vs).iter().zip(&before) {
                assert_eq!(now, before, "{name}");
            }
        }
    }
}

/// Files of another structure say what they hold.
#[test]
fn other_checkpoints_are_refused() {
    let error = ScoreSdeCheckpoint::open(&fixture("zip_protocol2.pth")).expect_err("not of score_sde");
    let text = error.to_string();
    assert!(
        text.contains("has no `model`; its keys are: plain, transposed"),
        "{text}"
    );
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("absent.pth");
    assert!(matches!(
        ScoreSdeCheckpoint::open(&path),
        Err(WeightsError::Io { .. })
    ));
}

fn process(changes: &[(&str, &str, Value)]) -> (SdeConfig, PrecondConfig, Vec<String>, f64) {
    let mut config = config();
    for (table, key, value) in changes {
        match value {
            Value::Null => drop(config[table].as_object_mut().expect("a table").remove(*key)),
            value => config[table][key] = value.clone(),
        }
    }
    let process = ModelConfigFile::from_value(config)
        .expect("a configuration")
        .process();
    let card = process.data.clone();
    assert_eq!(
        (card.shape.as_slice(), card.levels, card.range),
        (&[1, 4, 4][..], Some(256), [0.0, 255.0])
    );
    (
        process.sde,
        process.precond,
        process.concluded,
        (0.0 - card.shift) * card.factor,
    )
}

#[test]
fn processes_are_those_of_the_reference() {
    let positional = ("model", "embedding_type", json!("positional"));
    let by_sigma = |by: bool| ("model", "scale_by_sigma", json!(by));
    let raw_score = |time_input, labels| {
        PrecondConfig::RawScore(RawTable {
            time_input: Some(time_input),
            labels,
        })
    };
    let raw_eps = |time_input, labels| {
        PrecondConfig::RawEps(RawTable {
            time_input: Some(time_input),
            labels,
        })
    };
    let (sde, precond, concluded, black) = process(&[]);
    assert!(
        matches!(sde, SdeConfig::Ve(t) if t.sigma_min == Some(0.01) && t.sigma_max == Some(50.0)),
        "{sde:?}"
    );
    assert_eq!(
        (precond, concluded.len(), black),
        (raw_score(TimeInputKind::Sigma, None), 0, 0.0)
    );

    let ve = [
        positional.clone(),
        ("training", "continuous", json!(false)),
        ("model", "sigma_max", json!(348)),
    ];
    let (sde, precond, ..) = process(&ve);
    assert!(
        matches!(sde, SdeConfig::Ve(t) if t.sigma_max == Some(348.0)),
        "{sde:?}"
    );
    assert_eq!(precond, raw_score(TimeInputKind::DescendingLabel, Some(10)));

    let vp = [
        positional.clone(),
        by_sigma(false),
        ("training", "sde", json!("vpsde")),
        ("data", "centered", json!(true)),
        ("model", "beta_max", json!(15.0)),
    ];
    let (sde, precond, concluded, black) = process(&vp);
    assert!(
        matches!(sde, SdeConfig::Vp(t) if t.beta_min == Some(0.1) && t.beta_max == Some(15.0)),
        "{sde:?}"
    );
    assert_eq!(
        (precond, concluded.len(), black),
        (raw_eps(TimeInputKind::Scaled, None), 0, -1.0)
    );

    let discrete = [&vp[..], &[("training", "continuous", json!(false))]].concat();
    let (sde, precond, ..) = process(&discrete);
    assert!(matches!(sde, SdeConfig::Vp(t) if t.rungs == Some(10)), "{sde:?}");
    assert_eq!(precond, raw_eps(TimeInputKind::IntervalLabel, Some(10)));

    let subvp = [
        positional.clone(),
        by_sigma(false),
        ("training", "sde", json!("subvpsde")),
    ];
    let (sde, precond, ..) = process(&subvp);
    assert!(matches!(sde, SdeConfig::SubVp(_)), "{sde:?}");
    assert_eq!(precond, raw_eps(TimeInputKind::Scaled, None));
}

#[test]
fn what_a_configuration_does_not_say_is_concluded_and_told() {
    let silent = [
        ("training", "sde", Value::Null),
        ("training", "continuous", Value::Null),
    ];
    let (sde, _, concluded, _) = process(&silent);
    assert!(
        matches!(sde, SdeConfig::Ve(_)) && concluded.len() == 2,
        "{concluded:?}"
    );
    let positional = [&silent[..], &[("model", "embedding_type", json!("positional"))]].concat();
    let (sde, precond, ..) = process(&positional);
    assert!(matches!(sde, SdeConfig::Ve(_)), "{sde:?}");
    assert!(
        matches!(
            precond,
            PrecondConfig::RawScore(RawTable { labels: Some(10), .. })
        ),
        "{precond:?}"
    );
    let plain = [&positional[..], &[("model", "scale_by_sigma", json!(false))]].concat();
    let (sde, precond, concluded, _) = process(&plain);
    assert!(
        matches!(sde, SdeConfig::Vp(_)) && concluded[0].contains("vpsde"),
        "{sde:?} {concluded:?}"
    );
    assert!(
        matches!(precond, PrecondConfig::RawEps(RawTable { labels: None, .. })),
        "{precond:?}"
    );
}

/// One table of all fields says the same as the tables of score_sde.
#[test]
fn flat_configurations_are_read() {
    let tables = config();
    let mut flat = serde_json::Map::new();
    for table in ["model", "data", "training"] {
        flat.extend(tables[table].as_object().expect("a table").clone());
    }
    flat.insert("dataset".into(), json!("CIFAR10"));
    let file = |value| ModelConfigFile::from_value(value).expect("a configuration");
    assert_eq!(file(Value::Object(flat)), file(tables));
}
