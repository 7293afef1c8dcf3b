//! The problems of the benchmarks, and how library and hand-written loop are compared.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use sde_core::{GridConfig, Mixture, MixtureConfig, Sde, SdeConfig};
use solvers::config::SamplerConfig;
use solvers::{HostBatch, HostOptions, MixtureScore, Sampler, sample_chunks};

pub const SEED: u64 = 2026;

pub struct Problem {
    pub sde: Arc<dyn Sde>,
    pub mixture: Mixture,
    pub score: MixtureScore<f32>,
    pub rows: usize,
}

/// A problem file of the lab.
#[derive(serde::Deserialize)]
struct File {
    sde: SdeConfig,
    mixture: MixtureConfig,
}

impl Problem {
    fn new(sde: &SdeConfig, mixture: Mixture, rows: usize) -> Self {
        let sde = sde.build().expect("a sound SDE");
        Self {
            score: MixtureScore::new(mixture.clone(), Arc::clone(&sde)),
            sde,
            mixture,
            rows,
        }
    }

    /// Three Gaussians with full covariances in the plane.
    pub fn plane() -> Self {
        let means = [vec![-1.5, 0.0], vec![1.5, 0.5], vec![0.0, 1.5]];
        let covs = [
            vec![0.2, 0.1, 0.1, 0.3],
            vec![0.2, -0.05, -0.05, 0.1],
            vec![0.1, 0.02, 0.02, 0.15],
        ];
        let mixture = Mixture::new(&[0.3, 0.3, 0.4], &means, &covs).expect("positive definite");
        Self::new(
            &toml::from_str("kind = \"vp\"").expect("a literal"),
            mixture,
            4096,
        )
    }

    /// Eight isotropic Gaussians in 64 dimensions.
    pub fn wide() -> Self {
        let file: File =
            toml::from_str(include_str!("../../../configs/lab/mixture64_vp.toml")).expect("a sound file");
        Self::new(&file.sde, file.mixture.build().expect("a sound mixture"), 1024)
    }

    pub fn library(&self, sampler: &dyn Sampler<HostBatch<f32>>, threads: usize) -> Vec<f32> {
        let options = HostOptions {
            seed: SEED,
            threads: NonZeroUsize::new(threads),
            ..HostOptions::default()
        };
        let dim = self.mixture.dim();
        let run = sample_chunks(sampler, &*self.sde, &self.score, self.rows, dim, &options, |_| ());
        run.expect("a sound problem").rows.into_raw_vec_and_offset().0
    }

    /// A loop's rows.
    pub fn hand_written(&self, run: impl FnOnce(&mut [f32])) -> Vec<f32> {
        let mut out = vec![0.0; self.mixture.dim() * self.rows];
        run(&mut out);
        out
    }
}

/// The sampler of a table, on equidistant times.
pub fn sampler(text: &str, sde: &dyn Sde) -> Box<dyn Sampler<HostBatch<f32>>> {
    without_grid(&format!("{text}\n[grid]\nkind = \"uniform\""), sde)
}

pub fn without_grid(text: &str, sde: &dyn Sde) -> Box<dyn Sampler<HostBatch<f32>>> {
    toml::from_str::<SamplerConfig>(text)
        .expect("a literal")
        .build(sde)
        .expect("a sound config")
}

/// Equidistant times, from the start time down.
pub fn times(sde: &dyn Sde, steps: usize) -> Vec<f64> {
    let domain = sde.domain();
    let grid = GridConfig::Uniform {}.build(sde, steps, domain.t_end, domain.sample_eps);
    grid.expect("a sound grid").times().to_vec()
}

pub fn group<'a>(c: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    group
}

/// `nfe` counts evaluations a row; results of library and yardstick may differ by `bound`.
pub fn compare(
    c: &mut Criterion,
    name: &str,
    problem: &Problem,
    nfe: usize,
    bound: f32,
    sampler: &dyn Sampler<HostBatch<f32>>,
    yardstick: &dyn Fn() -> Vec<f32>,
) {
    let far = (problem.library(sampler, 1).iter())
        .zip(yardstick())
        .fold(0.0_f32, |far, (a, b)| far.max((a - b).abs()));
    assert!(
        far <= bound,
        "{name}: library and yardstick differ by {far}: they do not do the same work"
    );
    let mut group = group(c, name);
    group.throughput(Throughput::Elements((nfe * problem.rows) as u64));
    group.bench_function(BenchmarkId::new("library", problem.rows), |b| {
        b.iter(|| problem.library(sampler, 1));
    });
    group.bench_function(BenchmarkId::new("yardstick", problem.rows), |b| b.iter(yardstick));
    group.finish();
}
