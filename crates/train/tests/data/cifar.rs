//! CIFAR-10's binary form.

use std::fs;
use std::path::Path;

use crate::{all_rows, open, refused};

/// Records whose bytes tell the file, the record and the place.
fn batch(file: u8, records: u8) -> Vec<u8> {
    let record = |k: u8| (0..3072_u32).map(move |i| (i % 251) as u8 ^ file ^ (k << 4));
    (0..records)
        .flat_map(|k| std::iter::once((file + k) % 10).chain(record(k)))
        .collect()
}

fn write_all(folder: &Path) {
    for k in 1..=5 {
        fs::write(folder.join(format!("data_batch_{k}.bin")), batch(k, 3)).expect("writes");
    }
    fs::write(folder.join("test_batch.bin"), batch(9, 2)).expect("writes");
}

#[test]
fn records_are_read_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    // As the archive unpacks.
    let inside = folder.path().join("cifar-10-batches-bin");
    fs::create_dir(&inside).expect("creates");
    write_all(&inside);
    for path in [folder.path(), &inside] {
        let table = format!("kind = 'cifar10'\npath = '{}'\nscaling = 'none'", path.display());
        let data = open(&table).expect("sound");
        assert_eq!((data.len(), data.shape()), (15, &[3, 32, 32][..]));
        let labels: Vec<u32> = (1..=5)
            .flat_map(|file| (0..3).map(move |k| (file + k) % 10))
            .collect();
        assert_eq!(data.labels(), Some(&labels[..]));
        let bytes: Vec<f32> = (1..=5)
            .flat_map(|file| batch(file, 3))
            .enumerate()
            .filter(|(at, _)| at % 3073 > 0)
            .map(|(_, byte)| f32::from(byte))
            .collect();
        assert_eq!(all_rows(data.as_ref(), 0), bytes);
        assert_eq!(open(&format!("{table}\nsplit = 'test'")).expect("sound").len(), 2);
    }
}

#[test]
fn what_is_no_batch_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    write_all(here);
    let table = format!("kind = 'cifar10'\npath = '{}'", here.display());
    let third = here.join("data_batch_3.bin");
    fs::write(&third, &batch(3, 3)[..9218]).expect("writes");
    refused(
        &table,
        &third,
        "has 9218 bytes, no whole number of records of 3073",
    );
    let mut bytes = batch(3, 3);
    bytes[3073] = 10;
    fs::write(&third, bytes).expect("writes");
    refused(&table, &third, "record 1: class 10");
    fs::remove_file(&third).expect("removes");
    refused(&table, &third, "No such file");
}
