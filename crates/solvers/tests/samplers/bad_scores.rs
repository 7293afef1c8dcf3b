//! Every sampler kind with its variants on scores that are broken in one way.

#[path = "../../examples/lab/catalogue.rs"]
mod catalogue;

use solvers::{Coef, ScoreFn, SolveError, State};

use crate::common::Batch;
use crate::safety::{Broken, failure};

/// The table of every row of `lab accuracy`: 24 steps, or a tolerance of 0.01.
fn tables() -> Vec<String> {
    let tables = catalogue::catalogue().into_iter().map(|(_, mut table)| {
        let settings: &[(&str, toml::Value)] = match table.contains_key("rtol") {
            true => &[
                ("rtol", 1e-2.into()),
                ("atol", 1e-2.into()),
                ("max_steps", 5_000.into()),
            ],
            false => &[("steps", 24.into())],
        };
        for (key, value) in settings {
            table.insert((*key).to_owned(), value.clone());
        }
        toml::to_string(&table).expect("a table of values")
    });
    let tables: Vec<String> = tables.collect();
    assert!(tables.len() >= 50, "{}", tables.len());
    tables
}

#[test]
fn a_wrong_shape_is_named() {
    struct Narrow;
    impl ScoreFn<Batch> for Narrow {
        fn score(&self, x: &Batch, _t: Coef, out: &mut Batch) -> Result<(), SolveError> {
            *out = Batch::zeros(x.rows(), 1);
            Ok(())
        }
    }
    for table in tables() {
        let error = failure(&table, &Narrow);
        let text = error.to_string();
        assert!(
            matches!(error, SolveError::Shape { .. }) && text.contains("4 x 1") && text.contains("4 x 2"),
            "{table}: {text}"
        );
    }
}

#[test]
fn a_score_that_grows_without_bound_ends_in_an_error_that_names_a_row() {
    struct Growing;
    impl ScoreFn<Batch> for Growing {
        fn score(&self, x: &Batch, _t: Coef, out: &mut Batch) -> Result<(), SolveError> {
            for d in 0..x.row_len() {
                for (out, x) in out.plane_mut(d).iter_mut().zip(x.plane(d)) {
                    *out = 1e3 * x * x * x;
                }
            }
            Ok(())
        }
    }
    for table in tables() {
        let error = failure(&table, &Growing);
        let named = matches!(
            error,
            SolveError::NonFinite { row: 40..=43, .. }
                | SolveError::StepTooSmall { row: 40..=43, .. }
                | SolveError::StepLimit { row: 40..=43, .. }
        );
        assert!(named, "{table}: {error}");
    }
}

#[test]
fn numbers_that_are_none_are_named_with_their_row_and_time() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for table in tables() {
            let error = failure(
                &table,
                &Broken {
                    value,
                    t: 0.5,
                    only_at: false,
                },
            );
            let named = match error {
                // Named at the step that met it, or at the one that it led to.
                SolveError::NonFinite { row, t, .. } => row == 42 && (0.3..0.7).contains(&t),
                SolveError::StepTooSmall { row, t, .. } => row == 42 && (0.5..0.51).contains(&t),
                _ => false,
            };
            assert!(named, "{table}: {error}");
        }
    }
}
