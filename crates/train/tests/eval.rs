//! `sde eval` from end to end, and the nearest training rows on the page.

use std::fs;
use std::process::Command;

use ndarray::{Array2, Array3, Array4};
use serde_json::Value;
use train::evaluate::Rows;
use train::{RunConfig, config};

#[path = "runs/common.rs"]
#[allow(dead_code, reason = "shared with the tests of runs")]
mod common;

use common::{Place, alone, fails, json, ok};

/// A run of digits that has learned next to nothing.
const DIGITS: &str = "name = \"tiny\"\n[data]\nkind = \"digits\"\n[net]\nkind = \"unet2d\"\nchannels = 8\nchannel_mult = [1]\nblocks = 1\n\
     groups = 4\nmid_attention = false\n[train]\nsteps = 3\nbatch = 16\nholdout = 0.1\nsamples = 20\n[sampler]\nkind = \"heun\"\nsteps = 2\n";
/// One of series.
const SERIES: &str = "name = \"waves\"\n[data]\nkind = \"synthetic-1d\"\nrows = 300\nlength = 16\n[net]\nkind = \"unet1d\"\nchannels = 8\n\
     channel_mult = [1]\nblocks = 1\ngroups = 4\nmid_attention = false\n[train]\nsteps = 3\nbatch = 16\nholdout = 0\nsamples = 20\n\
     [sampler]\nkind = \"heun\"\nsteps = 2\n";

fn run_of(place: &Place, run: &str, text: &str) {
    fs::write(place.path("own.toml"), text).expect("writable");
    ok(place.command(&["train", "--config", "own.toml", "--out", run, "--threads", "1"]));
}

fn eval(place: &Place, run: &str, more: &[&str]) -> Command {
    place.command(&[&["eval", "--run", run, "--threads", "1"], more].concat())
}

fn config_of(place: &Place, run: &str) -> RunConfig {
    let path = place.path(run).join("config.toml");
    config::load_file(&path, &[]).expect("valid").config
}

fn score<'a>(found: &'a Value, name: &str) -> &'a Value {
    let scores = found["scores"].as_array().expect("a list");
    let found = scores.iter().find(|score| score["name"] == name);
    found.unwrap_or_else(|| panic!("{name} in {scores:?}"))
}

fn number(score: &Value, key: &str) -> f64 {
    score[key].as_f64().unwrap_or_else(|| panic!("{key} in {score}"))
}

fn page(place: &Place, run: &str) -> String {
    ok(place.command(&["report", "--run", run]));
    fs::read_to_string(place.path(run).join("report.html")).expect("readable")
}

/// Rows as a file of points has them.
fn points(rows: &Rows) -> Array2<f32> {
    let raw = rows.raw(rows.numbers()).expect("rows");
    let raw: Vec<f32> = raw.into_iter().map(|v| v as f32).collect();
    Array2::from_shape_vec((rows.numbers().len(), 2), raw).expect("pairs")
}

#[test]
fn three_ranks_find_the_scores_of_one() {
    let _alone = alone();
    let place = Place::new();
    ok(place.train("run", &[]));
    let scores = |more: &[&str]| {
        let mut found = json(&ok(eval(&place, "run", &[&["--json"], more].concat())));
        found["seconds"] = Value::Null;
        let file = fs::read_to_string(place.path("run/eval.json")).expect("readable");
        fs::remove_file(place.path("run/eval.json")).expect("there");
        let mut file: Value = serde_json::from_str(&file).expect("JSON");
        file["seconds"] = Value::Null;
        assert!(file == found);
        found
    };
    let one = scores(&[]);
    assert!(one["scores"].as_array().is_some_and(|scores| scores.len() > 10));
    assert!(scores(&["--nproc", "3"]) == one);
}

