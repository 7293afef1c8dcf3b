use allocation_counter::measure;
use proptest::prelude::*;
use score_nets::weights::WeightsError;
use score_nets::weights::pytorch::Checkpoint;
use zip::CompressionMethod;

use crate::made::{archive, bytes_of, legacy, opened, refused, storage, tensor, with_tensor, zipped};
use crate::{fixture, walk};

/// Opening and walking allocates no more than twice the file, some for the program itself aside.
fn bounded(bytes: &[u8]) -> Result<usize, WeightsError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("made.pth");
    std::fs::write(&path, bytes).expect("writes");
    let mut result = Ok(0);
    let used = measure(|| result = Checkpoint::open(&path).and_then(|open| walk(open.root(), 6)));
    let limit = 2 * bytes.len() as u64 + (4 << 20);
    assert!(
        used.bytes_max <= limit,
        "{} bytes for a file of {}",
        used.bytes_max,
        bytes.len()
    );
    result
}

#[test]
fn limits_hold_before_anything_is_allocated() {
    let repeated = |what: &[u8], count: usize| what.repeat(count);
    let cases = [
        ("deep", zipped(&repeated(b"N", 1 << 17)), "wait at once"),
        ("marks", zipped(&repeated(b"(", 1 << 17)), "wait at once"),
        ("lists", zipped(&repeated(b"]0", 1 << 20)), "objects"),
        ("dicts in legacy", legacy(&repeated(b"}0", 1 << 20)), "objects"),
        (
            "memo",
            zipped(&[&b"N"[..], &repeated(b"\x94", 1 << 20)].concat()),
            "objects",
        ),
        ("long string", zipped(b"X\xff\xff\xff\xff"), "bytes where"),
        (
            "long bytes",
            zipped(b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff"),
            "bytes where",
        ),
        ("long number", legacy(b"\x8b\xff\xff\xff\xff"), "bytes where"),
        ("no mark", zipped(b"t"), "mark"),
        ("nothing left", zipped(b"N0"), "value"),
        ("below the mark", zipped(b"]N(a"), "value"),
        ("left over", zipped(b"NN"), "left over"),
        ("memo not there", zipped(b"h\x07"), "object 7"),
        (
            "protocol 1",
            archive(&[("x/data.pkl", b"N.")], CompressionMethod::Stored),
            "no pickle",
        ),
        (
            "protocol 6",
            archive(&[("x/data.pkl", b"\x80\x06N.")], CompressionMethod::Stored),
            "protocol 6",
        ),
        ("no instruction", zipped(b"\xff"), "0xff"),
        ("odd dict", zipped(b"}(Nu"), "no value"),
        ("no storage", zipped(&storage(4)), "does not hold"),
        (
            "huge storage",
            zipped(&tensor(i32::MAX as u32, 0, &[1], &[1])),
            "does not hold",
        ),
        (
            "two files in one",
            archive(
                &[("x/data.pkl", b"N."), ("y/data.pkl", b"N.")],
                CompressionMethod::Stored,
            ),
            "several",
        ),
        (
            "no pickle",
            archive(&[("x/readme", b"N.")], CompressionMethod::Stored),
            "no data.pkl",
        ),
        (
            "big-endian",
            archive(
                &[("x/data.pkl", b"\x80\x02N."), ("x/byteorder", b"big")],
                CompressionMethod::Stored,
            ),
            "little-endian",
        ),
        (
            "a bomb",
            archive(&[("x/data.pkl", &[0; 1 << 24])], CompressionMethod::Deflated),
            "twice",
        ),
        ("text", b"<!DOCTYPE html>".to_vec(), "neither"),
        ("nothing", Vec::new(), "empty"),
        ("one byte", vec![0x80], "ends here"),
        ("two letters", b"PK".to_vec(), "truncated"),
        ("a plain pickle", b"\x80\x02K\x01.".to_vec(), "torch.save"),
    ];
    for (name, bytes, says) in cases {
        let error = refused(&bytes).to_string();
        assert!(error.contains(says), "{name}: {error}");
        assert!(bounded(&bytes).is_err(), "{name}");
    }
}

/// Views that repeat their values may not together become larger than twice the file.
#[test]
fn repeated_values_count() {
    let error = refused(&with_tensor(0, &[1 << 40], &[0])).to_string();
    assert!(
        error.contains("storage 0") && error.contains("twice the file"),
        "{error}"
    );
}

/// Deflated archives, as repacking makes them, are read.
#[test]
fn compressed_entries_are_read() {
    let pickle = [b"\x80\x02", &tensor(4, 0, &[4], &[1])[..], b"."].concat();
    let values = [1.0_f32, 2.0, 3.0, 4.0].map(f32::to_le_bytes).concat();
    let entries: [(&str, &[u8]); 2] = [("x/data.pkl", &pickle), ("x/data/0", &values)];
    let open = opened(&archive(&entries, CompressionMethod::Deflated)).expect("opens");
    let have = open.root().tensor().expect("reads").expect("a tensor");
    assert_eq!(have, tch::Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0]));
}

