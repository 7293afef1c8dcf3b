//! The same bits for any number of threads, any chunk size and any subset of the rows.

use std::num::NonZeroUsize;

use ndarray::s;
use solvers::likelihood::{GaussianPrior, HostLogDensities, LikelihoodConfig, ProbeLaw, log_density_host};
use solvers::{HostOptions, MixtureScore, SolveError};

use crate::common::{mixture, points, sde};

const ROWS: usize = 150;

fn bits(run: &HostLogDensities<f64>) -> Vec<u64> {
    let errors = run.std_errors.iter().flatten();
    (run.nats.iter().chain(errors).chain(&run.latents))
        .map(|value| value.to_bits())
        .collect()
}

fn run(
    kind: &str,
    config: &LikelihoodConfig,
    (first, count): (usize, usize),
    threads: usize,
    chunk: usize,
) -> Result<HostLogDensities<f64>, SolveError> {
    let sde = sde(&format!("kind = \"{kind}\""));
    let data = mixture();
    let mut points = points(&data, &*sde, ROWS);
    if config.max_steps == 9 {
        points[[100, 1]] = f64::NAN;
    }
    let model = MixtureScore::<f64>::new(data, sde.clone());
    let options = HostOptions {
        seed: 21,
        first_row: 1000 + first as u64,
        threads: NonZeroUsize::new(threads),
        chunk: NonZeroUsize::new(chunk),
        ..HostOptions::default()
    };
    let method = config.build(&*sde)?;
    let part = points.slice(s![first..first + count, ..]);
    log_density_host(&method, &*sde, &model, &GaussianPrior::of(&*sde), part, &options)
}

#[test]
fn the_same_bits_for_any_cut() {
    for (kind, probes, law) in [
        ("vp", None, ProbeLaw::Rademacher),
        ("ve", None, ProbeLaw::Rademacher),
        ("subvp", Some(3), ProbeLaw::Rademacher),
        ("edm", Some(2), ProbeLaw::Gaussian),
    ] {
        let config = LikelihoodConfig {
            probes,
            probe_law: law,
            rtol: 1e-4,
            atol: 1e-4,
            ..LikelihoodConfig::default()
        };
        let whole = run(kind, &config, (0, ROWS), 1, ROWS).expect("regular");
        for threads in [1, 2, 4] {
            for chunk in [1, 37, 256] {
                let cut = run(kind, &config, (0, ROWS), threads, chunk).expect("regular");
                assert!(
                    bits(&cut) == bits(&whole),
                    "{kind}: {threads} threads, chunks of {chunk}"
                );
                assert_eq!(
                    cut.stats, whole.stats,
                    "{kind}: {threads} threads, chunks of {chunk}"
                );
            }
        }
        for (first, count) in [(0, 50), (123, 1), (41, 109)] {
            let part = run(kind, &config, (first, count), 1, 64).expect("regular");
            let rows = first..first + count;
            assert_eq!(part.nats, whole.nats[rows.clone()], "{kind}: rows {rows:?}");
            assert_eq!(
                part.std_errors.as_deref(),
                whole.std_errors.as_ref().map(|errors| &errors[rows.clone()]),
                "{kind}: rows {rows:?}"
            );
        }
    }
}

/// NaN in row 100 of the points is found in row 1100 of the larger run, whatever the cut.
#[test]
fn errors_name_the_row_of_the_whole_batch() {
    let config = LikelihoodConfig {
        max_steps: 9,
        rtol: 0.1,
        atol: 0.1,
        ..LikelihoodConfig::default()
    };
    for (threads, chunk) in [(1, ROWS), (1, 37), (4, 37), (2, 1)] {
        let error = run("vp", &config, (0, ROWS), threads, chunk).expect_err("NaN");
        assert!(
            matches!(
                error,
                SolveError::NonFinite {
                    what: "state",
                    row: 1100,
                    t: 1e-5,
                    step: 0
                }
            ),
            "{error}"
        );
    }
}
