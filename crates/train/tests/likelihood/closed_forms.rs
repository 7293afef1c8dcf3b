//! Likelihoods under networks that know the exact score.

use std::sync::{Arc, Once};

use ndarray::Array2;
use score_nets::{NetError, ScoreNet};
use sde_core::precond::PrecondConfig;
use sde_core::{Gaussian, Marginal, Sde, SdeConfig};
use solvers::likelihood::{LikelihoodConfig, ProbeLaw};
use solvers::noise::fill_rows_f32;
use solvers::{Draw, Purpose};
use tch::{Device, Kind, Tensor};
use train::TrainError;
use train::data::{Scaling, ScalingKind};
use train::dist::Single;
use train::evaluate::Rows;
use train::evaluate::likelihood::{Density, LikelihoodOptions, Mean, Measured};
use train::trainer::StopFlag;

/// The exact score of Gaussian data times a factor, NaN for rows whose first value is above 1000.
#[derive(Debug)]
struct Oracle {
    data: Gaussian,
    sde: Arc<dyn Sde>,
    factor: f64,
}

impl ScoreNet for Oracle {
    fn forward(&self, x: &Tensor, time: &Tensor, _train: bool) -> Result<Tensor, NetError> {
        let dim = self.data.dim() as i64;
        let (mut matrices, mut means) = (Vec::new(), Vec::new());
        for sigma in Vec::<f64>::try_from(time.to_kind(Kind::Double)).expect("one a row") {
            let noised = self.data.noised(self.sde.marginal(self.sde.time_at_sigma(sigma)));
            matrices.extend_from_slice(noised.cov());
            means.extend_from_slice(noised.mean());
        }
        let rows = x.size()[0];
        let inverse = Tensor::from_slice(&matrices).view([rows, dim, dim]).inverse();
        let means = Tensor::from_slice(&means).view([rows, dim]);
        let wide = x.to_kind(Kind::Double).view([rows, dim]);
        let beyond = wide.select(1, 0).gt(1000.0).unsqueeze(1);
        let score = (inverse.matmul(&(&wide - means).unsqueeze(2)).squeeze_dim(2) * -self.factor)
            .masked_fill(&beyond, f64::NAN);
        Ok(score.view(x.size().as_slice()).to_kind(x.kind()))
    }
}

fn one_thread() {
    static SET: Once = Once::new();
    SET.call_once(|| tch::set_num_threads(1));
}

fn gaussian() -> Gaussian {
    Gaussian::new(
        &[0.7, -0.2, 0.1],
        &[0.5, 0.2, -0.1, 0.2, 0.3, 0.15, -0.1, 0.15, 0.8],
    )
    .expect("positive definite")
}

fn sde(table: &str) -> Arc<dyn Sde> {
    let config: SdeConfig = toml::from_str(table).expect("written in the test");
    config.build().expect("valid")
}

/// Minus the log density that the flow of the exact score gives a row: that of the noised data at `likelihood_eps`, but for what the
/// SDE's prior gives the latent in place of the noised data's own density.
fn by_the_flow(sde: &dyn Sde, x: &[f64]) -> f64 {
    let domain = sde.domain();
    let (from, to) = (sde.marginal(domain.likelihood_eps), sde.marginal(domain.t_end));
    let mut latent = vec![0.0; x.len()];
    gaussian().flow(from, to, x, &mut latent);
    let data = gaussian();
    let at = |marginal, x: &[f64]| data.mixture().noised(marginal).log_density(x);
    let prior = Gaussian::isotropic(&vec![0.0; x.len()], sde.prior_std()).expect("valid");
    let clean = Marginal {
        mean_coef: 1.0,
        std: 0.0,
    };
    let by_prior = prior.mixture().noised(clean).log_density(&latent);
    at(to, &latent) - by_prior - at(from, x)
}

fn options() -> LikelihoodOptions {
    LikelihoodOptions {
        flow: LikelihoodConfig::default(),
        bound_times: 8,
        repeats: 1,
        batch: 16,
        seed: 4,
    }
}

/// Writes draws of the data, as raw values of the scaling, and measures them.
struct Problem {
    folder: tempfile::TempDir,
    sde: Arc<dyn Sde>,
    scaling: Scaling,
    raw: Array2<f64>,
}

