//! `lab throughput` says which instruction set it measured.

use crate::harness::{fail, json, run, succeed};

fn arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec![
        "throughput",
        "--problem",
        "mixture_vp.toml",
        "--sampler",
        "sampler_heun.toml",
    ];
    all.extend(["--rows", "8", "--repeat", "1", "--json"]);
    all.extend(more);
    all
}

#[test]
fn the_instruction_set_is_the_one_asked_for() {
    let set = |more: &[&str]| json(&succeed(&arguments(more)))["instruction_set"].clone();
    let best = set(&[]);
    assert_eq!(set(&["--baseline"]), "baseline");
    assert_eq!(set(&["--instruction-set", "baseline"]), "baseline");
    for name in ["avx2", "avx512"] {
        let wanted = arguments(&["--instruction-set", name]);
        if run(&wanted).status.success() {
            assert_eq!(json(&succeed(&wanted))["instruction_set"], name);
        } else {
            // Only what the processor lacks is refused.
            assert_ne!(best, name);
            let line = fail(&wanted, 1);
            assert!(
                line.contains(&format!("--instruction-set {name}: this processor lacks it")),
                "{line}"
            );
        }
    }
    fail(&arguments(&["--instruction-set", "avx2", "--baseline"]), 2);
    fail(&arguments(&["--instruction-set", "sse9"]), 2);
}
