//! Folders of the diffusers library: in and out, old layouts, and every refusal.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{distance, normals};
use score_nets::diffusers::{
    DataRange, DiffusersError, Process, SchedulerConfig, Unet2dConfig, Unet2dModel, read_folder, write_folder,
};
use score_nets::weights::{self, WeightsError};
use score_nets::{NetConfig, NetScore, ScoreNet, TensorNoise, TensorState, named_tensors, seeded};
use serde_json::{Value, json};
use solvers::Job;
use solvers::config::SamplerConfig;
use tch::{Device, Kind, Tensor, nn, no_grad};

type Named = Vec<(String, Tensor)>;

const DDPM: &str = r#"{"_class_name": "DDPMScheduler", "_diffusers_version": "0.42.1", "num_train_timesteps": 1000,
    "beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear", "trained_betas": null, "clip_sample": true}"#;

/// Keys of a `config.json` of two small levels.
fn keys() -> Value {
    json!({
        "_class_name": "UNet2DModel", "_diffusers_version": "0.0.4", "_name_or_path": "somewhere",
        "sample_size": [8, 4], "in_channels": 2, "out_channels": 2, "block_out_channels": [8, 8],
        "layers_per_block": 1, "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "norm_num_groups": 4, "attention_head_dim": null,
        "freq_shift": 1, "flip_sin_to_cos": false, "norm_eps": 1e-6, "mid_block_scale_factor": 1,
    })
}

fn skip_keys() -> Value {
    let mut keys = keys();
    for (key, value) in [
        ("sample_size", json!(8)),
        ("in_channels", json!(3)),
        ("out_channels", json!(3)),
        ("norm_num_groups", json!(null)),
        ("time_embedding_type", json!("fourier")),
        ("mid_block_scale_factor", json!(1.41421356237)),
        ("down_block_types", json!(["SkipDownBlock2D", "SkipDownBlock2D"])),
        ("up_block_types", json!(["SkipUpBlock2D", "SkipUpBlock2D"])),
    ] {
        keys[key] = value;
    }
    keys
}

fn config(keys: &Value) -> Unet2dConfig {
    Unet2dConfig::from_json(Path::new("config.json"), &keys.to_string()).expect("a sound configuration")
}

fn scheduler(text: &str) -> SchedulerConfig {
    SchedulerConfig::from_json(Path::new("scheduler_config.json"), text, None).expect("a sound scheduler")
}

fn build(config: &Unet2dConfig, seed: i64) -> (nn::VarStore, Unet2dModel) {
    tch::set_num_threads(1);
    let vs = nn::VarStore::new(Device::Cpu);
    let net = seeded(seed, || Unet2dModel::new(config, &vs.root())).expect("a sound configuration");
    (vs, net)
}

fn assert_same(have: &Named, need: &Named) {
    for ((name, have), (_, need)) in have.iter().zip(need) {
        assert_eq!(have, need, "{name}");
    }
}

/// A folder of a network alone, in a temporary folder, and its tensors.
fn alone(keys: &Value) -> (tempfile::TempDir, PathBuf, Named) {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("net");
    let config = config(keys);
    let tensors = named_tensors(&build(&config, 1).0);
    write_folder(&path, &config, None, &tensors).expect("writes");
    (home, path, tensors)
}

fn weights_file(folder: &Path) -> PathBuf {
    folder.join("diffusion_pytorch_model.safetensors")
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
            self::config(&serde_json::from_str(&config.to_json()).expect("json")),
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

/// The one line that an error is.
fn line(error: &DiffusersError) -> String {
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text}");
    text
}

