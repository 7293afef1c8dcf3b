//! Weights files: what is written comes back, and nothing else does.

mod strict;

use std::fs;
use std::path::Path;

use score_nets::weights::{WeightsError, load, read, save};
use tch::{Device, Kind, Tensor};

type Named = Vec<(String, Tensor)>;

fn tensors() -> Named {
    tch::set_num_threads(1);
    vec![
        (
            "b.weight".into(),
            Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0]).view([2, 3]),
        ),
        ("a.bias".into(), Tensor::from_slice(&[7.0_f32, 8.0])),
        ("scalar".into(), Tensor::from(9.0_f64)),
        ("empty".into(), Tensor::zeros([0, 3], (Kind::Float, Device::Cpu))),
        ("steps".into(), Tensor::from_slice(&[10_i64])),
    ]
}

fn zeros(named: &Named) -> Named {
    named
        .iter()
        .map(|(name, tensor)| (name.clone(), tensor.zeros_like()))
        .collect()
}

fn saved(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("net.safetensors");
    save(&path, &tensors()).expect("saves");
    path
}

fn assert_untouched(named: &Named) {
    for (name, tensor) in named {
        assert_eq!(
            tensor.abs().sum(Kind::Double).double_value(&[]),
            0.0,
            "{name} was written to"
        );
    }
}

#[test]
fn round_trip_is_exact_and_repeatable() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = saved(folder.path());
    let target = zeros(&tensors());
    load(&path, &target).expect("loads");
    for ((name, have), (_, need)) in target.iter().zip(&tensors()) {
        assert_eq!(have, need, "{name}");
    }
    let names: Vec<String> = read(&path)
        .expect("reads")
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["a.bias", "b.weight", "empty", "scalar", "steps"]);
    let bytes = fs::read(&path).expect("there");
    let mut shuffled = tensors();
    shuffled.reverse();
    save(&path, &shuffled).expect("saves over it");
    assert_eq!(bytes, fs::read(&path).expect("there"));
    let header = String::from_utf8_lossy(&bytes);
    assert!(header.contains("\"__metadata__\":{\"format\":\"pt\"}"));
    assert_eq!(
        fs::read_dir(folder.path()).expect("there").count(),
        1,
        "a temporary file is left"
    );
}

#[test]
fn loads_into_trained_variables_in_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("net.safetensors");
    let vs = tch::nn::VarStore::new(Device::Cpu);
    let weight = vs.root().zeros("weight", &[2]);
    save(&path, &[("weight".into(), Tensor::from_slice(&[1.0_f32, 2.0]))]).expect("saves");
    load(&path, &score_nets::named_tensors(&vs)).expect("loads");
    assert_eq!(weight.double_value(&[1]), 2.0);
    assert!(weight.requires_grad());
}

#[test]
fn strangers_are_refused_and_nothing_changes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = saved(folder.path());
    let refuse = |change: &dyn Fn(&mut Named)| {
        let mut named = zeros(&tensors());
        change(&mut named);
        let error = load(&path, &named).expect_err("another network");
        assert_untouched(&named);
        let text = error.to_string();
        assert!(text.contains("net.safetensors") && !text.contains('\n'), "{text}");
        error
    };
    let float = |size: &[i64]| Tensor::zeros(size, (Kind::Float, Device::Cpu));
    let error = refuse(&|named| named.push(("more".into(), float(&[1]))));
    assert!(
        matches!(error, WeightsError::Missing { ref tensor, count: 1, .. } if tensor == "more"),
        "{error}"
    );
    let error = refuse(&|named| drop(named.remove(1)));
    assert!(
        matches!(error, WeightsError::Extra { ref tensor, count: 1, .. } if tensor == "a.bias"),
        "{error}"
    );
    let error = refuse(&|named| named[0].1 = float(&[3, 2]));
    assert!(
        error.to_string().contains("[2, 3]") && error.to_string().contains("transposed"),
        "{error}"
    );
    let error = refuse(&|named| named[1].1 = float(&[1]));
    assert!(
        matches!(
            error,
            WeightsError::Shape {
                transposed: false,
                ..
            }
        ),
        "{error}"
    );
    // Would broadcast.
    let error = refuse(&|named| named[1].1 = float(&[4, 2]));
    assert!(
        matches!(
            error,
            WeightsError::Shape {
                transposed: false,
                ..
            }
        ),
        "{error}"
    );
    let error = refuse(&|named| named[0].1 = named[0].1.to_kind(Kind::Double));
    let WeightsError::Dtype {
        tensor, have, need, ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(
        (tensor.as_str(), have.as_str(), need.as_str()),
        ("b.weight", "F32", "F64")
    );
}

#[test]
fn values_that_are_not_finite_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("net.safetensors");
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let whole = Tensor::from_slice(&[1.0_f32]);
        save(
            &path,
            &[("a".into(), whole), ("b".into(), Tensor::from_slice(&[1.0, bad]))],
        )
        .expect("saves");
        let target = vec![
            ("a".into(), Tensor::zeros([1], (Kind::Float, Device::Cpu))),
            ("b".into(), Tensor::zeros([2], (Kind::Float, Device::Cpu))),
        ];
        let error = load(&path, &target).expect_err("not finite");
        assert!(
            matches!(error, WeightsError::NonFinite { ref tensor, .. } if tensor == "b"),
            "{error}"
        );
        assert_untouched(&target);
        assert!(read(&path).is_err());
    }
}

#[test]
fn every_truncation_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = saved(folder.path());
    let bytes = fs::read(&path).expect("there");
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).expect("writes");
        let target = zeros(&tensors());
        let error = load(&path, &target).expect_err("truncated");
        let WeightsError::Length { have, need, .. } = error else {
            panic!("{length}: {error}")
        };
        assert!(have == length as u64 && need > have, "{length}");
        assert_untouched(&target);
    }
    fs::write(&path, [&bytes[..], &[0]].concat()).expect("writes");
    assert!(
        matches!(load(&path, &zeros(&tensors())), Err(WeightsError::Length { .. })),
        "a byte too many"
    );
}

/// Whichever bit of the prefix (all) or the header (every third) flips, the answer is an error or the same tensors, never a panic.
#[test]
fn flipped_header_bits_do_no_harm() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = saved(folder.path());
    let bytes = fs::read(&path).expect("there");
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    for bit in (0..8 * header).filter(|bit| *bit < 64 || bit % 3 == 0) {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &flipped).expect("writes");
        let target = zeros(&tensors());
        match load(&path, &target) {
            Err(_) => assert_untouched(&target),
            // Only the metadata, or the padding, may differ unseen.
            Ok(()) => assert_eq!(target[0].1, tensors()[0].1, "bit {bit}"),
        }
    }
}

#[test]
fn absent_files_and_folders_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let absent = folder.path().join("absent").join("net.safetensors");
    for error in [
        load(&absent, &[]).expect_err("absent"),
        load(folder.path(), &[]).expect_err("a folder"),
        save(&absent, &tensors()).expect_err("no such folder"),
        save(Path::new("/"), &tensors()).expect_err("no name"),
    ] {
        assert!(matches!(error, WeightsError::Io { .. }), "{error}");
    }
    let double: Named = vec![("a".into(), Tensor::from(1.0)), ("a".into(), Tensor::from(2.0))];
    let path = folder.path().join("double.safetensors");
    assert!(matches!(
        save(&path, &double),
        Err(WeightsError::Duplicate { .. })
    ));
    assert!(!path.exists());
}
