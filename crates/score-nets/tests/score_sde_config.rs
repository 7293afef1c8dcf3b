//! What configurations of score_sde's networks say, and what is refused.

mod common;

use common::{ddpm, ncsnpp};
use score_nets::score_sde::{EmbeddingType, ModelConfigFile, Progressive, ProgressiveInput, SdeKind};
use score_nets::{DdpmConfig, NcsnppConfig, NetConfig, NetError};
use serde_json::{Value, json};
use tch::Device;

fn net(text: &str) -> Result<NetConfig, String> {
    toml::from_str(text).map_err(|e: toml::de::Error| e.message().to_string())
}

#[test]
fn defaults_differ_by_kind_and_survive_writing() {
    let NetConfig::Ncsnpp(ve) = net("kind = 'ncsnpp'").expect("sound") else {
        panic!("another kind")
    };
    assert_eq!(ve, NcsnppConfig::ncsnpp());
    let text = "kind = 'ddpmpp'\nnf = 16\nprogressive = 'output-skip'\nprogressive_input = 'input_skip'";
    let NetConfig::Ddpmpp(vp) = net(text).expect("sound") else {
        panic!("another kind")
    };
    assert_eq!(
        (vp.nf, vp.embedding_type, vp.fir),
        (16, EmbeddingType::Positional, false)
    );
    assert_eq!(vp.progressive, Progressive::OutputSkip);
    assert_eq!(vp.progressive_input, ProgressiveInput::InputSkip);
    for config in [NetConfig::Ncsnpp(ve), NetConfig::Ddpmpp(vp), ddpm(|c| c.nf = 64)] {
        let written = toml::to_string(&config).expect("can be written");
        assert_eq!(net(&written).expect("reads its own"), config);
    }
}

#[test]
fn unknown_keys_and_names_are_refused() {
    for (text, part) in [
        ("kind = 'ncsnpp'\nnff = 3", "unknown field `nff`"),
        ("kind = 'ddpmpp'\nfir_kernal = [1]", "unknown field `fir_kernal`"),
        ("kind = 'ddpm'\nfir = true", "unknown field `fir`"),
        (
            "kind = 'ncsnpp'\nresblock_type = 'resnet'",
            "unknown variant `resnet`",
        ),
        (
            "kind = 'ncsnpp'\nprogressive = 'input_skip'",
            "unknown variant `input_skip`",
        ),
        ("kind = 'ncsnpp'\nnonlinearity = 'gelu'", "unknown variant `gelu`"),
        ("kind = 'ncsnpp'\nnf = 'many'", "invalid type"),
        ("kind = 'ncsnpp'\nnf = 8.5", "invalid type"),
        ("kind = 'ncsnv2'", "unknown variant `ncsnv2`"),
    ] {
        let message = net(text).expect_err(text);
        assert!(message.contains(part), "{text}: {message}");
    }
}

