//! The posterior of a mixture given a noisy linear measurement.

use sde_core::{Marginal, Mixture};

const CLEAN: Marginal = Marginal {
    mean_coef: 1.0,
    std: 0.0,
};

fn mixture() -> Mixture {
    let cov = |a: f64, b: f64, c: f64| vec![a, b, 0.1, b, c, -0.05, 0.1, -0.05, 0.7];
    Mixture::new(
        &[0.5, 0.3, 0.2],
        &[vec![-1.0, 0.5, 0.2], vec![1.2, 0.8, -0.4], vec![0.1, -1.1, 2.0]],
        &[cov(0.4, 0.1, 0.3), cov(0.5, -0.3, 0.9), cov(1.0, 0.2, 0.2)],
    )
    .unwrap()
}

const A: [f64; 6] = [1.0, -0.5, 0.3, 0.0, 2.0, 1.0];

/// The law of `y`, a mixture of its own: means `A mu`, covariances `A Sigma A^T + noise^2 I`.
fn evidence(data: &Mixture, noise_std: f64) -> Mixture {
    let row = |i: usize| &A[3 * i..3 * i + 3];
    let parts = 0..data.components();
    let weights: Vec<f64> = parts.clone().map(|k| data.weight(k)).collect();
    let dot = |u: &[f64], v: &[f64]| -> f64 { u.iter().zip(v).map(|(u, v)| u * v).sum() };
    let means: Vec<Vec<f64>> = parts
        .clone()
        .map(|k| (0..2).map(|i| dot(row(i), data.component_mean(k))).collect())
        .collect();
    let covs: Vec<Vec<f64>> = parts
        .map(|k| {
            let cov = data.component_cov(k);
            let times = |v: &[f64]| -> Vec<f64> { cov.chunks_exact(3).map(|c| dot(c, v)).collect() };
            (0..4)
                .map(|at| {
                    let noise = if at % 3 == 0 { noise_std * noise_std } else { 0.0 };
                    dot(row(at / 2), &times(row(at % 2))) + noise
                })
                .collect()
        })
        .collect();
    Mixture::new(&weights, &means, &covs).unwrap()
}

/// Bayes' rule at single points: `ln p(x | y) = ln p(x) + ln p(y | x) - ln p(y)`.
#[test]
fn bayes_rule_holds_pointwise() {
    let data = mixture();
    for (noise_std, bound) in [(10.0, 1e-12), (0.3, 1e-12), (1e-2, 1e-9), (1e-4, 1e-5)] {
        for y in [[0.4, 1.0], [-2.0, 3.0], [8.0, -9.0]] {
            let posterior = data.posterior(&A, &y, noise_std).unwrap();
            let marginal = evidence(&data, noise_std).noised(CLEAN).log_density(&y);
            // At points where the measurement is likely.
            for k in 0..posterior.components() {
                let x = posterior.component_mean(k);
                let residual: f64 = (0..2)
                    .map(|i| y[i] - (0..3).map(|j| A[3 * i + j] * x[j]).sum::<f64>())
                    .map(|r| (r / noise_std).powi(2))
                    .sum();
                let likelihood = -0.5 * residual - (std::f64::consts::TAU * noise_std * noise_std).ln();
                let expected = data.noised(CLEAN).log_density(x) + likelihood - marginal;
                let got = posterior.noised(CLEAN).log_density(x);
                let error = (got - expected).abs() / (1.0 + expected.abs());
                assert!(error < bound, "noise {noise_std}, y {y:?}: {got} for {expected}");
            }
        }
    }
}

/// One known coordinate of a Gaussian in the plane: the textbook's conditional.
#[test]
fn a_known_coordinate_gives_the_conditional() {
    let data = Mixture::new(&[1.0], &[vec![0.3, -0.2]], &[vec![1.0, 0.8, 0.8, 1.0]]).unwrap();
    let posterior = data.posterior(&[1.0, 0.0], &[1.5], 1e-6).unwrap();
    assert!((posterior.component_mean(0)[0] - 1.5).abs() < 1e-10);
    assert!((posterior.component_mean(0)[1] - (-0.2 + 0.8 * 1.2)).abs() < 1e-10);
    assert!((posterior.component_cov(0)[3] - 0.36).abs() < 1e-9);
}

/// A measurement that one component alone can explain leaves that component.
#[test]
fn components_without_weight_are_left_out() {
    let data = Mixture::new(&[0.5, 0.5], &[vec![-50.0], vec![50.0]], &[vec![1.0], vec![1.0]]).unwrap();
    let posterior = data.posterior(&[1.0], &[49.0], 0.5).unwrap();
    assert_eq!(posterior.components(), 1);
    assert!((posterior.component_mean(0)[0] - 49.2).abs() < 1e-12);
}

#[test]
fn mistakes_are_named() {
    let data = mixture();
    let says = |a: &[f64], y: &[f64], noise_std: f64, part: &str| {
        let message = data.posterior(a, y, noise_std).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    for noise_std in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        says(&A, &[0.0, 0.0], noise_std, "measurement.noise_std = ");
    }
    says(&A, &[0.0, 0.0], 1e-12, "too small beside the data's spread");
    says(
        &A[..5],
        &[0.0, 0.0],
        1.0,
        "measurement.a = 5 entries: needs 2 rows of 3",
    );
    says(&[], &[], 1.0, "at least one");
    says(&[f64::NAN, 0.0, 0.0], &[0.0], 1.0, "measurement.a = NaN");
    says(&[1.0, 0.0, 0.0], &[f64::INFINITY], 1.0, "measurement.y = inf");
    says(&[1.0, 0.0, 0.0], &[1e200], 1.0, "no component comes near");
}
