//! Folders of small networks, for the tests of the diffusers library's files.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

use score_nets::diffusers::{Unet2dConfig, Unet2dModel, write_folder};
use score_nets::{named_tensors, seeded};
use serde_json::{Value, json};
use tch::{Device, Tensor, nn};

pub type Named = Vec<(String, Tensor)>;

/// Keys of a `config.json` of two small levels.
pub fn keys() -> Value {
    json!({
        "_class_name": "UNet2DModel", "_diffusers_version": "0.0.4", "_name_or_path": "somewhere",
        "sample_size": [8, 4], "in_channels": 2, "out_channels": 2, "block_out_channels": [8, 8],
        "layers_per_block": 1, "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "norm_num_groups": 4, "attention_head_dim": null,
        "freq_shift": 1, "flip_sin_to_cos": false, "norm_eps": 1e-6, "mid_block_scale_factor": 1,
    })
}

pub fn skip_keys() -> Value {
    let mut keys = keys();
    for (key, value) in [
        ("sample_size", json!(8)),
        ("in_channels", json!(3)),
        ("out_channels", json!(3)),
        ("norm_num_groups", json!(null)),
        ("time_embedding_type", json!("fourier")),
        ("mid_block_scale_factor", json!(std::f64::consts::SQRT_2)),
        ("down_block_types", json!(["SkipDownBlock2D", "SkipDownBlock2D"])),
        ("up_block_types", json!(["SkipUpBlock2D", "SkipUpBlock2D"])),
    ] {
        keys[key] = value;
    }
    keys
}

pub fn config(keys: &Value) -> Unet2dConfig {
    Unet2dConfig::from_json(Path::new("config.json"), &keys.to_string()).expect("a sound configuration")
}

pub fn build(config: &Unet2dConfig, seed: i64) -> (nn::VarStore, Unet2dModel) {
    tch::set_num_threads(1);
    let vs = nn::VarStore::new(Device::Cpu);
    let net = seeded(seed, || Unet2dModel::new(config, &vs.root())).expect("a sound configuration");
    (vs, net)
}

pub fn assert_same(have: &Named, need: &Named) {
    for ((name, have), (_, need)) in have.iter().zip(need) {
        assert_eq!(have, need, "{name}");
    }
}

/// A folder of a network alone, in a temporary folder, and its tensors.
pub fn alone(keys: &Value) -> (tempfile::TempDir, PathBuf, Named) {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("net");
    let config = config(keys);
    let tensors = named_tensors(&build(&config, 1).0);
    write_folder(&path, &config, None, &tensors).expect("writes");
    (home, path, tensors)
}

pub fn weights_file(folder: &Path) -> PathBuf {
    folder.join("diffusion_pytorch_model.safetensors")
}
