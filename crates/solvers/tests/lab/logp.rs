//! `lab logp` against the oracle's density.

use std::path::Path;

use ndarray::{Array2, Ix1};
use ndarray_npy::ReadNpyExt;

use crate::harness::{PROBLEMS, fail, folder, json, points, problem, succeed, text, write2};

fn read1(path: &Path) -> Vec<f64> {
    let file = std::fs::File::open(path).expect("written");
    ndarray::Array::<f64, Ix1>::read_npy(file)
        .expect("float64 [rows]")
        .to_vec()
}

#[test]
fn log_densities_are_the_oracle_s() {
    let folder = folder("logp");
    let (input, out, errors) = (folder.join("x.npy"), folder.join("l.npy"), folder.join("e.npy"));
    let points = points(60);
    write2(&input, &points);
    for name in PROBLEMS {
        let file = format!("mixture_{name}.toml");
        let (sde, mixture) = problem(name);
        let density = mixture.noised(sde.marginal(sde.domain().likelihood_eps));
        let exact: Vec<f64> = points
            .rows()
            .into_iter()
            .map(|x| density.log_density(&x.to_vec()))
            .collect();
        let run = |more: &[&str]| {
            let plain = [
                "logp",
                "--problem",
                &file,
                "--points",
                text(&input),
                "--out",
                text(&out),
            ];
            let stdout = succeed(&[&plain, more].concat());
            let errors: Vec<f64> = read1(&out).iter().zip(&exact).map(|(a, b)| a - b).collect();
            (json(&stdout), errors)
        };
        let tight = ["--rtol", "1e-8", "--atol", "1e-8"];
        let (line, off) = run(&[&["--prior", "exact", "--json"], &tight[..]].concat());
        for (error, exact) in off.iter().zip(&exact) {
            assert!(error.abs() < 1e-6 * exact.abs().max(1.0), "{name}: {error:e}");
        }
        let mean = exact.iter().sum::<f64>() / 60.0;
        assert!(
            (line["mean"].as_f64().expect("a number") - mean).abs() < 1e-5,
            "{line}"
        );
        assert_eq!(
            (&line["rows"], &line["t"]),
            (&60.into(), &sde.domain().likelihood_eps.into())
        );
        assert!(line["mean_stderr"].is_null() && line["probes"].is_null());
        for key in ["nfe", "seconds", "rejected", "steps", "row_evaluations"] {
            assert!(line[key].is_number(), "{name} {key}: {line}");
        }
        // With the Gaussian prior, off by the mismatch that stands beside it.
        let (line, off) = run(&tight);
        let mean = off.iter().sum::<f64>() / 60.0;
        let worst = off.iter().fold(0.0, |most: f64, error| most.max(error.abs()));
        for (key, measured) in [("prior_mismatch_mean", mean), ("prior_mismatch_max", worst)] {
            let said = line[key].as_f64().expect("a number");
            assert!((said - measured).abs() < 1e-5, "{name} {key}: {said} {measured}");
        }
        let (line, off) = run(&[
            "--prior",
            "exact",
            "--probes",
            "100",
            "--seed",
            "4",
            "--stderr-out",
            text(&errors),
        ]);
        let errors = read1(&errors);
        let outside = off
            .iter()
            .zip(&errors)
            .filter(|(off, error)| off.abs() > 3.0 * **error)
            .count();
        assert!(outside <= 2, "{name}: {outside} of 60");
        let mean = errors.iter().sum::<f64>() / 60.0;
        assert!(
            (line["mean_stderr"].as_f64().expect("a number") - mean).abs() < 1e-12,
            "{line}"
        );
    }
}

#[test]
fn the_same_bytes_for_any_cut() {
    let folder = folder("logp_bytes");
    let input = folder.join("x.npy");
    write2(&input, &points(100));
    for more in [&[][..], &["--probes", "3", "--law", "gaussian", "--seed", "9"]] {
        let mut all = Vec::new();
        for (threads, chunk) in [("1", "256"), ("2", "256"), ("1", "37"), ("2", "1")] {
            let out = folder.join(format!("{threads}_{chunk}.npy"));
            let plain = [
                "logp",
                "--problem",
                "mixture_subvp.toml",
                "--points",
                text(&input),
                "--threads",
                threads,
                "--chunk",
                chunk,
                "--out",
                text(&out),
            ];
            succeed(&[&plain, more].concat());
            all.push(std::fs::read(&out).expect("written"));
        }
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{more:?}");
    }
}

#[test]
fn mistakes_get_one_line() {
    let folder = folder("logp_mistakes");
    let out = folder.join("l.npy");
    let with = |points: &Array2<f64>, more: &[&str], code| {
        let input = folder.join("x.npy");
        write2(&input, points);
        let plain = [
            "logp",
            "--problem",
            "mixture_vp.toml",
            "--points",
            text(&input),
            "--out",
            text(&out),
        ];
        let message = fail(&[&plain, more].concat(), code);
        assert!(!out.exists(), "nothing is written by a run that failed");
        message
    };
    let good = points(4);
    let mut bad = good.clone();
    bad[[2, 1]] = f64::NAN;
    for (points, more, wanted) in [
        (&good, &["--rtol", "0"][..], "likelihood.rtol = 0: "),
        (&good, &["--atol", "-1e-3"], "likelihood.atol = -0.001: "),
        (&good, &["--probes", "0"], "likelihood.probes = 0: "),
        (&good, &["--probes", "1", "--stderr-out", "e.npy"], "at least 2"),
        (&bad, &[], "state is not finite in row 2 at t = 0.00001 (step 0)"),
        (&Array2::zeros((0, 2)), &[], "points are [0, 2]"),
        (&Array2::zeros((3, 5)), &[], "points are [3, 5]"),
    ] {
        let message = with(points, more, 1);
        assert!(
            message.starts_with("error: ") && message.contains(wanted),
            "{more:?}: {message}"
        );
    }
    for usage in [
        &["--seed", "3"][..],
        &["--stderr-out", "e.npy"],
        &["--probes", "-2"],
        &["--prior", "none"],
    ] {
        with(&good, usage, 2);
    }
}