#[test]
fn points_are_scored_against_training_rows_beside_held_out_ones() {
    let _alone = alone();
    let place = Place::new();
    ok(place.train("run", &[]));
    assert!(!page(&place, "run").contains("<h2>Scores</h2>"));
    let output = ok(eval(&place, "run", &["--json"]));
    let found = json(&output);
    assert_eq!(
        (&found["samples"], &found["data"], &found["floor_part"]),
        (&16.into(), &450.into(), &"held-out".into())
    );
    assert_eq!(found["images"], false);
    let stdout = String::from_utf8(output.stdout).expect("text");
    for line in [
        "no feature frechet: the rows are neither images nor series",
        "16 samples against 450 training rows of toy-2d, in the units of the data; floor: 16 held-out rows",
        "metric ",
        "energy distance ",
    ] {
        assert!(
            stdout.lines().any(|found| found.starts_with(line)),
            "{line}: {stdout}"
        );
    }
    let text = fs::read_to_string(place.path("run/eval.json")).expect("readable");
    assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), found);
    let html = page(&place, "run");
    for part in [
        "<h2>Scores</h2>",
        "<td>energy distance</td>",
        "<th scope=\"col\">floor</th>",
        "The nearest that any sample comes",
    ] {
        assert!(html.contains(part), "{part}");
    }
    assert!(
        !html.contains("<h2>Nearest training rows</h2>"),
        "points have none"
    );

    // Held-out rows in the place of samples get the floor; training rows are copies.
    let config = config_of(&place, "run");
    let write = |name: &str, rows: &Rows| {
        report::npy::write_npy(&place.path(name), &points(rows)).expect("writable");
    };
    write("held_out.npy", &Rows::held_out(&config).expect("rows"));
    let same = json(&ok(eval(&place, "run", &["--json", "--samples", "held_out.npy"])));
    for name in [
        "energy_distance",
        "mmd2_rbf",
        "frechet_distance",
        "precision",
        "coverage",
    ] {
        let score = score(&same, name);
        let (value, floor) = (number(score, "matched"), number(score, "floor"));
        assert!(
            (value - floor).abs() < 1e-6 * (1.0 + floor.abs()),
            "{name}: {value} {floor}"
        );
        assert!(number(score, "value") == value, "as many rows: {score}");
    }
    assert_eq!(score(&same, "copy_rate")["value"], 0.0);
    write("copies.npz", &Rows::train(&config).expect("rows").at_most(40));
    let copies = json(&ok(eval(&place, "run", &["--json", "--samples", "copies.npz"])));
    assert_eq!(
        (&score(&copies, "copy_rate")["value"], &copies["copies"]["count"]),
        (&1.0.into(), &40.into())
    );
    // Another seed draws other directions; the same one the same.
    let again = |seed: &str| json(&ok(eval(&place, "run", &["--json", "--seed", seed])))["scores"].clone();
    assert_eq!(again("0"), found["scores"]);
    assert_ne!(again("1"), found["scores"]);
}

#[test]
fn images_have_classes_and_nearest_training_rows() {
    let _alone = alone();
    let place = Place::new();
    run_of(&place, "tiny", DIGITS);
    let found = json(&ok(eval(&place, "tiny", &["--json"])));
    assert_eq!(
        (&found["images"], &found["square"], &found["dimension"]),
        (&true.into(), &1.into(), &64.into())
    );
    assert!(number(score(&found, "class_entropy"), "floor") > 2.0);

    assert_eq!(
        found["features"]["left_out"],
        "its floor would be that of 20 rows against 1617, need 64 or more on each side, twice the number of features"
    );

    // Training rows as a file of images holds them are copies, to the last level, and their own neighbours.
    let train = Rows::train(&config_of(&place, "tiny")).expect("rows").at_most(30);
    let raw = train.raw(train.numbers()).expect("rows");
    let bytes: Vec<u8> = raw
        .iter()
        .map(|level| (level / 16.0 * 255.0).round() as u8)
        .collect();
    let images = Array4::from_shape_vec((30, 8, 8, 1), bytes).expect("images");
    report::npy::write_npz(&place.path("tiny/samples.npz"), &images).expect("writable");
    let copies = json(&ok(eval(&place, "tiny", &["--json"])));
    assert_eq!(score(&copies, "copy_rate")["value"], 1.0);
    let nearest = &copies["copies"];
    let sample = nearest["sample"].as_u64().expect("a number") as usize;
    assert_eq!(
        (&nearest["smallest"], &nearest["training"]),
        (&0.0.into(), &train.numbers()[sample].into())
    );
    let html = page(&place, "tiny");
    for part in [
        "<h2>Nearest training rows</h2>",
        "Samples 6 to 11, each followed by the 3 training rows nearest to it",
        &format!("<td>sample 2</td><td>row {} at 0</td>", train.numbers()[2]),
    ] {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains("<td>sample 12</td>"));
}

