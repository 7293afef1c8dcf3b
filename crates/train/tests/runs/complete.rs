//! A run from its start to its files.

use std::fs;

use ndarray::Ix2;

use crate::common::{Place, alone, fails, json, names, ok};

#[test]
fn a_run_fills_its_folder_and_says_what_it_did() {
    let _alone = alone();
    let place = Place::new();
    let output = ok(place.train("run", &["--train.sample_every", "30"]));
    let said = json(&output);
    assert_eq!(said["steps"], 60);
    assert_eq!(said["images"], 60 * 64);
    assert_eq!(said["samples"], 16);
    assert_eq!(said["nfe"], 2 * 4 + 1);
    for key in ["seconds", "images_per_s", "loss", "val_loss", "peak_memory_mb"] {
        assert!(said[key].as_f64().is_some_and(|v| v > 0.0), "{key}: {said}");
    }
    let run = place.path("run");
    let expected = [
        ".lock",
        "checkpoints",
        "clock.toml",
        "config.toml",
        "environment.toml",
        "events.out.tfevents.*",
        "loss.svg",
        "metrics.jsonl",
        "report.html",
        "samples",
        "samples.npz",
        "samples.png",
        "trajectory.npz",
    ];
    let without_clock = |name: String| match name.strip_prefix("events.out.tfevents.") {
        Some(_) => "events.out.tfevents.*".to_owned(),
        None => name,
    };
    let found: Vec<String> = names(&run).into_iter().map(without_clock).collect();
    assert_eq!(found, expected);
    assert_eq!(
        names(&run.join("samples")),
        ["step_00000030.png", "step_00000060.png"]
    );
    assert_eq!(
        names(&run.join("checkpoints")),
        ["latest", "step_00000040", "step_00000050", "step_00000060"],
        "keep = 3"
    );
    assert_eq!(
        fs::read_to_string(run.join("checkpoints/latest")).expect("readable"),
        "step_00000060\n"
    );
    let files = [
        "ema.safetensors",
        "net.safetensors",
        "optim.safetensors",
        "state.toml",
    ];
    assert_eq!(names(&run.join("checkpoints/step_00000060")), files);
    let metrics = place.metrics("run");
    let steps: Vec<u64> = metrics
        .iter()
        .map(|line| line["step"].as_u64().expect("a number"))
        .collect();
    assert_eq!(steps, (1..=15).map(|i| 4 * i).collect::<Vec<_>>());
    assert!(
        metrics
            .iter()
            .all(|line| line["lr"].as_f64().is_some_and(|lr| lr > 0.0))
    );
    let validated: Vec<u64> = metrics
        .iter()
        .filter(|line| line["val_loss"].as_f64().is_some_and(|loss| loss > 0.0))
        .map(|line| line["step"].as_u64().expect("a number"))
        .collect();
    assert_eq!(validated, [20, 40, 60]);
    assert_eq!(
        metrics[14]["val_loss"], said["val_loss"],
        "the same rows, times and noise"
    );
    // The configuration alone gives the same run again.
    fs::copy(run.join("config.toml"), place.path("again.toml")).expect("writable");
    ok(place.command(&[
        "train",
        "--config",
        "again.toml",
        "--out",
        "again",
        "--threads",
        "1",
    ]));
    assert_eq!(place.checkpoints("run"), place.checkpoints("again"));
    assert_eq!(place.metrics("run"), place.metrics("again"));
    let samples = |run: &str| fs::read(place.path(run).join("samples.npz")).expect("readable");
    assert_eq!(samples("run"), samples("again"));
}

/// A run that keeps power-function averages is sampled with any length, also after it was interrupted: the same bytes.
#[test]
fn the_length_of_the_average_is_chosen_after_training() {
    let _alone = alone();
    let place = Place::new();
    let kept = ["--ema.power", "[0.05, 0.1]"];
    let constant = ["--optim.schedule", "constant", "--train.samples", "0"];
    let with = |steps: &'static str| [&kept[..], &constant, &["--train.steps", steps]].concat();
    ok(place.train("whole", &with("60")));
    ok(place.train("parts", &with("30")));
    ok(place.resume("parts", &["--train.steps", "60"]));
    let draw = |run: &str, length: &str, out: &str| {
        let mut args = vec!["sample", "--run", run, "--threads", "1", "--n", "8", "--out", out];
        if !length.is_empty() {
            args.extend(["--ema.length", length]);
        }
        ok(place.command(&args));
        fs::read(place.path(out)).expect("readable")
    };
    assert_eq!(draw("whole", "0.05", "a.npy"), draw("parts", "0.05", "b.npy"));
    assert_ne!(draw("whole", "0.2", "a.npy"), draw("whole", "0.05", "b.npy"));
    assert_ne!(draw("whole", "", "a.npy"), draw("whole", "0.05", "b.npy"));
    ok(place.train("without", &constant));
    let sample = |run: &'static str, length: &'static str| {
        place.command(&["sample", "--run", run, "--ema.length", length])
    };
    let said = fails(sample("without", "0.05"), 1);
    assert!(said.contains("ema.power"), "{said}");
    let said = fails(sample("whole", "0.5"), 1);
    assert!(said.contains("ema.length = 0.5"), "{said}");
}

