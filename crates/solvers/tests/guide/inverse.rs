//! Guidance by noisy linear measurements against the exact posterior.

use std::sync::Arc;

use sde_core::{Mixture, Sde};
use solvers::guide::{LinearOperator, Mask, Matrix, Measurement, PosteriorSampling, Pseudoinverse};
use solvers::{Coef, ScoreFn, SolveError, State};

use crate::common::{Batch, mixture, sampler, sdes};
use crate::problems::{
    Counting, check_moments, dense, largest, largest_gap, moments, sampled, score_of, visited,
};

const STD: f64 = 0.6;

/// `N((0.7, -0.4, 0.2), 0.36 I)`.
fn round_gaussian() -> Mixture {
    let var = STD * STD;
    let cov = vec![var, 0.0, 0.0, 0.0, var, 0.0, 0.0, 0.0, var];
    Mixture::new(&[1.0], &[vec![0.7, -0.4, 0.2]], &[cov]).unwrap()
}

fn matrix() -> Matrix {
    Matrix::new(&[1.0, -0.5, 0.3, 0.0, 2.0, 1.0], 3).unwrap()
}

fn evaluated(score: &dyn ScoreFn<Batch>, x: &Batch, t: Coef) -> Batch {
    let mut out = x.zeros_like();
    score.score(x, t, &mut out).unwrap();
    out
}

/// The score of the noised posterior is the score given the measurement: pseudoinverse guidance is equal to it, for every SDE, time and
/// noise; posterior sampling overstates the difference by the known factor.
#[test]
fn pseudoinverse_guidance_is_exact_for_round_gaussians_and_posterior_sampling_overstates() {
    let y = [0.9, -0.3];
    for (name, sde) in sdes() {
        let score = Counting::new(score_of(round_gaussian(), &sde));
        for noise_std in [0.05, 0.5, 3.0] {
            score.taken();
            let posterior = round_gaussian()
                .posterior(&dense(&matrix()), &y, noise_std)
                .unwrap();
            let exact = score_of(posterior, &sde);
            let measurement = || Measurement::new(matrix(), &y, noise_std).unwrap();
            let guided = Pseudoinverse::new(&score, &*sde, measurement(), STD).unwrap();
            for t in [0.02, 0.2, 0.5, 0.9] {
                let x = visited(&*sde, t, 6, 3);
                let want = evaluated(&exact, &x, Coef::All(t));
                let got = evaluated(&guided, &x, Coef::All(t));
                assert_eq!(score.taken(), (1, 1));
                let error = largest_gap(&got, &want) / largest(&want);
                assert!(error < 1e-9, "{name} noise {noise_std} t {t}: {error:e}");
                let by_row = evaluated(&guided, &x, Coef::PerRow(&[t; 6]));
                assert!(largest_gap(&by_row, &got) < 1e-9 * largest(&got), "{name} {t}");
                score.taken();
            }
        }
        // One known coordinate: the factor is (spread + noise^2)/noise^2.
        let mask = || Mask::new(&[false, true, false]).unwrap();
        let noise_std = 0.5;
        let measurement = || Measurement::new(mask(), &y[..1], noise_std).unwrap();
        let pseudo = Pseudoinverse::new(&score, &*sde, measurement(), STD).unwrap();
        let dps = PosteriorSampling::new(&score, &*sde, measurement(), 1.0).unwrap();
        for t in [0.05, 0.3, 0.8] {
            let x = visited(&*sde, t, 6, 3);
            let free = evaluated(&score, &x, Coef::All(t));
            let added = |guided: &dyn ScoreFn<Batch>| {
                let mut out = evaluated(guided, &x, Coef::All(t));
                out.axpy(Coef::All(-1.0), &free);
                out
            };
            let (mut pseudo, dps) = (added(&pseudo), added(&dps));
            let sigma = sde.sigma(t);
            let spread = (STD * sigma).powi(2) / (STD * STD + sigma * sigma);
            pseudo.scale(Coef::All(1.0 + spread / (noise_std * noise_std)));
            let error = largest_gap(&pseudo, &dps);
            assert!(
                error < 1e-10 * (largest(&dps) + largest(&free)),
                "{name} {t}: {error:e}"
            );
        }
    }
}

/// Without noise in the measurement the guided state ends on it.
#[test]
fn measurements_without_noise_are_met() {
    let (_, sde) = &sdes()[3];
    let score = score_of(round_gaussian(), sde);
    let measurement = Measurement::new(Mask::new(&[true, false, true]).unwrap(), &[1.0, 0.5], 0.0).unwrap();
    let guided = Pseudoinverse::new(&score, &**sde, measurement, STD).unwrap();
    let sampler = sampler("kind = \"heun\"\nsteps = 60", &**sde);
    let x = sampled(&*sampler, &**sde, &guided, 1, 40, 3);
    for (a, b) in x.plane(0).iter().zip(x.plane(2)) {
        assert!((a - 1.0).abs() < 1e-6 && (b - 0.5).abs() < 1e-6, "{a} {b}");
    }
}

const ROWS: usize = 3000;

