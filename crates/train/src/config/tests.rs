use std::path::Path;

use super::*;
use crate::TrainError;

pub(super) fn load(text: &str, arguments: &[(&str, &str)]) -> Result<Loaded, TrainError> {
    let overrides: Vec<Override> = arguments.iter().map(|(k, v)| Override::new(k, v)).collect();
    load_text(text, Path::new("a.toml"), &overrides)
}

#[track_caller]
pub(super) fn says(text: &str, arguments: &[(&str, &str)], expected: &str) {
    match load(text, arguments) {
        Err(e) => assert_eq!(e.to_string(), expected),
        Ok(_) => panic!("accepted, expected: {expected}"),
    }
}

#[test]
fn unknown_keys_name_the_nearest_and_the_place() {
    says(
        "seed = 1\n[optim]\n\nlrr = 1",
        &[],
        "optim.lrr: unknown key; did you mean optim.lr? (a.toml:4)",
    );
    says(
        "",
        &[("optim.lrr", "3")],
        "optim.lrr: unknown key; did you mean optim.lr? (argument --optim.lrr 3)",
    );
    says(
        "[optm]\nlr = 1",
        &[],
        "optm: unknown key; did you mean optim? (a.toml:1)",
    );
    says("[optm]", &[], "optm: unknown key; did you mean optim? (a.toml:1)");
    says(
        "",
        &[("train.lr", "3")],
        "train.lr: unknown key; did you mean optim.lr? (argument --train.lr 3)",
    );
    says(
        "lr = 3",
        &[],
        "lr: unknown key; did you mean optim.lr? (a.toml:1)",
    );
    says(
        "[sde]\nkind = 've'\nbeta_min = 1",
        &[],
        "sde.beta_min: unknown key; did you mean sde.sigma_min? (a.toml:3)",
    );
    says(
        "[sde]\nkind = 'vp'\nbeta_mn = 1",
        &[],
        "sde.beta_mn: unknown key; did you mean sde.beta_min? (a.toml:3)",
    );
    says("[loss]\nkind = 'dsm'\nstratify = true", &[], {
        "loss.stratify: unknown key; did you mean loss.stratified? (a.toml:3)"
    });
    let far = load("", &[("log.zzzz", "3")]).unwrap_err().to_string();
    assert_eq!(
        far,
        "log.zzzz: unknown key; the nearest is log.histograms; known here: every, histograms (argument --log.zzzz 3)"
    );
}

#[test]
fn wrong_types_say_what_was_expected_and_found() {
    says(
        "[optim]\nlr = 'fast'",
        &[],
        r#"optim.lr = "fast": expected a number, found a string (a.toml:2)"#,
    );
    says("", &[("train.batch", "1.5")], {
        "train.batch = 1.5: expected a whole number, 0 or more, found a number with a fraction (argument --train.batch 1.5)"
    });
    says("[train]\nbatch = -3", &[], {
        "train.batch = -3: expected a whole number, 0 or more, found a negative number (a.toml:2)"
    });
    says(
        "optim = 3",
        &[],
        "optim = 3: expected a table, found a whole number (a.toml:1)",
    );
    says(
        "[ema]\nwarmup = 1",
        &[],
        "ema.warmup = 1: expected true or false, found a whole number (a.toml:2)",
    );
    says("[sde]\nkind = 'vp'\nbeta_min = []", &[], {
        "sde.beta_min = []: expected a number, found a list (a.toml:3)"
    });
    says("[optim]\nbetas = [0.9]", &[], {
        "optim.betas = [0.9]: invalid length 1, expected an array of length 2 (a.toml:2)"
    });
    says(
        "",
        &[("optim", "3")],
        "optim = 3: expected a table, found a whole number (argument --optim 3)",
    );
}

#[test]
fn unknown_kinds_name_the_nearest() {
    says("[sde]\nkind = 'vpp'", &[], {
        r#"sde.kind = "vpp": did you mean "vp"? known: vp, subvp, ve, edm (a.toml:2)"#
    });
    says("", &[("optim.schedule", "cosin")], {
        r#"optim.schedule = "cosin": did you mean "cosine"? known: constant, cosine, linear, inverse-sqrt (argument --optim.schedule cosin)"#
    });
    says("", &[("sampler.grid", "karras")], {
        "sampler.kind: this key is needed and missing; give it in [sampler] or as --sampler.kind VALUE (argument --sampler.grid karras)"
    });
    says("[sampler]\nkind = 'pc'\n[sampler.grid]\nrho = 1.0", &[], {
        "sampler.grid.kind: this key is needed and missing; give it in [sampler.grid] or as --sampler.grid.kind VALUE (a.toml:3)"
    });
    says("[data]\nkind = 'csv'", &[], {
        "data.path: this key is needed and missing; give it in [data] or as --data.path VALUE (a.toml:1)"
    });
    says("[sde]\nbeta_min = 1", &[], {
        "sde.kind: this key is needed and missing; give it in [sde] or as --sde.kind VALUE (a.toml:1)"
    });
}

