//! Event files, read back by a reader that trusts nothing: every length, checksum and field is checked.

use super::wire::{crc32c, varint};
use super::*;

/// What an event holds.
#[derive(Debug, PartialEq)]
enum Content {
    Version(String),
    Start,
    Scalars(Vec<(String, f32)>),
}

/// The bytes before the checksum, which must be right.
fn checked<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (data, after) = rest.split_at(length);
    let (crc, after) = after.split_at(4);
    *rest = after;
    let masked = u32::from_le_bytes(crc.try_into().expect("four bytes"));
    assert_eq!(masked.wrapping_sub(0xa282_ead8).rotate_left(15), crc32c(data));
    data
}

fn records(mut rest: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while !rest.is_empty() {
        let length = u64::from_le_bytes(checked(&mut rest, 8).try_into().expect("eight bytes"));
        records.push(checked(
            &mut rest,
            usize::try_from(length).expect("a short record"),
        ));
    }
    records
}

fn read_varint(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first().expect("a byte");
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

/// Fields of a message: number and wire type, then the bytes (of a varint: eight).
fn fields(mut rest: &[u8]) -> Vec<(u64, u64, Vec<u8>)> {
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let key = read_varint(&mut rest);
        let length = match key & 7 {
            0 => {
                let value = read_varint(&mut rest);
                fields.push((key >> 3, 0, value.to_le_bytes().to_vec()));
                continue;
            }
            1 => 8,
            2 => read_varint(&mut rest) as usize,
            5 => 4,
            other => panic!("wire type {other}"),
        };
        let (bytes, after) = rest.split_at(length);
        fields.push((key >> 3, key & 7, bytes.to_vec()));
        rest = after;
    }
    fields
}

fn scalar(message: &[u8]) -> (String, f32) {
    match fields(message).as_slice() {
        [(1, 2, tag), (2, 5, value)] => (
            String::from_utf8(tag.clone()).expect("text"),
            f32::from_le_bytes(value.as_slice().try_into().expect("four bytes")),
        ),
        other => panic!("{other:?}"),
    }
}

/// Time, step and content of an event.
fn decode(message: &[u8]) -> (f64, u64, Content) {
    let (mut time, mut step, mut content) = (None, 0, None);
    for (field, wire_type, bytes) in fields(message) {
        match (field, wire_type) {
            (1, 1) => time = Some(f64::from_le_bytes(bytes.try_into().expect("eight bytes"))),
            (2, 0) => step = u64::from_le_bytes(bytes.try_into().expect("eight bytes")),
            (3, 2) => content = Some(Content::Version(String::from_utf8(bytes).expect("text"))),
            (5, 2) => {
                let values = fields(&bytes);
                assert!(values.iter().all(|(field, wire, _)| (*field, *wire) == (1, 2)));
                content = Some(Content::Scalars(values.iter().map(|v| scalar(&v.2)).collect()));
            }
            (7, 2) => {
                assert_eq!(bytes, [0x08, 0x01]);
                content = Some(Content::Start);
            }
            other => panic!("{other:?}"),
        }
    }
    (time.expect("a time"), step, content.expect("a content"))
}

/// Event files of a folder in the order of their names, each as steps and contents; the times must be of now.
fn read(folder: &Path) -> Vec<Vec<(u64, Content)>> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<_> = entries.map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    let now = since_1970().as_secs_f64();
    let event = |message: &[u8]| {
        let (time, step, content) = decode(message);
        assert!((now - time).abs() < 600.0, "{time} at {now}");
        (step, content)
    };
    let file = |path: &PathBuf| {
        let bytes = fs::read(path).expect("readable");
        records(&bytes).into_iter().map(event).collect()
    };
    paths.iter().map(file).collect()
}

