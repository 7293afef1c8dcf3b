use std::ffi::OsString;

use super::overrides::split;
use crate::TrainError;

fn strings(args: &[&str]) -> Vec<OsString> {
    args.iter().map(OsString::from).collect()
}

#[test]
fn overrides_mix_with_flags() {
    let args = [
        "sde",
        "train",
        "--optim.lr",
        "1e-4",
        "--json",
        "--seed=7",
        "--config",
        "a.b",
        "--train.batch=8",
        "--sde",
        "ve",
    ];
    let (rest, overrides) = split(strings(&args)).unwrap();
    assert_eq!(rest, strings(&["sde", "train", "--json", "--config", "a.b"]));
    let shown: Vec<_> = overrides
        .iter()
        .map(|o| (o.key.as_str(), o.value.as_str(), o.argument.as_str()))
        .collect();
    assert_eq!(
        shown,
        [
            ("optim.lr", "1e-4", "--optim.lr 1e-4"),
            ("seed", "7", "--seed=7"),
            ("train.batch", "8", "--train.batch=8"),
            ("sde", "ve", "--sde ve"),
        ]
    );
}

#[test]
fn negative_values_and_dashes_in_keys() {
    let (_, overrides) = split(strings(&["sde", "train", "--sde.beta-min", "-1"])).unwrap();
    assert_eq!(
        (overrides[0].key.as_str(), overrides[0].value.as_str()),
        ("sde.beta_min", "-1")
    );
}

