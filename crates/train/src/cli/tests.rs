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
