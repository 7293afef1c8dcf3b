//! Folders of the diffusers library: in and out, and old layouts.

#[path = "common/diffusers.rs"]
mod folders;

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{distance, normals};
use folders::{Named, alone, assert_same, build, config, keys, skip_keys, weights_file};
use score_nets::diffusers::{
    DataRange, DiffusersError, Process, SchedulerConfig, Unet2dModel, read_folder, write_folder,
};
use score_nets::weights::{self, WeightsError};
use score_nets::{NetConfig, NetScore, ScoreNet, TensorNoise, TensorState, named_tensors};
use serde_json::{Value, json};
use solvers::Job;
use solvers::config::SamplerConfig;
use tch::{Kind, Tensor, no_grad};

const DDPM: &str = r#"{"_class_name": "DDPMScheduler", "_diffusers_version": "0.42.1", "num_train_timesteps": 1000,
    "beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear", "trained_betas": null, "clip_sample": true}"#;

fn scheduler(text: &str) -> SchedulerConfig {
    SchedulerConfig::from_json(Path::new("scheduler_config.json"), text, None).expect("a sound scheduler")
}

#[test]
fn export_and_import_are_inverse() {
    let ve = r#"{"_class_name": "ScoreSdeVeScheduler", "sigma_min": 0.01, "sigma_max": 1348.0, "snr": 0.15}"#;
    let solver = r#"{"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": -Infinity, "note": "-Infinity",
        "prediction_type": "v_prediction", "beta_schedule": "squaredcos_cap_v2"}"#;
    let cases = [
        (keys(), Some(DDPM), "DDPMPipeline"),
        (skip_keys(), Some(ve), "ScoreSdeVePipeline"),
        (keys(), Some(solver), "DDPMPipeline"),
        (keys(), None, ""),
    ];
    for (keys, text, pipeline) in cases {
        let home = tempfile::tempdir().expect("a folder");
        let (first, second) = (home.path().join("first"), home.path().join("second"));
        let (config, scheduler) = (config(&keys), text.map(scheduler));
        let tensors = named_tensors(&build(&config, 1).0);
        write_folder(&first, &config, scheduler.as_ref(), &tensors).expect("writes");
        let folder = read_folder(&first).expect("reads");
        assert_eq!((&folder.config, &folder.scheduler), (&config, &scheduler));
        let (vs, _) = build(&folder.config, 2);
        let into = named_tensors(&vs);
        folder.load(&into).expect("loads");
        assert_same(&into, &tensors);
        write_folder(&second, &folder.config, folder.scheduler.as_ref(), &into).expect("writes");
        let (inner, files) = match text {
            None => ("", vec![]),
            Some(_) => (
                "unet/",
                vec!["model_index.json", "scheduler/scheduler_config.json"],
            ),
        };
        let own = ["config.json", "diffusion_pytorch_model.safetensors"].map(|name| format!("{inner}{name}"));
        for name in files.iter().map(|name| name.to_string()).chain(own) {
            let bytes = |folder: &Path| fs::read(folder.join(&name)).expect(&name);
            assert_eq!(bytes(&first), bytes(&second), "{name}");
            assert!(!name.ends_with("config.json") || !bytes(&first).is_empty());
        }
        if text.is_some() {
            let index = fs::read_to_string(first.join("model_index.json")).expect("there");
            let index: Value = serde_json::from_str(&index).expect("json");
            assert_eq!(index["_class_name"], pipeline);
            assert_eq!(index["unet"], json!(["diffusers", "UNet2DModel"]));
        }
        if text == Some(solver) {
            let kept = fs::read_to_string(first.join("scheduler/scheduler_config.json")).expect("there");
            assert!(kept.contains("\"lambda_min_clipped\": -Infinity,"), "{kept}");
            assert!(kept.contains("\"note\": \"-Infinity\","), "{kept}");
        }
        let header = fs::read(&folder.weights).expect("there");
        assert!(String::from_utf8_lossy(&header).contains("{\"format\":\"pt\"}"));
        let range = if text == Some(ve) {
            DataRange::Unit
        } else {
            DataRange::Symmetric
        };
        assert_eq!(folder.data_range, range);
    }
}

