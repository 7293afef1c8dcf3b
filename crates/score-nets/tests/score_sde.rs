//! The networks of score_sde against that code.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::fixture::{self, Fixture};
use common::{distance, normals};
use score_nets::score_sde::{EmbeddingType, Fir, ModelConfigFile};
use score_nets::{NetConfig, weights};
use tch::{Device, Kind, Tensor};

fn check(fixture: &Fixture) {
    let file = ModelConfigFile::from_value(fixture.facts.config.clone())
        .unwrap_or_else(|e| panic!("{}: {e}", fixture.name));
    // The list of noise levels is f64 in the reference and f32 in a store of f32 tensors.
    let numbered = match &file.net {
        NetConfig::Ncsnpp(config) | NetConfig::Ddpmpp(config) => {
            config.scale_by_sigma && config.embedding_type == EmbeddingType::Positional
        }
        NetConfig::Ddpm(config) => config.scale_by_sigma,
        _ => false,
    };
    fixture.check(&file.net, "in.time_cond", if numbered { 6 } else { 12 });
}

/// Made by `fixtures/score_sde/make.py`; `SCORE_SDE_FIXTURES` names a folder of more of them.
#[test]
fn networks_of_the_reference() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/score_sde");
    let more = std::env::var_os("SCORE_SDE_FIXTURES").map(PathBuf::from);
    for folder in [Some(own), more].into_iter().flatten() {
        let names = fixture::names(&folder);
        assert!(names.len() >= 8, "{}: {} fixtures", folder.display(), names.len());
        for name in names {
            check(&fixture::read(&folder, &name));
        }
    }
}

#[test]
fn networks_of_the_shared_folder() {
    let Some(folder) = fixture::shared("nets") else {
        return;
    };
    for name in ["ddpmpp_vp", "ncsnpp_ve_fir_residual"] {
        check(&fixture::read(&folder, name));
    }
}

fn taps(text: &str) -> Vec<f64> {
    text.chars()
        .map(|tap| f64::from(tap.to_digit(10).expect("a digit")))
        .collect()
}

#[test]
fn filters_of_the_shared_folder() {
    let Some(folder) = fixture::shared("nets") else {
        return;
    };
    let io: BTreeMap<String, Tensor> = weights::read(&folder.join("fir_resample.safetensors"))
        .expect("the fixture")
        .into_iter()
        .collect();
    let x = &io["x"];
    let near = |name: &str, got: &Tensor| {
        let far = distance(got, &io[name]);
        assert!(far <= 2e-6, "{name} differs by {far:e}");
    };
    for filter in ["11", "121", "1331", "14641"] {
        let fir = Fir::new(&taps(filter)).expect("a filter");
        near(&format!("up.{filter}"), &fir.upsample(x).expect("runs"));
        near(&format!("down.{filter}"), &fir.downsample(x).expect("runs"));
    }
    let fir = Fir::new(&taps("1331")).expect("a filter");
    let conv = fir.downsample_conv(x, &io["conv_down.weight"], &io["conv_down.bias"]);
    near("conv_down.out", &conv.expect("runs"));
    near(
        "naive_down",
        &x.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None),
    );
    near("naive_up", &x.upsample_nearest2d([16, 20], None, None));
}

/// Constants stay constants away from the border; a filter of one tap keeps every second value; upsampling with a
/// convolution is upsampling, then the convolution, where the zeros beyond the border do not reach.
#[test]
fn filters_by_their_definition() {
    let kind = (Kind::Double, Device::Cpu);
    let ones = Tensor::ones([1, 2, 12, 16], kind);
    for filter in ["11", "121", "1331", "124", "14641", "123456"] {
        let fir = Fir::new(&taps(filter)).expect("a filter");
        for (scale, map) in [(2, fir.upsample(&ones)), (1, fir.downsample(&ones))] {
            let map = map.expect("runs");
            assert_eq!(map.size(), [1, 2, 6 * scale * scale, 8 * scale * scale]);
            let inner = map.narrow(2, 2, 2).narrow(3, 3, 2);
            // Taps that the zero filling hits unevenly ripple.
            let even = taps(filter).iter().step_by(2).sum::<f64>() * 2.0 == taps(filter).iter().sum::<f64>();
            if scale == 1 || even {
                assert!(distance(&inner, &inner.ones_like()) < 1e-6, "{filter}");
            }
        }
    }
    let x = Tensor::arange(48, kind).view([1, 1, 6, 8]);
    let one = Fir::new(&[3.0]).expect("a filter").downsample(&x).expect("runs");
    assert!(distance(&one, &x.slice(2, 0, 6, 2).slice(3, 0, 8, 2)) < 1e-12);
    let x = normals(2, &[3, 8, 10], Kind::Double);
    let (weight, bias) = (
        normals(4, &[3, 3, 3], Kind::Double),
        normals(4, &[], Kind::Double),
    );
    for filter in ["121", "1331", "124", "14641"] {
        let fir = Fir::new(&taps(filter)).expect("a filter");
        let fused = fir.upsample_conv(&x, &weight, &bias).expect("runs");
        let up = fir.upsample(&x).expect("runs");
        let steps = up.conv2d(&weight, Some(&bias), [1, 1], [1, 1], [1, 1], 1);
        let inner = |map: &Tensor| map.narrow(2, 4, 8).narrow(3, 4, 12);
        assert!(distance(&inner(&fused), &inner(&steps)) < 1e-9, "{filter}");
    }
}
