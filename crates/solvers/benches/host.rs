//! Speed of the host path on one thread: normals, and samplers on a 2-D mixture of three full-covariance Gaussians
//! against the hand-written loop of `yardstick.rs` in the same group. Throughputs are normals, and row evaluations, a
//! second.
#![allow(missing_docs)]

mod yardstick;
mod yardstick_dp5;

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sde_core::{Mixture, Sde, SdeConfig, Span};
use solvers::config::SamplerConfig;
use solvers::correct::{sigma_rule, step_ratio};
use solvers::noise::{fill_planes_f32, fill_rows_f32};
use solvers::predict::EulerMaruyama;
use solvers::{Draw, HostBatch, HostOptions, MixtureScore, Purpose, Sampler, sample_chunks};
use yardstick::{Affine, Heun, Move};
use yardstick_dp5::Dp5;

const ROWS: usize = 4096;
const SEED: u64 = 2026;

fn normals(c: &mut Criterion) {
    let mut group = c.benchmark_group("normals");
    group
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    let draw = Draw {
        step: 3,
        purpose: Purpose::Predictor,
    };
    for dim in [1, 2, 3, 64] {
        let mut out = vec![0.0_f32; 512 * dim];
        group.throughput(Throughput::Elements(out.len() as u64));
        group.bench_with_input(BenchmarkId::new("planes", dim), &dim, |b, _| {
            b.iter(|| fill_planes_f32(SEED, draw, 0, 512, black_box(&mut out)));
        });
        group.bench_with_input(BenchmarkId::new("rows", dim), &dim, |b, _| {
            b.iter(|| fill_rows_f32(SEED, draw, 0, dim, black_box(&mut out)));
        });
    }
    group.finish();
}

struct Problem {
    sde: Arc<dyn Sde>,
    mixture: Mixture,
    score: MixtureScore<f32>,
}

impl Problem {
    fn new() -> Self {
        let sde = toml::from_str::<SdeConfig>("kind = \"vp\"")
            .expect("a literal")
            .build()
            .expect("defaults");
        let means = [vec![-1.5, 0.0], vec![1.5, 0.5], vec![0.0, 1.5]];
        let covs = [
            vec![0.2, 0.1, 0.1, 0.3],
            vec![0.2, -0.05, -0.05, 0.1],
            vec![0.1, 0.02, 0.02, 0.15],
        ];
        let mixture = Mixture::new(&[0.3, 0.3, 0.4], &means, &covs).expect("positive definite");
        Self {
            score: MixtureScore::new(mixture.clone(), Arc::clone(&sde)),
            sde,
            mixture,
        }
    }

    fn library(&self, sampler: &dyn Sampler<HostBatch<f32>>) -> Vec<f32> {
        let options = HostOptions {
            seed: SEED,
            threads: NonZeroUsize::new(1),
            ..HostOptions::default()
        };
        let run = sample_chunks(sampler, &*self.sde, &self.score, ROWS, 2, &options, |_| ());
        run.expect("a sound problem").rows.into_raw_vec_and_offset().0
    }

    fn affine(&self, moves: &[Move]) -> Vec<f32> {
        let mut out = vec![0.0; 2 * ROWS];
        let (mixture, sde) = (&self.mixture, &*self.sde);
        pulp::Arch::new().dispatch(Affine {
            mixture,
            sde,
            moves,
            seed: SEED,
            out: &mut out,
        });
        out
    }
}

fn sampler(text: &str, sde: &dyn Sde) -> Box<dyn Sampler<HostBatch<f32>>> {
    toml::from_str::<SamplerConfig>(text)
        .expect("a literal")
        .build(sde)
        .expect("a sound config")
}

fn spans(sde: &dyn Sde, steps: usize) -> Vec<Span> {
    let grid =
        sde_core::GridConfig::Uniform {}.build(sde, steps, sde.domain().t_end, sde.domain().sample_eps);
    grid.expect("a sound grid").spans().to_vec()
}

