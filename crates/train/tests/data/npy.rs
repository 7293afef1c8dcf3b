//! Arrays of NumPy.

use std::fs::File;
use std::path::Path;

use ndarray::{Array1, Array2, Array3, Array4, array};
use ndarray_npy::NpzWriter;
use report::npy::write_npy;
use train::config::load_text;
use train::trainer::step::Trainer;

use crate::{all_rows, open, refused};

fn table(path: &Path, more: &str) -> String {
    format!("kind = 'npy'\npath = '{}'\n{more}", path.display())
}

/// Bytes are images with their channels last, real values have theirs first, and both can be said otherwise.
#[test]
fn rows_have_the_shapes_of_their_arrays() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.npy");
    let read = |more: &str| {
        let data = open(&table(&path, &format!("{more}\nscaling = 'none'"))).expect("sound");
        (data.shape().to_vec(), all_rows(data.as_ref(), 0))
    };
    let images = Array4::from_shape_fn((2, 3, 4, 3), |(n, h, w, c)| (n * 100 + h * 20 + w * 4 + c) as u8);
    let first = images.clone().permuted_axes([0, 3, 1, 2]);
    let first: Vec<f32> = first.iter().map(|&v| f32::from(v)).collect();
    write_npy(&path, &images).expect("writes");
    assert_eq!(read(""), (vec![3, 3, 4], first.clone()));
    write_npy(&path, &images.mapv(f64::from)).expect("writes");
    assert_eq!(read("channels_last = true"), (vec![3, 3, 4], first));
    assert_eq!(read("").0, [3, 4, 3]);
    write_npy(&path, &Array3::<u8>::from_shape_fn((2, 3, 4), |(n, ..)| n as u8)).expect("writes");
    assert_eq!(read("").0, [1, 3, 4]);
    write_npy(
        &path,
        &Array3::<f32>::from_shape_fn((5, 2, 9), |(n, ..)| n as f32),
    )
    .expect("writes");
    assert_eq!(read("").0, [2, 9]);
    assert_eq!(read("channels_last = true").0, [9, 2]);
    write_npy(&path, &Array1::from_iter(0..7_i64)).expect("writes");
    assert_eq!(read(""), (vec![1], (0..7).map(|v| v as f32).collect()));
}

/// Every visit of a row mirrors it or not; over many rows about half are.
#[test]
fn images_are_mirrored_on_half_of_the_visits() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.npy");
    let images = Array4::from_shape_fn((400, 2, 3, 1), |(n, h, w, _)| (n % 50 * 5 + h * 2 + w) as u8);
    write_npy(&path, &images).expect("writes");
    let plain = all_rows(open(&table(&path, "")).expect("sound").as_ref(), 0);
    let data = open(&table(&path, "flip = true")).expect("sound");
    let epochs = [0, 1].map(|epoch| all_rows(data.as_ref(), epoch));
    let turned = |rows: &[f32]| -> Vec<bool> {
        let pairs = rows.chunks_exact(6).zip(plain.chunks_exact(6));
        pairs
            .map(|(row, plain)| {
                let mirror = [plain[2], plain[1], plain[0], plain[5], plain[4], plain[3]];
                assert!(row == plain || row == mirror, "{row:?} of {plain:?}");
                row == mirror
            })
            .collect()
    };
    let [a, b] = epochs.map(|rows| turned(&rows));
    // Binomial with mean 200 and standard deviation 10: five of them.
    let count = |turned: &[bool]| turned.iter().filter(|t| **t).count();
    assert!((150..250).contains(&count(&a)) && a != b, "{}", count(&a));
    write_npy(&path, &Array2::<f32>::from_shape_fn((4, 2), |(n, _)| n as f32)).expect("writes");
    let error = open(&table(&path, "flip = true"))
        .expect_err("no images")
        .to_string();
    assert!(error.contains("data.flip"), "{error}");
}