#[test]
fn samples_do_not_depend_on_the_batch_and_move_towards_the_data() {
    let _alone = alone();
    let place = Place::new();
    // Constant learning rate, no dropout: enough training to see the shape.
    let more = [
        "--train.steps",
        "1200",
        "--net.dropout",
        "0",
        "--log.every",
        "100",
        "--train.checkpoint_every",
        "0",
    ];
    ok(place.train("run", &more));
    let draw = |out: &str, more: &[&str]| {
        let mut args = vec!["sample", "--run", "run", "--threads", "1", "--json", "--out", out];
        args.extend(more);
        let said = json(&ok(place.command(&args)));
        let values = report::npy::read(&place.path(out)).expect("readable").into_f64();
        (said, values.into_dimensionality::<Ix2>().expect("rows of points"))
    };
    let (said, whole) = draw(
        "whole.npy",
        &["--n", "300", "--seed", "5", "--sampler.steps", "20"],
    );
    assert_eq!(
        (said["samples"].as_u64(), said["nfe"].as_u64()),
        (Some(300), Some(41))
    );
    let (_, pieces) = draw(
        "pieces.npz",
        &[
            "--n",
            "300",
            "--seed",
            "5",
            "--sampler.steps",
            "20",
            "--batch",
            "37",
        ],
    );
    let difference = (&whole - &pieces).iter().fold(0.0_f64, |a, b| a.max(b.abs()));
    assert!(difference < 1e-4, "{difference}");
    let (_, fewer) = draw(
        "fewer.npy",
        &["--n", "10", "--seed", "5", "--sampler.steps", "20"],
    );
    let difference = (&whole.slice(ndarray::s![..10, ..]) - &fewer)
        .iter()
        .fold(0.0_f64, |a, b| a.max(b.abs()));
    assert!(difference < 1e-4, "{difference}");
    let (_, other) = draw(
        "other.npy",
        &["--n", "300", "--seed", "6", "--sampler.steps", "20"],
    );
    assert!((&whole - &other).iter().all(|d| d.abs() > 0.0));
    // f32 unless bf16 is asked for, which leads the same noise to nearly the same points.
    let precise = ["f32", "bf16"].map(|precision| {
        let args = [
            "--n",
            "300",
            "--seed",
            "5",
            "--sampler.steps",
            "20",
            "--precision",
            precision,
        ];
        draw(&format!("{precision}.npy"), &args).1
    });
    assert_eq!(precise[0], whole);
    let difference = (&precise[1] - &whole)
        .mapv(|d| d * d)
        .mean()
        .expect("points")
        .sqrt();
    assert!(difference > 1e-5 && difference < 0.05, "{difference}");
    let said = fails(
        place.command(&["sample", "--run", "run", "--precision", "fp16"]),
        2,
    );
    assert!(said.contains("precisions are f32 and bf16"), "{said}");

    // Nearer to the data than the prior.
    let (trained, untrained) = place.distances("run", whole.view());
    println!("energy distance: {trained} trained, {untrained} prior");
    assert!(trained < 0.5 * untrained, "{trained} against {untrained}");
}

#[test]
fn a_folder_in_use_is_refused() {
    let _alone = alone();
    let place = Place::new();
    ok(place.train("run", &["--train.steps", "2", "--train.samples", "0"]));
    let before = place.checkpoints("run");
    let said = fails(place.train("run", &[]), 1);
    assert!(said.contains("not empty") && said.contains("--resume"), "{said}");
    assert_eq!(place.checkpoints("run"), before);
    fs::write(place.path("file"), "x").expect("writable");
    let said = fails(place.train("file", &[]), 1);
    assert!(said.contains("is a file"), "{said}");
    let said = fails(place.resume("nowhere", &[]), 1);
    assert!(said.contains("nowhere"), "{said}");
    let said = fails(place.train("big", &["--train.batch", "501"]), 1);
    assert!(
        said.contains("450 rows besides the 50 held out") && said.contains("train.batch"),
        "{said}"
    );
    assert!(
        !place.path("big").exists(),
        "nothing is made for a run that is refused"
    );
    let said = fails(place.resume("run", &["--optim.lr", "1"]), 2);
    assert!(said.contains("--optim.lr"), "{said}");
}

#[test]
fn memory_does_not_grow_over_steps() {
    let _alone = alone();
    let place = Place::new();
    let peak = |run: &str, steps: &str| {
        let more = [
            "--train.steps",
            steps,
            "--train.checkpoint_every",
            "0",
            "--train.samples",
            "0",
        ];
        json(&ok(place.train(run, &more)))["peak_memory_mb"].as_f64()
    };
    // Known on Linux only.
    let (Some(short), Some(long)) = (peak("short", "100"), peak("long", "2000")) else {
        return;
    };
    println!("peak memory: {short:.1} MiB after 100 steps, {long:.1} after 2,000");
    assert!(
        long < short + 8.0,
        "{short} MiB after 100 steps, {long} after 2,000"
    );
}

#[test]
fn a_budget_in_seconds_ends_the_run_in_time() {
    let _alone = alone();
    let place = Place::new();
    let more = [
        "--train.seconds",
        "1.5",
        "--train.checkpoint_every",
        "0",
        "--train.samples",
        "0",
    ];
    let said = json(&ok(place.train("run", &more)));
    let seconds = said["seconds"].as_f64().expect("a number");
    assert!((1.5..10.0).contains(&seconds), "{said}");
    // Spent is spent, also for a later process.
    assert_eq!(json(&ok(place.resume("run", &[])))["steps"], said["steps"]);
}
