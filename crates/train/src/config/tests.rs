use std::path::Path;

use super::*;
use crate::TrainError;

fn load(text: &str, arguments: &[(&str, &str)]) -> Result<Loaded, TrainError> {
    let overrides: Vec<Override> = arguments.iter().map(|(k, v)| Override::new(k, v)).collect();
    load_text(text, Path::new("a.toml"), &overrides)
}

#[track_caller]
fn says(text: &str, arguments: &[(&str, &str)], expected: &str) {
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
        "log.zzzz: unknown key; the nearest is log.every; known here: every (argument --log.zzzz 3)"
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
    says("", &[("seed.a", "3"), ("seed", "1")], "x");
}

#[test]
fn unknown_kinds_name_the_nearest() {
    says("[sde]\nkind = 'vpp'", &[], {
        r#"sde.kind = "vpp": did you mean "vp"? known: vp, subvp, ve, edm (a.toml:2)"#
    });
    says("", &[("optim.schedule", "cosin")], {
        r#"optim.schedule = "cosin": did you mean "cosine"? known: constant, cosine, linear, inverse-sqrt (argument --optim.schedule cosin)"#
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
