//! Event files, read by TensorBoard's own reader.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::common::{Place, alone, json, ok};

/// Prints tags and points of a run folder as JSON.
const SCRIPT: &str = r#"
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
seen = EventAccumulator(sys.argv[1], size_guidance={k: 0 for k in ("scalars", "images", "histograms", "tensors")})
seen.Reload()
tags = seen.Tags()
print(json.dumps({
    "scalars": {t: [[e.step, e.value] for e in seen.Scalars(t)] for t in tags["scalars"]},
    "images": {t: [[e.step, e.width, e.height, len(e.encoded_image_string)] for e in seen.Images(t)] for t in tags["images"]},
    "histograms": {t: [[e.step, e.histogram_value.num, e.histogram_value.min] for e in seen.Histograms(t)] for t in tags["histograms"]},
    "texts": {t: [[e.step, e.tensor_proto.string_val[0].decode()] for e in seen.Tensors(t)] for t in tags["tensors"]},
}))
"#;

/// Needs `TENSORBOARD_FOLDER`, a folder that holds the Python package tensorboard; `cargo xtask test` brings it.
#[test]
#[allow(clippy::print_stdout, reason = "says what was not tested")]
fn tensorboard_sees_scalars_pictures_histograms_and_the_configuration() {
    let Some(folder) = std::env::var_os("TENSORBOARD_FOLDER") else {
        println!("skipped: TENSORBOARD_FOLDER is not set");
        return;
    };
    let _alone = alone();
    let place = Place::new();
    ok(place.train("run", &["--train.steps", "30", "--train.sample_every", "15"]));
    // Longer than the last checkpoint: what comes after it is written twice, and must be seen once.
    let trained = json(&ok(
        place.resume("run", &["--train.steps", "60", "--train.sample_every", "30"])
    ));
    let mut python = Command::new("python3");
    python.args(["-c", SCRIPT]).arg(place.path("run"));
    python.env("PYTHONPATH", folder).env("TF_CPP_MIN_LOG_LEVEL", "3");
    let said = ok(python);
    let seen: Value = serde_json::from_slice(&said.stdout).expect("JSON");
    let metrics = place.metrics("run");
    for key in ["loss", "val_loss", "lr", "grad_norm", "ema_decay"] {
        let lines = metrics.iter().filter(|line| line[key].is_number());
        let expected: Vec<(u64, f64)> = lines
            .map(|line| {
                (
                    line["step"].as_u64().expect("a number"),
                    line[key].as_f64().expect("a number"),
                )
            })
            .collect();
        let points = seen["scalars"][key]
            .as_array()
            .unwrap_or_else(|| panic!("{key} in {seen}"));
        assert_eq!(points.len(), expected.len(), "{key}: {points:?}");
        for (point, (step, value)) in points.iter().zip(expected) {
            assert_eq!(point[0], step, "{key}");
            let off = point[1].as_f64().expect("a number") - value;
            assert!(
                off.abs() <= 1e-6 * value.abs(),
                "{key} at {step}: {point}, {value}"
            );
        }
    }
    let steps = |points: &Value| -> Vec<u64> {
        let points = points.as_array().expect("a list").iter();
        points.map(|point| point[0].as_u64().expect("a number")).collect()
    };
    let pictures = &seen["images"]["samples"];
    assert_eq!(steps(pictures), [15, 30, 30, 60, 60]);
    let last = fs::read(place.path("run/samples.png")).expect("readable");
    assert_eq!(pictures[4][3], last.len());
    let width = u32::from_be_bytes(last[16..20].try_into().expect("four bytes"));
    assert_eq!(pictures[4][1], width);
    let histograms = seen["histograms"].as_object().expect("an object");
    assert!(!histograms.is_empty() && histograms.keys().all(|tag| tag.starts_with("weights/")));
    for (tag, points) in histograms {
        assert_eq!(steps(points), [10, 20, 30, 40, 50, 60], "{tag}");
    }
    let count: f64 = histograms
        .values()
        .map(|points| points[5][1].as_f64().expect("a number"))
        .sum();
    assert_eq!(Some(count), trained["parameters"].as_f64());
    let text = seen["texts"]["config"][0][1].as_str().expect("a text");
    assert!(text.contains("    kind = \"toy-2d\""), "{text}");
}
