//! Problems with closed forms, and a run in a few words.

use std::sync::Arc;

use sde_core::{Mixture, MixtureConfig, Sde, SdeConfig};
use solvers::config::SamplerConfig;
use solvers::sampler::prior_std_at;
use solvers::{
    Coef, Draw, HostBatch, HostNoise, Job, NoiseSource, Purpose, Sampler, ScoreFn, SolveError, SolveStats,
    State,
};

pub type Batch = HostBatch<f64>;

pub fn sde(table: &str) -> Arc<dyn Sde> {
    let config: SdeConfig = toml::from_str(table).expect("the SDE table is written in the test");
    config.build().expect("the SDE table is valid")
}

/// The four SDEs with their usual parameters.
pub fn sdes() -> [(&'static str, Arc<dyn Sde>); 4] {
    ["vp", "subvp", "ve", "edm"].map(|kind| (kind, sde(&format!("kind = \"{kind}\""))))
}

pub fn config(table: &str) -> SamplerConfig {
    toml::from_str(table).unwrap_or_else(|error| panic!("{table}: {error}"))
}

pub fn sampler(table: &str, sde: &dyn Sde) -> Box<dyn Sampler<Batch>> {
    config(table)
        .build(sde)
        .unwrap_or_else(|error| panic!("{table}: {error}"))
}

/// The refusal of a table.
pub fn refusal(table: &str, sde: &dyn Sde) -> String {
    match config(table).build::<Batch>(sde) {
        Ok(_) => panic!("accepted: {table}"),
        Err(error) => error.to_string(),
    }
}

pub fn batch(rows: usize, dim: usize, value: impl Fn(usize, usize) -> f64) -> Batch {
    let mut batch = Batch::zeros(rows, dim);
    batch.fill_rows(&mut |row, values| {
        for (d, slot) in values.iter_mut().enumerate() {
            *slot = value(row, d);
        }
    });
    batch
}

pub fn rows(batch: &Batch) -> Vec<Vec<f64>> {
    let mut all = Vec::new();
    batch.read_rows(&mut |_, values| all.push(values.to_vec()));
    all
}

/// The exact score of a mixture, row by row through the oracle.
pub struct OracleScore {
    pub sde: Arc<dyn Sde>,
    pub mixture: Mixture,
}

impl ScoreFn<Batch> for OracleScore {
    fn score(&self, x: &Batch, t: Coef, out: &mut Batch) -> Result<(), SolveError> {
        let mut shared = match t {
            Coef::All(t) => Some(self.mixture.noised(self.sde.marginal(t))),
            Coef::PerRow(_) => None,
        };
        let mut scores = Vec::with_capacity(x.rows());
        x.read_rows(&mut |row, values| {
            if let Coef::PerRow(times) = t {
                shared = Some(self.mixture.noised(self.sde.marginal(times[row])));
            }
            let mut score = vec![0.0; values.len()];
            shared
                .as_ref()
                .expect("set for either kind of time")
                .score(values, &mut score);
            scores.push(score);
        });
        out.fill_rows(&mut |row, values| values.copy_from_slice(&scores[row]));
        Ok(())
    }
}

/// Three full-covariance Gaussians in the plane.
pub fn mixture() -> Mixture {
    let table = "weights = [0.5, 0.3, 0.2]\nmeans = [[-1.0, 0.5], [1.2, 0.8], [0.1, -1.1]]\n\
                 covs = [[[0.10, 0.05], [0.05, 0.08]], [[0.06, -0.03], [-0.03, 0.12]], [[0.20, 0.0], [0.0, 0.04]]]";
    let config: MixtureConfig = toml::from_str(table).expect("the mixture is written above");
    config.build().expect("the mixture is valid")
}

pub fn oracle(sde: &Arc<dyn Sde>) -> OracleScore {
    OracleScore {
        sde: sde.clone(),
        mixture: mixture(),
    }
}

/// A batch from the prior of the sampler's start time.
pub fn prior(
    sampler: &dyn Sampler<Batch>,
    sde: &dyn Sde,
    noise: &HostNoise,
    rows: usize,
    dim: usize,
) -> Batch {
    let mut x = Batch::zeros(rows, dim);
    noise
        .normal(
            Draw {
                step: 0,
                purpose: Purpose::Prior,
            },
            &mut x,
        )
        .expect("addressed noise never runs out");
    x.scale(Coef::All(prior_std_at(sde, sampler.t_start())));
    x
}

/// Noise for the rows from 0 on.
pub fn seeded(seed: u64) -> HostNoise {
    HostNoise { seed, first_row: 0 }
}

/// What a sampler works on, rows from 0 on.
pub fn job<'a>(
    sde: &'a dyn Sde,
    score: &'a dyn ScoreFn<Batch>,
    noise: &'a dyn NoiseSource<Batch>,
) -> Job<'a, Batch> {
    Job {
        sde,
        score,
        noise,
        first_row: 0,
    }
}

pub fn run(
    sampler: &dyn Sampler<Batch>,
    sde: &dyn Sde,
    score: &dyn ScoreFn<Batch>,
    noise: &dyn NoiseSource<Batch>,
    x: &mut Batch,
) -> Result<SolveStats, SolveError> {
    sampler.run(&job(sde, score, noise), x, &mut ())
}

/// `rows` samples with a seed.
pub fn samples(
    table: &str,
    sde: &dyn Sde,
    score: &dyn ScoreFn<Batch>,
    seed: u64,
    rows: usize,
    dim: usize,
) -> (Batch, SolveStats) {
    let sampler = sampler(table, sde);
    let noise = seeded(seed);
    let mut x = prior(&*sampler, sde, &noise, rows, dim);
    let stats = run(&*sampler, sde, score, &noise, &mut x).unwrap_or_else(|error| panic!("{table}: {error}"));
    (x, stats)
}