#[test]
fn what_cannot_be_built_is_refused_by_name() {
    let shape = [3, 8, 8];
    for (key, config) in [
        ("net.nf", ncsnpp(|c| c.nf = 3)),
        ("net.nf", ncsnpp(|c| c.nf = 9)),
        ("net.nf", ncsnpp(|c| c.nf = i64::MAX)),
        ("net.nf", ddpm(|c| c.nf = 48)),
        ("net.ch_mult", ncsnpp(|c| c.ch_mult = vec![])),
        ("net.ch_mult", ncsnpp(|c| c.ch_mult = vec![1, 0])),
        ("net.ch_mult", ncsnpp(|c| c.ch_mult = vec![1; 17])),
        (
            "net.ch_mult",
            ncsnpp(|c| (c.nf, c.ch_mult) = (65_536, vec![1024])),
        ),
        ("net.num_res_blocks", ncsnpp(|c| c.num_res_blocks = -1)),
        ("net.num_res_blocks", ddpm(|c| c.num_res_blocks = i64::MAX)),
        ("net.dropout", ncsnpp(|c| c.dropout = 1.5)),
        ("net.dropout", ncsnpp(|c| c.dropout = f64::NAN)),
        ("net.init_scale", ncsnpp(|c| c.init_scale = -1.0)),
        ("net.fourier_scale", ncsnpp(|c| c.fourier_scale = f64::INFINITY)),
        ("net.fir_kernel", ncsnpp(|c| c.fir_kernel = vec![])),
        ("net.fir_kernel", ncsnpp(|c| c.fir_kernel = vec![1.0, -1.0])),
        ("net.fir_kernel", ncsnpp(|c| c.fir_kernel = vec![f64::NAN])),
        ("net.sigma_min", ncsnpp(|c| c.sigma_min = 0.0)),
        ("net.sigma_max", ncsnpp(|c| c.sigma_max = -3.0)),
        ("net.num_scales", ncsnpp(|c| c.num_scales = 0)),
        ("net.image_size", ncsnpp(|c| c.image_size = Some(16))),
        ("net.num_channels", ncsnpp(|c| c.num_channels = Some(1))),
        ("net.conditional", ddpm(|c| c.conditional = false)),
    ] {
        match config.param_count(&shape) {
            Err(NetError::Config { key: got, .. }) => assert_eq!(got, key, "{config:?}"),
            other => panic!("{config:?}: {other:?}"),
        }
        let vs = tch::nn::VarStore::new(Device::Cpu);
        assert!(config.build(&vs.root(), &shape).is_err());
        assert!(vs.is_empty(), "nothing is made before the check");
    }
    for shape in [
        &[3, 8][..],
        &[3, 9, 8],
        &[3, 8, 9],
        &[1 << 40, 8, 8],
        &[3, 8, 8, 8],
    ] {
        let error = ncsnpp(|_| ()).param_count(shape).expect_err("does not fit");
        assert!(matches!(error, NetError::Shape { .. }), "{error}");
        assert_eq!(error.to_string().lines().count(), 1);
    }
    // A width that attention does not tell apart from the one that the network was made for.
    let fits = ncsnpp(|c| (c.image_size, c.attn_resolutions) = (Some(16), vec![]));
    fits.param_count(&[3, 6, 8])
        .expect("no attention to fall elsewhere");
}

fn published() -> Value {
    json!({
        "training": {"sde": "vesde", "continuous": true, "batch_size": 128},
        "sampling": {"method": "pc"},
        "data": {"dataset": "CIFAR10", "image_size": 32, "num_channels": 3, "centered": false, "random_flip": true,
                 "uniform_dequantization": false},
        "model": {"name": "ncsnpp", "sigma_min": 0.01, "sigma_max": 50, "num_scales": 1000, "beta_min": 0.1,
                  "beta_max": 20.0, "dropout": 0.1, "embedding_type": "Fourier", "scale_by_sigma": true,
                  "ema_rate": 0.999, "normalization": "GroupNorm", "nonlinearity": "swish", "nf": 128,
                  "ch_mult": [1, 2, 2, 2], "num_res_blocks": 4, "attn_resolutions": [16], "resamp_with_conv": true,
                  "conditional": true, "fir": true, "fir_kernel": [1, 3, 3, 1], "skip_rescale": true,
                  "resblock_type": "BigGAN", "progressive": "none", "progressive_input": "residual",
                  "progressive_combine": "sum", "attention_type": "ddpm", "init_scale": 0.0, "fourier_scale": 16,
                  "conv_size": 3},
        "optim": {"lr": 2e-4}, "seed": 42
    })
}

#[test]
fn published_configurations_are_read() {
    let file = ModelConfigFile::from_value(published()).expect("score_sde's own");
    let mut want = NcsnppConfig::ncsnpp();
    (want.centered, want.image_size, want.num_channels) = (false, Some(32), Some(3));
    assert_eq!(file.net, NetConfig::Ncsnpp(want));
    assert_eq!(
        (file.shape, file.sde, file.continuous),
        ([3, 32, 32], Some(SdeKind::VeSde), Some(true))
    );
    assert_eq!(
        (file.sigma, file.beta, file.ema_rate),
        ((0.01, 50.0), (0.1, 20.0), Some(0.999))
    );
    assert!(!file.centered);

    let mut flat = published()["model"].clone();
    for (key, value) in published()["data"].as_object().expect("a table") {
        if ["image_size", "num_channels", "centered"].contains(&key.as_str()) {
            flat[key] = value.clone();
        }
    }
    let same =
        ModelConfigFile::from_value(json!({"config": flat.clone(), "params": 3})).expect("under a key");
    assert_eq!((&same.net, same.sde), (&file.net, None));
    let text = toml::to_string(&flat).expect("can be written");
    assert_eq!(ModelConfigFile::from_toml(&text).expect("TOML").net, file.net);
    assert_eq!(
        ModelConfigFile::from_json(&flat.to_string()).expect("JSON").net,
        file.net
    );

    flat["name"] = "ddpm".into();
    let plain = ModelConfigFile::from_value(flat).expect("fields of the other network are passed over");
    assert!(matches!(plain.net, NetConfig::Ddpm(DdpmConfig { nf: 128, .. })));
}

