//! Long because good and bad input of every reader stand side by side.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::idx::{IdxKind, read_idx};
use super::*;
use crate::TrainError;

const VISIT: Visit = Visit { seed: 3, epoch: 0 };

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn idx_images(count: u32, side: u32) -> Vec<u8> {
    let header = [0x0803u32, count, side, side]
        .into_iter()
        .flat_map(u32::to_be_bytes);
    header
        .chain((0..count * side * side).map(|v| (v * 7 % 256) as u8))
        .collect()
}

fn idx_labels(count: u32) -> Vec<u8> {
    let header = [0x0801u32, count].into_iter().flat_map(u32::to_be_bytes);
    header.chain((0..count).map(|v| (v % 10) as u8)).collect()
}

fn put(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[track_caller]
fn refused<T>(result: Result<T, TrainError>, path: &Path, expected: &str) {
    let error = result.err().expect("must be refused").to_string();
    assert!(error.contains(expected), "{error:?} lacks {expected:?}");
    assert!(
        error.contains(&path.display().to_string()),
        "{error:?} does not name the file"
    );
    assert!(!error.contains('\n'), "{error:?} has more than one line");
}

fn rows_of(data: &dyn Dataset, rows: &[u64], visit: Visit) -> Vec<f32> {
    let mut out = vec![0.0; rows.len() * data.row_len()];
    data.read(rows, visit, &mut out).unwrap();
    out
}

#[test]
fn digits_are_all_there() {
    let data = digits(&DigitsConfig::default()).unwrap();
    assert_eq!((data.len(), data.shape()), (1797, &[1, 8, 8][..]));
    // Counts of the classes and sum of all pixels as the file's documentation and a count with other tools give them.
    let mut counts = [0; 10];
    data.labels()
        .unwrap()
        .iter()
        .for_each(|&l| counts[l as usize] += 1);
    assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    let all: Vec<u64> = (0..1797).collect();
    let raw: f64 = rows_of(&data, &all, VISIT)
        .iter()
        .map(|&v| data.scaling().to_raw(f64::from(v)))
        .sum();
    assert_eq!(raw.round(), 561_718.0);
    let first = rows_of(&data, &[0], VISIT);
    assert_eq!(first[2..6], [5.0, 13.0, 9.0, 1.0].map(|v: f32| v / 8.0 - 1.0));
}

#[test]
fn scalings_are_affine_and_inverse() {
    for kind in [
        ScalingKind::Symmetric,
        ScalingKind::Unit,
        ScalingKind::ZScore,
        ScalingKind::None,
    ] {
        for dequantise in [false, true] {
            let scaling = Scaling::image(kind, 17, dequantise, 4.9, 6.0);
            for raw in [0.0, 0.5, 7.0, 16.0, 16.99] {
                assert!(
                    (scaling.to_raw(scaling.to_model(raw)) - raw).abs() < 1e-12,
                    "{kind:?} {raw}"
                );
            }
        }
    }
    let symmetric = Scaling::image(ScalingKind::Symmetric, 256, false, 0.0, 1.0);
    assert_eq!((symmetric.to_model(0.0), symmetric.to_model(255.0)), (-1.0, 1.0));
    assert_eq!(
        symmetric.to_bytes(&[-1.0, -1.5, 1.0, 9.0, 0.0, f32::NAN]),
        [0, 0, 255, 255, 128, 0]
    );
    let unit = Scaling::image(ScalingKind::Unit, 17, true, 0.0, 1.0);
    assert_eq!((unit.to_model(0.0), unit.to_model(17.0)), (0.0, 1.0));
    // Middles of the lowest and highest level are black and white.
    assert_eq!(unit.to_bytes(&[0.5 / 17.0, 16.5 / 17.0]), [0, 255]);
}

#[test]
fn z_scores_have_mean_zero_and_unit_spread() {
    let config = DigitsConfig {
        scaling: ScalingKind::ZScore,
        dequantise: false,
    };
    let data = digits(&config).unwrap();
    let all: Vec<u64> = (0..1797).collect();
    let values = rows_of(&data, &all, VISIT);
    let n = values.len() as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let var = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
    assert!(mean.abs() < 1e-6 && (var - 1.0).abs() < 1e-6, "{mean} {var}");
}

#[test]
fn dequantisation_is_addressed_and_uniform() {
    let data = digits(&DigitsConfig {
        scaling: ScalingKind::None,
        dequantise: true,
    })
    .unwrap();
    let plain = digits(&DigitsConfig {
        scaling: ScalingKind::None,
        dequantise: false,
    })
    .unwrap();
    let rows: Vec<u64> = (0..200).collect();
    let noisy = rows_of(&data, &rows, VISIT);
    assert_eq!(
        noisy[64 * 7..64 * 8],
        rows_of(&data, &[7], VISIT),
        "a row depends on its neighbours"
    );
    assert_ne!(noisy, rows_of(&data, &rows, Visit { seed: 3, epoch: 1 }));
    assert_ne!(noisy, rows_of(&data, &rows, Visit { seed: 4, epoch: 0 }));
    let u: Vec<f64> = noisy
        .iter()
        .zip(rows_of(&plain, &rows, VISIT))
        .map(|(a, b)| f64::from(a - b))
        .collect();
    assert!(u.iter().all(|u| (0.0..=1.0).contains(u)));
    // Five standard errors of the mean and of the variance of 12,800 uniforms.
    let n = u.len() as f64;
    let mean = u.iter().sum::<f64>() / n;
    let var = u.iter().map(|v| (v - 0.5).powi(2)).sum::<f64>() / n;
    assert!((mean - 0.5).abs() < 5.0 / (12.0 * n).sqrt(), "{mean}");
    assert!((var - 1.0 / 12.0).abs() < 5.0 / (180.0 * n).sqrt(), "{var}");
}

#[test]
fn reads_of_rows_that_do_not_exist_are_refused() {
    let data = digits(&DigitsConfig::default()).unwrap();
    let mut out = [0.0; 64];
    let error = data.read(&[1797], VISIT, &mut out).unwrap_err().to_string();
    assert_eq!(error, "data set digits: row 1797 asked for, there are 1797");
    assert!(data.read(&[u64::MAX], VISIT, &mut out).is_err());
    assert!(data.read(&[0, 1], VISIT, &mut out).is_err());
    assert!(data.read(&[], VISIT, &mut []).is_ok());
}

#[test]
fn gather_fills_a_tensor() {
    tch::set_num_threads(1);
    let data = digits(&DigitsConfig::default()).unwrap();
    let mut batch = Tensor::zeros([2, 1, 8, 8], (Kind::Float, tch::Device::Cpu));
    data.gather(&[5, 0], VISIT, &mut batch).unwrap();
    let flat = Vec::<f32>::try_from(batch.flatten(0, -1)).unwrap();
    assert_eq!(flat, rows_of(&data, &[5, 0], VISIT));
    let mut wrong = Tensor::zeros([2, 64], (Kind::Float, tch::Device::Cpu));
    assert!(data.gather(&[5, 0], VISIT, &mut wrong).is_err());
}

#[test]
fn idx_reads_plain_and_packed() {
    let folder = TempDir::new().unwrap();
    let plain = put(&folder, "a", &idx_images(3, 4));
    let packed = put(&folder, "b", &gz(&idx_images(3, 4)));
    let read = read_idx(&plain, IdxKind::Images).unwrap();
    assert_eq!((read.axes.as_slice(), read.values.len()), (&[3, 4, 4][..], 48));
    assert_eq!(read, read_idx(&packed, IdxKind::Images).unwrap());
    let labels = put(&folder, "c", &idx_labels(3));
    assert_eq!(read_idx(&labels, IdxKind::Labels).unwrap().values, [0, 1, 2]);
}

#[test]
fn damaged_idx_is_refused_with_its_place() {
    let folder = TempDir::new().unwrap();
    let images = idx_images(3, 4);
    let packed = gz(&images);
    let mut flipped = packed.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x55;
    let cases: [(&str, Vec<u8>, &str); 14] = [
        ("empty", vec![], "is empty"),
        ("short", vec![0, 0], "is no IDX file"),
        ("text", b"hello world".to_vec(), "is no IDX file"),
        (
            "labels",
            idx_labels(3),
            "holds labels (an IDX file of 1 axis), need images",
        ),
        ("floats", vec![0, 0, 0x0d, 3], "wider than a byte"),
        ("axes", vec![0, 0, 8, 2], "of 2 axes, need images (3 axes)"),
        (
            "header",
            images[..9].to_vec(),
            "ends inside the header, after 9 bytes",
        ),
        (
            "cut",
            images[..20].to_vec(),
            "its header says 3 x 4 x 4 = 48 bytes, 4 are there",
        ),
        ("long", [&images[..], &[1]].concat(), "more bytes follow"),
        ("none", idx_images(0, 4), "is empty: its header says 0 x 4 x 4"),
        (
            "huge",
            [&[0, 0, 8, 3][..], &[0xff; 12]].concat(),
            "its header promises 4294967295 x",
        ),
        (
            "cut.gz",
            packed[..packed.len() - 12].to_vec(),
            "is truncated: its gzip stream has no end",
        ),
        ("flip.gz", flipped, "is "),
        ("head.gz", packed[..6].to_vec(), "is truncated"),
    ];
    for (name, bytes, expected) in cases {
        let path = put(&folder, name, &bytes);
        refused(read_idx(&path, IdxKind::Images), &path, expected);
    }
    let path = put(&folder, "images", &images);
    refused(
        read_idx(&path, IdxKind::Labels),
        &path,
        "holds images (an IDX file of 3 axes), need labels",
    );
    refused(
        read_idx(folder.path(), IdxKind::Images),
        folder.path(),
        "is a folder",
    );
    let absent = folder.path().join("absent");
    refused(read_idx(&absent, IdxKind::Images), &absent, "cannot open");
}

#[test]
fn mnist_from_a_folder_a_file_or_nowhere() {
    let folder = TempDir::new().unwrap();
    let images = put(&folder, "train-images-idx3-ubyte.gz", &gz(&idx_images(30, 5)));
    put(&folder, "train-labels.idx1-ubyte", &idx_labels(30));
    let config = |path: &Path, split| MnistConfig {
        path: Some(path.to_path_buf()),
        split,
        ..MnistConfig::default()
    };
    let data = mnist("mnist", &config(folder.path(), Split::Train)).unwrap();
    assert_eq!(
        (data.len(), data.shape(), data.labels().map(<[u32]>::len)),
        (30, &[1, 5, 5][..], Some(30))
    );
    let (low, high) = data.scaling().model_range();
    assert_eq!((low, high), (-1.0, 1.0));
    assert_eq!(
        mnist("mnist", &config(&images, Split::Train)).unwrap().labels(),
        None
    );
    refused(
        mnist("mnist", &config(folder.path(), Split::Test)),
        folder.path(),
        "sde data fetch mnist",
    );
    let wrong = put(&folder, "train-labels.idx1-ubyte", &idx_labels(29));
    refused(
        mnist("mnist", &config(folder.path(), Split::Train)),
        &wrong,
        "has 29 labels",
    );
    let absent = folder.path().join("absent");
    refused(
        mnist("mnist", &config(&absent, Split::Train)),
        &absent,
        "cannot open",
    );
}

fn csv_config(path: &Path) -> CsvConfig {
    CsvConfig {
        path: path.to_path_buf(),
        header: None,
        delimiter: ',',
        scaling: ScalingKind::None,
    }
}

#[test]
fn csv_reads_series() {
    let folder = TempDir::new().unwrap();
    for (name, text) in [
        ("plain", "1,2,3\n4,5,6\n"),
        ("header", "a,b,c\n1,2,3\n4,5,6"),
        ("spaces", "\u{feff} 1 , 2.0,3e0 \r\n\r\n 4,5,6\r\n"),
        ("quotes", "\"1\",2,3\n4,5,\"6\"\n"),
    ] {
        let path = put(&folder, name, text.as_bytes());
        let data = csv(&csv_config(&path)).unwrap();
        assert_eq!((data.len(), data.shape()), (2, &[1, 3][..]), "{name}");
        assert_eq!(
            rows_of(&data, &[0, 1], VISIT),
            [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            "{name}"
        );
    }
    let path = put(&folder, "gz", &gz(b"1;2\n3;4"));
    let data = csv(&CsvConfig {
        delimiter: ';',
        ..csv_config(&path)
    })
    .unwrap();
    assert_eq!(rows_of(&data, &[1], VISIT), [3.0, 4.0]);
    let path = put(&folder, "numbers as header", b"1,2\n3,4\n5,6");
    assert_eq!(
        csv(&CsvConfig {
            header: Some(true),
            ..csv_config(&path)
        })
        .unwrap()
        .len(),
        2
    );
    let path = put(&folder, "one value a row", b"1\n2\n3");
    assert_eq!(csv(&csv_config(&path)).unwrap().shape(), [1, 1]);
}

#[test]
fn bad_csv_is_refused_with_its_place() {
    let folder = TempDir::new().unwrap();
    for (name, text, expected) in [
        ("text", "1,2\n3,four\n", "line 2, column 2: \"four\" is no number"),
        (
            "text in the first row",
            "1,two\n3,4\n",
            "line 1, column 2: \"two\" is no number",
        ),
        ("nan", "1,2\n3,4\nNaN,5\n", "line 3, column 1: NaN is not finite"),
        ("inf", "1,2\n3,-inf\n", "line 2, column 2: -inf is not finite"),
        ("large", "1,2\n3,1e300\n", "line 2, column 2: 1e300 is too large"),
        ("hole", "1,2\n3,\n", "line 2, column 2: the cell is empty"),
        (
            "ragged",
            "1,2\n3,4\n5\n",
            "line 3: 1 values, the rows before have 2",
        ),
        ("single", "1,2\n", "has a single row"),
        ("single under a header", "a,b\n1,2\n", "has a single row"),
        ("header only", "a,b\n", "is empty"),
        ("empty", "", "is empty"),
        ("blank", "\n\n", "is empty"),
    ] {
        let path = put(&folder, name, text.as_bytes());
        refused(csv(&csv_config(&path)), &path, expected);
    }
    let path = put(&folder, "binary", b"1,2\n3,\xff\n");
    refused(csv(&csv_config(&path)), &path, "line 2: is no text");
    let path = put(&folder, "cut.gz", &gz(b"1,2\n3,4\n")[..12]);
    refused(csv(&csv_config(&path)), &path, "is truncated");
    refused(csv(&csv_config(folder.path())), folder.path(), "is a folder");
    let path = put(&folder, "constant", b"1,1\n1,1\n");
    let error = csv(&CsvConfig {
        scaling: ScalingKind::ZScore,
        ..csv_config(&path)
    })
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("all values are 1") && error.contains("data.scaling"),
        "{error}"
    );
}

#[test]
fn memory_data_is_checked() {
    let new = |values, labels: Option<Vec<u32>>| {
        MemoryDataset::new("mine", &[2], values, labels, ScalingKind::None, false).map(|d| d.len())
    };
    assert_eq!(
        new(Values::Real(vec![1.0, 2.0, 3.0, 4.0]), Some(vec![0, 1])).unwrap(),
        2
    );
    for (values, labels, expected) in [
        (Values::Real(vec![]), None, "it is empty"),
        (Values::Real(vec![1.0; 3]), None, "no whole number of rows"),
        (Values::Real(vec![1.0; 2]), None, "a single row"),
        (
            Values::Real(vec![1.0, 2.0, f32::NAN, 1.0]),
            None,
            "row 1: a value is NaN",
        ),
        (Values::Real(vec![1.0; 4]), Some(vec![1]), "2 rows but 1 labels"),
        (
            Values::Levels(vec![0, 1, 2, 9], 9),
            None,
            "row 1: value 9 of 9 levels",
        ),
    ] {
        let error = new(values, labels).unwrap_err().to_string();
        assert!(
            error.contains(expected) && error.starts_with("data set mine: "),
            "{error}"
        );
    }
}

#[test]
fn synthetic_rows_depend_on_seed_and_row_alone() {
    for form in [SeriesForm::Sines, SeriesForm::Chirps] {
        let config = Synthetic1dConfig {
            form,
            rows: 20,
            length: 16,
            noise: 0.1,
            scaling: ScalingKind::None,
            ..Synthetic1dConfig::default()
        };
        let (few, many) = (
            synthetic_1d(&config).unwrap(),
            synthetic_1d(&Synthetic1dConfig {
                rows: 40,
                ..config.clone()
            })
            .unwrap(),
        );
        assert_eq!(few.shape(), [1, 16]);
        assert_eq!(rows_of(&few, &[3, 19], VISIT), rows_of(&many, &[3, 19], VISIT));
        let other = synthetic_1d(&Synthetic1dConfig { seed: 1, ..config }).unwrap();
        assert_ne!(rows_of(&few, &[3], VISIT), rows_of(&other, &[3], VISIT));
        assert!(many.labels().unwrap().iter().all(|&l| l < 3));
    }
}

#[test]
fn a_single_sine_solves_its_recurrence() {
    // x_{j+1} + x_{j-1} = 2 cos(2 pi f / length) x_j for one wave of f cycles.
    let config = Synthetic1dConfig {
        rows: 5,
        length: 32,
        components: 1,
        min_cycles: 3.0,
        max_cycles: 3.0,
        scaling: ScalingKind::None,
        ..Synthetic1dConfig::default()
    };
    let data = synthetic_1d(&config).unwrap();
    let factor = 2.0 * (2.0 * std::f64::consts::PI * 3.0 / 32.0).cos();
    for row in 0..5 {
        let x = rows_of(&data, &[row], VISIT);
        assert!(x.iter().any(|v| v.abs() > 0.4));
        for w in x.windows(3) {
            assert!((f64::from(w[2]) + f64::from(w[0]) - factor * f64::from(w[1])).abs() < 1e-6);
        }
    }
}

#[test]
fn toys_lie_on_their_shapes() {
    let rows = 2000;
    let all: Vec<u64> = (0..rows).collect();
    for form in [
        ToyForm::Moons,
        ToyForm::Spirals,
        ToyForm::Checkerboard,
        ToyForm::Mixture,
        ToyForm::Circles,
    ] {
        let config = Toy2dConfig {
            form,
            rows,
            noise: Some(0.0),
            scaling: ScalingKind::None,
            ..Toy2dConfig::default()
        };
        let data = toy_2d(&config).unwrap();
        let (points, labels) = (rows_of(&data, &all, VISIT), data.labels().unwrap().to_vec());
        let mut seen = std::collections::BTreeSet::new();
        for (p, label) in points.chunks_exact(2).zip(labels) {
            let (x, y, radius) = (
                f64::from(p[0]),
                f64::from(p[1]),
                f64::from(p[0]).hypot(f64::from(p[1])),
            );
            seen.insert(label);
            let off = match form {
                ToyForm::Moons if label == 0 => (radius - 1.0).abs() + (-y).max(0.0),
                ToyForm::Moons => ((x - 1.0).hypot(y - 0.5) - 1.0).abs() + (y - 0.5).max(0.0),
                ToyForm::Spirals => {
                    let turn = std::f64::consts::TAU * (1.5 * radius + 0.5 * f64::from(label));
                    (x - radius * turn.cos()).hypot(y - radius * turn.sin())
                }
                ToyForm::Checkerboard => {
                    let parity = (x.floor() + y.floor()).rem_euclid(2.0);
                    parity + (x.abs() - 2.0).max(0.0) + (y.abs() - 2.0).max(0.0)
                }
                ToyForm::Mixture => (radius - 1.0).abs(),
                ToyForm::Circles => (radius - 0.5 * f64::from(label + 1)).abs(),
            };
            assert!(off < 1e-5, "{form:?}: ({x}, {y}) is {off} off");
        }
        let parts = if matches!(form, ToyForm::Checkerboard | ToyForm::Mixture) {
            8
        } else {
            2
        };
        assert_eq!(seen.len(), parts, "{form:?}");
    }
}
