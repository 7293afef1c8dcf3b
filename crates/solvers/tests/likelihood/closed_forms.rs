//! The exact divergence against the exact density, and what the Gaussian prior leaves out.

use ndarray::Array2;
use sde_core::NoisedMixture;
use solvers::likelihood::{Divergence, GaussianPrior, RowDensity, TerminalDensity, log_density_host};
use solvers::{Coef, HostBatch, HostOptions, MixtureScore, ScoreFn, ScoreVjp, SolveError, State};

use crate::common::{
    closed_by_the_oracle, closed_by_the_prior, exact, exact_nats, gaussian, largest, likelihood, mixture,
    points, sdes,
};

/// Error against the oracle's density at `likelihood_eps`, the oracle's own density closing the integral: below 1e-6 nats at
/// tolerance 1e-8, for all SDEs, and falling with the tolerance.
#[test]
fn the_density_at_eps_is_the_oracle_s() {
    for (name, sde) in sdes() {
        for (what, data) in [("gaussian", gaussian()), ("mixture", mixture())] {
            let points = points(&data, &*sde, 200);
            let exact = exact_nats(&data, &*sde, sde.domain().likelihood_eps, &points);
            for (tolerance, bound) in [(1e-5, 1e-3), (1e-8, 1e-6), (1e-10, 1e-8)] {
                let method = likelihood(&*sde, tolerance, None);
                assert_eq!(method.divergence(), Divergence::Exact);
                let run = closed_by_the_oracle(&data, &sde, &method, &points, 0).expect("regular");
                assert_eq!((run.t, run.std_errors), (sde.domain().likelihood_eps, None));
                let worst = largest(run.nats.iter().zip(&exact).map(|(a, b)| a - b));
                println!(
                    "{name:9}{what:9} tolerance {tolerance:e}: error {worst:.1e}, {} evaluations, {} rejected",
                    run.stats.nfe, run.stats.rejected
                );
                assert!(worst < bound, "{name} {what} {tolerance:e}: {worst:e}");
            }
        }
    }
}

/// Points up to four units from the data, where densities fall below exp(-1000).
#[test]
fn far_points_keep_their_digits() {
    let data = mixture();
    let points = Array2::from_shape_fn((81, 2), |(row, d)| (row / [1, 9][d] % 9) as f64 - 4.0);
    for (name, sde) in sdes() {
        let exact = exact_nats(&data, &*sde, sde.domain().likelihood_eps, &points);
        let method = likelihood(&*sde, 1e-8, None);
        let run = closed_by_the_oracle(&data, &sde, &method, &points, 0).expect("regular");
        let relative = run
            .nats
            .iter()
            .zip(&exact)
            .map(|(a, b)| (a - b) / b.abs().max(1.0));
        let worst = largest(relative);
        let lowest = exact.iter().fold(0.0_f64, |low, nats| low.min(*nats));
        println!("{name:9} error {worst:.1e} relative, densities down to {lowest:.0} nats");
        assert!(worst < 1e-6, "{name}: {worst:e}");
    }
}

/// A model that knows its products but no closed form of the divergence.
struct ProductsOnly(MixtureScore<f64>);

impl ScoreFn<HostBatch<f64>> for ProductsOnly {
    fn score(&self, x: &HostBatch<f64>, t: Coef, out: &mut HostBatch<f64>) -> Result<(), SolveError> {
        self.0.score(x, t, out)
    }
}

impl ScoreVjp<HostBatch<f64>> for ProductsOnly {
    fn score_vjp(
        &self,
        x: &HostBatch<f64>,
        t: Coef,
        v: &HostBatch<f64>,
        score: &mut HostBatch<f64>,
        vjp: &mut HostBatch<f64>,
    ) -> Result<(), SolveError> {
        self.0.score_vjp(x, t, v, score, vjp)
    }
}

/// The divergence by basis vectors is that in closed form, and both are the oracle's.
#[test]
fn divergences_by_products_and_in_closed_form_agree() {
    for (name, sde) in sdes() {
        for data in [gaussian(), mixture()] {
            let points = points(&data, &*sde, 70);
            let (closed, products) = (
                MixtureScore::<f64>::new(data.clone(), sde.clone()),
                ProductsOnly(MixtureScore::<f64>::new(data.clone(), sde.clone())),
            );
            let x = HostBatch::from_rows(points.view());
            let [mut s, mut a, mut b] = [(); 3].map(|()| x.zeros_like());
            let t = 0.3 * sde.domain().t_end;
            let [mut one, mut other] = [[f64::NAN; 70]; 2];
            closed
                .score_divergence(&x, Coef::All(t), &mut s, &mut one, [&mut a, &mut b])
                .expect("regular");
            products
                .score_divergence(&x, Coef::All(t), &mut s, &mut other, [&mut a, &mut b])
                .expect("regular");
            let oracle = exact(&data, &*sde, t);
            for (row, x) in points.rows().into_iter().enumerate() {
                let exact = oracle.divergence(&x.to_vec());
                let scale = 1e-12 * (1.0 + exact.abs());
                assert!((one[row] - exact).abs() < scale, "{name}: {} {exact}", one[row]);
                assert!(
                    (other[row] - exact).abs() < scale,
                    "{name}: {} {exact}",
                    other[row]
                );
            }
            let method = likelihood(&*sde, 1e-8, None);
            let terminal = exact_at_the_end(&data, &*sde);
            let options = HostOptions::default();
            let one = log_density_host(&method, &*sde, &closed, &terminal, points.view(), &options);
            let other = log_density_host(&method, &*sde, &products, &terminal, points.view(), &options);
            let (one, other) = (one.expect("regular"), other.expect("regular"));
            let worst = largest(one.nats.iter().zip(&other.nats).map(|(a, b)| a - b));
            assert!(
                worst < 1e-8 && one.stats.nfe == other.stats.nfe,
                "{name}: {worst:e}"
            );
        }
    }
}