#[test]
fn a_value_is_needed() {
    for args in [
        &["sde", "train", "--optim.lr"][..],
        &["sde", "train", "--optim.lr", "--json"],
    ] {
        let error = split(strings(args)).unwrap_err();
        assert!(matches!(error, TrainError::Usage(_)), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}

#[test]
fn seed_is_a_flag_of_sample() {
    let (rest, overrides) =
        split(strings(&["sde", "sample", "--seed", "7", "--sampler.steps", "9"])).unwrap();
    assert_eq!((rest.len(), overrides.len()), (4, 1));
}

fn dispatched(args: &[&str]) -> Result<u8, TrainError> {
    let commands = super::Commands {
        train: |args| {
            args.load()
                .map(|loaded| u8::try_from(loaded.config.seed).unwrap_or(99))
        },
        sample: |args| {
            args.check()?;
            let run = args.place.run.clone().unwrap_or_default();
            super::load_run(&run, &args.overrides).map(|_| 0)
        },
        likelihood: |args| Ok(if args.exact { 15 } else { 16 }),
        eval: |args| Ok(if args.samples.is_some() { 17 } else { 18 }),
        checkpoint: |_| Ok(super::INTERRUPTED),
        report: |args| args.load().map(|_| 0),
        import: |args| Ok(if args.raw { 10 } else { 11 }),
        export: |_| Ok(12),
        net: |command| match command {
            super::NetCommand::Info(_) => Ok(13),
            super::NetCommand::Forward(_) => Ok(14),
        },
    };
    super::dispatch(strings(args), &commands)
}

fn code(args: &[&str]) -> u8 {
    dispatched(args).unwrap_or_else(|e| e.exit_code())
}

#[test]
fn usage_errors_are_2_and_help_is_0() {
    for args in [
        &["sde"][..],
        &["sde", "trian"],
        &["sde", "train", "--nonsense"],
        &["sde", "train", "--device", "tpu"],
        &["sde", "train", "--threads", "0"],
        &["sde", "train", "--optim.lr"],
        &["sde", "train", "--resume", "a", "--config", "b"],
        &["sde", "sample"],
        &["sde", "sample", "--run", "a", "--n", "0"],
        &["sde", "sample", "--run", "a", "--out", "x.png"],
        &["sde", "sample", "--run", "a", "--optim.lr", "1"],
        &["sde", "data", "info"],
        &["sde", "report"],
        &["sde", "report", "--run", "a", "--seed", "1"],
        &["sde", "sample", "--run", "a", "--model", "b"],
        &["sde", "likelihood"],
        &["sde", "likelihood", "--run", "a", "--exact", "--probes", "2"],
        &["sde", "likelihood", "--run", "a", "--data", "rows.csv"],
        &["sde", "eval"],
        &["sde", "eval", "--run", "a", "--max-rows", "9"],
        &["sde", "import", "a", "--out", "b"],
        &["sde", "import", "--from", "score-sde", "--out", "b"],
        &["sde", "import", "--from", "score-sde", "a"],
        &["sde", "import", "--from", "keras", "a", "--out", "b"],
        &["sde", "export", "--to", "diffusers", "--out", "b"],
        &[
            "sde",
            "export",
            "--to",
            "diffusers",
            "--run",
            "a",
            "--model",
            "c",
            "--out",
            "b",
        ],
        &["sde", "net"],
        &["sde", "net", "info"],
        &["sde", "net", "forward", "--model", "a", "--input", "b"],
    ] {
        assert_eq!(code(args), super::USAGE, "{args:?}");
    }
    assert_eq!(code(&["sde", "--help"]), super::DONE);
    assert_eq!(code(&["sde", "train", "--help"]), super::DONE);
    assert_eq!(code(&["sde", "--version"]), super::DONE);
}

#[test]
fn failures_are_1_and_commands_give_their_own_code() {
    let absent = "/no/such/folder";
    for args in [
        &["sde", "train", "--config", absent][..],
        &["sde", "train", "--optim.lrr", "1"],
        &["sde", "train", "--resume", absent],
        &["sde", "sample", "--run", absent],
        &["sde", "report", "--run", absent],
        &["sde", "data", "info", "mnst"],
        &["sde", "data", "fetch", "digits"],
    ] {
        assert_eq!(code(args), super::FAILED, "{args:?}");
    }
    assert_eq!(code(&["sde", "train", "--seed", "7"]), 7);
    assert_eq!(code(&["sde", "checkpoint", "--run", "x"]), super::INTERRUPTED);
    assert_eq!(code(&["sde", "data", "list"]), super::DONE);
    let import = ["sde", "import", "--from", "score-sde", "a.pth", "--out", "b"];
    assert_eq!(code(&import), 11);
    assert_eq!(
        code(&[&import[..], &["--raw", "--model-config", "c.json"]].concat()),
        10
    );
    assert_eq!(
        code(&["sde", "export", "--to", "diffusers", "--model", "a", "--out", "b"]),
        12
    );
    assert_eq!(code(&["sde", "net", "info", "--run", "a"]), 13);
    let likelihood = ["sde", "likelihood", "--run", "a", "--data", "rows.npy"];
    assert_eq!(code(&likelihood), 16);
    assert_eq!(code(&[&likelihood[..], &["--exact"]].concat()), 15);
    assert_eq!(code(&["sde", "eval", "--run", "a"]), 18);
    assert_eq!(code(&["sde", "eval", "--run", "a", "--samples", "b.npz"]), 17);
    assert_eq!(
        code(&[
            "sde", "net", "forward", "--model", "a", "--input", "b", "--output", "c"
        ]),
        14
    );
    let error = dispatched(&["sde", "sample", "--run", absent])
        .unwrap_err()
        .to_string();
    assert_eq!(error, "/no/such/folder: there is no such run folder");
}

#[test]
fn an_absent_device_is_named() {
    let device: super::DeviceArg = "cuda:99".parse().unwrap();
    let error = device.resolve(0).unwrap_err();
    assert!(error.to_string().starts_with("device cuda:99: "), "{error}");
    assert_eq!(error.exit_code(), 1);
    assert_eq!(
        "cpu".parse::<super::DeviceArg>().unwrap().resolve(0).unwrap(),
        tch::Device::Cpu
    );
    for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:x"] {
        assert!(text.parse::<super::DeviceArg>().is_err(), "{text}");
    }
}

#[test]
fn an_error_is_one_line_and_its_causes_follow() {
    let source = std::io::Error::other("first\nC++ stack");
    let error = TrainError::Io {
        action: "write",
        path: "x".into(),
        source,
    };
    assert_eq!(
        super::error_lines(&error),
        ["error: cannot write x", "  caused by: first"]
    );
}

#[test]
fn a_lost_rank_is_one_line_that_says_where_to_look() {
    let lost = c10d::C10dError::Operation {
        rank: 1,
        operation: "the sum over ranks",
        reason: "rank 0 is gone".to_owned(),
    };
    let line = "error: rank 1: the sum over ranks failed: rank 0 is gone; another rank has ended or cannot be reached, see what it says";
    assert_eq!(super::error_lines(&TrainError::from(lost.clone())), [line]);
    let in_a_run = TrainError::Lost {
        lost,
        saved: Some(60),
    };
    let rest = "; the checkpoint of step 60 is the last good one; --resume goes on from it";
    assert_eq!(super::error_lines(&in_a_run), [format!("{line}{rest}")]);
    let nccl = TrainError::from(c10d::C10dError::Nccl {
        rank: 0,
        reason: "no network".to_owned(),
    });
    let line = "error: rank 0: NCCL between the ranks' GPUs failed: no network; NCCL_DEBUG=INFO says more, SDE_NCCL_DISABLE=1 does without NCCL";
    assert_eq!(super::error_lines(&nccl), [line]);
}
