//! Runs with other losses than the default.

use std::fs;

use ndarray::Ix2;

use crate::common::{Place, alone, checkpoint_bytes, fails, json, ok};

/// Enough training of the small configuration to see the shape of the data.
const TRAINED: [&str; 8] = [
    "--train.steps",
    "1200",
    "--net.dropout",
    "0",
    "--log.every",
    "100",
    "--train.checkpoint_every",
    "0",
];

/// From the configuration to samples that lie nearer to the data than half of the prior's distance.
#[test]
fn every_loss_leads_to_samples() {
    let _alone = alone();
    let place = Place::new();
    for (name, more) in [
        (
            "sliced",
            &["--loss.kind", "sliced", "--loss.projections", "2"][..],
        ),
        (
            "implicit",
            &["--loss.kind", "implicit", "--loss.low_discrepancy", "true"],
        ),
        (
            "edm",
            &[
                "--loss.kind",
                "edm",
                "--loss.learned_weighting",
                "true",
                "--precond.kind",
                "edm",
            ],
        ),
        ("control", &["--loss.kind", "vp", "--loss.control_variate", "0.2"]),
    ] {
        ok(place.train(name, &[&TRAINED, more].concat()));
        let out = format!("{name}.npy");
        let draw = [
            "sample", "--run", name, "--n", "300", "--seed", "5", "--out", &out,
        ];
        ok(place.command(&[&draw[..], &["--threads", "1", "--sampler.steps", "20"]].concat()));
        let samples = report::npy::read(&place.path(&out)).expect("readable").into_f64();
        let samples = samples.into_dimensionality::<Ix2>().expect("rows of points");
        let (trained, prior) = place.distances(name, samples.view());
        println!("{name}: energy distance {trained}, of the prior {prior}");
        assert!(trained < 0.5 * prior, "{name}: {trained} against {prior}");
    }
}

/// What the weighting learns is kept beside the moments, resumes to the bit, and is no part of the model.
#[test]
fn a_learned_weighting_resumes_and_stays_out_of_the_model() {
    let _alone = alone();
    let place = Place::new();
    let learned = [
        "--loss.kind",
        "dsm",
        "--loss.learned_weighting",
        "true",
        "--optim.schedule",
        "constant",
        "--train.samples",
        "4",
    ];
    let said = json(&ok(place.train("whole", &learned)));
    ok(place.train("half", &[&learned[..], &["--train.steps", "30"]].concat()));
    ok(place.resume("half", &["--train.steps", "60"]));
    let (whole, half) = (place.path("whole"), place.path("half"));
    assert_eq!(checkpoint_bytes(&whole, 60), checkpoint_bytes(&half, 60));
    assert_eq!(place.metrics("whole"), place.metrics("half"));

    let plain = json(&ok(place.train("plain", &learned[4..])));
    assert_eq!(said["parameters"], plain["parameters"]);
    let size = |run: &str, file: &str| {
        let path = place.path(run).join("checkpoints/step_00000060").join(file);
        fs::metadata(path).expect("a file").len()
    };
    for file in ["net.safetensors", "ema.safetensors"] {
        assert_eq!(size("whole", file), size("plain", file), "{file}");
    }
    assert!(size("whole", "optim.safetensors") > size("plain", "optim.safetensors"));
}

#[test]
fn a_loss_that_does_not_fit_the_data_is_refused_before_anything_is_made() {
    let _alone = alone();
    let place = Place::new();
    let said = fails(
        place.train(
            "long",
            &[
                "--data.kind",
                "synthetic-1d",
                "--data.length",
                "65",
                "--loss.kind",
                "implicit",
            ],
        ),
        1,
    );
    assert!(
        said.contains("loss.kind") && said.contains("64 at most") && said.contains("sliced"),
        "{said}"
    );
    assert!(!place.path("long").exists());
    let said = fails(place.train("ve", &["--loss.kind", "ve"]), 1);
    assert!(said.contains("sde.kind = \"ve\" alone"), "{said}");
}
