//! Host runs have the same bits for any number of threads, any chunk size, any subset of rows and any instruction set.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;

use ndarray::{Array2, Array3, s};
use sde_core::{Mixture, Sde, SdeConfig};
use solvers::config::SamplerConfig;
use solvers::likelihood::{GaussianPrior, LikelihoodConfig, log_density_host};
use solvers::simd::{self, Level};
use solvers::{
    HostBatch, HostOptions, MixtureScore, Observer, Real, RowFnScore, Sampler, SolveError, StepInfo,
    StopReason, sample_chunks, sample_host,
};

fn sde() -> Arc<dyn Sde> {
    toml::from_str::<SdeConfig>("kind = \"vp\"")
        .unwrap()
        .build()
        .unwrap()
}

fn sampler<T: Real>(text: &str, sde: &dyn Sde) -> Box<dyn Sampler<HostBatch<T>>> {
    toml::from_str::<SamplerConfig>(text).unwrap().build(sde).unwrap()
}

fn mixture(dim: usize) -> Mixture {
    let means: Vec<Vec<f64>> = (0..3)
        .map(|k| (0..dim).map(|d| ((k + 2 * d) as f64).sin()).collect())
        .collect();
    let covs: Vec<Vec<f64>> = (0..3)
        .map(|k| {
            (0..dim * dim)
                .map(|at| {
                    if at % (dim + 1) == 0 {
                        0.1 + 0.1 * k as f64
                    } else {
                        0.02
                    }
                })
                .collect()
        })
        .collect();
    Mixture::new(&[0.2, 0.3, 0.5], &means, &covs).unwrap()
}

const SAMPLERS: [&str; 8] = [
    "kind = \"pc\"\nsteps = 25",
    "kind = \"pc\"\nsteps = 10\ncorrector = \"langevin\"",
    "kind = \"heun\"\nsteps = 8\ns_churn = 5",
    "kind = \"ode\"\nmethod = \"rk4\"\nsteps = 5",
    "kind = \"ode\"\nmethod = \"dp5\"\nrtol = 1e-3\natol = 1e-3",
    "kind = \"ode\"\nmethod = \"bosh3\"\nrtol = 1e-2\natol = 1e-2",
    "kind = \"ode\"\nmethod = \"tsit5\"\nrtol = 1e-3\natol = 1e-3",
    ADAPTIVE_SDE,
];
const ADAPTIVE_SDE: &str = "kind = \"adaptive-sde\"\nrtol = 0.1\natol = 0.1";

/// The run of `rows` rows on one thread in one chunk against every other way to cut it.
fn same_bits<T: Real>(text: &str, dim: usize, rows: usize) {
    let sde = sde();
    let score = MixtureScore::<T>::new(mixture(dim), Arc::clone(&sde));
    let sampler = sampler::<T>(text, &*sde);
    let run = |first: usize, rows: usize, threads: usize, chunk: usize| {
        let options = HostOptions {
            seed: 77,
            first_row: 1000 + first as u64,
            threads: NonZeroUsize::new(threads),
            chunk: NonZeroUsize::new(chunk),
            ..HostOptions::default()
        };
        sample_chunks(&*sampler, &*sde, &score, rows, dim, &options, |_| ()).unwrap()
    };
    let whole = run(0, rows, 1, rows);
    assert!(whole.rows.iter().all(|value| value.is_finite()));
    for (threads, chunk) in [(1, 1), (1, 7), (1, 32), (2, 33), (3, 64), (4, 0), (0, 0)] {
        let cut = run(0, rows, threads, chunk);
        assert_eq!(cut.rows, whole.rows, "{text}: {threads} threads, chunk {chunk}");
        assert_eq!(cut.stats, whole.stats, "{text}: {threads} threads, chunk {chunk}");
    }
    let part = run(13, 20, 1, 20);
    assert_eq!(part.rows, whole.rows.slice(s![13..33, ..]), "{text}: rows 13..33");
}

#[test]
fn bits_do_not_depend_on_the_cut() {
    for text in SAMPLERS {
        for dim in [1, 2, 5] {
            same_bits::<f32>(text, dim, 150);
            same_bits::<f64>(text, dim, 101);
        }
    }
    // Rows that are transposed in blocks, with something left over.
    same_bits::<f32>(ADAPTIVE_SDE, 67, 150);
    same_bits::<f64>(ADAPTIVE_SDE, 64, 70);
}

