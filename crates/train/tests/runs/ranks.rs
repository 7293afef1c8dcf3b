//! Several processes that train one model: started by the program itself, and by whoever sets the variables of torchrun.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use tch::Device;
use train::model::OpenModel;

use crate::common::{Place, alone, checkpoint_bytes, fails, json, ok, wait_until};

/// Without dropout, which is drawn anew for each piece.
const PLAIN: [&str; 4] = ["--net.dropout", "0", "--train.steps", "40"];

/// One of two ranks, told by variables.
fn rank(mut command: Command, number: u32, port: u16) -> Command {
    command.args(["--rank-timeout", "20"]);
    command.env("RANK", number.to_string()).env("WORLD_SIZE", "2");
    command
        .env("MASTER_ADDR", "127.0.0.1")
        .env("MASTER_PORT", port.to_string());
    command
}

/// A port that was free a moment ago.
fn port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

fn start(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().expect("the program starts")
}

/// How a process ended, and its line that starts with `error:`.
fn end(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().expect("still ours");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let line = stderr.lines().find(|line| line.starts_with("error:"));
    (output.status.code(), line.unwrap_or_default().to_owned())
}

#[test]
fn two_processes_write_the_bytes_of_one_that_takes_two_pieces() {
    let _alone = alone();
    let place = Place::new();
    let pieces = ["--train.batch", "32", "--train.accumulate", "2"];
    ok(place.train("one", &[&PLAIN[..], &pieces].concat()));
    let said = json(&ok(place.train("two", &[&PLAIN[..], &["--nproc", "2"]].concat())));
    assert_eq!(
        (said["steps"].as_u64(), said["samples"].as_u64()),
        (Some(40), Some(16))
    );
    let mut apart = place.train("apart", &[&PLAIN[..], &["--nproc", "2"]].concat());
    apart.env("SDE_SHM_DISABLE", "1");
    ok(apart);
    for step in [20, 40] {
        let tensors = |run: &str| {
            let files = checkpoint_bytes(&place.path(run), step).into_iter();
            files
                .filter(|(name, _)| name.ends_with(".safetensors"))
                .collect::<Vec<_>>()
        };
        assert_eq!(tensors("two").len(), 3);
        assert!(tensors("two") == tensors("one"), "step {step}");
        assert!(tensors("apart") == tensors("one"), "step {step}, through sockets");
    }
    for file in ["samples.npz", "trajectory.npz"] {
        let bytes = |run: &str| fs::read(place.path(run).join(file)).expect("readable");
        assert!(bytes("two") == bytes("one"), "{file}");
    }
    // Batches of 5: the second rank draws two of four, the last of them smaller.
    let draw = |file: &str, more: &[&str]| {
        let args = [
            "sample", "--run", "two", "--n", "18", "--batch", "5", "--out", file, "--json",
        ];
        let said = json(&ok(place.command(&[&args[..], more].concat())));
        assert_eq!(
            (said["samples"].as_u64(), said["nfe"].as_u64()),
            (Some(18), Some(9))
        );
        fs::read(place.path(file)).expect("readable")
    };
    assert!(draw("one.npy", &[]) == draw("two.npy", &["--nproc", "2"]));
    for (two, one) in place.metrics("two").iter().zip(&place.metrics("one")) {
        for key in ["loss", "val_loss", "grad_norm", "lr"] {
            let (two, one) = (two[key].as_f64(), one[key].as_f64());
            let close = |(a, b): (f64, f64)| (a - b).abs() <= 1e-6 * b.abs();
            assert!(two.zip(one).is_none_or(close), "{key}: {two:?} {one:?}");
            assert_eq!(two.is_some(), one.is_some());
        }
    }
}

/// PyTorch's launcher: `SDE_TORCHRUN`, else that on the path, if any.
fn torchrun() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let named = env::var_os("SDE_TORCHRUN").map(PathBuf::from);
    let found = env::split_paths(&path).map(|folder| folder.join("torchrun"));
    named.into_iter().chain(found).find(|path| path.is_file())
}

