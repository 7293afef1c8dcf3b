//! The lab's commands on the configurations that are shipped: results against the oracle, the same bytes for any cut, one line for
//! every mistake.
#![allow(clippy::print_stdout)]

mod accuracy;
mod harness;
mod logp;
mod mistakes;
mod throughput;

use ndarray::{Array3, Ix3};
use ndarray_npy::{ReadNpyExt, WriteNpyExt};

use crate::harness::{PROBLEMS, configs, fail, folder, json, points, problem, read2, succeed, text, write2};

#[test]
fn schedule_prints_the_golden_values() {
    for name in PROBLEMS {
        let file = format!("mixture_{name}.toml");
        let stdout = succeed(&["schedule", "--problem", &file, "--times", "1e-3,0.1,1", "--json"]);
        let (sde, _) = problem(name);
        let rows: Vec<serde_json::Value> = stdout
            .lines()
            .map(|line| serde_json::from_str(line).expect("a JSON line a time"))
            .collect();
        assert_eq!(rows.len(), 3);
        for (row, t) in rows.iter().zip([1e-3, 0.1, 1.0]) {
            for (key, exact) in [
                ("t", t),
                ("drift_coef", sde.drift_coef(t)),
                ("diffusion", sde.diffusion(t)),
                ("mean_coef", sde.marginal(t).mean_coef),
                ("std", sde.marginal(t).std),
                ("lambda", sde.lambda(t)),
                ("log_snr", sde.log_snr(t)),
                ("prior_std", sde.prior_std()),
            ] {
                let got = row[key].as_f64().expect("a number");
                assert!(
                    (got - exact).abs() <= 1e-15 * exact.abs(),
                    "{name} {key}: {got} {exact}"
                );
            }
        }
        assert_eq!(
            succeed(&["schedule", "--problem", &file, "--times", "0.5"])
                .lines()
                .count(),
            2
        );
    }
    let stdout = succeed(&[
        "schedule",
        "--problem",
        "mixture_vp.toml",
        "--times",
        "0.1",
        "--json",
    ]);
    let std = json(&stdout)["std"].as_f64().expect("a number");
    assert!((std - 0.322052535525).abs() < 1e-12, "{std}");
}

#[test]
fn score_is_the_oracle_s() {
    let folder = folder("score");
    let (input, output) = (folder.join("x.npy"), folder.join("s.npy"));
    write2(&input, &points(40));
    for name in PROBLEMS {
        let file = format!("mixture_{name}.toml");
        let (sde, mixture) = problem(name);
        let exact = mixture.noised(sde.marginal(0.2));
        for (flags, tolerance) in [(&[][..], 1e-11), (&["--f32"][..], 2e-4)] {
            let mut arguments = vec![
                "score",
                "--problem",
                &file,
                "--points",
                text(&input),
                "--t",
                "0.2",
                "--out",
                text(&output),
            ];
            arguments.extend(flags);
            succeed(&arguments);
            for (x, s) in points(40).rows().into_iter().zip(read2(&output).rows()) {
                let mut score = [0.0; 2];
                exact.score(x.as_slice().expect("contiguous"), &mut score);
                let scale = 1.0 + score[0].abs().max(score[1].abs());
                assert!(
                    (s[0] - score[0]).abs() < tolerance * scale,
                    "{name} {s} {score:?}"
                );
                assert!(
                    (s[1] - score[1]).abs() < tolerance * scale,
                    "{name} {s} {score:?}"
                );
            }
        }
    }
}

/// Every sampler file on every problem: finite samples of the mixture's scale, and the last line as promised.
#[test]
fn every_shipped_sampler_runs_on_every_shipped_problem() {
    let folder = folder("all");
    let out = folder.join("x0.npy");
    let mut samplers: Vec<String> = std::fs::read_dir(configs())
        .expect("shipped")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"))
        .filter(|name| name.starts_with("sampler_"))
        .collect();
    samplers.sort();
    assert!(samplers.len() >= 10, "{samplers:?}");
    for name in PROBLEMS {
        let file = format!("mixture_{name}.toml");
        for sampler in &samplers {
            let stdout = succeed(&[
                "sample",
                "--problem",
                &file,
                "--sampler",
                sampler,
                "--rows",
                "8",
                "--seed",
                "3",
                "--threads",
                "1",
                "--out",
                text(&out),
            ]);
            let line = json(&stdout);
            for key in ["nfe", "seconds", "rejected", "steps", "row_evaluations"] {
                assert!(line[key].is_number(), "{name} {sampler} {key}: {line}");
            }
            assert_eq!(line["finished"], true);
            let samples = read2(&out);
            assert_eq!(samples.dim(), (8, 2));
            let bound =
                if sampler.contains("langevin") || sampler.contains("euler") || sampler.contains("song") {
                    50.0
                } else {
                    4.0
                };
            assert!(
                samples.iter().all(|value| value.abs() < bound),
                "{name} {sampler}: {samples}"
            );
        }
    }
}

