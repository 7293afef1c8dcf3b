//! `UNet2DModel` against the numbers of the diffusers library: over committed fixtures whose weights both sides compute
//! (`fixtures/diffusers/make.py`), and over the larger one of the shared folder where that exists.

mod common;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::distance;
use score_nets::diffusers::{Unet2dConfig, Unet2dModel};
use score_nets::{Precision, named_parameters, named_tensors, seeded, weights};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor, nn, no_grad};

const X: u64 = 1 << 20;
const COTANGENT: u64 = X + 1;
const EMBEDDING: u64 = X + 2;

/// Uniform in `[-1, 1)` with 24 bits: splitmix64 of the element's index and the stream, as in `make.py`.
fn uniform(stream: u64, shape: &[i64]) -> Tensor {
    let count = shape.iter().product::<i64>() as u64;
    let value = |index: u64| {
        let mut z = (index + (stream << 32) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f64 / (1 << 23) as f64 - 1.0
    };
    let values: Vec<f64> = (0..count).map(value).collect();
    Tensor::from_slice(&values).view(shape)
}

fn weight(stream: u64, name: &str, shape: &[i64]) -> Tensor {
    let u = uniform(stream, shape);
    match shape.len() {
        1 if name == "time_proj.weight" => u * 4.0,
        1 => u * 0.25 + f64::from(u8::from(name.ends_with("weight"))),
        _ => u * (3.0 / shape[1..].iter().product::<i64>() as f64).sqrt(),
    }
}

struct Fixture {
    name: String,
    facts: Value,
    config: Unet2dConfig,
    out: Tensor,
    grad: Tensor,
}

/// `DIFFUSERS_FIXTURES` names another folder made by `make.py`.
fn folder() -> PathBuf {
    match std::env::var_os("DIFFUSERS_FIXTURES") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/diffusers"),
    }
}

fn fixture(name: &str) -> Fixture {
    let text = fs::read_to_string(folder().join(format!("{name}.json"))).expect("a fixture");
    let facts: Value = serde_json::from_str(&text).expect("json");
    let config = serde_json::from_value(facts["config"].clone()).expect("a configuration");
    let arrays = weights::read(&folder().join(format!("{name}.safetensors"))).expect("arrays");
    let get = |key: &str| {
        let found = arrays.iter().find(|(name, _)| name == key).expect("there");
        found.1.shallow_clone()
    };
    Fixture {
        name: name.into(),
        out: get("out"),
        grad: get("grad.x"),
        facts,
        config,
    }
}

fn names() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder())
        .expect("the folder")
        .filter_map(|entry| {
            let name = entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("a name");
            name.strip_suffix(".json").map(str::to_string)
        })
        .collect();
    names.sort();
    names
}

struct Inputs {
    x: Tensor,
    time: Tensor,
    labels: Option<Tensor>,
    cotangent: Tensor,
}

fn inputs(config: &Unet2dConfig, kind: Kind) -> Inputs {
    let [height, width] = config.sample_size.expect("a size").sides();
    let time: [f64; 2] = match config.time_embedding_type.as_str() {
        "positional" => [997.0, 12.25],
        "fourier" => [0.75, 20.0],
        _ => [6.0, 2.0],
    };
    let embed = config
        .time_embedding_dim
        .unwrap_or(4 * config.block_out_channels[0]);
    let labels = match (config.class_embed_type.as_deref(), config.num_class_embeds) {
        (Some("timestep"), _) => Some(Tensor::from_slice(&[3.0, 0.5]).to_kind(kind)),
        (Some(_), _) => Some(uniform(EMBEDDING, &[2, embed]).to_kind(kind)),
        (None, Some(_)) => Some(Tensor::from_slice(&[4_i64, 1])),
        (None, None) => None,
    };
    Inputs {
        x: uniform(X, &[2, config.in_channels, height, width])
            .to_kind(kind)
            .set_requires_grad(true),
        time: Tensor::from_slice(&time).to_kind(kind),
        labels,
        cotangent: uniform(COTANGENT, &[2, config.out_channels, height, width]).to_kind(kind),
    }
}

fn build(config: &Unet2dConfig) -> (nn::VarStore, Unet2dModel) {
    tch::set_num_threads(1);
    let vs = nn::VarStore::new(Device::Cpu);
    let net = seeded(1, || Unet2dModel::new(config, &vs.root())).expect("a sound configuration");
    (vs, net)
}

