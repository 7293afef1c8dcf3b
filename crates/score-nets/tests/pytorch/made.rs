//! Checkpoints made by hand: pickles byte by byte, zip archives by the public crate `zip`.

use std::io::{Cursor, Write};
use std::path::Path;

use score_nets::weights::WeightsError;
use score_nets::weights::pytorch::Checkpoint;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// An archive of these entries.
pub fn archive(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method))
            .expect("starts");
        zip.write_all(content).expect("writes");
    }
    zip.finish().expect("finishes").into_inner()
}

/// A checkpoint whose pickle, of protocol 2, is this.
pub fn zipped(pickle: &[u8]) -> Vec<u8> {
    let pickle = [b"\x80\x02", pickle, b"."].concat();
    archive(
        &[("x/data.pkl", &pickle), ("x/version", b"3\n")],
        CompressionMethod::Stored,
    )
}

/// A legacy checkpoint whose object is this, without storages.
pub fn legacy(pickle: &[u8]) -> Vec<u8> {
    let mut out =
        b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.".to_vec();
    out.extend([b"\x80\x02", pickle, b".\x80\x02]."].concat());
    out
}

/// What opening these bytes gives.
pub fn opened(bytes: &[u8]) -> Result<Checkpoint, WeightsError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("made.pth");
    std::fs::write(&path, bytes).expect("writes");
    Checkpoint::open(&path)
}

/// The error, which is one line that names the file.
pub fn refused(bytes: &[u8]) -> WeightsError {
    let error = opened(bytes).expect_err("refused");
    let text = error.to_string();
    assert!(text.contains("made.pth") && text.lines().count() == 1, "{text}");
    error
}

/// A reference to a storage of floats: key `0`, so many values.
pub fn storage(count: u32) -> Vec<u8> {
    let mut out = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuJ".to_vec();
    out.extend(count.to_le_bytes());
    out.extend(b"tQ");
    out
}

/// A tensor on that storage; the numbers are written as 64-bit ones.
pub fn tensor(count: u32, offset: i64, size: &[i64], stride: &[i64]) -> Vec<u8> {
    let long = |n: i64| [&b"\x8a\x08"[..], &n.to_le_bytes()].concat();
    let tuple = |numbers: &[i64]| {
        [
            &b"("[..],
            &numbers.iter().flat_map(|&n| long(n)).collect::<Vec<_>>(),
            b"t",
        ]
        .concat()
    };
    [
        &b"ctorch._utils\n_rebuild_tensor_v2\n("[..],
        &storage(count),
        &long(offset),
        &tuple(size),
        &tuple(stride),
        b"\x89ccollections\nOrderedDict\n)RtR",
    ]
    .concat()
}

/// A checkpoint with one tensor on one storage of four floats.
pub fn with_tensor(offset: i64, size: &[i64], stride: &[i64]) -> Vec<u8> {
    let pickle = [b"\x80\x02", &tensor(4, offset, size, stride)[..], b"."].concat();
    archive(
        &[("x/data.pkl", &pickle), ("x/data/0", &[0; 16])],
        CompressionMethod::Stored,
    )
}

/// The bytes of a file.
pub fn bytes_of(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("the fixture is there")
}