fn guided_samples(
    method: &str,
    data: &Mixture,
    sde: &Arc<dyn Sde>,
    operator: impl LinearOperator + 'static,
    y: &[f64],
    noise_std: f64,
    table: &str,
) -> Batch {
    let score = score_of(data.clone(), sde);
    let measurement = Measurement::new(operator, y, noise_std).unwrap();
    let sampler = sampler(table, &**sde);
    let dim = data.dim();
    match method {
        "dps" => {
            let guided = PosteriorSampling::new(&score, &**sde, measurement, 1.0).unwrap();
            sampled(&*sampler, &**sde, &guided, 7, ROWS, dim)
        }
        _ => {
            let guided = Pseudoinverse::new(&score, &**sde, measurement, STD).unwrap();
            sampled(&*sampler, &**sde, &guided, 7, ROWS, dim)
        }
    }
}

/// Samples of round Gaussian data given a measurement have the posterior's moments.
#[test]
fn pseudoinverse_samples_have_the_moments_of_the_posterior() {
    let y = [0.9, -0.3];
    let table = "kind = \"heun\"\nsteps = 40\nfinal = \"none\"";
    for (name, sde) in sdes() {
        let posterior = round_gaussian().posterior(&dense(&matrix()), &y, 0.3).unwrap();
        let x = guided_samples("pigdm", &round_gaussian(), &sde, matrix(), &y, 0.3, table);
        check_moments(name, &x, &posterior, 0.02);
    }
}

/// Shift of the mean in standard deviations of the posterior, and ratio of the variances, coordinate by coordinate.
fn bias(method: &str, data: &Mixture, y: f64) -> [(f64, f64); 2] {
    let (_, sde) = &sdes()[0];
    let table = "kind = \"ode\"\nmethod = \"dp5\"\nfinal = \"none\"";
    let posterior = data.posterior(&[1.0, 0.0], &[y], 0.3).unwrap();
    let (want, want_cov) = (posterior.mean(), posterior.cov());
    let x = guided_samples(
        method,
        data,
        sde,
        Mask::new(&[true, false]).unwrap(),
        &[y],
        0.3,
        table,
    );
    let (mean, cov) = moments(&x);
    let bias = [0, 1].map(|d| {
        (
            (mean[d] - want[d]) / want_cov[3 * d].sqrt(),
            cov[3 * d] / want_cov[3 * d],
        )
    });
    println!("{method:6} posterior {want:.3?} {want_cov:.3?}, samples {mean:.3?} {cov:.3?}: {bias:.3?}");
    bias
}

/// How far the approximations are from the posterior, first coordinate known with noise 0.3: bounded from both sides, so that neither an
/// error nor a claim of exactness slips in. The standard errors of 3000 rows are 0.018 (shift) and 0.026 (ratio).
#[test]
fn the_bias_of_the_approximations_is_as_stated() {
    let within = |got: f64, want: f64| (got - want).abs() < 0.11;
    // Round data: pseudoinverse guidance is exact, posterior sampling takes the measurement for surer than it is.
    let var = STD * STD;
    let round = Mixture::new(&[1.0], &[vec![0.2, -0.1]], &[vec![var, 0.0, 0.0, var]]).unwrap();
    let [(shift, ratio), (other_shift, other)] = bias("pigdm", &round, 0.9);
    assert!(within(shift, 0.0) && within(ratio, 1.0) && within(other_shift, 0.0) && within(other, 1.0));
    let [(shift, ratio), (other_shift, other)] = bias("dps", &round, 0.9);
    assert!(within(shift, DPS_ROUND.0) && within(ratio, DPS_ROUND.1));
    assert!(
        within(other_shift, 0.0) && within(other, 1.0),
        "what is not measured is left alone"
    );
    // A mixture: both miss the weights of the components.
    for (method, want) in [("pigdm", PIGDM_MIXTURE), ("dps", DPS_MIXTURE)] {
        for ((shift, ratio), want) in bias(method, &mixture(), 0.3).into_iter().zip(want) {
            assert!(within(shift, want.0) && within(ratio, want.1), "{method}");
        }
    }
}

const DPS_ROUND: (f64, f64) = (1.243, 0.095);
const PIGDM_MIXTURE: [(f64, f64); 2] = [(0.241, 0.952), (1.200, 1.549)];
const DPS_MIXTURE: [(f64, f64); 2] = [(0.117, 0.025), (1.165, 1.537)];

#[test]
fn mistakes_are_named() {
    let (_, sde) = &sdes()[0];
    let score = score_of(mixture(), sde);
    let measurement =
        |noise_std| Measurement::new(Mask::new(&[true, false]).unwrap(), &[0.0], noise_std).unwrap();
    let says = |error: SolveError, part: &str| assert!(error.to_string().contains(part), "{error}");
    let dps =
        |noise_std, scale| PosteriorSampling::<Batch, _>::new(&score, &**sde, measurement(noise_std), scale);
    says(dps(0.0, 1.0).unwrap_err(), "guide.noise_std = 0");
    says(dps(1.0, f64::NAN).unwrap_err(), "guide.scale = NaN");
    for data_std in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let bad = Pseudoinverse::<Batch, _>::new(&score, &**sde, measurement(1.0), data_std).unwrap_err();
        says(bad, "guide.data_std = ");
    }
    let guided = dps(1.0, 1.0).unwrap();
    let x = visited(&**sde, 0.5, 2, 3);
    let error = guided.score(&x, Coef::All(0.5), &mut x.zeros_like()).unwrap_err();
    assert!(
        matches!(
            error,
            SolveError::Shape {
                what: "rows that are measured",
                ..
            }
        ),
        "{error}"
    );
}
