use std::fs;
use std::path::Path;

use score_nets::diffusers::{SchedulerConfig, Unet2dConfig, write_folder};
use score_nets::weights::{NET_FILE, read};
use score_nets::{NetConfig, ScoreNet, named_tensors, seeded};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor, nn};

use crate::common::{done, fixture, refused, shared, tensor, write};

/// The network's table in a small pipeline, and the same network here.
fn small(here: &Path, scheduler: &str) -> (nn::VarStore, Box<dyn ScoreNet>) {
    tch::set_num_threads(1);
    let text = json!({
        "sample_size": 8, "in_channels": 1, "out_channels": 1, "layers_per_block": 1, "block_out_channels": [4, 8],
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
        "norm_num_groups": 2, "attention_head_dim": 4,
    });
    let config =
        Unet2dConfig::from_json(Path::new("config.json"), &text.to_string()).expect("a configuration");
    let vs = nn::VarStore::new(Device::Cpu);
    let net = seeded(7, || {
        NetConfig::DiffusersUnet2d(config.clone()).build(&vs.root(), &[1, 8, 8])
    });
    let scheduler = SchedulerConfig::from_json(Path::new("scheduler_config.json"), scheduler, None);
    write_folder(
        &here.join("pipeline"),
        &config,
        Some(&scheduler.expect("a scheduler")),
        &named_tensors(&vs),
    )
    .expect("writes");
    (vs, net.expect("builds"))
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("there")).expect("JSON")
}

/// The folder `again` of diffusers, from the folder `model`.
fn export_again(here: &Path) {
    let args = [
        "export",
        "--to",
        "diffusers",
        "--model",
        "model",
        "--out",
        "again",
    ];
    done(here, &args);
}

#[test]
fn a_folder_in_and_out_is_the_same_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let scheduler = r#"{"_class_name": "DDPMScheduler", "num_train_timesteps": 1000, "beta_schedule": "linear",
                        "beta_start": 0.0001, "beta_end": 0.02, "prediction_type": "epsilon"}"#;
    let (_vs, net) = small(here, scheduler);
    let first = done(
        here,
        &["import", "--from", "diffusers", "pipeline", "--out", "model"],
    );
    assert!(first.err.is_empty(), "{}", first.err);
    let card = fs::read_to_string(here.join("model/model.toml")).expect("there");
    for line in [
        "rungs = 1000",
        "kind = \"raw-eps\"",
        "time_input = \"interval-label\"",
        "source = \"diffusers\"",
    ] {
        assert!(card.contains(line), "{line} is not in\n{card}");
    }
    let x = Tensor::arange(128, (Kind::Float, Device::Cpu)).view([2, 1, 8, 8]) / 64.0 - 1.0;
    let t = Tensor::from_slice(&[3_i64, 999]);
    write(&here.join("in.safetensors"), &[("x", &x), ("t", &t)]);
    done(
        here,
        &[
            "net",
            "forward",
            "--model",
            "model",
            "--input",
            "in.safetensors",
            "--output",
            "out.safetensors",
        ],
    );
    let need = net
        .forward(&x, &t.to_kind(Kind::Float), false)
        .expect("runs")
        .detach();
    assert_eq!(tensor(&here.join("out.safetensors"), "out"), need);

    export_again(here);
    let unet = "unet/diffusion_pytorch_model.safetensors";
    assert_eq!(
        fs::read(here.join("again").join(unet)).ok(),
        fs::read(here.join("pipeline").join(unet)).ok()
    );
    let config = "unet/config.json";
    assert_eq!(
        json_of(&here.join("again").join(config)),
        json_of(&here.join("pipeline").join(config))
    );
    done(
        here,
        &["import", "--from", "diffusers", "again", "--out", "model_again"],
    );
    let other = fs::read_to_string(here.join("model_again/model.toml")).expect("there");
    assert_eq!(other.replace("\"again\"", "\"pipeline\""), card);
    for ((name, a), (other, b)) in read(&here.join("model").join(NET_FILE))
        .expect("reads")
        .iter()
        .zip(&read(&here.join("model_again").join(NET_FILE)).expect("reads"))
    {
        assert_eq!((name, a), (other, b));
    }
    let sample = [
        "sample",
        "--model",
        "model",
        "--n",
        "2",
        "--sampler.steps",
        "3",
        "--out",
        "few.npz",
    ];
    done(here, &sample);
    assert!(here.join("few.npz").is_file());
}

/// A ladder of betas that no schedule says is kept in the card, sampled from, and given back, whatever the network predicts.
#[test]
fn a_ladder_of_its_own_goes_in_and_out() {
    for prediction in ["epsilon", "sample", "v_prediction"] {
        goes_in_and_out(prediction);
    }
}

