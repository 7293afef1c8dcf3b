//! The likelihood of rows under a model folder.

use std::f64::consts::{LN_2, TAU};

use ndarray::Array2;
use report::npy::write_npy;
use serde_json::Value;

use crate::common::{done, refused, sines};

/// A network that predicts no noise makes the flow a stretching by `r = mean_coef(1) / mean_coef(eps)`, so that the density of `x` is
/// `r N(r x; 0, 1)` in each dimension; `r` is so small that it is the same for all levels.
#[test]
fn a_model_folder_measures_the_rows_of_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    tch::set_num_threads(1);
    let net = "kind = \"mlp\"\nhidden_size = 8\nnum_layers = 1\n";
    sines(here, ("silent", Default::default()), net, &[2], 0.0);
    let levels = [[0.0, 255.0], [100.0, 30.0], [7.0, 7.0]];
    let rows = Array2::from_shape_fn((3, 2), |(row, at)| levels[row][at]);
    write_npy(&here.join("rows.npy"), &rows).expect("writes");
    let args = [
        "likelihood",
        "--model",
        "model",
        "--threads",
        "1",
        "--bound-times",
        "0",
    ];
    let out = done(here, &[&args[..], &["--data", "rows.npy", "--json"]].concat()).out;
    let found: Value = serde_json::from_str(out.lines().last().unwrap_or_default()).expect("JSON");
    // mean_coef of the VP SDE with beta from 0.1 to 20, at t = 1 and t = 1e-5; the levels are 2/256 apart.
    let r = (-0.25_f64 * 19.9 - 0.5 * 0.1).exp() / (-0.25 * 19.9 * 1e-10 - 0.5 * 0.1 * 1e-5_f64).exp();
    let bits = (0.5 * TAU.ln() - r.ln() - (2.0_f64 / 256.0).ln()) / LN_2;
    let seen = found["bits_per_dim"].as_f64().expect("quantised data");
    assert!((seen - bits).abs() < 1e-4, "{seen} {bits}");
    assert_eq!(
        (&found["model_dir"], &found["run_dir"]),
        (&"model".into(), &Value::Null)
    );
    assert!(here.join("model/likelihood.json").is_file());

    refused(
        here,
        &args,
        2,
        &["a model folder has no rows of its own", "--data FILE.npy"],
    );
    let none = ["likelihood", "--data", "rows.npy"];
    refused(here, &none, 2, &["required"]);
}