/// The network with the weights of the fixture, after a comparison of names, order and shapes.
fn with_weights(fixture: &Fixture, kind: Kind) -> (nn::VarStore, Unet2dModel) {
    let (mut vs, net) = build(&fixture.config);
    if kind == Kind::Double {
        vs.double();
    }
    let own = named_tensors(&vs);
    let tensors = fixture.facts["tensors"].as_array().expect("a list");
    let trained: Vec<&str> = tensors
        .iter()
        .filter_map(|t| t[0].as_str())
        .filter(|n| *n != FROZEN_IF_VECTOR)
        .collect();
    let own_trained: Vec<&str> = own
        .iter()
        .map(|(n, _)| n.as_str())
        .filter(|n| *n != FROZEN_IF_VECTOR)
        .collect();
    assert_eq!(own_trained, trained, "{}", fixture.name);
    for (stream, facts) in tensors.iter().enumerate() {
        let (name, shape) = (facts[0].as_str().expect("a name"), &facts[1]);
        let (_, tensor) = own.iter().find(|(own, _)| own == name).expect("named above");
        let shape: Vec<i64> = shape
            .as_array()
            .expect("a shape")
            .iter()
            .filter_map(Value::as_i64)
            .collect();
        assert_eq!(tensor.size(), shape, "{}: {name}", fixture.name);
        no_grad(|| tensor.shallow_clone().copy_(&weight(stream as u64, name, &shape)));
    }
    (vs, net)
}

/// Fourier frequencies are saved, not trained, and so come last in the list of a store.
const FROZEN_IF_VECTOR: &str = "time_proj.weight";

struct Ran {
    out: Tensor,
    grad: Tensor,
    norms: Vec<(String, f64)>,
}

fn run(vs: &nn::VarStore, net: &Unet2dModel, inputs: &Inputs) -> Ran {
    let out = net
        .forward_with_class(&inputs.x, &inputs.time, inputs.labels.as_ref(), false)
        .expect("runs");
    let product = (&out * &inputs.cotangent).sum(out.kind());
    let parameters = named_parameters(vs);
    let mut wanted = vec![&inputs.x];
    wanted.extend(parameters.iter().map(|(_, tensor)| tensor));
    let gradients = Tensor::run_backward(&[&product], &wanted, false, false);
    Ran {
        out: out.detach(),
        grad: gradients[0].shallow_clone(),
        norms: parameters
            .iter()
            .zip(&gradients[1..])
            .map(|((name, _), gradient)| (name.clone(), gradient.norm().double_value(&[])))
            .collect(),
    }
}

fn largest(tensor: &Tensor) -> f64 {
    tensor.abs().max().double_value(&[])
}

fn assert_near(what: &str, got: &Tensor, need: &Tensor, bound: f64) {
    assert_eq!(got.size(), need.size(), "{what}");
    let error = distance(got, need);
    assert!(error <= bound, "{what}: off by {error:.3e}, allowed {bound:.3e}");
}

fn assert_norms(name: &str, norms: &[(String, f64)], need: &HashMap<&str, f64>, relative: f64) {
    let largest = need.values().copied().fold(0.0, f64::max);
    for (parameter, norm) in norms {
        let need = need[parameter.as_str()];
        // A gradient that is 0 in exact arithmetic (the bias of the keys) is rounding alone.
        let bound = relative * need + 1e-7 * largest;
        assert!(
            (norm - need).abs() <= bound,
            "{name}: gradient of {parameter} has norm {norm}, need {need}"
        );
    }
}

#[test]
fn committed_configurations_agree_with_the_library() {
    let names = names();
    assert!(names.len() >= 24, "fixtures are missing: {names:?}");
    for name in names {
        let fixture = fixture(&name);
        let number = |key: &str| fixture.facts[key].as_f64().expect("a number");
        let tensors = fixture.facts["tensors"].as_array().expect("a list");
        let need: HashMap<&str, f64> = tensors
            .iter()
            .filter_map(|facts| Some((facts[0].as_str()?, facts[2].as_f64()?)))
            .collect();
        for (kind, relative) in [(Kind::Float, 1e-4), (Kind::Double, 2e-6)] {
            let (vs, net) = with_weights(&fixture, kind);
            let ran = run(&vs, &net, &inputs(&fixture.config, kind));
            let bound = |key: &str, like: &Tensor| match kind {
                Kind::Float => 10.0 * number(key) + 1e-6 * largest(like),
                // The library's positional embedding is rounded to f32, and so are the stored numbers.
                _ => 5e-7 * largest(like),
            };
            let what = format!("{name}, {kind:?}");
            assert_near(&what, &ran.out, &fixture.out, bound("f32_vs_f64", &fixture.out));
            assert_near(
                &format!("{what}, gradient"),
                &ran.grad,
                &fixture.grad,
                bound("grad_f32_vs_f64", &fixture.grad),
            );
            assert_norms(&what, &ran.norms, &need, relative);
        }
    }
}

/// As near to the exact result as the library in PyTorch's autocast is, and as near to that.
#[test]
fn bf16_agrees_with_the_library_in_autocast() {
    let arrays = weights::read(&folder().join("autocast.safetensors")).expect("arrays");
    let root_mean_square = |tensor: Tensor| {
        tensor
            .to_kind(Kind::Double)
            .square()
            .mean(None)
            .sqrt()
            .double_value(&[])
    };
    for (key, autocast) in &arrays {
        let (name, what) = key.split_once('.').expect("a fixture and what is meant");
        let fixture = fixture(name);
        let (vs, net) = with_weights(&fixture, Kind::Float);
        let inputs = inputs(&fixture.config, Kind::Float);
        let ran = Precision::Bf16.scope(|| run(&vs, &net, &inputs));
        let (got, exact) = match what {
            "out" => (ran.out, &fixture.out),
            _ => (ran.grad, &fixture.grad),
        };
        let theirs = root_mean_square(autocast - exact);
        let (ours, between) = (root_mean_square(&got - exact), root_mean_square(&got - autocast));
        let shown = format!("{key}: theirs {theirs:.2e}, ours {ours:.2e}, between {between:.2e}");

        assert!(theirs > 1e-4 * root_mean_square(exact.shallow_clone()), "{shown}");
        // Two independent errors of this size differ by the root of 2 of it.
        assert!(ours <= 1.25 * theirs && between <= 1.5 * theirs, "{shown}");
    }
}