#[test]
fn syntax_errors_give_line_and_column() {
    let e = load("seed = 1\n[optim\nlr = 1", &[]).unwrap_err().to_string();
    assert!(e.starts_with("a.toml:2:7: "), "{e}");
    let e = load("a = 1\na = 2", &[]).unwrap_err().to_string();
    assert!(e.starts_with("a.toml:2:1: duplicate key"), "{e}");
    let e = load("seed = 99999999999999999999", &[]).unwrap_err().to_string();
    assert!(e.contains("a.toml:1"), "{e}");
}

#[test]
fn values_that_can_only_be_meant_one_way_are_mended() {
    let config = load(
        "[train]\nbatch = 6e1",
        &[("train.images", "1e5"), ("name", "123"), ("optim.lr", "1")],
    )
    .unwrap()
    .config;
    assert_eq!((config.train.batch, config.train.images), (60, Some(100_000)));
    assert_eq!((config.name.as_str(), config.optim.lr), ("123", 1.0));
}

#[test]
fn arguments_win_in_their_order() {
    let text = "[optim]\nlr = 1e-3";
    let config = load(
        text,
        &[
            ("optim.lr", "2"),
            ("optim.lr", "3"),
            ("optim.betas", "[0.5, 0.6]"),
        ],
    )
    .unwrap()
    .config;
    assert_eq!((config.optim.lr, config.optim.betas), (3.0, [0.5, 0.6]));
}

#[test]
fn a_string_is_a_kind() {
    let loaded = load(
        "sde = 've'\n[loss]\nkind = 'dsm'\nweighting = 'likelihood'",
        &[("loss.time", "importance")],
    )
    .unwrap();
    assert!(matches!(loaded.config.sde, SdeConfig::Ve(_)));
    let loss = loaded.config.loss.common();
    assert_eq!(
        (loss.weighting, loss.time),
        (WeightingConfig::Likelihood {}, TimeDensityConfig::Importance {})
    );
    says(
        "sde = 'vee'",
        &[],
        r#"sde.kind = "vee": did you mean "ve"? known: vp, subvp, ve, edm (a.toml:1)"#,
    );
}