#[test]
fn bad_configurations_are_refused_by_key() {
    let (_home, path, _) = alone(&keys());
    let file = path.join("config.json");
    let cases = [
        ("_class_name", json!("UNet2DConditionModel")),
        ("cross_attention_dim", json!(768)),
        ("in_channels", json!("3")),
        ("in_channels", json!(0)),
        ("layers_per_block", json!([1, 2])),
        ("down_block_types", json!(["DownBlock2D", "CrossAttnDownBlock2D"])),
        ("down_block_types", json!(["DownBlock2D"])),
        ("down_block_types", json!(["SkipDownBlock2D", "DownBlock2D"])),
        ("up_block_types", json!(["AttnUpBlock2D", "UpDecoderBlock2D"])),
        ("up_block_types", json!(["SkipUpBlock2D", "UpBlock2D"])),
        ("mid_block_type", json!("UNetMidBlock2DCrossAttn")),
        ("time_embedding_type", json!("sinusoidal")),
        ("time_embedding_type", json!("learned")),
        ("class_embed_type", json!("projection")),
        ("num_class_embeds", json!(0)),
        ("resnet_time_scale_shift", json!("spatial")),
        ("act_fn", json!("tanh")),
        ("norm_num_groups", json!(3)),
        ("norm_num_groups", json!(null)),
        ("attn_norm_num_groups", json!(5)),
        ("attention_head_dim", json!(9)),
        ("attention_head_dim", json!("eight")),
        ("downsample_padding", json!(2)),
        ("downsample_type", json!("pool")),
        ("dropout", json!(1.0)),
        ("norm_eps", json!(0.0)),
        ("freq_shift", json!(4)),
        ("block_out_channels", json!([])),
        ("block_out_channels", json!([8, 1_000_000])),
        ("sample_size", json!([8, 4, 2])),
    ];
    for (key, value) in cases {
        let mut bad = keys();
        bad[key] = value.clone();
        if key == "downsample_type" {
            bad["down_block_types"] = json!(["AttnDownBlock2D", "AttnDownBlock2D"]);
        }
        fs::write(&file, bad.to_string()).expect("writes");
        let error = line(&read_folder(&path).expect_err(key));
        let named = error.contains(&format!("{key} = "))
            || (key == "down_block_types" && error.contains("in_channels"));
        let learned = key == "time_embedding_type" && error.contains("num_train_timesteps");
        assert!(
            error.starts_with(&file.display().to_string()) && (named || learned),
            "{key} = {value}: {error}"
        );
    }
    for (text, need) in [
        ("", "EOF"),
        ("[1]", "expected an object"),
        (r#"{"in_channels": 3, "in_channels": 4}"#, "comes twice"),
        ("{\"in_channels\": NaN}", "in_channels = "),
        ("{", "EOF"),
    ] {
        fs::write(&file, text).expect("writes");
        let error = line(&read_folder(&path).expect_err(text));
        assert!(error.contains(need), "{text}: {error}");
    }
    fs::write(&file, [0xff, 0xfe, 0x00]).expect("writes");
    assert!(line(&read_folder(&path).expect_err("no text")).contains("UTF-8"));
    fs::remove_file(&file).expect("removes");
    assert!(line(&read_folder(&path).expect_err("no file")).contains("cannot read"));
    assert!(line(&read_folder(&path.join("nowhere")).expect_err("no folder")).contains("nowhere"));
}

#[test]
fn bad_pipelines_are_refused() {
    let (_home, path, _) = alone(&keys());
    let index = path.join("model_index.json");
    let with = |component: &str, class: &str| {
        let mut pipeline =
            json!({"_class_name": "X", "unet": ["diffusers", "UNet2DModel"], "safety": [null, null]});
        pipeline[component] = json!(["diffusers", class]);
        pipeline.to_string()
    };
    for (text, need) in [
        (with("vqvae", "VQModel"), "vqvae = VQModel"),
        (
            with("unet", "UNet2DConditionModel"),
            "unet = UNet2DConditionModel",
        ),
        (with("scheduler", "DDPMScheduler"), "scheduler_config.json"),
        (
            r#"{"scheduler": ["diffusers", "DDPMScheduler"]}"#.into(),
            "unet = none",
        ),
        (r#"{"unet": ["diffusers"]}"#.into(), "need a library and a class"),
    ] {
        fs::write(&index, &text).expect("writes");
        let error = line(&read_folder(&path).expect_err(&text));
        assert!(error.contains(need), "{text}: {error}");
    }
    fs::write(&index, with("scheduler", "DDPMScheduler")).expect("writes");
    let file = path.join("scheduler_config.json");
    for (text, need) in [
        (
            r#"{"_class_name": "FlowMatchEulerDiscreteScheduler"}"#,
            "_class_name = FlowMatch",
        ),
        (r#"{"beta_schedule": "constant"}"#, "beta_schedule = \"constant\""),
        (r#"{"beta_end": 1.5}"#, "beta_end = 1.5"),
        (r#"{"beta_start": "small"}"#, "beta_start = \"small\""),
        (
            r#"{"num_train_timesteps": 99999999999}"#,
            "num_train_timesteps = 99999999999",
        ),
        (
            r#"{"num_train_timesteps": 3, "trained_betas": [0.1, 0.2]}"#,
            "trained_betas = [0.1,0.2]: need 3",
        ),
        (
            r#"{"num_train_timesteps": 2, "trained_betas": [0.1, 1.2]}"#,
            "betas[1] = 1.2",
        ),
        (
            r#"{"prediction_type": "flow_prediction"}"#,
            "prediction_type = \"flow_prediction\"",
        ),
        (
            r#"{"rescale_betas_zero_snr": true}"#,
            "rescale_betas_zero_snr = true",
        ),
        (
            r#"{"variance_type": "learned_range"}"#,
            "variance_type = \"learned_range\"",
        ),
        (
            r#"{"_class_name": "ScoreSdeVeScheduler", "sigma_min": 9000}"#,
            "sigma_min = 9000",
        ),
        (
            r#"{"_class_name": "EDMEulerScheduler", "sigma_data": 0}"#,
            "sigma_data = 0",
        ),
    ] {
        fs::write(&file, text).expect("writes");
        let error = line(&read_folder(&path).expect_err(text));
        assert!(error.contains(need), "{text}: {error}");
    }
}

#[test]
fn bad_weights_are_refused_and_nothing_changes() {
    let (_home, path, tensors) = alone(&keys());
    let file = weights_file(&path);
    let good = fs::read(&file).expect("there");
    let into = named_tensors(&build(&config(&keys()), 2).0);
    let before: Named = into.iter().map(|(n, t)| (n.clone(), t.copy())).collect();
    let changed = |change: fn(&mut Named)| {
        let mut changed: Named = tensors
            .iter()
            .map(|(n, t)| (n.clone(), t.detach().copy()))
            .collect();
        change(&mut changed);
        weights::save(&weights_file(&path), &changed).expect("saves");
        let folder = read_folder(&path).expect("the sizes are plausible");
        line(&folder.load(&into).expect_err("refused"))
    };
    let missing = changed(|tensors| drop(tensors.remove(5)));
    assert!(missing.contains("is missing"), "{missing}");
    let extra = changed(|tensors| tensors.push(("extra".into(), Tensor::from_slice(&[1.0_f32]))));
    assert!(extra.contains("`extra` is not part of the network"), "{extra}");
    let transposed = changed(|tensors| {
        let (_, tensor) = tensors
            .iter_mut()
            .find(|(n, _)| n == "time_embedding.linear_1.weight")
            .expect("there");
        *tensor = tensor.tr().contiguous();
    });
    assert!(transposed.contains("it is transposed"), "{transposed}");
    let both = changed(|tensors| {
        let (_, tensor) = tensors
            .iter()
            .find(|(n, _)| n == "mid_block.attentions.0.to_q.bias")
            .expect("there");
        let copy = tensor.copy();
        tensors.push(("mid_block.attentions.0.query.bias".into(), copy));
    });
    assert!(
        both.contains("two tensors have the name `mid_block.attentions.0.to_q.bias`"),
        "{both}"
    );
    let nan = changed(|tensors| no_grad(|| drop(tensors[2].1.fill_(f64::NAN))));
    assert!(nan.contains("not finite"), "{nan}");
    for end in [0, 7, good.len() / 2, good.len() - 1] {
        fs::write(&file, &good[..end]).expect("writes");
        let refused = read_folder(&path).and_then(|folder| folder.load(&into));
        line(&refused.expect_err("truncated"));
    }
    // a configuration of a larger network is refused before anybody builds it
    fs::write(&file, &good).expect("writes");
    let mut large = keys();
    large["block_out_channels"] = json!([8192, 8192]);
    fs::write(path.join("config.json"), large.to_string()).expect("writes");
    let error = line(&read_folder(&path).expect_err("large"));
    assert!(error.contains("belong to different models"), "{error}");
    fs::remove_file(&file).expect("removes");
    assert!(line(&read_folder(&path).expect_err("no weights")).contains("no weights"));
    for ((name, have), (_, need)) in into.iter().zip(&before) {
        assert_eq!(have, need, "{name} was written to");
    }
}

#[test]
fn nothing_is_written_over_or_half() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("model");
    let config = config(&keys());
    let tensors = named_tensors(&build(&config, 1).0);
    let short = write_folder(&path, &config, None, &tensors[1..]).expect_err("a tensor is missing");
    assert!(line(&short).contains("tensors = "), "{short}");
    assert!(!path.exists());
    fs::create_dir(&path).expect("creates");
    fs::write(path.join("mine"), "x").expect("writes");
    let there = write_folder(&path, &config, None, &tensors).expect_err("not empty");
    assert!(line(&there).contains("not empty"), "{there}");
    assert_eq!(
        fs::read_dir(home.path()).expect("there").count(),
        1,
        "something is left"
    );
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
