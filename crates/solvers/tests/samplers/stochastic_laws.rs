//! Laws of the stochastic methods: moments without Monte Carlo, the law of their samples, few steps, bad input, and the same bits for
//! any cut of the batch.

use std::num::NonZeroUsize;
use std::sync::Arc;

use ndarray::{Array2, s};
use solvers::{
    Coef, Draw, HostBatch, HostNoise, HostOptions, Job, MixtureScore, NoiseSource, Purpose, Real, ScoreFn,
    SolveError, SolveStats, State, sample_chunks,
};

use crate::adaptive_sde::ADAPTIVE;
use crate::common::{
    Batch, batch, config, mixture, oracle, prior, refusal, rows, run, sampler, samples, sde, sdes,
};
use crate::distribution::check_against;
use crate::gaussian::GaussianScore;
use crate::stochastic::KINDS;

/// Row 0 starts at 0, row 1 at 1, row `2 + k` at 0 with a unit normal in draw `k`.
struct Basis;

impl NoiseSource<Batch> for Basis {
    fn normal(&self, draw: Draw, out: &mut Batch) -> Result<(), SolveError> {
        assert_eq!(draw.purpose, Purpose::Predictor);
        out.plane_mut(0).fill(0.0);
        out.plane_mut(0)[2 + draw.step as usize] = 1.0;
        Ok(())
    }
}

/// Exact mean and standard deviation of the samples for Gaussian data, for which every method on a grid is an affine map of its
/// start and its normals.
fn moments(kind: &str, table: &str, draws: usize, var: f64) -> (f64, f64) {
    let sde = sde(&format!("kind = \"{kind}\""));
    let score = GaussianScore {
        sde: sde.clone(),
        mean: 0.7,
        var,
    };
    let sampler = sampler(table, &*sde);
    let mut x = batch(draws + 2, 1, |row, _| f64::from(u8::from(row == 1)));
    run(&*sampler, &*sde, &score, &Basis, &mut x).expect("the problem is regular");
    let images: Vec<f64> = rows(&x).concat();
    let from_start = (images[1] - images[0]) * sde.prior_std();
    let from_noise: f64 = images[2..].iter().map(|image| (image - images[0]).powi(2)).sum();
    (images[0], (from_start * from_start + from_noise).sqrt())
}

fn draws(kind: &str, steps: usize) -> usize {
    steps * if kind == "dpmpp-sde" { 2 } else { 1 }
}