#[test]
fn a_configuration_survives_json_and_toml() {
    for keys in [keys(), skip_keys()] {
        let config = config(&keys);
        assert_eq!(
            folders::config(&serde_json::from_str(&config.to_json()).expect("json")),
            config
        );
        let net = NetConfig::DiffusersUnet2d(config);
        let text = toml::to_string(&net).expect("toml");
        assert!(text.starts_with("kind = \"diffusers-unet2d\"\n"), "{text}");
        assert_eq!(toml::from_str::<NetConfig>(&text).expect(&text), net);
    }
    let config = config(&keys());
    let text: Value = serde_json::from_str(&config.to_json()).expect("json");
    assert_eq!(text["attention_head_dim"], Value::Null);
    assert_eq!(text["mid_block_type"], "UNetMidBlock2D");
    assert_eq!(text["sample_size"], json!([8, 4]));
    assert_eq!(text["freq_shift"], json!(1));
    assert_eq!(text.as_object().map(serde_json::Map::len), Some(28 + 2));
    assert_eq!(config.shape(), Some(vec![2, 8, 4]));
}

#[test]
fn old_names_and_old_layouts_are_read() {
    let (_home, path, tensors) = alone(&keys());
    let old = |name: &str| {
        let pairs = [
            ("to_q.", "query."),
            ("to_k.", "key."),
            ("to_v.", "value."),
            ("to_out.0.", "proj_attn."),
        ];
        pairs
            .iter()
            .fold(name.to_string(), |name, (new, old)| name.replace(new, old))
    };
    let renamed: Named = tensors.iter().map(|(n, t)| (old(n), t.shallow_clone())).collect();
    assert!(
        renamed
            .iter()
            .any(|(name, _)| name == "mid_block.attentions.0.proj_attn.weight")
    );
    weights::save(&weights_file(&path), &renamed).expect("saves");
    // all files beside model_index.json
    let index = r#"{"_class_name": "DDPMPipeline", "_diffusers_version": "0.0.4", "scheduler": ["diffusers", "DDPMScheduler"],
        "unet": ["diffusers", "UNet2DModel"]}"#;
    fs::write(path.join("model_index.json"), index).expect("writes");
    fs::write(path.join("scheduler_config.json"), "{}").expect("writes");
    let folder = read_folder(&path).expect("reads");
    assert_eq!(
        folder.scheduler.as_ref().map(SchedulerConfig::class),
        Some("DDPMScheduler")
    );
    let into = named_tensors(&build(&folder.config, 2).0);
    folder.load(&into).expect("loads");
    assert_same(&into, &tensors);

    // two copies of the Fourier frequencies
    let (_home, path, tensors) = alone(&skip_keys());
    let mut twice: Named = tensors
        .iter()
        .map(|(n, t)| (n.clone(), t.shallow_clone()))
        .collect();
    let frequencies = tensors
        .iter()
        .find(|(name, _)| name == "time_proj.weight")
        .expect("there");
    twice.push(("time_proj.W".into(), frequencies.1.shallow_clone()));
    weights::save(&weights_file(&path), &twice).expect("saves");
    let folder = read_folder(&path).expect("reads");
    assert_eq!(
        (folder.data_range, folder.scheduler.is_none()),
        (DataRange::Unit, true)
    );
    let into = named_tensors(&build(&folder.config, 2).0);
    folder.load(&into).expect("loads");
    assert_same(&into, &tensors);
    // one copy, under the old name
    twice.retain(|(name, _)| name != "time_proj.weight");
    weights::save(&weights_file(&path), &twice).expect("saves");
    let into = named_tensors(&build(&folder.config, 3).0);
    folder.load(&into).expect("loads");
    assert_same(&into, &tensors);
}

#[test]
fn half_precision_is_widened_where_all_of_it_is_half() {
    let (_home, path, tensors) = alone(&keys());
    let halves: Named = tensors
        .iter()
        .map(|(n, t)| (n.clone(), t.to_kind(Kind::Half)))
        .collect();
    weights::save(&weights_file(&path), &halves).expect("saves");
    let folder = read_folder(&path).expect("reads");
    let into = named_tensors(&build(&folder.config, 2).0);
    folder.load(&into).expect("loads");
    let widened = halves
        .iter()
        .map(|(n, t)| (n.clone(), t.to_kind(Kind::Float)))
        .collect();
    assert_same(&into, &widened);
    let mut mixed: Named = tensors
        .iter()
        .map(|(n, t)| (n.clone(), t.shallow_clone()))
        .collect();
    mixed[3].1 = mixed[3].1.to_kind(Kind::Half);
    weights::save(&weights_file(&path), &mixed).expect("saves");
    let refused = folder.load(&into).expect_err("one of another type");
    assert!(
        matches!(refused, DiffusersError::Weights(WeightsError::Dtype { .. })),
        "{refused}"
    );
    assert_same(&into, &widened);
}