/// Counted by the reference for its published configurations; none of them is built here.
#[test]
fn param_counts_of_published_networks() {
    let skips = |c: &mut NcsnppConfig| {
        (c.progressive, c.progressive_input) = (Progressive::OutputSkip, ProgressiveInput::InputSkip);
    };
    let published = |change: &dyn Fn(&mut NcsnppConfig)| {
        let mut config = NcsnppConfig::ncsnpp();
        change(&mut config);
        NetConfig::Ncsnpp(config)
    };
    for (config, size, want) in [
        (published(&|_| ()), 32, 62_758_787),
        (published(&|c| c.num_res_blocks = 8), 32, 107_586_947),
        (NetConfig::Ddpmpp(NcsnppConfig::ddpmpp()), 32, 61_804_419),
        (NetConfig::Ddpm(DdpmConfig::default()), 32, 35_218_947),
        (
            published(&|c| {
                (c.nf, c.num_res_blocks, c.ch_mult) = (16, 1, vec![1, 2, 4, 8, 16, 32, 32, 32]);
                skips(c);
            }),
            1024,
            105_785_880,
        ),
        (
            published(&|c| {
                (c.num_res_blocks, c.ch_mult) = (2, vec![1, 1, 2, 2, 2, 2, 2]);
                skips(c);
            }),
            256,
            65_574_421,
        ),
    ] {
        assert_eq!(config.param_count(&[3, size, size]).expect("sound"), want);
    }
}

#[test]
fn other_files_are_refused_by_name() {
    let change = |path: &[&str], value: Option<Value>| {
        let mut all = published();
        let table = path[..path.len() - 1]
            .iter()
            .fold(&mut all, |at, key| &mut at[*key]);
        let table = table.as_object_mut().expect("a table");
        match value {
            Some(value) => drop(table.insert(path[path.len() - 1].into(), value)),
            None => drop(table.remove(path[path.len() - 1])),
        }
        ModelConfigFile::from_value(all).expect_err("refused").to_string()
    };
    for (path, value, part) in [
        (&["model", "name"][..], Some(json!("ncsnv2")), "net.name = ncsnv2"),
        (&["model", "name"], None, "net.name = (absent)"),
        (&["model", "nf"], None, "net.nf = (absent)"),
        (&["model", "nf"], Some(json!("wide")), "net.nf = wide"),
        (&["model", "ngf"], Some(json!(128)), "net.ngf = 128"),
        (&["model", "fir_kernel"], None, "net.fir_kernel = (absent)"),
        (&["model", "fourier_scale"], None, "net.fourier_scale = (absent)"),
        (
            &["model", "normalization"],
            Some(json!("InstanceNorm++")),
            "net.normalization = InstanceNorm++",
        ),
        (&["model", "conv_size"], Some(json!(5)), "net.conv_size = 5"),
        (
            &["model", "resblock_type"],
            Some(json!("resnet")),
            "net.resblock_type = resnet",
        ),
        (&["model", "ema_rate"], Some(json!("slow")), "net.ema_rate = slow"),
        (&["model"], Some(json!(3)), "model = 3"),
        (&["data", "centered"], None, "net.centered = (absent)"),
        (&["data", "image_size"], None, "net.image_size = (absent)"),
        (&["data", "size"], Some(json!(32)), "net.size = 32"),
        (
            &["training", "continuous"],
            Some(json!(false)),
            "net.embedding_type = fourier",
        ),
        (&["training", "sde"], Some(json!("edm")), "net.sde = edm"),
        (&["network"], Some(json!({})), "network = "),
    ] {
        let message = change(path, value);
        assert!(message.contains(part), "{path:?}: {message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    for text in ["", "[", "3", "null", "{\"a\": {\"b\": 1}}", "\"nf\""] {
        let message = ModelConfigFile::from_json(text).expect_err(text).to_string();
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    assert!(ModelConfigFile::from_toml("nf = = 3").is_err());
}
