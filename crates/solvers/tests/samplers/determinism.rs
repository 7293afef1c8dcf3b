//! Level L0 of reproducibility: the same bits for any number of threads, any chunk size and any subset of the rows.

use std::num::NonZeroUsize;
use std::sync::Arc;

use ndarray::{Array2, s};
use solvers::parallel::{HostOptions, sample_chunks, sample_host};
use solvers::score::MixtureScore;
use solvers::{HostBatch, Real, SolveError, SolveStats};

use crate::common::{config, mixture, sde};

const ROWS: usize = 300;

const TABLES: [(&str, &str); 16] = [
    ("vp", "kind = \"pc\"\nsteps = 25"),
    (
        "ve",
        "kind = \"pc\"\nsteps = 25\npredictor = \"reverse-diffusion\"\ncorrector = \"langevin\"\ncorrector_steps = 2",
    ),
    (
        "edm",
        "kind = \"pc\"\nsteps = 25\npredictor = \"ancestral\"\ncorrector = \"ald\"",
    ),
    (
        "ve",
        "kind = \"pc\"\nsteps = 10\npredictor = \"none\"\ncorrector = \"langevin\"",
    ),
    (
        "vp",
        "kind = \"pc\"\nsteps = 25\nfinal = \"mean\"\n[grid]\nkind = \"song-compat\"",
    ),
    ("ve", "kind = \"langevin\"\nsteps = 8"),
    ("subvp", "kind = \"ode\"\nmethod = \"euler\"\nsteps = 15"),
    ("vp", "kind = \"ode\"\nmethod = \"rk4\"\nsteps = 8"),
    ("vp", "kind = \"ode\"\nrtol = 1e-3\natol = 1e-3"),
    ("edm", "kind = \"ode\"\nrtol = 1e-3\natol = 1e-3"),
    (
        "ve",
        "kind = \"ode\"\nmethod = \"bosh3\"\nrtol = 1e-2\natol = 1e-2",
    ),
    (
        "subvp",
        "kind = \"ode\"\nmethod = \"tsit5\"\nrtol = 1e-3\natol = 1e-3",
    ),
    ("vp", "kind = \"ode\"\nmethod = \"tsit5\"\nsteps = 6"),
    (
        "subvp",
        "kind = \"ode\"\nrtol = 1e-4\natol = 1e-4\nfinal = \"none\"",
    ),
    ("edm", "kind = \"heun\"\nsteps = 12"),
    ("vp", "kind = \"heun\"\nsteps = 12\ns_churn = 6.0\ns_max = 20.0"),
];

fn sample<T: Real>(
    kind: &str,
    table: &str,
    rows: usize,
    first_row: u64,
    threads: usize,
    chunk: usize,
) -> Result<(Array2<T>, SolveStats), SolveError> {
    let sde = sde(&format!("kind = \"{kind}\""));
    let sampler = config(table).build::<HostBatch<T>>(&*sde)?;
    let score = MixtureScore::<T>::new(mixture(), Arc::clone(&sde));
    let options = HostOptions {
        seed: 77,
        first_row,
        threads: NonZeroUsize::new(threads),
        chunk: NonZeroUsize::new(chunk),
        ..HostOptions::default()
    };
    let run = sample_chunks(&*sampler, &*sde, &score, rows, 2, &options, |_| ())?;
    Ok((run.rows, run.stats))
}

pub fn same_bits<T: Real>(tables: &[(&str, &str)]) {
    for (kind, table) in tables {
        let (whole, stats) = sample::<T>(kind, table, ROWS, 0, 1, ROWS).expect("the problem is regular");
        let name = format!("{kind} {table}");
        for threads in [1, 2, 4] {
            for chunk in [1, 37, 256] {
                let (rows, same) = sample::<T>(kind, table, ROWS, 0, threads, chunk).expect("as above");
                assert!(
                    bits(&rows) == bits(&whole),
                    "{name}: {threads} threads, chunks of {chunk}"
                );
                assert_eq!(stats, same, "{name}: {threads} threads, chunks of {chunk}");
            }
        }
        for (first, count) in [(0, 50), (123, 1), (250, 50), (41, 111)] {
            let (part, _) = sample::<T>(kind, table, count, first as u64, 1, 64).expect("as above");
            let expected = whole.slice(s![first..first + count, ..]).to_owned();
            assert!(
                bits(&part) == bits(&expected),
                "{name}: rows {first} to {}",
                first + count
            );
        }
    }
}

fn bits<T: Real>(rows: &Array2<T>) -> Vec<u64> {
    rows.iter().map(|value| value.to_f64().to_bits()).collect()
}

#[test]
fn same_bits_in_double_precision() {
    same_bits::<f64>(&TABLES);
}

#[test]
fn same_bits_in_single_precision() {
    same_bits::<f32>(&TABLES);
}

/// The paper's corrector depends on the batch: in chunks it is refused by name, in one piece it runs.
#[test]
fn coupled_rows_are_refused_in_chunks() {
    let table = "kind = \"pc\"\nsteps = 25\ncorrector = \"batch-langevin\"";
    let error = sample::<f64>("vp", table, ROWS, 0, 2, 100).expect_err("rows are coupled");
    let message = error.to_string();
    assert!(
        message.starts_with("chunk = 100: ") && message.contains("300"),
        "{message}"
    );
    sample::<f64>("vp", table, ROWS, 0, 2, ROWS).expect("one chunk");
}

/// Errors do not depend on the cut either, and name the row in the whole batch.
#[test]
fn errors_name_the_row_of_the_whole_batch() {
    let table = "kind = \"ode\"\nmax_steps = 4";
    let whole = sample::<f64>("vp", table, ROWS, 1000, 1, ROWS).expect_err("the limit is low");
    assert!(
        matches!(
            whole,
            SolveError::StepLimit {
                row: 1000..,
                steps: 4,
                ..
            }
        ),
        "{whole}"
    );
    for (threads, chunk) in [(1, 37), (4, 37), (2, 1)] {
        let error = sample::<f64>("vp", table, ROWS, 1000, threads, chunk).expect_err("the limit is low");
        assert!(
            matches!(
                error,
                SolveError::StepLimit {
                    row: 1000..,
                    steps: 4,
                    ..
                }
            ),
            "{error}"
        );
    }
}

/// The noise of a run does not move when an option is switched: churn with an empty interval of noise levels is the
/// deterministic method.
#[test]
fn options_do_not_shift_the_noise() {
    let plain =
        sample::<f64>("edm", "kind = \"heun\"\nsteps = 12", 40, 0, 1, 40).expect("the problem is regular");
    let table = "kind = \"heun\"\nsteps = 12\ns_churn = 6.0\ns_min = 1e6";
    let churned = sample::<f64>("edm", table, 40, 0, 1, 40).expect("the problem is regular");
    assert_eq!(bits(&plain.0), bits(&churned.0));
}

#[test]
fn the_common_case_is_one_call() {
    let sde = sde("kind = \"vp\"");
    let sampler = config("kind = \"heun\"")
        .build::<HostBatch<f64>>(&*sde)
        .expect("a valid table");
    let score = MixtureScore::<f64>::new(mixture(), Arc::clone(&sde));
    let (rows, stats) = sample_host(&*sampler, &*sde, &score, 5, 2, 9).expect("the problem is regular");
    assert_eq!((rows.dim(), stats.nfe), ((5, 2), 81));
}