#[test]
fn parameters_are_counted_without_building_them() {
    for name in names() {
        let fixture = fixture(&name);
        let (vs, _) = build(&fixture.config);
        let have: u64 = vs.trainable_variables().iter().map(|t| t.numel() as u64).sum();
        let shape = fixture.config.shape().expect("a size");
        assert_eq!(fixture.config.param_count(&shape).expect("sound"), have, "{name}");
    }
}

/// Networks of google/ddpm-cifar10-32, google/ddpm-celebahq-256 and google/ncsnpp-celebahq-256, and the library's
/// defaults.
#[test]
fn published_networks_have_as_many_parameters() {
    let cases = [
        (
            json!({"block_out_channels": [128, 256, 256, 256], "down_block_types": ["DownBlock2D", "AttnDownBlock2D",
                "DownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
                "attention_head_dim": null, "downsample_padding": 0, "freq_shift": 1, "flip_sin_to_cos": false}),
            35_746_307,
        ),
        (
            json!({"block_out_channels": [128, 128, 256, 256, 512, 512], "down_block_types": ["DownBlock2D", "DownBlock2D",
                "DownBlock2D", "DownBlock2D", "AttnDownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D",
                "AttnUpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D"], "attention_head_dim": null}),
            113_673_219,
        ),
        (
            json!({"block_out_channels": [128, 128, 256, 256, 256, 256, 256], "down_block_types": ["SkipDownBlock2D",
                "SkipDownBlock2D", "SkipDownBlock2D", "SkipDownBlock2D", "AttnSkipDownBlock2D", "SkipDownBlock2D",
                "SkipDownBlock2D"], "up_block_types": ["SkipUpBlock2D", "SkipUpBlock2D", "AttnSkipUpBlock2D",
                "SkipUpBlock2D", "SkipUpBlock2D", "SkipUpBlock2D", "SkipUpBlock2D"], "attention_head_dim": null,
                "norm_num_groups": null, "time_embedding_type": "fourier", "mid_block_scale_factor": 1.5}),
            65_574_421,
        ),
        (json!({}), 274_056_163),
    ];
    for (keys, need) in cases {
        let config: Unet2dConfig = serde_json::from_value(keys).expect("a configuration");
        assert_eq!(config.param_count(&[3, 256, 256]).expect("sound"), need);
    }
}

#[test]
#[allow(clippy::print_stdout, reason = "says what was not tested")]
fn the_shared_fixture_agrees() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/nets");
    let at = |end: &str| shared.join(format!("unet2d_ddpm.{end}"));
    if !at("json").exists() {
        println!("skipped: {} is not there", shared.display());
        return;
    }
    let facts: Value = serde_json::from_str(&fs::read_to_string(at("json")).expect("json")).expect("json");
    let config: Unet2dConfig = serde_json::from_value(facts["config"].clone()).expect("a configuration");
    let (vs, net) = build(&config);
    weights::load(&at("weights.safetensors"), &named_tensors(&vs))
        .expect("the names are those of the library");
    let arrays = weights::read(&at("io.safetensors")).expect("arrays");
    let get = |key: &str| {
        let found = arrays.iter().find(|(name, _)| name == key).expect("there");
        found.1.shallow_clone()
    };
    let inputs = Inputs {
        x: get("in.x").set_requires_grad(true),
        time: get("in.timestep").to_kind(Kind::Float),
        labels: None,
        cotangent: get("cotangent"),
    };
    let ran = run(&vs, &net, &inputs);
    let f32_vs_f64 = facts["f32_vs_f64_max_abs"].as_f64().expect("a number");
    let bound = |like: &Tensor| 10.0 * f32_vs_f64 + 1e-6 * largest(like);
    assert_near("output", &ran.out, &get("out_f64"), bound(&get("out")));
    assert_near("gradient", &ran.grad, &get("grad.x"), bound(&get("grad.x")));
    let norms = facts["grad_norms"].as_object().expect("a table");
    let need: HashMap<&str, f64> = norms
        .iter()
        .filter_map(|(name, norm)| Some((name.as_str(), norm.as_f64()?)))
        .collect();
    assert_norms("unet2d_ddpm", &ran.norms, &need, 1e-4);
    let count: u64 = facts["params"].as_u64().expect("a number");
    assert_eq!(config.param_count(&[3, 16, 16]).expect("sound"), count);
}