fn exact_at_the_end(data: &sde_core::Mixture, sde: &dyn sde_core::Sde) -> NoisedMixture {
    exact(data, sde, sde.domain().t_end)
}

/// A closure serves as terminal density; a Gaussian one is the prior's.
#[test]
fn terminal_densities() {
    let (_, sde) = &sdes()[2];
    let data = mixture();
    let points = points(&data, &**sde, 20);
    let by_prior = closed_by_the_prior(&data, sde, &likelihood(&**sde, 1e-6, None), &points);
    let var = sde.prior_std().powi(2);
    let closure = RowDensity(|x: &[f64]| {
        let square: f64 = x.iter().map(|x| x * x).sum();
        -0.5 * (2.0 * (std::f64::consts::TAU * var).ln() + square / var)
    });
    let latents = HostBatch::from_rows(by_prior.latents.view());
    let [mut a, mut b] = [[0.0; 20]; 2];
    closure.log_density_rows(&latents, &mut a).expect("any shape");
    GaussianPrior::of(&**sde)
        .log_density_rows(&latents, &mut b)
        .expect("any shape");
    assert!(largest(a.iter().zip(&b).map(|(a, b)| a - b)) < 1e-13);
    let wide = HostBatch::<f64>::zeros(20, 3);
    let error = exact_at_the_end(&data, &**sde)
        .log_density_rows(&wide, &mut a)
        .expect_err("three for two");
    assert!(error.to_string().contains("got [3], need [2]"), "{error}");
}

/// With the Gaussian prior the log density is off by the difference of the two terminal densities at the latents, to the last
/// digits of the tolerance, and by nothing else: prior mismatch is no error of the solver.
#[test]
fn the_gaussian_prior_is_off_by_the_prior_mismatch() {
    let data = mixture();
    for ((name, sde), most) in sdes().into_iter().zip([1.4e-2, 1.4e-2, 5e-2, 5e-2, 5e-2]) {
        let points = points(&data, &*sde, 400);
        let exact_nats = exact_nats(&data, &*sde, sde.domain().likelihood_eps, &points);
        let run = closed_by_the_prior(&data, &sde, &likelihood(&*sde, 1e-8, None), &points);
        let latents = HostBatch::from_rows(run.latents.view());
        let [mut prior, mut own] = [(); 2].map(|()| vec![0.0; 400]);
        GaussianPrior::of(&*sde)
            .log_density_rows(&latents, &mut prior)
            .expect("two dimensions");
        exact_at_the_end(&data, &*sde)
            .log_density_rows(&latents, &mut own)
            .expect("two dimensions");
        let mismatch: Vec<f64> = prior.iter().zip(&own).map(|(a, b)| a - b).collect();
        let error = largest((0..400).map(|row| run.nats[row] - exact_nats[row] - mismatch[row]));
        let worst = largest(mismatch.iter().copied());
        let mean = mismatch.iter().sum::<f64>() / 400.0;
        println!("{name:9} prior mismatch: mean {mean:.1e}, largest {worst:.1e} nats; beside it {error:.1e}");
        assert!(error < 1e-6, "{name}: {error:e}");
        assert!(worst > 1e-4 && worst < most, "{name}: {worst:e}");
    }
}

/// Single precision: the integrals stay in double, the points and scores do not.
#[test]
fn single_precision_is_good_to_its_digits() {
    let data = gaussian();
    for (name, sde) in sdes() {
        let points = points(&data, &*sde, 64);
        let exact_nats = exact_nats(&data, &*sde, sde.domain().likelihood_eps, &points);
        let model = MixtureScore::<f32>::new(data.clone(), sde.clone());
        let (terminal, options) = (exact_at_the_end(&data, &*sde), HostOptions::default());
        let narrow = points.mapv(|x| x as f32);
        let method = likelihood(&*sde, 1e-5, None);
        let run =
            log_density_host(&method, &*sde, &model, &terminal, narrow.view(), &options).expect("regular");
        let worst = largest(run.nats.iter().zip(&exact_nats).map(|(a, b)| a - b));
        println!("{name:9} f32, tolerance 1e-5: error {worst:.1e}");
        assert!(worst < 2e-3, "{name}: {worst:e}");
    }
}
