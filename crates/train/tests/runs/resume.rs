//! Stopping and going on: as if nothing had happened.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Place, alone, checkpoint_bytes, fails, json, ok, wait_until};

/// A run long enough to be hit in the middle.
const LONG: [&str; 6] = [
    "--train.steps",
    "400",
    "--train.checkpoint_every",
    "23",
    "--log.every",
    "7",
];

fn start(mut command: Command) -> Child {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts")
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .status();
    assert!(status.expect("kill starts").success());
}

#[test]
fn a_killed_run_ends_as_the_undisturbed_one_byte_for_byte() {
    let _alone = alone();
    let place = Place::new();
    let started = Instant::now();
    ok(place.train("whole", &LONG));
    let whole = started.elapsed();
    let mut child = start(place.train("killed", &LONG));
    // Odd moments over the life of the run, start-up and the writing of checkpoints included.
    for round in 0..20_u32 {
        std::thread::sleep(whole.mul_f64(0.05 + 0.018 * f64::from(round * 7 % 20)));
        child.kill().expect("still ours");
        child.wait().expect("still ours");
        if !place.path("killed").join("config.toml").exists() {
            let _ = fs::remove_dir_all(place.path("killed"));
            child = start(place.train("killed", &LONG));
        } else {
            child = start(place.resume("killed", &[]));
        }
    }
    assert!(child.wait().expect("still ours").success());
    assert_eq!(
        checkpoint_bytes(&place.path("killed"), 400),
        checkpoint_bytes(&place.path("whole"), 400)
    );
    assert_eq!(place.metrics("killed"), place.metrics("whole"));
    let samples = |run: &str| fs::read(place.path(run).join("samples.npz")).expect("readable");
    assert_eq!(samples("killed"), samples("whole"));
    assert_eq!(place.checkpoints("killed"), place.checkpoints("whole"));
}

#[test]
fn a_longer_budget_goes_on_where_the_shorter_one_ended() {
    let _alone = alone();
    for precision in ["f32", "bf16"] {
        goes_on_where_it_ended(precision);
    }
}

fn goes_on_where_it_ended(precision: &str) {
    let place = Place::new();
    // Another budget changes schedules that follow it: a constant rate does not.
    let constant = [
        "--optim.schedule",
        "constant",
        "--train.samples",
        "0",
        "--train.precision",
        precision,
    ];
    let steps = |n: &'static str| [constant.as_slice(), &["--train.steps", n]].concat();
    ok(place.train("whole", &steps("45")));
    ok(place.train("parts", &steps("21")));
    ok(place.resume("parts", &["--train.steps", "37"]));
    let said = json(&ok(
        place.resume("parts", &["--train.images", &(45 * 64).to_string()])
    ));
    assert_eq!(said["steps"], 45);
    assert_eq!(
        checkpoint_bytes(&place.path("parts"), 45),
        checkpoint_bytes(&place.path("whole"), 45)
    );
    assert_eq!(place.metrics("parts"), place.metrics("whole"));
    let other = fails(place.resume("parts", &["--train.precision", "f32"]), 2);
    assert!(other.contains("a run that goes on keeps this"), "{other}");
    // Nothing is left to do, and nothing changes.
    let said = json(&ok(place.resume("parts", &[])));
    assert_eq!(said["steps"], 45);
    assert_eq!(
        checkpoint_bytes(&place.path("parts"), 45),
        checkpoint_bytes(&place.path("whole"), 45)
    );
}

#[test]
fn a_run_asked_to_save_saves_and_goes_on() {
    let _alone = alone();
    let place = Place::new();
    let more = ["--train.steps", "100000000", "--train.checkpoint_every", "0"];
    let mut child = start(place.train("run", &more));
    let lines = || {
        let text = fs::read_to_string(place.path("run").join("metrics.jsonl")).unwrap_or_default();
        text.lines().count()
    };
    wait_until("the first lines of metrics", || lines() > 2);
    for _ in 0..2 {
        let before = place.path("run/checkpoints/latest");
        let before = fs::read_to_string(before).unwrap_or_default();
        signal(&child, "USR1");
        wait_until("another checkpoint", || {
            fs::read_to_string(place.path("run/checkpoints/latest")).is_ok_and(|now| now != before)
        });
        let seen = lines();
        wait_until("further lines", || lines() > seen + 2);
    }
    child.kill().expect("still ours");
    child.wait().expect("still ours");
    let checkpoints = place.checkpoints("run");
    assert!(
        checkpoints.len() == 2 && checkpoints.iter().all(|c| c.1),
        "{checkpoints:?}"
    );
}

#[test]
fn ctrl_c_saves_and_a_second_one_does_not_hurt() {
    let _alone = alone();
    for name in ["INT", "TERM"] {
        let place = Place::new();
        let endless = ["--train.steps", "100000000", "--train.checkpoint_every", "0"];
        let mut child = start(place.train("run", &endless));
        wait_until("the first line of metrics", || {
            fs::read_to_string(place.path("run").join("metrics.jsonl"))
                .is_ok_and(|text| text.lines().count() > 2)
        });
        let asked = Instant::now();
        for _ in 0..3 {
            signal(&child, name);
            std::thread::sleep(Duration::from_millis(2));
        }
        let status = child.wait().expect("still ours");
        assert_eq!(status.code(), Some(130));
        assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
        let checkpoints = place.checkpoints("run");
        assert_eq!(checkpoints.len(), 1, "{checkpoints:?}");
        let (step, whole, _) = &checkpoints[0];
        assert!(*step > 0 && *whole, "{checkpoints:?}");
        assert!(!place.path("run").join("samples.npz").exists());
        let next = (step + 3).to_string();
        let said = json(&ok(place.resume("run", &["--train.steps", &next])));
        assert_eq!(said["steps"].as_u64(), Some(step + 3));
    }
}

#[test]
fn a_second_run_in_the_same_folder_is_refused() {
    let _alone = alone();
    let place = Place::new();
    let mut child = start(place.train("run", &["--train.steps", "100000000"]));
    wait_until("the first checkpoint", || {
        place.path("run/checkpoints/latest").exists()
    });
    let said = fails(place.resume("run", &[]), 1);
    assert!(said.contains("another process"), "{said}");
    child.kill().expect("still ours");
    child.wait().expect("still ours");
    // A dead process holds no lock.
    let step = place.checkpoints("run").last().expect("a checkpoint").0;
    ok(place.resume("run", &["--train.steps", &(step + 1).to_string()]));
}

#[test]
fn a_run_interrupted_while_it_draws_its_samples_draws_them_later() {
    let _alone = alone();
    let place = Place::new();
    let more = [
        "--train.steps",
        "5",
        "--train.samples",
        "100000000",
        "--sampler.steps",
        "50",
    ];
    let mut child = start(place.train("run", &more));
    wait_until("the loss curve, written just before", || {
        place.path("run/loss.svg").exists()
    });
    signal(&child, "INT");
    assert_eq!(child.wait().expect("still ours").code(), Some(130));
    assert!(!place.path("run/samples.npz").exists());
    let said = json(&ok(place.resume("run", &["--train.samples", "8"])));
    assert_eq!(
        (said["steps"].as_u64(), said["samples"].as_u64()),
        (Some(5), Some(8))
    );
    assert!(place.path("run/samples.npz").exists());
}