fn isotropic(dim: usize, components: usize) -> Mixture {
    let means: Vec<Vec<f64>> = (0..components)
        .map(|k| (0..dim).map(|d| ((k + 2 * d) as f64).sin()).collect())
        .collect();
    let cov = |k: usize| {
        (0..dim * dim)
            .map(|at| {
                if at % (dim + 1) == 0 {
                    0.05 + 0.02 * k as f64
                } else {
                    0.0
                }
            })
            .collect()
    };
    let covs: Vec<Vec<f64>> = (0..components).map(cov).collect();
    Mixture::new(&vec![1.0; components], &means, &covs).unwrap()
}

/// Samples of every kind, log densities and latents, on one thread, as bits.
fn results<T: Real>(mixture: &Mixture, rows: usize) -> Vec<(&'static str, Vec<u64>)> {
    let (sde, dim) = (sde(), mixture.dim());
    let score = MixtureScore::<T>::new(mixture.clone(), Arc::clone(&sde));
    let bits =
        |values: &Array2<T>| -> Vec<u64> { values.iter().map(|value| value.to_f64().to_bits()).collect() };
    let options = HostOptions {
        threads: NonZeroUsize::new(1),
        ..HostOptions::default()
    };
    let mut results = Vec::new();
    let mut sample = |name: &'static str, text: &str| {
        let sampler = sampler::<T>(text, &*sde);
        let run = sample_chunks(&*sampler, &*sde, &score, rows, dim, &options, |_| ()).unwrap();
        results.push((name, bits(&run.rows)));
    };
    for kind in SamplerConfig::KINDS {
        let own = if *kind == "adaptive-sde" {
            "rtol = 0.1"
        } else {
            "steps = 4"
        };
        sample(kind, &format!("kind = \"{kind}\"\n{own}"));
    }
    for text in SAMPLERS {
        sample(text, text);
    }
    let points = Array2::from_shape_fn((rows, dim), |(r, d)| T::from_f64(((3 * r + 7 * d) as f64).sin()));
    let likelihood = LikelihoodConfig {
        probes: Some(2),
        rtol: 1e-2,
        atol: 1e-2,
        ..LikelihoodConfig::default()
    };
    let (likelihood, prior) = (likelihood.build(&*sde).unwrap(), GaussianPrior::of(&*sde));
    let run = log_density_host(&likelihood, &*sde, &score, &prior, points.view(), &options).unwrap();
    let nats = run.nats.iter().map(|nats| nats.to_bits()).collect();
    results.extend([("log density", nats), ("latents", bits(&run.latents))]);
    results
}

/// Every kind of sampler and every kernel of the score, for small, full and isotropic mixtures, each with numbers of rows that leave
/// a remainder. On a processor without AVX-512 or AVX2 some of the levels are the same. One test, since the level is the process's.
#[test]
fn bits_do_not_depend_on_the_instruction_set() {
    fn compare<T: Real>(mixture: &Mixture, rows: usize) {
        let [baseline, wide, best] = Level::ALL.map(|level| {
            simd::set_level(level);
            (simd::level_name(), results::<T>(mixture, rows))
        });
        for (name, results) in [wide, best] {
            for ((what, expected), (_, bits)) in baseline.1.iter().zip(&results) {
                assert!(
                    bits == expected,
                    "{what} in {} dimensions: baseline against {name}",
                    mixture.dim()
                );
            }
        }
    }
    for mixture in [
        mixture(1),
        mixture(2),
        mixture(5),
        isotropic(3, 2),
        isotropic(64, 8),
        isotropic(20, 11),
    ] {
        compare::<f32>(&mixture, 75);
        compare::<f64>(&mixture, 37);
    }
}

#[test]
fn single_and_double_precision_see_the_same_noise() {
    let sde = sde();
    let text = "kind = \"pc\"\nsteps = 50";
    let wide = MixtureScore::<f64>::new(mixture(2), Arc::clone(&sde));
    let narrow = MixtureScore::<f32>::new(mixture(2), Arc::clone(&sde));
    let (wide, _) = sample_host(&*sampler::<f64>(text, &*sde), &*sde, &wide, 64, 2, 3).unwrap();
    let (narrow, _) = sample_host(&*sampler::<f32>(text, &*sde), &*sde, &narrow, 64, 2, 3).unwrap();
    for (a, b) in wide.iter().zip(&narrow) {
        assert!((a - f64::from(*b)).abs() < 1e-3, "{a} {b}");
    }
}

#[test]
fn an_empty_batch_is_a_run_of_nothing() {
    let sde = sde();
    let score = MixtureScore::<f32>::new(mixture(2), Arc::clone(&sde));
    for text in SAMPLERS {
        let (rows, stats) = sample_host(&*sampler::<f32>(text, &*sde), &*sde, &score, 0, 2, 3).unwrap();
        assert_eq!(rows.dim(), (0, 2));
        assert_eq!((stats.nfe, stats.stop), (0, StopReason::Finished));
    }
}