#[test]
fn a_network_of_the_data_set_is_behind_a_score_of_features() {
    let _alone = alone();
    let place = Place::new();
    run_of(&place, "tiny", &DIGITS.replace("samples = 20", "samples = 70"));
    let output = ok(eval(&place, "tiny", &["--json"]));
    let found = json(&output);
    let network = &found["features"]["network"];
    let hash = network["hash"].as_str().expect("a hash");
    assert!(
        hash.len() == 64 && hash.chars().all(|c| c.is_ascii_hexdigit()),
        "{hash}"
    );
    // As in the tests of the network.
    assert!(number(network, "accuracy") > 0.5, "{network}");
    assert_eq!(
        (&network["recipe"], &network["features"]),
        (&1.into(), &32.into())
    );
    // What a network that has learned nothing draws is further from the data than digits are.
    let of_features = score(&found, "feature_frechet");
    assert!(
        number(of_features, "matched") > 5.0 * number(of_features, "floor"),
        "{of_features}"
    );
    let told = format!(
        "the project's own network {}, not comparable with FID",
        &hash[..12]
    );
    assert_eq!(
        of_features["note"],
        format!("between Gaussian fits of 32 features of {told}")
    );
    let stdout = String::from_utf8(output.stdout).expect("text");
    let line = format!("feature frechet: on 32 features of {told}");
    assert!(stdout.lines().any(|found| found.starts_with(&line)), "{stdout}");
    let html = page(&place, "tiny");
    // The page writes ' as a reference.
    for part in [
        hash,
        &hash[..12],
        "<td>feature frechet</td>",
        "not comparable with FID",
    ] {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains(">FID<"));

    // Held-out rows in the place of samples have their floor; the seed has no part in the network.
    let held_out = Rows::held_out(&config_of(&place, "tiny")).expect("rows");
    let raw = held_out.raw(held_out.numbers()).expect("rows");
    let bytes: Vec<u8> = raw
        .iter()
        .map(|level| (level / 16.0 * 255.0).round() as u8)
        .collect();
    let images = Array4::from_shape_vec((held_out.numbers().len(), 8, 8, 1), bytes).expect("images");
    report::npy::write_npz(&place.path("held_out.npz"), &images).expect("writable");
    let same = json(&ok(eval(
        &place,
        "tiny",
        &["--json", "--samples", "held_out.npz", "--seed", "5"],
    )));
    assert_eq!(same["features"]["network"]["hash"], hash);
    let of_features = score(&same, "feature_frechet");
    let (value, floor) = (number(of_features, "matched"), number(of_features, "floor"));
    assert!((value - floor).abs() <= 1e-6 * floor, "{of_features}");

    let without = json(&ok(eval(&place, "tiny", &["--json", "--features", "none"])));
    assert_eq!(without["features"], Value::Null);
    let names: Vec<&Value> = (without["scores"].as_array().expect("a list").iter())
        .map(|score| &score["name"])
        .collect();
    assert!(!names.contains(&&Value::from("feature_frechet")), "{names:?}");
    assert!(!page(&place, "tiny").contains("feature frechet"));
}

#[test]
fn series_have_spectra_and_halves_are_the_floor_where_nothing_was_held_out() {
    let _alone = alone();
    let place = Place::new();
    run_of(&place, "waves", SERIES);
    let found = json(&ok(eval(&place, "waves", &["--json"])));
    assert_eq!(
        (&found["floor_part"], &found["held_out"]),
        (&Value::Null, &false.into())
    );
    // Noise has another spectrum than waves.
    let spectrum = score(&found, "spectrum_distance");
    assert!(
        number(spectrum, "matched") > 2.0 * number(spectrum, "floor"),
        "{spectrum}"
    );
    assert!(number(score(&found, "autocorrelation_distance"), "floor") >= 0.0);
    let html = page(&place, "waves");
    assert!(html.contains("training rows against") && html.contains("<h2>Nearest training rows</h2>"));
}

#[test]
fn samples_that_do_not_fit_are_refused_and_nothing_is_written() {
    let _alone = alone();
    let place = Place::new();
    ok(place.train("run", &["--train.steps", "10", "--train.samples", "4"]));
    let refused = |more: &[&str]| fails(eval(&place, "run", more), 1);
    let error = refused(&[]);
    assert!(
        error.contains(
            "samples.npz: holds 4 samples, the scores need 10 or more: draw them with sde sample --n"
        ),
        "{error}"
    );
    report::npy::write_npy(&place.path("wide.npy"), &Array2::<f32>::zeros((20, 3))).expect("writable");
    let error = refused(&["--samples", "wide.npy"]);
    assert!(
        error.contains("wide.npy: holds samples of the shape [3], the data have [2]"),
        "{error}"
    );
    report::npy::write_npy(&place.path("deep.npy"), &Array3::<f32>::zeros((20, 1, 2))).expect("writable");
    assert!(refused(&["--samples", "deep.npy"]).contains("the shape [1, 2], the data have [2]"));
    let mut bad = Array2::<f32>::zeros((20, 2));
    bad[[7, 1]] = f32::INFINITY;
    report::npy::write_npy(&place.path("bad.npy"), &bad).expect("writable");
    assert!(refused(&["--samples", "bad.npy"]).contains("sample 7 holds inf, need finite numbers"));
    fs::write(place.path("text.npz"), "no archive").expect("writable");
    assert!(refused(&["--samples", "text.npz"]).contains("text.npz"));
    assert!(refused(&["--samples", "gone.npz"]).contains("gone.npz"));
    fs::remove_file(place.path("run/samples.npz")).expect("a file");
    assert!(refused(&[]).contains("run: holds no samples.npz, which is written at the end of a run; draw samples with sde sample --run run"));
    assert!(fails(eval(&place, "gone", &[]), 1).contains("there is no such run folder"));
    for (arguments, part) in [
        (&["--sample", "a.npz"][..], "'--samples'"),
        (&["--max-rows", "3"], "--max-rows"),
        (&["--threads", "0"], "--threads"),
        (&["--features", "inception"], "--features"),
    ] {
        let output = eval(&place, "run", arguments)
            .output()
            .expect("the program starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {stderr}");
        assert!(stderr.contains(part), "{arguments:?} {stderr}");
    }
    assert!(!place.path("run/eval.json").exists());
    fs::write(place.path("run/eval.json"), "{}").expect("writable");
    assert!(page(&place, "run").contains("The scores cannot be shown: run/eval.json"));
}
