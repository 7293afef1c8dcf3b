//! What is refused of folders of the diffusers library, and how: one line that names file and key or tensor.

#[path = "common/diffusers.rs"]
mod folders;

use std::fs;

use folders::{Named, alone, build, config, keys, weights_file};
use score_nets::diffusers::{DiffusersError, read_folder, write_folder};
use score_nets::{named_tensors, weights};
use serde_json::json;
use tch::{Tensor, no_grad};

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
