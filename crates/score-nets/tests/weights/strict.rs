//! Headers that are almost right, files of the public package, tensors that are in memory already.

use std::fs;
use std::path::Path;

use score_nets::weights::{WeightsError, assign, load, read, save};
use tch::{Device, Kind, Tensor};

use crate::{Named, assert_untouched, saved, tensors, zeros};

/// A file with this header and so many bytes of values, all 1.
fn with_header(path: &Path, header: &str, values: usize) {
    let bytes = [
        &(header.len() as u64).to_le_bytes()[..],
        header.as_bytes(),
        &vec![1; values],
    ]
    .concat();
    fs::write(path, bytes).expect("writes");
}

#[test]
fn headers_that_are_not_exactly_right_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("net.safetensors");
    let entry = |name: &str, dtype: &str, shape: &str, offsets: &str| {
        format!("\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":{offsets}}}")
    };
    let pair = |a: String, b: String| format!("{{{a},{b}}}");
    let one = |entry: String| format!("{{{entry}}}");
    let cases = [
        (
            pair(entry("a", "U8", "[2]", "[0,2]"), entry("a", "U8", "[2]", "[2,4]")),
            4,
            "two tensors have the name `a`",
        ),
        (
            pair(entry("a", "U8", "[2]", "[0,2]"), entry("a", "U8", "[2]", "[0,2]")),
            2,
            "two tensors have the name `a`",
        ),
        (
            pair(entry("a", "U8", "[2]", "[0,2]"), entry("b", "U8", "[2]", "[1,3]")),
            3,
            "tensor `b` starts at byte 1",
        ),
        (
            pair(entry("a", "U8", "[2]", "[0,2]"), entry("b", "U8", "[2]", "[3,5]")),
            5,
            "tensor `b` starts at byte 3",
        ),
        (
            one(entry("a", "U8", "[3]", "[0,2]")),
            2,
            "tensor `a` of shape [3]",
        ),
        (
            one(entry("a", "F32", "[1]", "[0,2]")),
            2,
            "tensor `a` of shape [1] and type F32 has 2 bytes",
        ),
        (one(entry("a", "U8", "[2]", "[2,0]")), 2, "ends before it starts"),
        (
            one(entry("a", "U8", "[4294967296,4294967296,4294967296]", "[0,2]")),
            2,
            "tensor `a`",
        ),
        (one(entry("a", "U8", "[-1]", "[0,2]")), 2, "tensor `a`"),
        (one(entry("a", "Q9", "[2]", "[0,2]")), 2, "tensor `a`"),
        (
            one(entry("a", "U8", &format!("[{}1]", "1,".repeat(64)), "[0,1]")),
            1,
            "64 axes",
        ),
        ("[]".to_string(), 0, "header"),
        ("{".to_string(), 0, "header"),
        (one("\"a\":1".to_string()), 0, "tensor `a`"),
        (
            one("\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}".to_string()),
            0,
            "duplicate",
        ),
    ];
    for (header, values, says) in cases {
        with_header(&path, &header, values);
        let error = read(&path).expect_err("refused").to_string();
        assert!(
            error.contains(says) && error.contains("net.safetensors"),
            "{header}: {error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(load(&path, &[]).is_err(), "{header}");
    }
    fs::write(&path, [&u64::MAX.to_le_bytes()[..], b"{}"].concat()).expect("writes");
    assert!(matches!(read(&path), Err(WeightsError::Header { .. })));
    with_header(&path, &one(entry("a", "F8_E4M3", "[2]", "[0,2]")), 2);
    assert!(matches!(read(&path), Err(WeightsError::Dtype { ref tensor, .. }) if tensor == "a"));
}

/// A file in which values of wide types do not start at multiples of their width is read all the same.
#[test]
fn values_need_no_alignment() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("net.safetensors");
    let header = concat!(
        "{\"__metadata__\":{\"format\":\"pt\"},\"flag\":{\"dtype\":\"BOOL\",\"shape\":[1],\"data_offsets\":[0,1]},",
        "\"wide\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[1,9]}}"
    );
    with_header(&path, header, 9);
    let tensors = read(&path).expect("reads");
    assert_eq!(tensors[0].1, Tensor::from_slice(&[true]));
    assert_eq!(tensors[1].1, Tensor::from_slice(&[0x0101_0101_0101_0101_i64]));
}

