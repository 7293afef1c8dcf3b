//! Speed of the host path on one thread: normals, and samplers against a hand-written loop in the same group, on 4096 rows of a 2-D
//! mixture of three full-covariance Gaussians and on 1024 rows of a 64-D mixture of eight isotropic ones; then one thread against
//! two. Throughputs are normals, and row evaluations, a second.
#![allow(missing_docs)]

mod problem;
mod yardstick;
mod yardstick_2m;
mod yardstick_dp5;
mod yardstick_wide;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use problem::{Problem, SEED, compare, sampler, times};
use sde_core::{Sde, Span};
use solvers::correct::{sigma_rule, step_ratio};
use solvers::noise::{fill_planes_f32, fill_rows_f32};
use solvers::predict::EulerMaruyama;
use solvers::{Draw, HostOptions, Purpose, sample_chunks};
use yardstick::{Affine, Heun, Move};
use yardstick_2m::Multistep;
use yardstick_dp5::Dp5;
use yardstick_wide::Prepared;

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

fn spans(times: &[f64]) -> Vec<Span> {
    let pairs = times.windows(2);
    pairs
        .map(|pair| Span {
            from: pair[0],
            to: pair[1],
            gap: pair[0] - pair[1],
        })
        .collect()
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

fn plane(c: &mut Criterion) {
    let problem = Problem::plane();
    let (sde, mixture) = (&*problem.sde, &problem.mixture);
    for (name, steps, corrector) in [
        ("euler-maruyama", 1000, false),
        ("predictor-corrector", 500, true),
    ] {
        let corrected = if corrector { "corrector = \"langevin\"" } else { "" };
        let sampler = sampler(&format!("kind = \"pc\"\nsteps = {steps}\n{corrected}"), sde);
        let spans: Vec<Span> = spans(&times(sde, steps));
        let nfe = steps * (1 + usize::from(corrector)) + 1;
        compare(c, name, &problem, nfe, 0.0, &*sampler, &|| {
            problem.hand_written(|out| {
                let moves = moves(sde, &spans, corrector);
                pulp::Arch::new().dispatch(Affine {
                    mixture,
                    sde,
                    moves: &moves,
                    seed: SEED,
                    out,
                });
            })
        });
    }
    let times = times(sde, 40);
    let heun = sampler("kind = \"heun\"\nsteps = 40", sde);
    compare(c, "heun", &problem, 81, 0.0, &*heun, &|| {
        problem.hand_written(|out| {
            pulp::Arch::new().dispatch(Heun {
                mixture,
                sde,
                times: &times,
                seed: SEED,
                out,
            });
        })
    });
    let multistep = sampler("kind = \"dpm-solver\"\nsteps = 40", sde);
    compare(c, "dpmpp-2m", &problem, 41, 0.0, &*multistep, &|| {
        problem.hand_written(|out| {
            pulp::Arch::new().dispatch(Multistep {
                mixture,
                sde,
                times: &times,
                seed: SEED,
                out,
            });
        })
    });
}

fn wide(c: &mut Criterion) {
    let problem = Problem::wide();
    let (sde, mixture) = (&*problem.sde, &problem.mixture);
    let (long, short) = (times(sde, 200), times(sde, 40));
    let moves = moves(sde, &spans(&long), false);
    for (name, text, nfe, prepared) in [
        (
            "euler-maruyama",
            "kind = \"pc\"\nsteps = 200",
            201,
            Prepared::affine(mixture, sde, &long, moves[..200].to_vec()),
        ),
        (
            "heun",
            "kind = \"heun\"\nsteps = 40",
            81,
            Prepared::heun(mixture, sde, &short),
        ),
        (
            "dpmpp-2m",
            "kind = \"dpm-solver\"\nsteps = 40",
            41,
            Prepared::multistep(mixture, sde, &short, 0.0),
        ),
        (
            "dpmpp-2m-sde",
            "kind = \"dpmpp-2m-sde\"\nsteps = 40",
            41,
            Prepared::multistep(mixture, sde, &short, 1.0),
        ),
    ] {
        let sampler = sampler(text, sde);
        compare(c, &format!("{name}-64d"), &problem, nfe, 0.0, &*sampler, &|| {
            problem.hand_written(|out| prepared.run(SEED, out))
        });
    }
}

/// One step size a row. Here a difference in rounding may turn a decision, so results agree to the tolerance.
fn adaptive(c: &mut Criterion) {
    let (problem, tolerance) = (Problem::plane(), 1e-5);
    let sde = &*problem.sde;
    let text = format!("kind = \"ode\"\nmethod = \"dp5\"\nrtol = {tolerance:e}\natol = {tolerance:e}");
    let sampler = problem::without_grid(&text, sde);
    let options = HostOptions {
        seed: SEED,
        ..HostOptions::default()
    };
    let run = sample_chunks(&*sampler, sde, &problem.score, problem.rows, 2, &options, |_| ());
    let evaluations = run.expect("a sound problem").stats.row_evaluations as usize;
    let mean = evaluations / problem.rows;
    compare(c, "dp5", &problem, mean, 2e-3, &*sampler, &|| {
        problem.hand_written(|out| {
            pulp::Arch::new().dispatch(Dp5 {
                mixture: &problem.mixture,
                sde,
                beta: [0.1, 20.0],
                tolerance,
                seed: SEED,
                out,
            });
        })
    });
}

/// Runs of more than 20 ms on one thread and on two: the ratio of the two is what the second core gives.
fn threads(c: &mut Criterion) {
    for (name, problem, text) in [
        ("euler-maruyama", Problem::plane(), "kind = \"pc\"\nsteps = 4000"),
        (
            "dpmpp-2m-sde-64d",
            Problem::wide(),
            "kind = \"dpmpp-2m-sde\"\nsteps = 400",
        ),
    ] {
        let sampler = sampler(text, &*problem.sde);
        assert_eq!(
            problem.library(&*sampler, 1),
            problem.library(&*sampler, 2),
            "{name}"
        );
        let mut group = problem::group(c, &format!("threads/{name}"));
        for threads in [1, 2] {
            group.bench_function(BenchmarkId::from_parameter(threads), |b| {
                b.iter(|| problem.library(&*sampler, threads));
            });
        }
        group.finish();
    }
}

criterion_group!(host, normals, plane, adaptive, wide, threads);
criterion_main!(host);