impl Problem {
    fn new(sde: Arc<dyn Sde>, rows: usize) -> Self {
        one_thread();
        let scaling = Scaling::series(ScalingKind::ZScore, (-9.0, 9.0), 3.0, 2.5);
        let mut z = vec![0.0_f32; rows * 3];
        let draw = Draw {
            step: 0,
            purpose: Purpose::Data,
        };
        fill_rows_f32(8, draw, 0, 3, &mut z);
        let mut raw = Array2::zeros((rows, 3));
        for (mut row, z) in raw.rows_mut().into_iter().zip(z.chunks_exact(3)) {
            let z: Vec<f64> = z.iter().map(|z| f64::from(*z)).collect();
            let mut x = [0.0; 3];
            gaussian().mixture().sample_from_normals(0.5, &z, &mut x);
            for (raw, x) in row.iter_mut().zip(x) {
                *raw = scaling.to_raw(x);
            }
        }
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            sde,
            scaling,
            raw,
        }
    }

    fn rows(&self) -> Rows {
        let path = self.folder.path().join("rows.npy");
        report::npy::write_npy(&path, &self.raw).expect("writable");
        Rows::file(&path, &[3], None).expect("rows of three values")
    }

    fn measure(&self, rows: &Rows, factor: f64, options: &LikelihoodOptions) -> Result<Measured, TrainError> {
        self.measure_until(rows, factor, options, &StopFlag::default())
    }

    fn measure_until(
        &self,
        rows: &Rows,
        factor: f64,
        options: &LikelihoodOptions,
        stop: &StopFlag,
    ) -> Result<Measured, TrainError> {
        let precond: PrecondConfig = toml::from_str("kind = \"raw-score\"").expect("written in the test");
        let net = Oracle {
            data: gaussian(),
            sde: Arc::clone(&self.sde),
            factor,
        };
        let density = Density {
            net: &net,
            precond: &precond.build(Arc::clone(&self.sde)).expect("valid"),
            sde: self.sde.as_ref(),
            scaling: &self.scaling,
            device: Device::Cpu,
            comm: &Single,
        };
        density.measure(rows, options, stop, &mut |_| {})
    }

    /// Minus the log density of the rows in their own units, by the flow of the exact score.
    fn exact(&self) -> Vec<f64> {
        let jacobian = 3.0 * (1.0_f64 / 2.5).ln();
        let nats = |row: ndarray::ArrayView1<f64>| {
            // As the file holds it.
            let x: Vec<f64> = row
                .iter()
                .map(|v| self.scaling.to_model(f64::from(*v as f32)))
                .collect();
            by_the_flow(self.sde.as_ref(), &x) - jacobian
        };
        self.raw.rows().into_iter().map(nats).collect()
    }
}

/// The exact divergence gives each row its exact value but for the tolerance and single precision.
#[test]
fn rows_of_a_gaussian_have_their_exact_likelihood() {
    for name in ["vp", "subvp", "ve", "edm"] {
        let problem = Problem::new(sde(&format!("kind = \"{name}\"")), 40);
        let found = problem
            .measure(&problem.rows(), 1.0, &options())
            .expect("regular");
        assert_eq!(found.rows.row, (0..40).collect::<Vec<_>>());
        assert!(found.nfe > 20 && !found.stopped, "{name}: {}", found.nfe);
        let worst = (found.rows.nll.iter().zip(problem.exact()))
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        assert!(worst < 2e-3, "{name}: {worst}");
    }
}

/// The bound is tight for the exact score, and lies above by theorem 1's term for one that is wrong.
#[test]
fn the_bound_is_tight_for_the_exact_score_and_above_for_a_wrong_one() {
    let problem = Problem::new(sde("kind = \"vp\""), 400);
    let options = LikelihoodOptions {
        bound_times: 16,
        batch: 400,
        ..options()
    };
    let gap = |factor: f64| {
        let found = problem
            .measure(&problem.rows(), factor, &options)
            .expect("regular");
        let rows = found.rows.bound.iter().zip(problem.exact());
        let gap = Mean::of(&rows.map(|(bound, exact)| bound - exact).collect::<Vec<_>>()).expect("rows");
        (gap.mean, gap.standard_error.expect("many rows"))
    };
    let (mean, error) = gap(1.0);
    assert!(error < 0.1 && mean.abs() < 4.0 * error, "{mean} {error}");
    let (mean, error) = gap(1.3);
    assert!(mean > 4.0 * error, "{mean} {error}");
}