fn line(step: u64) -> Record {
    Record {
        step,
        images: 64 * step,
        loss: Some(0.75),
        lr: 1e-3,
        grad_norm: Some(12.5),
        ema_decay: 0.999,
        images_per_s: 4321.0,
        seconds: 1.0,
        val_loss: None,
        skipped: 0,
    }
}

fn scalars(values: &[(&str, f32)]) -> Content {
    Content::Scalars(values.iter().map(|(tag, v)| ((*tag).to_owned(), *v)).collect())
}

fn whole_line() -> Content {
    scalars(&[
        ("loss", 0.75),
        ("lr", 1e-3),
        ("grad_norm", 12.5),
        ("ema_decay", 0.999),
        ("images_per_s", 4321.0),
    ])
}

fn version() -> (u64, Content) {
    (0, Content::Version("brain.Event:2".to_owned()))
}

#[test]
fn checksums_have_their_known_values() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    assert_eq!(crc32c(b""), 0);
    // RFC 3720, B.4: 32 bytes of zeros, of ones, and counting up.
    assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    assert_eq!(
        crc32c(&std::array::from_fn::<u8, 32, _>(|i| i as u8)),
        0x46dd_794e
    );
}

#[test]
fn the_first_record_is_the_one_that_every_event_file_begins_with() {
    let mut bytes = Vec::new();
    push_record(
        &mut bytes,
        &event(Duration::from_millis(1500), 0, 3, FILE_VERSION),
    );
    assert_eq!(bytes[..12], [0x18, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22]);
    assert_eq!(bytes[12..21], [0x09, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f]);
    assert_eq!(bytes[21..36], *b"\x1a\x0dbrain.Event:2");
    assert_eq!(bytes.len(), 40);
}

#[test]
fn varints_of_every_length_come_back() {
    for shift in 0..64 {
        for value in [1_u64 << shift, (1 << shift) - 1, u64::MAX >> shift] {
            let bytes = varint(value);
            assert_eq!(read_varint(&mut bytes.as_slice()), value);
        }
    }
    assert_eq!(varint(300), [0xac, 0x02]);
    assert_eq!(varint(u64::MAX).len(), 10);
}

#[test]
fn lines_come_back_and_no_line_makes_no_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut log = EventLog::new(folder.path(), 0);
    log.sync().expect("nothing to do");
    assert!(read(folder.path()).is_empty());
    for step in [4, 8, 1 << 40] {
        log.write(&line(step)).expect("writable");
    }
    log.sync().expect("on the disk");
    let expected = vec![
        version(),
        (4, whole_line()),
        (8, whole_line()),
        (1 << 40, whole_line()),
    ];
    assert_eq!(read(folder.path()), [expected]);
    let name = log.open.expect("open").0;
    let name = name.file_name().expect("a name").to_string_lossy().into_owned();
    let rest = name.strip_prefix(EVENTS_PREFIX).expect("the prefix");
    let (seconds, rest) = rest.split_once('.').expect("host and process");
    assert!(seconds.parse::<u64>().is_ok(), "{name}");
    assert_eq!(rest, format!("{}.{}", host(), process::id()));
}

#[test]
fn values_that_are_absent_or_not_finite_are_left_out() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut log = EventLog::new(folder.path(), 0);
    let no_loss = Record {
        loss: None,
        grad_norm: None,
        ..line(1)
    };
    let not_finite = Record {
        loss: Some(1e39),
        lr: f64::NAN,
        grad_norm: Some(f64::INFINITY),
        ema_decay: 0.0,
        ..line(2)
    };
    log.write(&no_loss).expect("writable");
    log.write(&not_finite).expect("writable");
    let expected = vec![
        version(),
        (
            1,
            scalars(&[("lr", 1e-3), ("ema_decay", 0.999), ("images_per_s", 4321.0)]),
        ),
        (2, scalars(&[("ema_decay", 0.0), ("images_per_s", 4321.0)])),
    ];
    assert_eq!(read(folder.path()), [expected]);
}