#[test]
fn a_kind_changed_by_an_argument_leaves_the_old_kinds_keys_out() {
    let text = "[sde]\nkind = 'vp'\nbeta_min = 0.2\nt_end = 1.0\n[data]\nkind = 'digits'";
    let loaded = load(text, &[("sde", "ve")]).unwrap();
    assert!(matches!(loaded.config.sde, SdeConfig::Ve(_)));
    assert_eq!(
        loaded.notes,
        [r#"sde.beta_min (a.toml:3) is no key of sde.kind = "ve": left out"#]
    );
    // In one place it stays an error.
    says(text, &[("sde.kind", "ve"), ("sde.beta_max", "3")], {
        "sde.beta_max: unknown key; did you mean sde.sigma_max? (argument --sde.beta_max 3)"
    });
}

#[test]
fn one_budget() {
    let train = |text: &str, arguments: &[(&str, &str)]| load(text, arguments).unwrap().config.train;
    assert_eq!(
        train("", &[]).budget(),
        Budget::Images(TrainConfig::DEFAULT_IMAGES)
    );
    assert_eq!(
        train("[train]\nimages = 7", &[("train.seconds", "2")]).budget(),
        Budget::Seconds(2.0)
    );
    assert_eq!(
        train("[train]\nseconds = 7", &[("train.steps", "2")]).budget(),
        Budget::Steps(2)
    );
    says("[train]\nimages = 7\nsteps = 2", &[], {
        "train.steps: train.images is given as well; a run has one budget: images, steps or seconds (a.toml:3)"
    });
    says("", &[("train.images", "7"), ("train.steps", "2")], {
        "train.steps: train.images is given as well; a run has one budget: images, steps or seconds (argument --train.steps 2)"
    });
}

#[test]
fn ranges_are_checked_with_their_place() {
    says(
        "[optim]\nlr = -1.0",
        &[],
        "optim.lr = -1: need a positive number (a.toml:2)",
    );
    says(
        "",
        &[("optim.lr", "nan")],
        "optim.lr = NaN: need a positive number (argument --optim.lr nan)",
    );
    says(
        "",
        &[("train.batch", "0")],
        "train.batch = 0: need 1 or more (argument --train.batch 0)",
    );
    says("", &[("optim.betas", "[0.9, 1.0]")], {
        "optim.betas = [0.9, 1.0]: need a number of at least 0 and below 1 (argument --optim.betas [0.9, 1.0])"
    });
    for (text, key, place) in [
        (
            "[sde]\nkind = 've'\nsigma_min = 5.0\nsigma_max = 1.0",
            "sde.sigma_m",
            " (a.toml:",
        ),
        ("[sde]\nkind = 'vp'\nbeta_min = -1", "sde.beta_min", " (a.toml:3)"),
        (
            "[sampler]\nkind = 'pc'\nsteps = 0",
            "sampler.steps",
            " (a.toml:3)",
        ),
        ("[data]\nkind = 'toy-2d'\nrows = 1", "data.rows", " (a.toml:3)"),
    ] {
        let e = load(text, &[]).unwrap_err().to_string();
        assert!(e.starts_with(key) && e.contains(place), "{e}");
    }
}

#[test]
fn defaults_follow_the_kinds() {
    let config = |text: &str| load(text, &[]).unwrap().config;
    let digits = |scaling| {
        DataConfig::Digits(crate::data::DigitsConfig {
            scaling,
            dequantise: false,
        })
    };
    assert_eq!(config("sde = 've'").data, digits(crate::data::ScalingKind::Unit));
    assert_eq!(
        config("sde = 'vp'").data,
        digits(crate::data::ScalingKind::Symmetric)
    );
    assert_eq!(
        config("sde = 've'\n[data]\nkind = 'digits'\nscaling = 'symmetric'").data,
        digits(crate::data::ScalingKind::Symmetric)
    );
    assert!(matches!(config("data = 'toy-2d'").net, NetConfig::Mlp(_)));
    assert!(matches!(
        config("data = 'synthetic-1d'").net,
        NetConfig::Unet1d(_)
    ));
    assert!(matches!(config("").net, NetConfig::Unet2d(_)));
}

#[test]
fn the_resolved_configuration_reproduces_itself() {
    for arguments in [
        &[][..],
        &[("sde", "ve"), ("train.seconds", "3.5"), ("sampler", "pc")],
        &[
            ("sde", "edm"),
            ("seed", "9223372036854775807"),
            ("precond", "edm"),
            ("data", "toy-2d"),
            ("sampler", "heun"),
            ("sampler.grid", "karras"),
        ],
    ] {
        let first = load("name = 'a \"b\"'", arguments).unwrap().config;
        let text = first.to_toml().unwrap();
        let again = load(&text, &[]).unwrap();
        assert_eq!(again.config, first);
        assert_eq!(again.config.to_toml().unwrap(), text);
    }
    let config = RunConfig {
        seed: u64::MAX,
        ..RunConfig::default()
    };
    assert!(
        config
            .to_toml()
            .unwrap_err()
            .to_string()
            .starts_with("seed = 18446744073709551615: ")
    );
}

#[test]
fn files_that_are_no_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let says = |path: &Path, expected: &str| {
        let e = load_file(path, &[]).unwrap_err().to_string();
        assert!(
            e.contains(expected) && e.contains(&path.display().to_string()),
            "{e}"
        );
    };
    says(folder.path(), "is a folder");
    says(&folder.path().join("none.toml"), "cannot read the configuration");
    says(
        &file("b.toml", b"seed = 1\nname = '\xff'"),
        "byte 17 is not UTF-8",
    );
    says(&file("c.toml", b"seed = "), "c.toml:1:");
}

#[test]
fn paths_in_a_file_are_relative_to_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.csv"), "1,2\n3,4\n").unwrap();
    std::fs::write(
        folder.path().join("c.toml"),
        "[data]\nkind = 'csv'\npath = 'x.csv'",
    )
    .unwrap();
    let config = load_file(&folder.path().join("c.toml"), &[]).unwrap().config;
    let DataConfig::Csv(csv) = &config.data else {
        panic!("{:?}", config.data)
    };
    assert_eq!(csv.path, folder.path().join("x.csv").canonicalize().unwrap());
}

mod any_text {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever stands in a file or an argument: an error, no panic; and what is accepted is accepted again.
        #[test]
        fn never_panics(
            table in "(seed|data|sde|net|precond|loss|optim|ema|train|sampler|log|x)",
            key in "(kind|lr|steps|grid|batch|time|path|beta_min|a\\.b|[a-z]{0,3})",
            value in "(edm|sliced|-?[0-9]{1,3}|1e[0-9]{1,3}|nan|inf|true|'[a-z]{0,3}'|ve|\\[\\]|\\{\\}|\\{ kind = 've' \\}|.{0,6})",
            argument in any::<bool>(),
        ) {
            let loaded = if argument {
                load("", &[(&format!("{table}.{key}"), &value)])
            } else {
                load(&format!("[{table}]\n{key} = {value}"), &[])
            };
            match loaded {
                Ok(loaded) => {
                    let text = loaded.config.to_toml().unwrap();
                    // NaN is not equal to itself: compare as text.
                    prop_assert_eq!(load(&text, &[]).unwrap().config.to_toml().unwrap(), text);
                }
                Err(e) => prop_assert!(!e.to_string().is_empty() && !e.to_string().contains('\n'), "{}", e),
            }
        }
    }
}