/// What DDIM over all rungs of the ladder makes of `x`, by the samplers of this workspace.
fn ddim(net: &Unet2dModel, scheduler: &SchedulerConfig, x: &Tensor) -> Tensor {
    let Process::Vp { ladder, .. } = scheduler.process() else {
        panic!("a ladder");
    };
    let sde = scheduler.process().sde().expect("an SDE");
    let score = NetScore::new(net, scheduler.process().precond().expect("a preconditioning"));
    let table = format!(
        "kind = 'ddim'\nsteps = {}\ngrid = {{ kind = 'uniform' }}\nfinal = 'tweedie'",
        ladder.len() - 1
    );
    let sampler: SamplerConfig = toml::from_str(&table).expect("a sampler");
    let sampler = sampler.build(&*sde).expect("a sampler");
    let noise = TensorNoise {
        seed: 1,
        first_row: 0,
    };
    let job = Job {
        sde: &*sde,
        score: &score,
        noise: &noise,
        first_row: 0,
    };
    let mut state = TensorState::new(x.copy()).expect("a state");
    sampler.run(&job, &mut state, &mut ()).expect("runs");
    state.tensor().copy()
}

/// Needs `DIFFUSERS_PYTHON`, a Python with diffusers 0.42.
#[test]
#[allow(clippy::print_stdout, reason = "says what was not tested")]
fn the_library_loads_what_is_written_and_computes_the_same() {
    let Some(python) = std::env::var_os("DIFFUSERS_PYTHON") else {
        println!("skipped: DIFFUSERS_PYTHON is not set");
        return;
    };
    let ve = r#"{"_class_name": "ScoreSdeVeScheduler", "sigma_min": 0.01, "sigma_max": 1348.0}"#;
    let ladder = |prediction: &str| {
        let text = r#"{"_class_name": "DDPMScheduler", "num_train_timesteps": 20, "beta_start": 0.005, "beta_end": 0.6, "#;
        format!("{text}\"prediction_type\": \"{prediction}\"}}")
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/diffusers/check.py");
    for (keys, text, time) in [
        (keys(), Some(ladder("epsilon")), [19.0_f32, 3.0]),
        (keys(), Some(ladder("sample")), [5.0, 0.0]),
        (keys(), Some(ladder("v_prediction")), [5.0, 0.0]),
        (keys(), None, [500.0, 0.0]),
        (skip_keys(), Some(ve.to_string()), [0.5, 100.0]),
    ] {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("model");
        let (config, scheduler) = (config(&keys), text.as_deref().map(scheduler));
        let (vs, net) = build(&config, 1);
        write_folder(&path, &config, scheduler.as_ref(), &named_tensors(&vs)).expect("writes");
        let shape = config.shape().expect("a size");
        let (x, time) = (normals(2, &shape, Kind::Float), Tensor::from_slice(&time));
        let (given, wanted) = (
            home.path().join("in.safetensors"),
            home.path().join("out.safetensors"),
        );
        let arrays = [
            ("x".into(), x.shallow_clone()),
            ("time".into(), time.shallow_clone()),
        ];
        weights::save(&given, &arrays).expect("saves");
        let ran = Command::new(&python)
            .arg(&script)
            .args([&path, &given, &wanted])
            .output();
        let ran = ran.expect("runs");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let results = weights::read(&wanted).expect("results");
        let get = |key: &str| {
            results
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, tensor)| tensor)
        };
        let assert_near = |own: &Tensor, key: &str, relative: f64| {
            let need = get(key).expect("there");
            let (off, most) = (distance(own, need), need.abs().max().double_value(&[]));
            assert!(off <= relative * most, "{key}: off by {off} of {most}: {text:?}");
        };
        let own = no_grad(|| net.forward(&x, &time, false)).expect("runs");
        assert_near(&own, "out", 1e-6);
        let Some(scheduler) = scheduler.filter(|_| get("ddim").is_some()) else {
            continue;
        };
        let Process::Vp { ladder, .. } = scheduler.process() else {
            panic!("a ladder");
        };
        let own: Vec<f64> = (0..ladder.len()).map(|rung| ladder.alpha_bar(rung)).collect();
        assert_near(&Tensor::from_slice(&own), "alphas_cumprod", 1e-6);
        // The library's ladder is in f32.
        assert_near(&ddim(&net, &scheduler, &x), "ddim", 2e-5);
    }
}