/// The bytes are those that the public package writes.
#[test]
fn files_are_those_of_the_public_package() {
    use safetensors::tensor::{Dtype, TensorView};
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = fs::read(saved(folder.path())).expect("there");
    let values: [(&str, Dtype, Vec<usize>, Vec<u8>); 5] = [
        (
            "b.weight",
            Dtype::F32,
            vec![2, 3],
            [1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0].map(f32::to_le_bytes).concat(),
        ),
        (
            "a.bias",
            Dtype::F32,
            vec![2],
            [7.0_f32, 8.0].map(f32::to_le_bytes).concat(),
        ),
        ("scalar", Dtype::F64, vec![], 9.0_f64.to_le_bytes().to_vec()),
        ("empty", Dtype::F32, vec![0, 3], vec![]),
        ("steps", Dtype::I64, vec![1], 10_i64.to_le_bytes().to_vec()),
    ];
    let views = values.iter().map(|(name, dtype, shape, data)| {
        (
            *name,
            TensorView::new(*dtype, shape.clone(), data).expect("a view"),
        )
    });
    let metadata = std::collections::HashMap::from([("format".to_string(), "pt".to_string())]);
    let need = safetensors::serialize(views.collect::<Vec<_>>(), Some(metadata)).expect("serialises");
    assert_eq!(bytes, need);
}

#[test]
fn tensors_in_memory_are_assigned_under_the_same_rules() {
    let file = Path::new("somewhere.bin");
    let target = zeros(&tensors());
    let mut from = tensors();
    from.rotate_left(2);
    assign(file, &from, &target).expect("assigns");
    for ((name, have), (_, need)) in target.iter().zip(&tensors()) {
        assert_eq!(have, need, "{name}");
    }
    let refuse = |from: &Named| {
        let target = zeros(&tensors());
        let error = assign(file, from, &target).expect_err("refused");
        assert_untouched(&target);
        assert!(error.to_string().starts_with("somewhere.bin: "), "{error}");
        error
    };
    assert!(matches!(
        refuse(
            &from[1..]
                .iter()
                .map(|(n, t)| (n.clone(), t.shallow_clone()))
                .collect()
        ),
        WeightsError::Missing { .. }
    ));
    let mut changed = tensors();
    changed.push(("more".into(), Tensor::from(1.0)));
    assert!(matches!(refuse(&changed), WeightsError::Extra { .. }));
    changed[5].0 = "steps".into();
    assert!(matches!(refuse(&changed), WeightsError::Duplicate { .. }));
    let mut changed = tensors();
    changed[0].1 = changed[0].1.transpose(0, 1);
    assert!(matches!(
        refuse(&changed),
        WeightsError::Shape { transposed: true, .. }
    ));
    let mut changed = tensors();
    changed[2].1 = changed[2].1.to_kind(Kind::Float);
    assert!(matches!(refuse(&changed), WeightsError::Dtype { .. }));
    let mut changed = tensors();
    changed[1].1 = Tensor::from_slice(&[f32::INFINITY, f32::NEG_INFINITY]);
    assert!(matches!(refuse(&changed), WeightsError::NonFinite { .. }));
}

/// Values so large that their sum is infinite are finite.
#[test]
fn large_values_are_finite() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("net.safetensors");
    save(&path, &[("a".into(), Tensor::from_slice(&[f32::MAX, f32::MAX]))]).expect("saves");
    assert_eq!(
        read(&path).expect("reads")[0].1.double_value(&[0]),
        f64::from(f32::MAX)
    );
}

/// More than one piece of the file: pieces are mapped anew, the values are right.
#[test]
fn large_files_are_read_in_pieces() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("net.safetensors");
    let count = 3 << 20;
    let all: Named = (0..6)
        .map(|k| {
            (
                format!("t{k}"),
                Tensor::arange(count, (Kind::Float, Device::Cpu)) + f64::from(k),
            )
        })
        .collect();
    save(&path, &all).expect("saves");
    let target = zeros(&all);
    load(&path, &target).expect("loads");
    for ((name, have), (_, need)) in target.iter().zip(&all) {
        assert_eq!(have, need, "{name}");
    }
    for ((name, have), (_, need)) in read(&path).expect("reads").iter().zip(&all) {
        assert_eq!(have, need, "{name}");
    }
}