#[test]
fn the_same_bytes_for_any_cut_and_subset() {
    let folder = folder("bytes");
    for (sampler, flag) in [
        ("sampler_dp5.toml", ""),
        ("sampler_heun_churn.toml", "--f32"),
        ("sampler_heun.toml", ""),
    ] {
        let mut all = Vec::new();
        for (threads, chunk) in [("1", "256"), ("2", "256"), ("1", "37"), ("2", "1")] {
            let out = folder.join(format!("{threads}_{chunk}.npy"));
            let mut arguments = vec![
                "sample",
                "--problem",
                "mixture_vp.toml",
                "--sampler",
                sampler,
                "--rows",
                "100",
                "--seed",
                "5",
                "--threads",
                threads,
                "--chunk",
                chunk,
                "--out",
                text(&out),
            ];
            arguments.extend(Some(flag).filter(|flag| !flag.is_empty()));
            succeed(&arguments);
            all.push(std::fs::read(&out).expect("written"));
        }
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{sampler}");
        let part = folder.join("part.npy");
        let mut arguments = vec![
            "sample",
            "--problem",
            "mixture_vp.toml",
            "--sampler",
            sampler,
            "--rows",
            "10",
            "--first-row",
            "90",
            "--seed",
            "5",
            "--out",
            text(&part),
        ];
        arguments.extend(Some(flag).filter(|flag| !flag.is_empty()));
        succeed(&arguments);
        let whole = read2(&folder.join("1_256.npy"));
        assert_eq!(read2(&part), whole.slice(ndarray::s![90.., ..]), "{sampler}");
    }
}

/// With a start and noise of one's own, Euler-Maruyama is the recursion of the paper, written out here once more.
#[test]
fn preset_start_and_noise_give_the_published_recursion() {
    let folder = folder("preset");
    let (init, noise, out) = (
        folder.join("init.npy"),
        folder.join("noise.npy"),
        folder.join("x0.npy"),
    );
    let (rows, steps) = (6, 25);
    let start = points(rows);
    let draws = Array3::from_shape_fn((steps, rows, 2), |(k, row, d)| {
        ((k * 31 + row * 7 + d * 3) as f64).cos()
    });
    write2(&init, &start);
    draws
        .write_npy(std::fs::File::create(&noise).expect("writable"))
        .expect("writable");
    let table = folder.join("sampler.toml");
    std::fs::write(&table, format!("[sampler]\nkind = \"pc\"\nsteps = {steps}\nfinal = \"none\"\n[sampler.grid]\nkind = \"uniform\"\n"))
        .expect("writable");
    for name in ["vp", "ve"] {
        let (sde, mixture) = problem(name);
        let file = format!("mixture_{name}.toml");
        let arguments = [
            "sample",
            "--problem",
            &file,
            "--sampler",
            text(&table),
            "--init",
            text(&init),
            "--noise",
            text(&noise),
            "--chunk",
            "4",
            "--out",
            text(&out),
        ];
        assert_eq!(json(&succeed(&arguments))["nfe"], steps);
        let got = read2(&out);
        let (begin, end) = (sde.domain().t_end, sde.domain().sample_eps);
        for row in 0..rows {
            let mut x = [start[[row, 0]], start[[row, 1]]];
            for k in 0..steps {
                let at = |i: usize| begin + (end - begin) * i as f64 / steps as f64;
                let (t, dt) = (at(k), at(k) - at(k + 1));
                let mut score = [0.0; 2];
                mixture.noised(sde.marginal(t)).score(&x, &mut score);
                for d in 0..2 {
                    let drift = sde.drift_coef(t) * x[d] - sde.diffusion_sq(t) * score[d];
                    x[d] += -drift * dt + sde.diffusion(t) * dt.sqrt() * draws[[k, row, d]];
                }
            }
            for d in 0..2 {
                let error = (x[d] - got[[row, d]]).abs();
                assert!(
                    error < 1e-9 * (1.0 + x[d].abs()),
                    "{name} row {row}: {x:?} {error:e}"
                );
            }
        }
    }
    // One draw too few.
    let few = draws.slice(ndarray::s![..steps - 1, .., ..]).to_owned();
    few.write_npy(std::fs::File::create(&noise).expect("writable"))
        .expect("writable");
    let message = fail(
        &[
            "sample",
            "--problem",
            "mixture_vp.toml",
            "--sampler",
            text(&table),
            "--init",
            text(&init),
            "--noise",
            text(&noise),
            "--out",
            text(&out),
        ],
        1,
    );
    assert!(
        message.contains("24 draws") && message.contains("draw 24"),
        "{message}"
    );
}

#[test]
fn trajectories_hold_start_steps_and_end() {
    let folder = folder("trajectory");
    let (path, plain) = (folder.join("path.npy"), folder.join("x0.npy"));
    let arguments = |out| {
        [
            "sample",
            "--problem",
            "mixture_edm.toml",
            "--sampler",
            "sampler_heun.toml",
            "--rows",
            "9",
            "--out",
            out,
        ]
    };
    succeed(&arguments(text(&plain)));
    let mut with = arguments(text(&path)).to_vec();
    with.push("--trajectory");
    succeed(&with);
    let states = ndarray::Array::<f64, Ix3>::read_npy(std::fs::File::open(&path).expect("written"))
        .expect("three axes");
    assert_eq!(states.dim(), (42, 9, 2));
    assert_eq!(states.index_axis(ndarray::Axis(0), 41), read2(&plain));
    // No rows are no error.
    let mut none = arguments(text(&plain));
    none[6] = "0";
    succeed(&none);
    assert_eq!(read2(&plain).dim(), (0, 2));
}
