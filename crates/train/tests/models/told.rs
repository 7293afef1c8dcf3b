//! Samples for vectors and images of files.

use std::path::Path;

use ndarray::{Array2, ArrayD, IxDyn};
use report::npy::{read, write_npy};
use sde_core::precond::PrecondConfig;
use sde_core::precond::ScaledTable;

use crate::common::{done, refused, sines};

/// A model folder of a network whose weights are no zeros.
fn model(here: &Path, net: &str, shape: &[i64]) {
    tch::set_num_threads(1);
    let precond = PrecondConfig::X0(ScaledTable::default());
    sines(here, ("told", precond), net, shape, 0.2);
}

const SAMPLE: [&str; 9] = [
    "sample",
    "--model",
    "model",
    "--n",
    "5",
    "--sampler.kind",
    "ddim",
    "--sampler.steps",
    "4",
];

fn samples(here: &Path, more: &[&str]) -> ArrayD<f64> {
    done(here, &[&SAMPLE, more, &["--out", "x.npy"]].concat());
    read(&here.join("x.npy")).expect("an array").into_f64()
}

/// Row `i` of the file is told of sample `i`, in turn, however the samples are cut into batches.
#[test]
fn samples_are_of_the_vectors_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    model(
        here,
        "kind = \"mlp\"\nhidden_size = 8\nnum_layers = 1\ncondition_size = 3\n",
        &[2],
    );
    let rows = |file: &str, rows: &[[f64; 3]]| {
        let values = Array2::from_shape_fn((rows.len(), 3), |(row, at)| rows[row][at]);
        write_npy(&here.join(file), &values).expect("writes");
    };
    let (a, b) = ([1.0, -2.0, 0.5], [-3.0, 4.0, 1.0]);
    rows("turn.npy", &[a, b]);
    rows("each.npy", &[a, b, a, b, a]);
    rows("other.npy", &[a]);
    let turn = samples(here, &["--condition.vectors", "turn.npy"]);
    assert_eq!(turn, samples(here, &["--condition.vectors", "each.npy"]));
    let cut = samples(here, &["--condition.vectors", "turn.npy", "--batch", "2"]);
    assert!((&turn - &cut).iter().all(|difference| difference.abs() < 1e-2));
    let other = samples(here, &["--condition.vectors", "other.npy"]);
    for row in 0..5 {
        let moved = (0..2).any(|at| (turn[[row, at]] - other[[row, at]]).abs() > 0.1);
        assert_eq!(moved, row % 2 == 1, "row {row}: {turn} {other}");
    }

    let refused = |more: &[&str], says: &[&str]| refused(here, &[&SAMPLE, more].concat(), 1, says);
    refused(&[], &["net.condition_size"]);
    refused(&["--condition.vectors", "absent.npy"], &["absent.npy"]);
    rows("none.npy", &[]);
    refused(&["--condition.vectors", "none.npy"], &["none.npy", "[0, 3]"]);
    rows("nan.npy", &[a, [1.0, f64::NAN, 0.0]]);
    refused(&["--condition.vectors", "nan.npy"], &["nan.npy", "row 1", "NaN"]);
    let narrow = Array2::<f64>::zeros((2, 2));
    write_npy(&here.join("narrow.npy"), &narrow).expect("writes");
    refused(
        &["--condition.vectors", "narrow.npy"],
        &["[5, 3]", "net.condition_size"],
    );
    refused(
        &[
            "--condition.vectors",
            "turn.npy",
            "--condition.images",
            "turn.npy",
        ],
        &["net.condition_channels"],
    );
    refused(
        &["--condition.vector", "turn.npy"],
        &["condition.vector", "vectors"],
    );
}

/// Images go to a network as further channels, cut into windows where it works by windows.
#[test]
fn samples_are_of_the_images_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let unet = "channels = 4\nchannel_mult = [1]\nblocks = 1\ncondition_channels = 2\nattention = []\n";
    model(
        here,
        &format!("kind = \"patch\"\npatch = 4\nedge = \"reflect\"\n[unet]\n{unet}"),
        &[1, 6, 5],
    );
    let image = |file: &str, size: &[usize], value: f64| {
        let image = ArrayD::from_elem(IxDyn(size), value);
        write_npy(&here.join(file), &image).expect("writes");
    };
    image("dark.npy", &[1, 2, 6, 5], -1.0);
    image("light.npy", &[2, 2, 6, 5], 1.0);
    let dark = samples(here, &["--condition.images", "dark.npy"]);
    let light = samples(here, &["--condition.images", "light.npy"]);
    assert_eq!(dark.shape(), [5, 6, 5, 1]);
    let moved = (&dark - &light).iter().filter(|d| d.abs() >= 1.0).count();
    assert!(moved > 20, "{moved} pixels of {dark}");

    let refused = |more: &[&str], says: &[&str]| refused(here, &[&SAMPLE, more].concat(), 1, says);
    refused(&[], &["net.condition_channels"]);
    image("small.npy", &[1, 2, 5, 6], 0.0);
    refused(
        &["--condition.images", "small.npy"],
        &["small.npy", "[1, 2, 5, 6]", "[rows, channels, 6, 5]"],
    );
    image("one.npy", &[1, 1, 6, 5], 0.0);
    refused(&["--condition.images", "one.npy"], &["net.condition_channels"]);
}