/// Mean and variance of the samples converge to those of the data whatever `eta`: the family has one marginal. The ends of the runs
/// leave 0.0045 of the mean (VP: the prior) and less of the rest.
#[test]
fn eta_leaves_the_marginals_alone() {
    println!(
        "{:20}{:>5}{:>6}{:>18}{:>18}{:>18}",
        "mean / std", "", "eta", "N = 40", "N = 160", "N = 640"
    );
    let mut wrong = Vec::new();
    for method in KINDS {
        for kind in ["vp", "ve", "edm"] {
            for eta in ["0.0", "0.5", "1.0"] {
                let got = [40, 160, 640].map(|steps| {
                    let table = format!("kind = \"{method}\"\nsteps = {steps}\neta = {eta}");
                    moments(kind, &table, draws(method, steps), 0.09)
                });
                let cells: String = got
                    .iter()
                    .map(|(m, s)| format!("{:>18}", format!("{m:.5} / {s:.5}")))
                    .collect();
                println!("{method:20}{kind:>5}{eta:>6}{cells}");
                let error = |(mean, std): (f64, f64)| (mean - 0.7).abs().max((std - 0.3).abs());
                if error(got[2]) > 0.006 || error(got[1]) > 0.3 * error(got[0]) + 0.006 {
                    wrong.push(format!("{method} {kind} {eta}: {got:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What 100 steps of the predictors of `pc` do to the variance, over the exact one: the mean over the principal axes of the
/// components of the test mixture, weighted as they are. On one Gaussian the samplers are affine, so the numbers are exact; they
/// were computed by an independent recursion of mean and variance, for Euler-Maruyama, reverse diffusion and ancestral steps.
#[test]
fn bias_signatures_of_the_predictors() {
    let axes = (0..3).flat_map(|k| {
        let data = mixture();
        let cov = data.component_cov(k).to_vec();
        let (half, det) = (0.5 * (cov[0] + cov[3]), cov[0] * cov[3] - cov[1] * cov[2]);
        let root = (half * half - det).sqrt();
        [half - root, half + root].map(|var| (0.5 * data.weight(k), var))
    });
    let axes: Vec<(f64, f64)> = axes.collect();
    for (kind, lines, published) in [
        (
            "vp",
            "final = \"none\"\n[grid]\nkind = \"song-compat\"",
            [1.0132, 1.0154, 0.9979],
        ),
        ("vp", "[grid]\nkind = \"uniform\"", [1.0211, 1.0233, 1.0056]),
        (
            "ve",
            "final = \"none\"\n[grid]\nkind = \"song-compat\"",
            [1.0132, 1.0912, 0.9174],
        ),
        ("ve", "[grid]\nkind = \"uniform\"", [1.0010, 1.0887, 0.9182]),
    ] {
        for (predictor, expected) in ["euler-maruyama", "reverse-diffusion", "ancestral"]
            .iter()
            .zip(published)
        {
            let table = format!("kind = \"pc\"\npredictor = \"{predictor}\"\nsteps = 100\n{lines}");
            let ratio: f64 = axes
                .iter()
                .map(|(weight, var)| weight * moments(kind, &table, 100, *var).1.powi(2) / var)
                .sum();
            assert!(
                (ratio - expected).abs() < 1e-4,
                "{kind} {table}: {ratio} for {expected}"
            );
        }
    }
}

/// The same on the mixture, by characteristic functions of samples: the state at the end time has the law of that time.
#[test]
fn samples_of_a_mixture_have_its_law() {
    let cases = [("vp", "0.5"), ("ve", "1.0"), ("edm", "0.0"), ("subvp", "1.0")];
    for (seed, method) in KINDS.iter().enumerate() {
        for (kind, eta) in [cases[seed % 4], cases[(seed + 1) % 4]] {
            let sde = sde(&format!("kind = \"{kind}\""));
            let table = format!("kind = \"{method}\"\nsteps = 100\neta = {eta}\nfinal = \"none\"");
            let (x, _) = samples(&table, &*sde, &oracle(&sde), 60 + seed as u64, 2000, 2);
            check_against(
                &format!("{kind} {table}"),
                &x,
                sde.marginal(sde.domain().sample_eps),
                0.03,
            );
        }
    }
}

/// One, two and three steps are finite for every SDE, ending and `eta`; so is the adaptive method at any tolerance.
#[test]
fn few_steps_are_finite() {
    for (name, sde) in sdes() {
        for ending in ["tweedie", "mean", "none"] {
            for eta in ["0.0", "1.0", "1.7"] {
                let finite = |table: &str| {
                    let (x, stats) = samples(table, &*sde, &oracle(&sde), 1, 5, 2);
                    assert!(
                        rows(&x).iter().flatten().all(|value| value.is_finite()),
                        "{name} {table}"
                    );
                    stats
                };
                for kind in KINDS {
                    for steps in 1..=3 {
                        let table =
                            format!("kind = \"{kind}\"\nsteps = {steps}\nfinal = \"{ending}\"\neta = {eta}");
                        if let Err(error) = config(&table).build::<Batch>(&*sde) {
                            let message = error.to_string();
                            assert!(
                                message.starts_with("sampler.eta = 1.7: the step from"),
                                "{message}"
                            );
                            assert!(kind == "dpm-2-ancestral" || kind == "dpmpp-2s-ancestral");
                            continue;
                        }
                        let two = ["dpm-2-ancestral", "dpmpp-2s-ancestral", "dpmpp-sde"].contains(&kind);
                        let expected = steps * if two { 2 } else { 1 } + u64::from(ending == "tweedie");
                        let nfe = finite(&table).nfe;
                        // Where eta takes all the noise away there is no midpoint.
                        assert!(
                            nfe == expected || (eta == "1.7" && nfe < expected && two),
                            "{table}: {nfe}"
                        );
                    }
                }
                for tolerance in ["10.0", "0.05"] {
                    finite(&format!(
                        "{ADAPTIVE}\nrtol = {tolerance}\natol = {tolerance}\nfinal = \"{ending}\"\neta = {eta}"
                    ));
                }
            }
        }
    }
}

/// A score that is not finite on row 2 once the time is at most `t`, of states that shrink otherwise.
struct Broken {
    value: f64,
    t: f64,
}

impl ScoreFn<Batch> for Broken {
    fn score(&self, x: &Batch, t: Coef, out: &mut Batch) -> Result<(), SolveError> {
        out.copy_from(x);
        out.scale(Coef::All(-0.5));
        if t.at(2) <= self.t {
            out.plane_mut(1)[2] = self.value;
        }
        Ok(())
    }
}

/// A score that is not finite is an error naming row, time and step, also where the second evaluation of a step gives it.
#[test]
fn broken_scores_are_named() {
    let vp = sde("kind = \"vp\"");
    let noise = HostNoise {
        seed: 3,
        first_row: 40,
    };
    let failure = |table: &str, broken: Broken| {
        let sampler = sampler(table, &*vp);
        let mut x = prior(&*sampler, &*vp, &noise, 4, 2);
        let job = Job {
            sde: &*vp,
            score: &broken,
            noise: &noise,
            first_row: 40,
        };
        sampler
            .run(&job, &mut x, &mut ())
            .expect_err("the score is broken")
    };
    for kind in KINDS {
        for value in [f64::NAN, f64::INFINITY] {
            let table =
                format!("kind = \"{kind}\"\nsteps = 10\nfinal = \"none\"\n[grid]\nkind = \"uniform\"");
            let at = |t: f64| failure(&table, Broken { value, t });
            let SolveError::NonFinite { what, row, t, step } = at(2.0) else {
                panic!("{kind}: {:?}", at(2.0));
            };
            assert_eq!((what, row, t, step), ("score", 42, 1.0, 0), "{kind}");
            let SolveError::NonFinite { what, row, t, step } = at(0.55) else {
                panic!("{kind}: {:?}", at(0.55));
            };
            assert!(
                what == "score" && row == 42 && t <= 0.55 && t > 0.49,
                "{kind}: {what} {row} {t}"
            );
            assert!(step == 4 || step == 5, "{kind}: {step}");
        }
    }
    for value in [f64::NAN, f64::NEG_INFINITY] {
        let error = failure(ADAPTIVE, Broken { value, t: 2.0 });
        assert!(
            matches!(
                error,
                SolveError::NonFinite {
                    what: "score",
                    row: 42,
                    t: 1.0,
                    ..
                }
            ),
            "{error}"
        );
        let error = failure(ADAPTIVE, Broken { value, t: 0.4 });
        let SolveError::NonFinite { what, row, t, .. } = error else {
            panic!("{error}");
        };
        assert!(
            what == "score" && row == 42 && (t - 0.4).abs() < 1e-6,
            "{what} {row} {t}"
        );
    }
}

#[test]
fn bad_tables_name_their_key() {
    let vp = sde("kind = \"vp\"");
    for kind in KINDS {
        for (line, start) in [
            ("eta = -0.1", "sampler.eta = -0.1: must be"),
            ("eta = nan", "sampler.eta = NaN: must be"),
            ("s_noise = -1.0", "sampler.s_noise = -1: must be"),
            ("s_noise = inf", "sampler.s_noise = inf: must be"),
            ("steps = 0", "sampler.steps = 0"),
            (
                "[grid]\nkind = \"song-compat\"",
                "sampler.grid.kind = song-compat: is for",
            ),
            (
                "[grid]\nkind = \"custom\"\nsigmas = [3.0, 1.0, 1.0]",
                "sampler.grid",
            ),
            ("[grid]\nkind = \"custom\"\nsigmas = [3.0]", "sampler.grid"),
        ] {
            let message = refusal(&format!("kind = \"{kind}\"\n{line}"), &*vp);
            assert!(message.starts_with(start), "{kind} {line}: {message}");
        }
    }
    for (line, start) in [
        ("r = 0.0", "sampler.r = 0: must lie"),
        ("r = 1.01", "sampler.r = 1.01: must lie"),
    ] {
        let message = refusal(&format!("kind = \"dpmpp-sde\"\n{line}"), &*vp);
        assert!(message.starts_with(start), "{message}");
    }
    for (line, start) in [
        ("rtol = 0.0", "sampler.rtol = 0: must be"),
        ("atol = -1.0", "sampler.atol = -1: must be"),
        ("rtol = nan", "sampler.rtol = NaN: must be"),
        ("atol = 1e-17", "sampler.atol"),
        ("eta = -1.0", "sampler.eta = -1: must be"),
        ("safety = 1.1", "sampler.safety = 1.1: must lie"),
        ("max_steps = 0", "sampler.max_steps = 0: must be"),
        ("min_step = 1.0", "sampler.min_step = 1: must be"),
        ("steps = 5", "sampler.steps = 5: adaptive-sde chooses"),
        ("t_end = 1.0", "sampler.t_end"),
        (
            "[grid]\nkind = \"uniform\"",
            "sampler.grid = given: adaptive-sde chooses",
        ),
    ] {
        let message = refusal(&format!("{ADAPTIVE}\n{line}"), &*vp);
        assert!(message.starts_with(start), "{line}: {message}");
    }
}

/// The same bits for any number of threads, any chunk size and any subset of the rows: a row's steps are its own.
#[test]
fn same_bits_for_any_cut() {
    fn sample<T: Real>(
        kind: &str,
        table: &str,
        count: usize,
        first_row: u64,
        threads: usize,
        chunk: usize,
    ) -> (Array2<T>, SolveStats) {
        let sde = sde(&format!("kind = \"{kind}\""));
        let sampler = config(table).build::<HostBatch<T>>(&*sde).expect("a valid table");
        let score = MixtureScore::<T>::new(mixture(), Arc::clone(&sde));
        let options = HostOptions {
            seed: 78,
            first_row,
            threads: NonZeroUsize::new(threads),
            chunk: NonZeroUsize::new(chunk),
            ..HostOptions::default()
        };
        let run = sample_chunks(&*sampler, &*sde, &score, count, 2, &options, |_| ())
            .expect("the problem is regular");
        (run.rows, run.stats)
    }
    fn check<T: Real>() {
        let grids = KINDS.map(|kind| format!("kind = \"{kind}\"\nsteps = 9"));
        let adaptive = [
            format!("{ADAPTIVE}\nrtol = 0.05\natol = 0.05"),
            format!("{ADAPTIVE}\neta = 0.5\nfinal = \"none\""),
        ];
        for (index, table) in grids.iter().chain(&adaptive).enumerate() {
            let kind = ["vp", "ve", "edm", "subvp"][index % 4];
            let bits = |rows: &Array2<T>| -> Vec<u64> {
                rows.iter().map(|value| value.to_f64().to_bits()).collect()
            };
            let (whole, stats) = sample::<T>(kind, table, 300, 0, 1, 300);
            for (threads, chunk) in [(1, 1), (2, 37), (4, 256)] {
                let (cut, same) = sample::<T>(kind, table, 300, 0, threads, chunk);
                assert!(
                    bits(&cut) == bits(&whole),
                    "{kind} {table}: {threads} threads, chunks of {chunk}"
                );
                assert_eq!(stats, same, "{kind} {table}");
            }
            let (part, _) = sample::<T>(kind, table, 111, 41, 1, 64);
            assert!(
                bits(&part) == bits(&whole.slice(s![41..152, ..]).to_owned()),
                "{kind} {table}"
            );
        }
    }
    check::<f32>();
    check::<f64>();
}