#[test]
fn for_a_hundred_steps_the_losses_are_those_of_one_process_whoever_starts_the_ranks() {
    let _alone = alone();
    let place = Place::new();
    let more = [
        "--net.dropout",
        "0",
        "--train.steps",
        "100",
        "--log.every",
        "1",
        "--optim.lr",
        "1e-4",
    ];
    ok(place.train("one", &more));
    let port = port();
    let other = start(rank(place.train("two", &more), 1, port));
    ok(rank(place.train("two", &more), 0, port));
    assert_eq!(end(other).0, Some(0));
    let mut runs = vec!["two"];
    if let Some(torchrun) = torchrun() {
        let plain = place.train("torchrun", &more);
        let mut command = Command::new(torchrun);
        command
            .args(["--nproc-per-node", "2", "--no-python", "--master-port"])
            .arg(self::port().to_string())
            .arg(plain.get_program());
        command.args(plain.get_args()).current_dir(place.path("."));
        command.env("OMP_NUM_THREADS", "1");
        ok(command);
        runs.push("torchrun");
    } else {
        println!(
            "no torchrun is here (pip install torch; SDE_TORCHRUN names it): ranks were started by variables only"
        );
    }
    let losses = |run: &str| {
        let lines = place.metrics(run).into_iter();
        lines
            .filter_map(|line| line["loss"].as_f64())
            .collect::<Vec<f64>>()
    };
    let expected = losses("one");
    assert_eq!(expected.len(), 100);
    for run in runs {
        let seen = losses(run);
        let worst = seen
            .iter()
            .zip(&expected)
            .map(|(a, b)| (a / b - 1.0).abs())
            .fold(0.0, f64::max);
        assert!(seen.len() == 100 && worst <= 1e-6, "{run}: {worst}");
    }
}

#[test]
fn a_killed_rank_ends_the_other_and_a_restart_goes_on() {
    let _alone = alone();
    let place = Place::new();
    let long = [
        "--net.dropout",
        "0",
        "--train.steps",
        "4000",
        "--train.checkpoint_every",
        "10",
    ];
    for (run, disable) in [("apart", "1"), ("run", "0")] {
        let port = port();
        let begin = |number| {
            let mut command = rank(place.train(run, &long), number, port);
            command.env("SDE_SHM_DISABLE", disable);
            start(command)
        };
        let (first, mut second) = (begin(0), begin(1));
        let latest = place.path(run).join("checkpoints/latest");
        wait_until("a checkpoint", || latest.exists());
        if let Some(folder) = c10d::Shared::folder() {
            let maps = fs::read_to_string(format!("/proc/{}/maps", first.id())).expect("alive");
            let shared = maps.contains(&format!("{}/sde-ranks-", folder.display()));
            assert_eq!(shared, disable == "0", "{maps}");
        }
        second.kill().expect("still ours");
        let killed = Instant::now();
        let (code, line) = end(first);
        assert!(
            killed.elapsed() < Duration::from_secs(20),
            "{:?}",
            killed.elapsed()
        );
        assert_eq!(code, Some(1));
        assert!(
            line.starts_with("error: rank 0: ")
                && line.contains("another rank has ended")
                && line.contains("is the last good one"),
            "{line}"
        );
        second.wait().expect("still ours");
    }
    // As torchrun starts a group again: the same arguments, and a count of restarts.
    let port = port();
    let again = |number| {
        let mut command = rank(place.train("run", &long[..2]), number, port);
        command.env("TORCHELASTIC_RESTART_COUNT", "1");
        command.args(["--train.steps", "60"]);
        command
    };
    let other = start(again(1));
    let resumed = ok(again(0));
    assert_eq!(end(other).0, Some(0));
    assert!(String::from_utf8_lossy(&resumed.stderr).contains("going on from step"));
    assert!(json(&resumed)["steps"].as_u64().is_some_and(|steps| steps >= 60));
}

