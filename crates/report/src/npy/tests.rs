//! Arrays out and in again, and files that are none.

use super::*;
use ndarray::{Array2, Array4, ShapeBuilder, arr0};
use proptest::prelude::*;
use std::fs;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

#[test]
fn arrays_come_back_from_both_kinds_of_file() {
    let folder = folder();
    let images = Array4::from_shape_fn((3, 2, 4, 1), |(n, h, w, _)| (n * 100 + h * 10 + w) as u8);
    let npz = folder.path().join("samples.npz");
    write_npz(&npz, &images).expect("writable");
    assert_eq!(read(&npz).expect("readable"), Values::U8(images.into_dyn()));

    let rows = Array2::from_shape_fn((2, 5), |(i, j)| i as f64 - 0.1 * j as f64);
    let npy = folder.path().join("rows.npy");
    write_npy(&npy, &rows).expect("writable");
    assert_eq!(
        read(&npy).expect("readable"),
        Values::F64(rows.clone().into_dyn())
    );
    // The same array in Fortran order and through a transposed view writes the same bytes.
    let written = fs::read(&npy).expect("readable");
    let mut fortran = Array2::zeros((2, 5).f());
    fortran.assign(&rows);
    write_npy(&npy, &fortran).expect("writable");
    assert_eq!(fs::read(&npy).expect("readable"), written);
}

#[test]
fn empty_and_zero_dimensional_arrays_are_arrays() {
    let folder = folder();
    let path = folder.path().join("a.npy");
    write_npy(&path, &Array2::<f32>::zeros((0, 7))).expect("writable");
    assert_eq!(read(&path).expect("readable").shape(), [0, 7]);
    write_npy(&path, &arr0(2.5f64)).expect("writable");
    let value = read(&path).expect("readable");
    assert_eq!(value.shape(), [0usize; 0]);
    assert_eq!(value.into_f64().sum(), 2.5);
}

#[test]
fn bytes_are_as_numpy_writes_them() {
    let folder = folder();
    let path = folder.path().join("a.npy");
    write_npy(&path, &Array2::from_elem((2, 1), 7u8)).expect("writable");
    let bytes = fs::read(&path).expect("readable");
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    assert_eq!(bytes.len(), 128 + 2);
    let header = String::from_utf8_lossy(&bytes[10..128]);
    assert!(
        header.starts_with("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 1)"),
        "{header}"
    );
}

#[test]
fn npz_is_the_same_bytes_each_time() {
    let folder = folder();
    let (a, b) = (folder.path().join("a.npz"), folder.path().join("b.npz"));
    let array = Array2::from_elem((4, 4), 1.5f32);
    write_npz(&a, &array).expect("writable");
    write_npz(&b, &array).expect("writable");
    assert_eq!(fs::read(a).expect("readable"), fs::read(b).expect("readable"));
}

#[test]
fn damaged_files_are_named_and_never_trusted() {
    let folder = folder();
    let path = folder.path().join("a.npy");
    let message = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("writable");
        let error = read(&path).expect_err("a damaged file");
        assert!(matches!(error, ReportError::Format { .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.contains("a.npy"), "{message}");
        message
    };
    write_npy(&path, &Array2::from_elem((3, 3), 1.0f64)).expect("writable");
    let whole = fs::read(&path).expect("readable");
    for length in 1..whole.len() {
        message(&whole[..length]);
    }
    assert!(message(b"").contains("empty"));
    assert!(message(b"1,2,3\n").contains("neither"));
    let mut longer = whole.clone();
    longer.push(0);
    assert!(message(&longer).contains("73 bytes"));
    // A header that claims far more than the file holds must not reach the allocator.
    let huge = String::from_utf8_lossy(&whole[10..128]).replace("(3, 3), }  ", "(3999999999, 999999999), }");
    let mut bytes = whole[..10].to_vec();
    bytes.extend(huge.as_bytes().iter().take(117));
    bytes.push(b'\n');
    assert!(message(&bytes).contains("claims"));
    let complex = String::from_utf8_lossy(&whole[10..128]).replace("<f8", "<c8");
    let mut bytes = whole.clone();
    bytes[10..128].copy_from_slice(complex.as_bytes());
    assert!(message(&bytes).contains("<c8"));
}

#[test]
fn whole_numbers_and_named_arrays_are_read() {
    let folder = folder();
    let (npy, npz) = (folder.path().join("a.npy"), folder.path().join("a.npz"));
    write_npy(&npy, &ndarray::array![3_i32, -4]).expect("writable");
    assert_eq!(
        read(&npy).expect("readable"),
        Values::I64(ndarray::array![3, -4].into_dyn())
    );
    let mut archive = NpzWriter::new(File::create(&npz).expect("writable"));
    archive
        .add_array("x", &ndarray::array![1_i64 << 60])
        .expect("writable");
    archive
        .add_array("y", &ndarray::array![2.5_f32])
        .expect("writable");
    archive.finish().expect("writable");
    let x = read_array(&npz, Some("x")).expect("readable");
    assert_eq!(x, Values::I64(ndarray::array![1_i64 << 60].into_dyn()));
    let error = read_array(&npz, Some("z"))
        .expect_err("no such array")
        .to_string();
    assert!(
        error.contains("no array named z; the archive holds x, y"),
        "{error}"
    );
    let error = read_array(&npy, Some("x")).expect_err("no archive").to_string();
    assert!(error.contains("holds one array without a name"), "{error}");
    assert_eq!(names(&npz).expect("readable"), ["x", "y"]);
    assert!(names(&npy).expect("readable").is_empty());
}

#[test]
fn damaged_archives_are_named() {
    let folder = folder();
    let path = folder.path().join("a.npz");
    write_npz(&path, &Array2::from_elem((3, 3), 1.0f32)).expect("writable");
    let whole = fs::read(&path).expect("readable");
    for length in 2..whole.len() {
        fs::write(&path, &whole[..length]).expect("writable");
        assert!(
            matches!(read(&path), Err(ReportError::Format { .. })),
            "cut at {length}"
        );
    }
    assert!(matches!(
        read(&folder.path().join("none.npz")),
        Err(ReportError::Io { .. })
    ));
    assert!(matches!(read(folder.path()), Err(ReportError::Io { .. })));
}

proptest! {
    #[test]
    fn any_bytes_after_the_magic_give_an_error_or_an_array(tail in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut bytes = b"\x93NUMPY".to_vec();
        bytes.extend(tail);
        prop_assert!(parse(&bytes).is_err());
    }
}