#[test]
fn samplers_that_couple_rows_are_refused_in_chunks() {
    let sde = sde();
    let score = MixtureScore::<f64>::new(mixture(2), Arc::clone(&sde));
    let sampler = sampler::<f64>("kind = \"pc\"\nsteps = 5\ncorrector = \"batch-langevin\"", &*sde);
    let run = |chunk| {
        let options = HostOptions {
            chunk: NonZeroUsize::new(chunk),
            ..HostOptions::default()
        };
        sample_chunks(&*sampler, &*sde, &score, 40, 2, &options, |_| ()).map(|_| ())
    };
    let error = run(39).unwrap_err();
    assert!(
        error.to_string().contains("set chunk to the number of rows, 40"),
        "{error}"
    );
    run(40).unwrap();
}

#[test]
fn the_error_names_the_smallest_row_of_the_whole_batch() {
    let sde = sde();
    let score = RowFnScore(|x: &[f64], t: f64, out: &mut [f64]| {
        out[0] = if t < 0.5 && x[0] > 1.5 { f64::NAN } else { -x[0] };
    });
    let sampler = sampler::<f64>("kind = \"ode\"\nmethod = \"euler\"\nsteps = 10", &*sde);
    let mut init = Array2::<f64>::zeros((300, 1));
    for row in [120, 121, 250, 299] {
        init[[row, 0]] = 1000.0;
    }
    for threads in [1, 4] {
        let options = HostOptions {
            first_row: 5000,
            threads: NonZeroUsize::new(threads),
            chunk: NonZeroUsize::new(10),
            init: Some(init.view()),
            ..HostOptions::default()
        };
        match sample_chunks(&*sampler, &*sde, &score, 300, 1, &options, |_| ()).unwrap_err() {
            SolveError::NonFinite {
                what: "score", row, ..
            } => assert_eq!(row, 5120),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn preset_noise_and_initial_states_replace_the_draws() {
    let sde = sde();
    let score = MixtureScore::<f64>::new(mixture(2), Arc::clone(&sde));
    let sampler = sampler::<f64>("kind = \"pc\"\nsteps = 4", &*sde);
    let init = Array2::from_shape_fn((9, 2), |(r, d)| (r as f64 - 4.0) * 0.1 + d as f64);
    let run = |draws: usize, rows: usize, chunk: usize| {
        let noise = Array3::from_shape_fn((draws, rows, 2), |(k, r, d)| ((k * 31 + r * 7 + d) as f64).sin());
        let options = HostOptions {
            chunk: NonZeroUsize::new(chunk),
            init: Some(init.view()),
            noise: Some(Arc::new(noise)),
            seed: chunk as u64,
            ..HostOptions::default()
        };
        sample_chunks(&*sampler, &*sde, &score, 9, 2, &options, |_| ()).map(|run| run.rows)
    };
    assert_eq!(run(4, 9, 2).unwrap(), run(4, 9, 9).unwrap());
    assert_eq!(
        run(2, 9, 9).unwrap_err(),
        SolveError::NoiseExhausted { have: 2, asked: 2 }
    );
    assert!(matches!(run(4, 8, 9), Err(SolveError::Shape { .. })));
    let options = HostOptions {
        init: Some(init.view()),
        ..HostOptions::default()
    };
    let refused = sample_chunks(&*sampler, &*sde, &score, 8, 2, &options, |_| ());
    assert!(matches!(refused, Err(SolveError::Shape { .. })));
    let refused = sample_chunks(&*sampler, &*sde, &score, 8, 0, &HostOptions::default(), |_| ());
    assert!(matches!(refused, Err(SolveError::Shape { .. })));
}

/// Stops after three steps and remembers its first row.
struct StopAtThree(u64);

impl Observer<HostBatch<f64>> for StopAtThree {
    fn step(&mut self, info: &StepInfo, _x: &HostBatch<f64>) -> ControlFlow<()> {
        assert_eq!(info.first_row, self.0);
        if info.step == 2 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

#[test]
fn every_chunk_has_its_observer() {
    let sde = sde();
    let score = MixtureScore::<f64>::new(mixture(2), Arc::clone(&sde));
    let sampler = sampler::<f64>("kind = \"pc\"\nsteps = 10", &*sde);
    let options = HostOptions {
        first_row: 7,
        chunk: NonZeroUsize::new(8),
        ..HostOptions::default()
    };
    let run = sample_chunks(&*sampler, &*sde, &score, 20, 2, &options, StopAtThree).unwrap();
    assert_eq!(run.stats.stop, StopReason::Stopped);
    assert_eq!((run.stats.nfe, run.stats.row_evaluations), (3, 60));
    assert_eq!(run.observers.iter().map(|o| o.0).collect::<Vec<_>>(), [7, 15, 23]);
}
