//! `sde likelihood` from end to end.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use ndarray::{Array2, Array4};
use serde_json::Value;
use train::evaluate::Rows;

use crate::common::{Place, alone, fails, json, ok};

fn likelihood(place: &Place, run: &str, more: &[&str]) -> Command {
    place.command(&[&["likelihood", "--run", run, "--threads", "1"], more].concat())
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_else(|| panic!("{key} in {value}"))
}

fn page(place: &Place, run: &str) -> String {
    ok(place.command(&["report", "--run", run]));
    fs::read_to_string(place.path(run).join("report.html")).expect("readable")
}

#[test]
fn the_command_measures_a_run_of_points() {
    let _alone = alone();
    let place = Place::new();
    ok(place.train("run", &[]));
    assert!(!page(&place, "run").contains("<h2>Likelihood</h2>"));
    let output = ok(likelihood(&place, "run", &["--json", "--out", "rows.npy"]));
    let found = json(&output);
    assert_eq!(
        (&found["part"], &found["rows"], &found["of_rows"]),
        (&"held-out".into(), &50.into(), &50.into())
    );
    assert_eq!(
        (&found["bits_per_dim"], &found["probes"], &found["repeats"]),
        (&Value::Null, &Value::Null, &1.into())
    );
    assert!(number(&found, "nfe") > 20.0 && number(&found, "seconds") > 0.0);
    let stdout = String::from_utf8(output.stdout).expect("text");
    assert!(
        stdout.contains("50 of 50 held-out rows of toy-2d, 2 values each"),
        "{stdout}"
    );

    // Rows, file and summary tell the same.
    let rows = report::npy::read(&place.path("rows.npy"))
        .expect("an array")
        .into_f64();
    assert_eq!(rows.shape(), [50, 3]);
    for (column, mean) in [
        (1, number(&found, "nll_nats")),
        (2, number(&found["bound"], "nll_nats")),
    ] {
        let sum: f64 = (0..50).map(|row| rows[[row, column]]).sum();
        assert!((sum / 50.0 - mean).abs() < 1e-9);
    }
    let text = fs::read_to_string(place.path("run/likelihood.json")).expect("readable");
    let file: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(file["nll_nats"], found["nll_nats"]);
    assert_eq!(file["values"]["row"].as_array().map(Vec::len), Some(50));
    let html = page(&place, "run");
    for part in [
        "<h2>Likelihood</h2>",
        "<dt>nats a row</dt>",
        "Negative log likelihood of 50 of 50 held-out rows of toy-2d: minus the log of a density in the units of the data.",
        "aria-label=\"Histogram of negative log likelihood (nats) over the rows\"",
    ] {
        assert!(html.contains(part), "{part}");
    }

    // The held-out rows as a file, in the units of the data, have the same likelihood.
    let config = train::config::load_file(&place.path("run/config.toml"), &[])
        .expect("valid")
        .config;
    let held_out = Rows::held_out(&config).expect("rows");
    let raw = held_out.raw(held_out.numbers()).expect("rows");
    let raw = Array2::from_shape_vec((50, 2), raw).expect("pairs");
    report::npy::write_npy(&place.path("held_out.npy"), &raw).expect("writable");
    let same = json(&ok(likelihood(
        &place,
        "run",
        &["--json", "--bound-times", "0", "--data", "held_out.npy"],
    )));
    assert_eq!((&same["part"], &same["bound"]), (&"file".into(), &Value::Null));
    assert!(
        (number(&same, "nll_nats") - number(&found, "nll_nats")).abs() < 1e-3,
        "{same} {found}"
    );
    let trained = json(&ok(likelihood(
        &place,
        "run",
        &["--json", "--data", "train", "--rows", "20"],
    )));
    assert_eq!(
        (&trained["part"], &trained["rows"], &trained["of_rows"]),
        (&"train".into(), &20.into(), &450.into())
    );

    fs::write(place.path("run/likelihood.json"), "{").expect("writable");
    assert!(page(&place, "run").contains("The likelihood cannot be shown: run/likelihood.json"));
}

#[test]
fn two_ranks_measure_the_bits_of_one() {
    let _alone = alone();
    let place = Place::new();
    ok(place.train("run", &["--train.steps", "10"]));
    // Batches of 7, 7 and 6: the second rank has one of three.
    let measure = |out: &str, more: &[&str]| {
        let args = ["--rows", "20", "--batch", "7", "--json", "--out", out];
        let output = ok(likelihood(&place, "run", &[&args[..], more].concat()));
        let mut found = json(&output);
        found["seconds"] = Value::Null;
        let file = fs::read_to_string(place.path("run/likelihood.json")).expect("readable");
        let file: Value = serde_json::from_str(&file).expect("JSON");
        fs::remove_file(place.path("run/likelihood.json")).expect("there");
        (
            found,
            file["values"].clone(),
            fs::read(place.path(out)).expect("readable"),
        )
    };
    let one = measure("one.npy", &[]);
    assert_eq!(one.0["rows"], 20);
    assert!(measure("two.npy", &["--nproc", "2"]) == one);
}