/// Every value falls into one bar, the largest into the last.
#[test]
fn histograms_count_every_finite_value() {
    let values = [-1.0, -1.0, 0.0, 0.5, 2.0, f32::NAN, f32::INFINITY];
    let one = Histogram::of(&values).expect("finite values");
    let bytes = histogram("w", &one);
    let [(1, 2, value)] = &fields(&bytes)[..] else {
        panic!("one value")
    };
    let [(1, 2, tag), (5, 2, histo)] = &fields(value)[..] else {
        panic!("tag and histogram")
    };
    assert_eq!(tag, b"w");
    let doubles = |bytes: &[u8]| -> Vec<f64> {
        bytes
            .chunks(8)
            .map(|b| f64::from_le_bytes(b.try_into().expect("eight bytes")))
            .collect()
    };
    let all: Vec<Vec<f64>> = fields(histo).iter().map(|(_, _, bytes)| doubles(bytes)).collect();
    assert_eq!(all[..5].concat(), [-1.0, 2.0, 5.0, 0.5, 6.25]);
    let (limits, counts) = (&all[5], &all[6]);
    assert_eq!((limits.len(), counts.len(), limits[29]), (30, 30, 2.0));
    let filled: Vec<(usize, f64)> = counts
        .iter()
        .copied()
        .enumerate()
        .filter(|(_, c)| *c > 0.0)
        .collect();
    assert_eq!(filled, [(0, 2.0), (10, 1.0), (15, 1.0), (29, 1.0)]);
    assert_eq!(Histogram::of(&[f32::NAN]), None);
    assert_eq!(Histogram::of(&[3.0; 4]).expect("values").counts, [4]);
}

#[test]
fn a_run_that_goes_on_starts_a_file_that_drops_the_overlap() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut first = EventLog::new(folder.path(), 0);
    for step in [4, 8, 12] {
        first.write(&line(step)).expect("writable");
    }
    // In the same second and process, restored at step 10, where line 12 is written again.
    let mut second = EventLog::new(folder.path(), 10);
    second.write(&line(12)).expect("writable");
    // A run that was killed before its first checkpoint.
    let mut third = EventLog::new(folder.path(), 0);
    third.write(&line(4)).expect("writable");
    let files = read(folder.path());
    assert_eq!(files.len(), 3);
    assert_eq!(files[0].len(), 4);
    assert_eq!(files[1], [version(), (11, Content::Start), (12, whole_line())]);
    assert_eq!(files[2], [version(), (1, Content::Start), (4, whole_line())]);
}

#[test]
fn a_clock_that_was_set_back_and_a_strange_name_do_not_disturb_the_order() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["9000000000.host.1", "x.y", ""] {
        fs::write(folder.path().join(format!("{EVENTS_PREFIX}{name}")), "").expect("writable");
    }
    assert_eq!(newest(folder.path()).expect("a folder"), Some(9_000_000_000));
    let mut log = EventLog::new(folder.path(), 3);
    log.write(&line(4)).expect("writable");
    let path = log.open.expect("open").0;
    assert!(
        path.to_string_lossy().contains("tfevents.9000000001."),
        "{path:?}"
    );
}

#[test]
fn failures_name_the_place() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let gone = folder.path().join("gone");
    let error = EventLog::new(&gone, 0).write(&line(1)).expect_err("no folder");
    assert!(
        matches!(&error, TrainError::Io { path, .. } if *path == gone),
        "{error}"
    );
    // Linux has a file on a disk that is always full.
    let full = PathBuf::from("/dev/full");
    if let Ok(file) = OpenOptions::new().append(true).open(&full) {
        let mut log = EventLog::new(folder.path(), 0);
        log.open = Some((full.clone(), file));
        let error = log.write(&line(1)).expect_err("no space");
        assert!(
            matches!(&error, TrainError::Io { action: "write", path, .. } if *path == full),
            "{error}"
        );
    }
}