#[test]
fn what_is_no_such_array_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let (rows, archive) = (here.join("rows.npy"), here.join("all.npz"));
    write_npy(&rows, &array![[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]).expect("writes");
    let mut npz = NpzWriter::new(File::create(&archive).expect("creates"));
    npz.add_array("x", &array![[0.0, 1.0], [2.0, 3.0]])
        .expect("writes");
    npz.add_array("y", &array![0_i64, -1]).expect("writes");
    npz.add_array("short", &array![0_i64]).expect("writes");
    npz.add_array("nan", &array![[f64::NAN], [0.0]]).expect("writes");
    npz.finish().expect("writes");
    refused(
        &table(&here.join("none.npy"), ""),
        &here.join("none.npy"),
        "No such file",
    );
    refused(&table(&rows, "labels = 'y'"), &rows, "no archive");
    refused(
        &table(&rows, "labels = 'absent.npy'"),
        Path::new("absent.npy"),
        "No such file",
    );
    refused(
        &table(&archive, ""),
        &archive,
        "the archive holds x, y, short, nan",
    );
    refused(&table(&archive, "array = 'z'"), &archive, "no array named z");
    refused(
        &table(&archive, "array = 'x'\nlabels = 'y'"),
        &archive.join("y"),
        "row 1: class -1",
    );
    refused(
        &table(&archive, "array = 'x'\nlabels = 'x'"),
        &archive.join("x"),
        "need whole ones",
    );
    refused(
        &table(&archive, "array = 'x'\nlabels = 'short'"),
        Path::new("npy"),
        "2 rows but 1 labels",
    );
    refused(
        &table(&archive, "array = 'x'\nvectors = 'y'"),
        &archive.join("y"),
        "need 2 axes",
    );
    refused(
        &table(&archive, "array = 'x'\nvectors = 'nan'"),
        Path::new("npy"),
        "vectors of row 0",
    );
    refused(
        &table(&archive, "array = 'x'\nimages = 'nan'"),
        Path::new("npy"),
        "all axes but the channels",
    );
    write_npy(&rows, &Array1::<f32>::from_iter([1.0])).expect("writes");
    refused(&table(&rows, ""), Path::new("npy"), "a single row");
    write_npy(&rows, &ndarray::Array5::<f32>::zeros((2, 1, 1, 1, 1))).expect("writes");
    refused(&table(&rows, ""), &rows, "5 axes");
    write_npy(&rows, &array![1.0, f64::INFINITY]).expect("writes");
    refused(&table(&rows, ""), Path::new("npy"), "row 1: a value is inf");
}

/// A network that is told a vector of each row learns what belongs to it, and draws for the vectors of the data in turn.
#[test]
fn vectors_of_the_data_condition_the_network() {
    tch::set_num_threads(1);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("all.npz");
    let mut npz = NpzWriter::new(File::create(&path).expect("creates"));
    // x is twice the first of its two numbers, up to 0.1.
    let c = Array2::from_shape_fn((512, 2), |(n, k)| (n * (37 + 64 * k) % 101) as f64 / 50.0 - 1.0);
    let x = Array2::from_shape_fn((512, 1), |(n, _)| {
        2.0 * c[[n, 0]] + 0.1 * ((n * 53 % 11) as f64 / 5.0 - 1.0)
    });
    npz.add_array("x", &x).expect("writes");
    npz.add_array("c", &c).expect("writes");
    npz.finish().expect("writes");
    let text = format!(
        "[data]\n{}array = 'x'\nvectors = 'c'\nscaling = 'none'
[net]
kind = 'mlp'
hidden_size = 32
num_layers = 1
condition_size = 2
[precond]
kind = 'edm'
sigma_data = 1.2
[optim]
lr = 5e-3
warmup_images = 0
[ema]
decay = 0.98
[train]
steps = 400
batch = 128
holdout = 0.1
[sampler]
kind = 'heun'
steps = 12",
        table(&path, "")
    );
    let config = load_text(&text, "test".as_ref(), &[]).expect("sound").config;
    let mut trainer = Trainer::new(&config, tch::Device::Cpu).expect("sound");
    trainer.fit(&mut []).expect("trains");
    let sampler = trainer.sampler().expect("sound");
    let options = train::sample::SampleOptions {
        count: 256,
        seed: 1,
        batch: 0,
        trajectory: false,
    };
    let samples = trainer
        .sample_with(
            sampler.as_ref(),
            options,
            &train::trainer::StopFlag::default(),
            &mut |_| {},
        )
        .expect("samples");
    // Without the vector the best guess is off by 1.2; with another row's too.
    let off = samples
        .values
        .iter()
        .zip(c.column(0))
        .map(|(x, c)| (f64::from(*x) - 2.0 * c).powi(2));
    let rms = (off.sum::<f64>() / 256.0).sqrt();
    assert!(rms < 0.3, "{rms}");
}