/// The moves of predictor-corrector sampling with the final Tweedie step.
fn moves(sde: &dyn Sde, spans: &[Span], corrector: bool) -> Vec<Move> {
    let mut moves = Vec::new();
    for (step, span) in spans.iter().enumerate() {
        if corrector {
            let size = sigma_rule(sde, span.from, 0.16, step_ratio(sde, *span));
            let draw = [step as u32, Purpose::Corrector as u32];
            moves.push(Move {
                t: span.from,
                factors: [1.0, size, (2.0 * size).sqrt()],
                draw,
            });
        }
        let coefs = EulerMaruyama { eta: 1.0 }.coefs(sde, *span);
        let draw = [step as u32, Purpose::Predictor as u32];
        moves.push(Move {
            t: span.from,
            factors: [coefs.state, coefs.score, coefs.noise],
            draw,
        });
    }
    let t = spans[spans.len() - 1].to;
    let kernel = sde.marginal(t);
    let factors = [
        1.0 / kernel.mean_coef,
        kernel.std * kernel.std / kernel.mean_coef,
        0.0,
    ];
    moves.push(Move {
        t,
        factors,
        draw: [0, 0],
    });
    moves
}

/// `evaluations` counts rows; results of library and yardstick may differ by `bound`.
fn compare(
    c: &mut Criterion,
    name: &str,
    (evaluations, bound): (u64, f32),
    library: &dyn Fn() -> Vec<f32>,
    yardstick: &dyn Fn() -> Vec<f32>,
) {
    let far = library()
        .iter()
        .zip(yardstick())
        .fold(0.0_f32, |far, (a, b)| far.max((a - b).abs()));
    assert!(
        far <= bound,
        "{name}: library and yardstick differ by {far}: they do not do the same work"
    );
    let mut group = c.benchmark_group(name);
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements(evaluations));
    group.bench_function(BenchmarkId::new("library", ROWS), |b| b.iter(library));
    group.bench_function(BenchmarkId::new("yardstick", ROWS), |b| b.iter(yardstick));
    group.finish();
}

fn samplers(c: &mut Criterion) {
    let problem = Problem::new();
    let sde = &*problem.sde;
    for (name, steps, corrector) in [
        ("euler-maruyama", 1000, false),
        ("predictor-corrector", 500, true),
    ] {
        let corrected = if corrector { "corrector = \"langevin\"" } else { "" };
        let sampler = sampler(
            &format!("kind = \"pc\"\nsteps = {steps}\n{corrected}\n[grid]\nkind = \"uniform\""),
            sde,
        );
        let spans = spans(sde, steps);
        let nfe = steps * (1 + usize::from(corrector)) + 1;
        let work = ((ROWS * nfe) as u64, 1e-5);
        compare(c, name, work, &|| problem.library(&*sampler), &|| {
            problem.affine(&moves(sde, &spans, corrector))
        });
    }
    let sampler = sampler("kind = \"heun\"\nsteps = 40\n[grid]\nkind = \"uniform\"", sde);
    let spans = spans(sde, 40);
    let times: Vec<f64> = spans.iter().map(|span| span.from).chain([spans[39].to]).collect();
    let work = ((ROWS * 81) as u64, 1e-5);
    compare(c, "heun", work, &|| problem.library(&*sampler), &|| {
        let mut out = vec![0.0; 2 * ROWS];
        let (mixture, times) = (&problem.mixture, &times[..]);
        pulp::Arch::new().dispatch(Heun {
            mixture,
            sde,
            times,
            seed: SEED,
            out: &mut out,
        });
        out
    });
}

/// One step size a row. Here a difference in rounding may turn a decision, so results agree to the tolerance.
fn adaptive(c: &mut Criterion) {
    let (problem, tolerance) = (Problem::new(), 1e-5);
    let sde = &*problem.sde;
    let sampler = sampler(
        &format!("kind = \"ode\"\nmethod = \"dp5\"\nrtol = {tolerance:e}\natol = {tolerance:e}"),
        sde,
    );
    let options = HostOptions {
        seed: SEED,
        ..HostOptions::default()
    };
    let run = sample_chunks(&*sampler, sde, &problem.score, ROWS, 2, &options, |_| ());
    let evaluations = run.expect("a sound problem").stats.row_evaluations;
    compare(
        c,
        "dp5",
        (evaluations, 2e-3),
        &|| problem.library(&*sampler),
        &|| {
            let mut out = vec![0.0; 2 * ROWS];
            pulp::Arch::new().dispatch(Dp5 {
                mixture: &problem.mixture,
                sde,
                beta: [0.1, 20.0],
                tolerance,
                seed: SEED,
                out: &mut out,
            });
            out
        },
    );
}

criterion_group!(host, normals, samplers, adaptive);
criterion_main!(host);
