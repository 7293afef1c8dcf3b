//! What the samplers allocate: nothing a step, and no more than eight states in all.
#![allow(clippy::print_stdout)]

#[path = "../examples/lab/catalogue.rs"]
mod catalogue;

use allocation_counter::{AllocationInfo, measure};
use sde_core::{Sde, sde::Vp};
use solvers::config::SamplerConfig;
use solvers::{Coef, HostBatch, HostNoise, Job, ScoreFn, SolveError, State};

const ROWS: usize = 64;
const DIM: usize = 128;
const STATE_BYTES: u64 = (ROWS * DIM * size_of::<f64>()) as u64;

/// The score of data `N(0, 1/4)` under VP; it allocates nothing itself.
struct Plain<'a>(&'a Vp);

impl ScoreFn<HostBatch<f64>> for Plain<'_> {
    fn score(&self, x: &HostBatch<f64>, t: Coef, out: &mut HostBatch<f64>) -> Result<(), SolveError> {
        for d in 0..x.row_len() {
            for (row, (out, x)) in out.plane_mut(d).iter_mut().zip(x.plane(d)).enumerate() {
                let kernel = self.0.marginal(t.at(row));
                let var = 0.25 * kernel.mean_coef * kernel.mean_coef + kernel.std * kernel.std;
                *out = -x / var;
            }
        }
        Ok(())
    }
}

/// What a run allocates besides its first state, and its steps.
fn run(name: &str, mut table: toml::Table, keys: &[(&str, toml::Value)]) -> (AllocationInfo, u64) {
    for (key, value) in keys {
        table.insert((*key).to_owned(), value.clone());
    }
    let sde = Vp::linear(0.1, 20.0).expect("the usual parameters");
    let config: SamplerConfig = table.try_into().unwrap_or_else(|error| panic!("{name}: {error}"));
    let sampler = config
        .build::<HostBatch<f64>>(&sde)
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut x = HostBatch::<f64>::zeros(ROWS, DIM);
    x.fill_rows(&mut |row, values| {
        for (d, value) in values.iter_mut().enumerate() {
            *value = ((row * DIM + d) as f64).sin();
        }
    });
    let noise = HostNoise {
        seed: 1,
        first_row: 0,
    };
    let job = Job {
        sde: &sde,
        score: &Plain(&sde),
        noise: &noise,
        first_row: 0,
    };
    let mut steps = 0;
    let info = measure(|| {
        let stats = sampler
            .run(&job, &mut x, &mut ())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        steps = stats.steps;
    });
    (info, steps)
}

#[test]
fn no_sampler_allocates_in_a_step_or_keeps_more_than_eight_states() {
    let mut large = Vec::new();
    for (name, table) in catalogue::catalogue() {
        let adaptive = table.contains_key("rtol");
        let settings = [(24, 0.05), (48, 1e-3)].map(|(steps, tolerance): (i64, f64)| {
            if adaptive {
                run(
                    &name,
                    table.clone(),
                    &[("rtol", tolerance.into()), ("atol", tolerance.into())],
                )
            } else {
                run(&name, table.clone(), &[("steps", steps.into())])
            }
        });
        let [(few, few_steps), (many, many_steps)] = settings;
        assert!(
            many_steps > few_steps,
            "{name}: {few_steps} and {many_steps} steps"
        );
        assert_eq!(
            few.count_total, many.count_total,
            "{name}: allocations in {few_steps} and in {many_steps} steps"
        );
        let states = 1.0 + many.bytes_max as f64 / STATE_BYTES as f64;
        println!("{name:<28} {} allocations, {states:.2} states", many.count_total);
        // Half a state more for what is kept a row: times, step sizes, errors.
        if states > 8.5 {
            large.push(format!("{name}: {states:.2} states"));
        }
    }
    assert!(large.is_empty(), "{large:?}");
}