#[test]
fn self_references_and_shared_lists_are_no_trouble() {
    // A list in itself, and forty lists of two references to the one before: 2^40 values if they were copied.
    let open = opened(&zipped(b"]q\x00h\x00a")).expect("opens");
    assert_eq!(open.root().items().map(|items| items.len()), Some(1));
    let mut pickle = b"]q\x00".to_vec();
    for level in 1..40_u8 {
        pickle.extend([
            b']',
            b'(',
            b'h',
            level - 1,
            b'h',
            level - 1,
            b'e',
            b'q',
            level,
            b'0',
            b'h',
            level,
        ]);
    }
    let nested = [&b"("[..], &pickle, b"t"].concat();
    assert!(bounded(&zipped(&nested)).is_ok());
}

/// Whatever is cut off, the answer is an error.
#[test]
fn every_truncation_is_refused() {
    for (name, step) in [("zip_protocol2.pth", 7), ("legacy_protocol2.pth", 3)] {
        let bytes = bytes_of(&fixture(name));
        let lengths = (0..bytes.len()).filter(|length| length % step == 0 || bytes.len() - length < 100);
        for length in lengths {
            refused(&bytes[..length]);
        }
    }
}

/// Every bit of the zip archive is either checked or without meaning; the legacy format has no checksums.
#[test]
fn flipped_bits_never_change_values_unseen_in_zip_archives() {
    let bytes = bytes_of(&fixture("zip_protocol2.pth"));
    let whole = Checkpoint::open(&fixture("zip_protocol2.pth")).expect("opens");
    let keys: Vec<_> = whole
        .root()
        .entries()
        .expect("a dict")
        .filter_map(|(key, _)| key.as_str())
        .collect();
    for at in (0..bytes.len()).step_by(5) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        let Ok(open) = opened(&flipped) else { continue };
        for key in &keys {
            let have = open.root().get(key).map(|node| node.tensor());
            let need = whole.root().get(key).expect("a key").tensor().expect("reads");
            match have {
                Some(Ok(have)) => assert_eq!(have, need, "byte {at}: {key}"),
                Some(Err(_)) => {}
                None => panic!("byte {at}: {key} is lost"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Flipped, cut, doubled and overwritten bytes: an error or a value, never a panic, never a wild allocation.
    #[test]
    fn damaged_files_do_no_harm(
        which in 0..2_usize,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
        moved in prop::option::of((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1..64_usize)),
    ) {
        let name = ["zip_protocol4.pth", "legacy_protocol4.pth"][which];
        let mut bytes = bytes_of(&fixture(name));
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= value;
        }
        if let Some((from, to, count)) = moved {
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            let piece = bytes[from..(from + count).min(bytes.len())].to_vec();
            bytes.splice(to..to, piece);
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = bounded(&bytes);
    }

    /// Pickles that were never one.
    #[test]
    fn random_instructions_do_no_harm(pickle in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = bounded(&zipped(&pickle));
        let _ = bounded(&legacy(&pickle));
    }
}