#[test]
fn ranks_that_do_not_fit_say_so_and_leave_no_folder() {
    let _alone = alone();
    let place = Place::new();
    let port = port();
    let second = start(rank(place.train("run", &["--optim.lr", "1e-4"]), 1, port));
    let said = fails(rank(place.train("run", &["--optim.lr", "1e-3"]), 0, port), 1);
    assert!(
        said.contains("rank 1 was started with another configuration than rank 0"),
        "{said}"
    );
    let (code, line) = end(second);
    assert_eq!(code, Some(1));
    assert!(
        line.contains("here `lr = 0.0001`, on rank 0 `lr = 0.001`"),
        "{line}"
    );
    assert!(!place.path("run").exists());
    // Nobody else comes.
    let mut lonely = place.train(
        "run",
        &["--rank", "0", "--world-size", "2", "--rank-timeout", "2"],
    );
    lonely
        .arg("--meet")
        .arg(format!("file://{}", place.path("store").display()));
    let said = fails(lonely, 1);
    assert!(
        said.contains("rank 0 of 2 found no group at file://") && said.contains("(timeout 2 s)"),
        "{said}"
    );
    let said = fails(place.train("run", &["--rank", "0"]), 2);
    assert!(
        said.contains("--rank, --world-size and --meet go together"),
        "{said}"
    );
    assert!(!place.path("run").exists());
}

#[test]
fn ranks_that_draw_with_two_models_say_so() {
    let _alone = alone();
    let place = Place::new();
    for (run, lr) in [("one", "1e-3"), ("two", "2e-3")] {
        ok(place.train(run, &["--train.steps", "4", "--optim.lr", lr]));
    }
    let port = port();
    let draw = |number, run| {
        rank(
            place.command(&["sample", "--run", run, "--n", "4", "--out", "x.npy"]),
            number,
            port,
        )
    };
    let second = start(draw(1, "two"));
    let said = fails(draw(0, "one"), 1);
    assert!(
        said.contains("rank 1 was started with another draw than rank 0"),
        "{said}"
    );
    let (code, line) = end(second);
    assert_eq!(code, Some(1));
    // The weights come before the configuration.
    assert!(
        line.contains("draw is not that of rank 0: here `weights "),
        "{line}"
    );
    assert!(!place.path("x.npy").exists());
    let fingerprint = |run| {
        let config = train::config::load_file(&place.path(run).join("config.toml"), &[])
            .expect("valid")
            .config;
        let model = OpenModel::of_run(&place.path(run), &config, Device::Cpu).expect("whole");
        model.fingerprint().expect("hashed")
    };
    assert_eq!(fingerprint("one"), fingerprint("one"));
    assert_ne!(fingerprint("one"), fingerprint("two"));
}

#[test]
fn a_signal_to_the_program_that_started_ranks_saves_and_ends_them() {
    let _alone = alone();
    let place = Place::new();
    let long = [
        "--train.steps",
        "100000",
        "--train.checkpoint_every",
        "0",
        "--nproc",
        "2",
    ];
    // SIGKILL leaves it no time to send anything on.
    for (run, signal, code) in [("asked", "-TERM", Some(130)), ("killed", "-KILL", None)] {
        let child = start(place.train(run, &long));
        let metrics = place.path(run).join("metrics.jsonl");
        wait_until("steps", || {
            fs::metadata(&metrics).is_ok_and(|file| file.len() > 0)
        });
        let sent = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(sent.expect("kill starts").success());
        let saved = place.path(run).join("checkpoints/latest");
        wait_until("a checkpoint", || saved.exists());
        // The pipe of errors ends with the last rank.
        assert_eq!(end(child).0, code, "{signal}");
        let checkpoints = place.checkpoints(run);
        assert!(checkpoints.len() == 1 && checkpoints[0].1, "{checkpoints:?}");
    }
}
