//! Checkpoints that a disk has damaged.

use std::fs;

use crate::common::{Place, alone, checkpoint_bytes, fails, names, ok};

const FILES: [&str; 4] = [
    "net.safetensors",
    "ema.safetensors",
    "optim.safetensors",
    "state.toml",
];

#[test]
fn a_damaged_newest_checkpoint_gives_way_to_the_one_before() {
    let _alone = alone();
    let place = Place::new();
    ok(place.train("whole", &["--train.samples", "0"]));
    let good = checkpoint_bytes(&place.path("whole"), 60);
    let newest = place.path("whole/checkpoints/step_00000060");
    for (number, file) in FILES.iter().enumerate() {
        let path = newest.join(file);
        let bytes = fs::read(&path).expect("readable");
        // Truncated, one bit turned, emptied, gone.
        match number {
            0 => fs::write(&path, &bytes[..bytes.len() / 2]).expect("writable"),
            1 => {
                let mut turned = bytes.clone();
                let middle = turned.len() * 3 / 4;
                turned[middle] ^= 1;
                fs::write(&path, turned).expect("writable");
            }
            2 => fs::remove_file(&path).expect("there"),
            _ => {
                let text = String::from_utf8(bytes)
                    .expect("text")
                    .replace("step = 60", "step = 59");
                fs::write(&path, text).expect("writable");
            }
        }
        let list = place.checkpoints("whole");
        assert_eq!(
            list.iter().map(|c| (c.0, c.1)).collect::<Vec<_>>(),
            [(40, true), (50, true), (60, false)]
        );
        let output = ok(place.resume("whole", &[]));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            stderr.contains("step_00000060 passed over") && stderr.contains(file),
            "{file}: {stderr}"
        );
        assert!(stderr.contains("going on from step 50"), "{stderr}");
        assert_eq!(checkpoint_bytes(&place.path("whole"), 60), good, "{file}");
    }
    // `latest` never goes on naming a damaged one, also where nothing is left to train.
    fs::write(newest.join("net.safetensors"), b"").expect("writable");
    ok(place.resume("whole", &["--train.steps", "50"]));
    assert_eq!(
        fs::read_to_string(place.path("whole/checkpoints/latest")).expect("readable"),
        "step_00000050\n"
    );
    // Litter of a process that was stopped in the middle of a save goes away.
    fs::create_dir(place.path("whole/checkpoints/.tmp-step_00000070")).expect("writable");
    ok(place.resume("whole", &["--train.steps", "60"]));
    assert_eq!(
        names(&place.path("whole/checkpoints")),
        ["latest", "step_00000040", "step_00000050", "step_00000060"]
    );
}

/// What lies in the folder of checkpoints besides them, under names that a run uses, does not stop it.
#[test]
fn files_in_the_place_of_checkpoints_give_way() {
    let _alone = alone();
    let place = Place::new();
    ok(place.train("run", &["--train.samples", "0"]));
    let good = checkpoint_bytes(&place.path("run"), 60);
    let inside = |name: &str| place.path("run/checkpoints").join(name);
    fs::remove_dir_all(inside("step_00000060")).expect("there");
    for name in [
        "step_00000060",
        "step_00000001",
        ".tmp-old",
        ".latest.7-0.tmp",
        "notes.txt",
    ] {
        fs::write(inside(name), "x").expect("writable");
    }
    fs::write(place.path("run/.clock.toml.7-1.tmp"), "x").expect("writable");
    fs::write(place.path("run/clock.toml"), "seconds = inf").expect("writable");
    let output = ok(place.resume("run", &[]));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("step_00000060 passed over"), "{stderr}");
    assert_eq!(checkpoint_bytes(&place.path("run"), 60), good);
    assert_eq!(
        names(&place.path("run/checkpoints")),
        [
            "latest",
            "notes.txt",
            "step_00000040",
            "step_00000050",
            "step_00000060"
        ]
    );
    assert!(
        !names(&place.path("run"))
            .iter()
            .any(|name| name.ends_with(".tmp"))
    );
    let seconds = crate::common::json(&output)["seconds"].as_f64();
    assert!(seconds.is_some_and(f64::is_finite), "{seconds:?}");
}

#[test]
fn a_run_without_a_whole_checkpoint_says_so() {
    let _alone = alone();
    let place = Place::new();
    ok(place.train("run", &["--train.steps", "3", "--train.samples", "0"]));
    let path = place.path("run/checkpoints/step_00000003/net.safetensors");
    fs::write(&path, b"").expect("writable");
    let said = fails(place.resume("run", &[]), 1);
    assert!(said.contains("no checkpoint in it is whole"), "{said}");
    let said = fails(place.command(&["sample", "--run", "run"]), 1);
    assert!(said.contains("no whole checkpoint"), "{said}");
}

#[test]
fn a_disk_that_fills_up_leaves_the_old_checkpoint_whole_and_no_litter() {
    let _alone = alone();
    let place = Place::new();
    ok(place.train("run", &["--train.steps", "10", "--train.samples", "0"]));
    let good = checkpoint_bytes(&place.path("run"), 10);
    let before = names(&place.path("run/checkpoints"));
    // A limit on the size of files, in units of 512 or 1024 bytes: less than a file of weights takes.
    let program = env!("CARGO_BIN_EXE_sde");
    let script = format!(
        "ulimit -f 8; exec '{program}' train --resume run --train.steps 30 --log.histograms false --threads 1"
    );
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", &script])
        .current_dir(place.path(""))
        .env("OMP_NUM_THREADS", "1");
    let said = fails(command, 1);
    assert!(said.contains(".safetensors"), "{said}");
    assert_eq!(names(&place.path("run/checkpoints")), before, "{said}");
    assert_eq!(checkpoint_bytes(&place.path("run"), 10), good);
    // With room again the run goes on.
    ok(place.resume("run", &["--train.steps", "30"]));
    assert!(place.checkpoints("run").iter().all(|c| c.1));
}