fn goes_in_and_out(prediction: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let betas: Vec<f64> = (0..200)
        .map(|i| 1e-3 + 0.1 * (f64::from(i) / 199.0).powi(2))
        .collect();
    let scheduler = json!({"_class_name": "DDPMScheduler", "num_train_timesteps": 200, "trained_betas": betas, "prediction_type": prediction});
    small(here, &scheduler.to_string());
    done(
        here,
        &["import", "--from", "diffusers", "pipeline", "--out", "model"],
    );
    let info = done(here, &["net", "info", "--model", "model"]).out;
    // Told rung 0 at the end of the data, the last rung at the end of the noise.
    for text in [
        "0.000000 at t = 0.005",
        "199.000000 at t = 1",
        "rungs = 200",
        "betas = [",
    ] {
        assert!(info.contains(text), "{text} is not in\n{info}");
    }
    done(
        here,
        &[
            "sample",
            "--model",
            "model",
            "--n",
            "2",
            "--out",
            "x.npy",
            "--sampler.kind",
            "ddim",
            "--sampler.steps",
            "4",
        ],
    );
    assert!(here.join("x.npy").is_file());
    export_again(here);
    let again = json_of(&here.join("again/scheduler/scheduler_config.json"));
    assert_eq!(again["prediction_type"], prediction);
    let listed: Vec<f64> = again["trained_betas"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_f64)
        .collect();
    let off = listed.iter().zip(&betas).map(|(a, b)| (a - b).abs() / b);
    assert!(listed.len() == 200 && off.fold(0.0, f64::max) < 1e-15);
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    small(
        here,
        r#"{"_class_name": "ScoreSdeVeScheduler", "sigma_max": 348.0}"#,
    );
    done(
        here,
        &["import", "--from", "diffusers", "pipeline", "--out", "ve"],
    );
    let card = fs::read_to_string(here.join("ve/model.toml")).expect("there");
    assert!(
        card.contains("sigma_max = 348.0") && card.contains("raw-score"),
        "{card}"
    );
    let import = |says: &[&str]| {
        refused(
            here,
            &["import", "--from", "diffusers", "pipeline", "--out", "out"],
            1,
            says,
        );
        assert!(!here.join("out").exists());
    };
    let config = here.join("pipeline/unet/config.json");
    let text = fs::read_to_string(&config).expect("there");
    let with = |from: &str, to: &str, says: &[&str]| {
        assert!(text.contains(from), "{from} is not in\n{text}");
        fs::write(&config, text.replacen(from, to, 1)).expect("writes");
        import(&[&["config.json"], says].concat());
    };
    with(
        "\"AttnDownBlock2D\"",
        "\"CrossAttnDownBlock2D\"",
        &["down_block_types", "CrossAttnDownBlock2D"],
    );
    with("\"norm_num_groups\"", "\"norm_num_group\"", &["norm_num_group"]);
    with("\"norm_num_groups\": 2", "\"norm_num_groups\": 3", &[]);
    fs::write(&config, "{").expect("writes");
    import(&["config.json"]);
    fs::write(&config, &text).expect("writes");
    let weights = here.join("pipeline/unet/diffusion_pytorch_model.safetensors");
    let bytes = fs::read(&weights).expect("there");
    fs::write(&weights, &bytes[..bytes.len() - 1]).expect("writes");
    import(&["diffusion_pytorch_model.safetensors", "truncated"]);
    refused(
        here,
        &["import", "--from", "diffusers", "absent", "--out", "out"],
        1,
        &["absent"],
    );

    // A network that diffusers does not have.
    let (pth, config) = (fixture("score_sde_tiny.pth"), fixture("score_sde_tiny.json"));
    done(
        here,
        &[
            "import",
            "--from",
            "score-sde",
            &pth,
            "--model-config",
            &config,
            "--out",
            "song",
        ],
    );
    refused(
        here,
        &["export", "--to", "diffusers", "--model", "song", "--out", "out"],
        1,
        &["song/model.toml", "net.kind"],
    );
    refused(
        here,
        &["export", "--to", "diffusers", "--model", "ve", "--out", "song"],
        1,
        &["song", "not empty"],
    );
}

/// A folder made of the published package's network gives that package's output.
#[test]
fn an_imported_folder_gives_the_output_of_the_reference() {
    tch::set_num_threads(1);
    let Some(golden) = shared() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let facts = json_of(&golden.join("unet2d_ddpm.json"));
    let mut config = facts["config"].clone();
    config["_class_name"] = "UNet2DModel".into();
    let unet = here.join("pipeline/unet");
    fs::create_dir_all(&unet).expect("creates");
    fs::write(unet.join("config.json"), config.to_string()).expect("writes");
    fs::copy(
        golden.join("unet2d_ddpm.weights.safetensors"),
        unet.join("diffusion_pytorch_model.safetensors"),
    )
    .expect("copies");
    let import = done(
        here,
        &["import", "--from", "diffusers", "pipeline", "--out", "model"],
    );
    assert!(
        import.err.contains("note: ") && import.err.contains("DDPMScheduler"),
        "{}",
        import.err
    );
    let io = golden.join("unet2d_ddpm.io.safetensors");
    let time = read(&io)
        .expect("reads")
        .into_iter()
        .find(|(name, _)| name.starts_with("in.t"));
    let (x, need) = (tensor(&io, "in.x"), tensor(&io, "out"));
    write(
        &here.join("in.safetensors"),
        &[("x", &x), ("t", &time.expect("a time").1)],
    );
    done(
        here,
        &[
            "net",
            "forward",
            "--model",
            "model",
            "--input",
            "in.safetensors",
            "--output",
            "out.safetensors",
        ],
    );
    let largest = need.abs().max().double_value(&[]);
    let bound = 10.0 * facts["f32_vs_f64_max_abs"].as_f64().expect("a number") + 1e-6 * largest;
    let error = (tensor(&here.join("out.safetensors"), "out") - &need)
        .abs()
        .max()
        .double_value(&[]);
    assert!(error <= bound, "{error} against {bound}");
}