#[test]
fn what_cannot_be_measured_is_said_in_a_line() {
    let _alone = alone();
    let place = Place::new();
    ok(place.train("run", &["--train.steps", "10", "--train.holdout", "0"]));
    let write = |name: &str, values: Array2<f64>| {
        report::npy::write_npy(&place.path(name), &values).expect("writable");
    };
    let refused = |more: &[&str], code: i32| fails(likelihood(&place, "run", more), code);
    let error = refused(&[], 1);
    assert!(
        error.contains("the run held none out of training (train.holdout = 0); give rows of your own"),
        "{error}"
    );
    write("wide.npy", Array2::zeros((3, 5)));
    let error = refused(&["--data", "wide.npy"], 1);
    assert!(
        error.contains("wide.npy: holds rows of the shape [5], those of the model have [2]"),
        "{error}"
    );
    write("empty.npy", Array2::zeros((0, 2)));
    assert!(refused(&["--data", "empty.npy"], 1).contains("holds no row"));
    let mut bad = Array2::zeros((3, 2));
    bad[[2, 0]] = f64::NAN;
    write("nan.npy", bad);
    assert!(refused(&["--data", "nan.npy"], 1).contains("row 2 holds NaN, need finite numbers"));
    assert!(refused(&["--data", "gone.npy"], 1).contains("gone.npy"));
    assert!(refused(&["--data", "train", "--rtol", "0"], 1).contains("likelihood.rtol"));
    assert!(refused(&["--data", "train", "--repeats", "3"], 2).contains("not dequantised"));
    assert!(refused(&["--data", "train", "--out", "no/rows.npy"], 1).contains("no/rows.npy"));
    assert!(fails(likelihood(&place, "gone", &[]), 1).contains("there is no such run folder"));
    for (arguments, part) in [
        (&["--prboes", "3"][..], "'--probes'"),
        (&["--probes", "3", "--exact"], "cannot be used with"),
        (&["--probes", "0"], "--probes"),
        (&["--data", "tset"], "held-out"),
        (&["--rows", "0"], "--rows"),
        (&["--out", "rows.csv"], ".npy"),
    ] {
        let output = likelihood(&place, "run", arguments)
            .output()
            .expect("the program starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {stderr}");
        assert!(stderr.contains(part), "{arguments:?} {stderr}");
    }
    assert!(!place.path("run/likelihood.json").exists());
}

#[test]
fn an_interrupt_ends_it_with_130_and_no_file() {
    let _alone = alone();
    let place = Place::new();
    ok(place.train("run", &["--train.steps", "10"]));
    let mut command = likelihood(
        &place,
        "run",
        &[
            "--data", "train", "--rows", "450", "--batch", "1", "--probes", "500", "--json",
        ],
    );
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    let status = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(status.expect("kill starts").success());
    let output = child.wait_with_output().expect("ends");
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("interrupted"), "{said}");
    assert!(!place.path("run/likelihood.json").exists());
}

#[test]
fn images_have_bits_per_dimension() {
    let _alone = alone();
    let place = Place::new();
    let config = "name = \"tiny\"\n[data]\nkind = \"digits\"\n[net]\nkind = \"unet2d\"\nchannels = 8\nchannel_mult = [1]\nblocks = 1\n\
                  groups = 4\nmid_attention = false\n[train]\nsteps = 3\nbatch = 16\nholdout = 0.1\nsamples = 4\n[sampler]\nkind = \"heun\"\nsteps = 2\n";
    fs::write(place.path("tiny.toml"), config).expect("writable");
    ok(place.command(&[
        "train",
        "--config",
        "tiny.toml",
        "--out",
        "tiny",
        "--threads",
        "1",
    ]));
    let found = json(&ok(likelihood(
        &place,
        "tiny",
        &[
            "--rows",
            "4",
            "--repeats",
            "2",
            "--rtol",
            "1e-3",
            "--atol",
            "1e-3",
            "--json",
        ],
    )));
    assert_eq!(
        (&found["levels"], &found["probes"], &found["repeats"]),
        (&17.into(), &1.into(), &2.into())
    );
    let unit = 64.0 * std::f64::consts::LN_2;
    for of in [&found, &found["bound"]] {
        assert!(
            (number(of, "nll_nats") / unit - number(of, "bits_per_dim")).abs() < 1e-9,
            "{found}"
        );
        assert!(
            (number(of, "standard_error") / unit - number(of, "bits_standard_error")).abs() < 1e-9,
            "{found}"
        );
    }
    let html = page(&place, "tiny");
    assert!(html.contains("of the 17 levels of the data, dequantised 2 times a row"));
    assert!(html.contains("For likelihoods train with data.dequantise = true."));
    assert_eq!(found["dequantised"], false);

    // Levels are whole numbers from 0; what is no level is named.
    let write = |name: &str, value: u8| {
        let images = Array4::from_elem((2, 8, 8, 1), value);
        report::npy::write_npz(&place.path(name), &images).expect("writable");
        place.path(name)
    };
    let file = |path: &Path| path.display().to_string();
    let few = [
        "--rtol",
        "1e-2",
        "--atol",
        "1e-2",
        "--bound-times",
        "1",
        "--json",
        "--data",
    ];
    let data = file(&write("levels.npz", 16));
    assert_eq!(
        json(&ok(likelihood(&place, "tiny", &[&few[..], &[&data]].concat())))["rows"],
        2
    );
    let args = [
        "train",
        "--config",
        "tiny.toml",
        "--out",
        "between",
        "--threads",
        "1",
        "--data.dequantise",
        "true",
    ];
    ok(place.command(&args));
    let output = ok(likelihood(&place, "between", &[&few[..], &[&data]].concat()));
    assert_eq!(json(&output)["dequantised"], true);
    assert!(!String::from_utf8_lossy(&output.stdout).contains("note:"));
    let data = file(&write("bytes.npz", 17));
    let error = fails(likelihood(&place, "tiny", &["--data", &data]), 1);
    assert!(
        error.contains("row 0 holds 17, need the 17 levels of the data, whole numbers from 0 to 16"),
        "{error}"
    );
}
