use score_nets::weights::{pytorch::Checkpoint, read};
use tch::{Kind, Tensor};

use crate::{FILES, fixture, tensor};

#[test]
fn every_format_and_protocol_gives_the_same_values() {
    tch::set_num_threads(1);
    for file in FILES {
        let open = Checkpoint::open(&fixture(file)).unwrap_or_else(|error| panic!("{error}"));
        let base = Tensor::arange(24, (Kind::Float, tch::Device::Cpu));
        let expected = [
            ("plain", base.view([2, 3, 4])),
            ("transposed", base.view([4, 6]).transpose(0, 1)),
            ("every_other", base.slice(0, 1, None, 2)),
            ("row", base.view([4, 6]).get(2)),
            ("expanded", Tensor::from_slice(&[2.5_f32; 6]).view([3, 2])),
            ("scalar", Tensor::from(7.25_f32)),
            ("empty", Tensor::zeros([0, 3], (Kind::Float, tch::Device::Cpu))),
            ("shared_a", Tensor::from_slice(&[0.0, 1.0, 2.0, 3.0])),
            ("shared_b", Tensor::from_slice(&[2.0, 3.0, 4.0, 5.0])),
            ("f16", Tensor::from_slice(&[1.5_f32, -2.0]).to_kind(Kind::Half)),
            (
                "bf16",
                Tensor::from_slice(&[1.5_f32, -2.0]).to_kind(Kind::BFloat16),
            ),
            ("f64", Tensor::from_slice(&[1e300, -0.1])),
            ("i64", Tensor::from_slice(&[1_i64 << 40, -1])),
            ("i32", Tensor::from_slice(&[1_i32 << 30, -1])),
            ("i16", Tensor::from_slice(&[300_i16, -1])),
            ("i8", Tensor::from_slice(&[100_i8, -1])),
            ("u8", Tensor::from_slice(&[200_u8, 1])),
            ("bool", Tensor::from_slice(&[true, false, true])),
            ("parameter", Tensor::from_slice(&[3.0_f32, 4.0])),
        ];
        for (key, need) in &expected {
            let have = tensor(&open, key);
            assert_eq!(
                (have.kind(), have.size()),
                (need.kind(), need.size()),
                "{file}: {key}"
            );
            assert_eq!(have.contiguous(), need.contiguous(), "{file}: {key}");
            let shape = open.root().get(key).and_then(|node| node.shape());
            assert_eq!(shape, Some((&need.size()[..], need.kind())), "{file}: {key}");
        }
        let state = open.root().get("state_dict").expect("a state dict");
        let names: Vec<_> = state
            .entries()
            .expect("a dict")
            .filter_map(|(key, _)| key.as_str())
            .collect();
        assert_eq!(names, ["weight", "bias"], "{file}");
        let bias = state.get("bias").and_then(|node| node.tensor().expect("reads"));
        assert_eq!(bias, Some(Tensor::from_slice(&[-1.0_f32, 0.5])), "{file}");
    }
}

#[test]
fn numbers_strings_and_containers_come_back() {
    for file in FILES {
        let open = Checkpoint::open(&fixture(file)).expect("opens");
        let root = open.root();
        let list: Vec<_> = root
            .get("list")
            .and_then(|node| node.items())
            .expect("a list")
            .collect();
        let ints: Vec<_> = list.iter().filter_map(|node| node.as_int()).collect();
        assert_eq!(ints, [1, -2, 1 << 31, 1 << 62, -(1 << 40), 300], "{file}");
        assert_eq!(
            (list[2].as_float(), list[3].as_str()),
            (Some(3.5), Some("text")),
            "{file}"
        );
        assert_eq!(list[4].as_bytes(), Some(&[0_u8, 255][..]), "{file}");
        assert!(list[5].is_none() && list[6].as_bool() == Some(true) && list[7].as_bool() == Some(false));
        assert_eq!(
            (list[12].what(), list[12].as_int()),
            ("a whole number", None),
            "{file}"
        );
        let lengths = root.get("tuple").and_then(|node| node.items()).expect("a tuple");
        let lengths: Vec<_> = lengths
            .map(|node| node.items().map(|items| items.len()))
            .collect();
        assert_eq!(lengths, [Some(0), Some(1), Some(2), Some(3), Some(4)], "{file}");
        let nested = root.get("nested").expect("a dict");
        let inner = nested
            .get("list")
            .and_then(|node| node.items()?.nth(1)?.get("key")?.as_str());
        assert_eq!(inner, Some("value"), "{file}");
        let three = nested
            .entries()
            .expect("a dict")
            .find(|(key, _)| key.as_int() == Some(3));
        assert_eq!(
            three.and_then(|(_, value)| value.as_str()),
            Some("three"),
            "{file}"
        );
        let ordered = root
            .get("ordered")
            .and_then(|node| node.entries())
            .expect("a dict");
        let ordered: Vec<_> = ordered
            .map(|(key, value)| (key.as_str(), value.as_int()))
            .collect();
        assert_eq!(ordered, [(Some("b"), Some(1)), (Some("a"), Some(2))], "{file}");
        assert_eq!(
            root.get("unicode").and_then(|node| node.as_str()),
            Some("σ ≤ 50"),
            "{file}"
        );
        assert!(root.get("absent").is_none() && root.tensor().expect("no tensor").is_none());
    }
}

#[test]
fn tensors_of_one_storage_share_memory() {
    for file in ["zip_protocol2.pth", "legacy_protocol2.pth"] {
        let open = Checkpoint::open(&fixture(file)).expect("opens");
        let (a, b) = (tensor(&open, "shared_a"), tensor(&open, "shared_b"));
        let _ = a.narrow(0, 2, 1).fill_(9.0);
        assert_eq!(b.double_value(&[0]), 9.0, "{file}");
    }
}

/// The published layout: the averaged weights, an unnamed list, are those of the file beside it.
#[test]
#[allow(clippy::print_stdout, reason = "says what was not tested")]
fn a_checkpoint_of_score_sde_is_read() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/nets");
    if !folder.is_dir() {
        println!("skipped: no {}", folder.display());
        return;
    }
    let open = Checkpoint::open(&folder.join("ddpmpp_vp.score_sde.pth")).expect("opens");
    let keys = open
        .root()
        .entries()
        .expect("a dict")
        .filter_map(|(key, _)| key.as_str());
    let mut keys: Vec<_> = keys.collect();
    keys.sort_unstable();
    assert_eq!(keys, ["ema", "model", "optimizer", "step"]);
    let shadow = open
        .root()
        .get("ema")
        .and_then(|ema| ema.get("shadow_params")?.items());
    let shadow: Vec<_> = shadow.expect("a list").collect();
    let model = open
        .root()
        .get("model")
        .and_then(|model| model.entries())
        .expect("a dict");
    let names: Vec<_> = model
        .filter_map(|(key, _)| key.as_str()?.strip_prefix("module."))
        .collect();
    let weights = read(&folder.join("ddpmpp_vp.weights.safetensors")).expect("reads");
    let trained = names.iter().filter(|name| **name != "sigmas");
    assert_eq!(shadow.len(), names.len() - 1);
    for (name, node) in trained.zip(shadow) {
        let (_, need) = weights.iter().find(|(known, _)| known == name).expect("a weight");
        assert_eq!(node.tensor().expect("reads").as_ref(), Some(need), "{name}");
    }
}