#[test]
fn a_row_has_the_same_value_in_any_batch_and_among_any_rows() {
    let problem = Problem::new(sde("kind = \"vp\""), 12);
    let probed = LikelihoodOptions {
        flow: LikelihoodConfig {
            probes: Some(2),
            ..LikelihoodConfig::default()
        },
        ..options()
    };
    let all = problem
        .measure(&problem.rows(), 1.0, &probed)
        .expect("regular")
        .rows;
    let near = |a: f64, b: f64| (a - b).abs() < 1e-4;
    for batch in [1, 5] {
        let options = LikelihoodOptions {
            batch,
            ..probed.clone()
        };
        let cut = problem
            .measure(&problem.rows(), 1.0, &options)
            .expect("regular")
            .rows;
        assert!(
            cut.nll.iter().zip(&all.nll).all(|(a, b)| near(*a, *b)),
            "{cut:?} {all:?}"
        );
        assert!(
            cut.bound.iter().zip(&all.bound).all(|(a, b)| near(*a, *b)),
            "{cut:?} {all:?}"
        );
    }
    let few = problem
        .measure(&problem.rows().at_most(5), 1.0, &probed)
        .expect("regular")
        .rows;
    assert_eq!(few.row, [0, 2, 4, 7, 9]);
    for (at, row) in few.row.iter().enumerate() {
        assert!(near(few.nll[at], all.nll[*row as usize]), "row {row}");
        assert!(near(few.bound[at], all.bound[*row as usize]), "row {row}");
    }
    // Probes are drawn by the seed and by their law, and leave the mean where it is.
    let exact = problem.exact();
    for (seed, law) in [(5, ProbeLaw::Rademacher), (4, ProbeLaw::Gaussian)] {
        let options = LikelihoodOptions {
            seed,
            flow: LikelihoodConfig {
                probe_law: law,
                ..probed.flow.clone()
            },
            ..probed.clone()
        };
        let other = problem
            .measure(&problem.rows(), 1.0, &options)
            .expect("regular")
            .rows;
        assert_ne!(other.nll, all.nll);
        let errors: Vec<f64> = other.nll.iter().zip(&exact).map(|(a, b)| a - b).collect();
        let error = Mean::of(&errors).expect("rows");
        assert!(
            error.mean.abs() < 4.0 * error.standard_error.expect("rows"),
            "{errors:?}"
        );
    }
}

#[test]
fn a_row_that_fails_is_named_and_a_stop_keeps_what_is_done() {
    let mut problem = Problem::new(sde("kind = \"vp\""), 7);
    problem.raw[[5, 0]] = 5000.0;
    let small = LikelihoodOptions {
        batch: 2,
        ..options()
    };
    let error = problem
        .measure(&problem.rows(), 1.0, &small)
        .expect_err("not finite")
        .to_string();
    assert!(error.contains("is not finite in row 5 at t = "), "{error}");
    let stop = StopFlag::default();
    stop.set();
    problem.raw[[5, 0]] = 0.0;
    let found = problem
        .measure_until(&problem.rows(), 1.0, &small, &stop)
        .expect("no failure");
    assert!(found.stopped && found.rows.nll.is_empty());
}

/// Levels: the mean over repeats of minus the log density of the dequantised values, in units of a level.
#[test]
fn levels_have_the_bits_of_their_dequantised_values() {
    one_thread();
    let sde = sde("kind = \"vp\"");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("levels.npy");
    let levels = Array2::from_shape_fn((6, 3), |(row, d)| ((row * 7 + d * 5) % 17) as f64);
    report::npy::write_npy(&path, &levels).expect("writable");
    let rows = Rows::file(&path, &[3], Some(17)).expect("levels");
    let precond: PrecondConfig = toml::from_str("kind = \"raw-score\"").expect("written in the test");
    let net = Oracle {
        data: gaussian(),
        sde: Arc::clone(&sde),
        factor: 1.0,
    };
    // Trained on bare levels, and on dequantised ones: the levels fill [-1, 1] in either case.
    for dequantised in [false, true] {
        let scaling = Scaling::image(ScalingKind::Symmetric, 17, dequantised, 8.0, 3.0);
        let density = Density {
            net: &net,
            precond: &precond.build(Arc::clone(&sde)).expect("valid"),
            sde: sde.as_ref(),
            scaling: &scaling,
            device: Device::Cpu,
            comm: &Single,
        };
        let options = LikelihoodOptions {
            repeats: 3,
            bound_times: 0,
            ..options()
        };
        let found = density.measure(&rows, &options, &StopFlag::default(), &mut |_| {});
        let found = found.expect("regular").rows;
        assert!(found.bound.is_empty());
        for (row, levels) in levels.rows().into_iter().enumerate() {
            let mut sum = 0.0;
            for repeat in 0..3 {
                let draw = Draw {
                    step: repeat,
                    purpose: Purpose::Data,
                };
                let value = |(d, level): (usize, &f64)| {
                    let u = solvers::noise::uniform_at(4, draw, row as u64, d);
                    2.0 * (level + u) / 17.0 - 1.0
                };
                let x: Vec<f64> = levels.iter().enumerate().map(value).collect();
                sum += by_the_flow(sde.as_ref(), &x) / 3.0;
            }
            let want = sum + 3.0 * 8.5_f64.ln();
            assert!(
                (found.nll[row] - want).abs() < 2e-3,
                "{row}: {} {want}",
                found.nll[row]
            );
        }
    }
}
