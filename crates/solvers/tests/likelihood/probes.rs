//! Divergences by random probes.

use solvers::likelihood::ProbeLaw;

use crate::common::{
    closed_by_the_oracle, exact_nats, gaussian, largest, likelihood, mixture, points, sde, sdes,
};
use ndarray::Array2;
use sde_core::Mixture;

const LAWS: [ProbeLaw; 2] = [ProbeLaw::Rademacher, ProbeLaw::Gaussian];

/// On covariances that are not diagonal: each row within three of its own standard errors but for the few that chance allows, and
/// the errors in units of the standard error of mean 0 and variance 1.
#[test]
fn estimates_lie_within_their_standard_errors() {
    const ROWS: usize = 200;
    const PROBES: u32 = 32;
    for (name, sde) in sdes() {
        for (what, data) in [("gaussian", gaussian()), ("mixture", mixture())] {
            let points = points(&data, &*sde, ROWS);
            let exact = exact_nats(&data, &*sde, sde.domain().likelihood_eps, &points);
            for law in LAWS {
                let method = likelihood(&*sde, 1e-5, Some((PROBES, law)));
                let run = closed_by_the_oracle(&data, &sde, &method, &points, 5).expect("regular");
                let errors = run.std_errors.expect("32 probes");
                let scores: Vec<f64> = (0..ROWS)
                    .map(|row| (run.nats[row] - exact[row]) / errors[row])
                    .collect();
                let n = ROWS as f64;
                let mean = scores.iter().sum::<f64>() / n;
                let var = scores.iter().map(|z| (z - mean) * (z - mean)).sum::<f64>() / (n - 1.0);
                let outside = scores.iter().filter(|z| z.abs() > 3.0).count();
                println!(
                    "{name:9}{what:9} {law:?}: mean {mean:.2} variance {var:.2}, {outside} of {ROWS} outside three standard errors"
                );
                // 4.5 standard errors of the mean; where the integrals are near normal the scores follow Student's law with 31
                // degrees of freedom, of variance 1.07 and about 1 in 190 outside. Skewed integrals give more.
                assert!(mean.abs() < 4.5 / n.sqrt(), "{name} {what} {law:?}: {mean}");
                assert!((0.6..1.6).contains(&var), "{name} {what} {law:?}: {var}");
                assert!(outside <= 6, "{name} {what} {law:?}: {outside} of {ROWS}");
            }
        }
    }
}

/// For Gaussian data `int J dt` is the same matrix `A` for every path, with eigenvalues `ln(v_T/v_eps)/2`, `v` the variances along
/// the axes of the covariance; so the variance over probes is the formula's: `2 (|A|_F^2 - sum a_ii^2)` for signs, `2 |A|_F^2` for
/// normals.
#[test]
fn the_variance_over_probes_is_the_formula_s() {
    // Axes at 30 degrees, variances 2 and 0.1.
    let (c, s) = (0.75_f64.sqrt(), 0.5);
    let turn = |a: f64, b: f64| [c * c * a + s * s * b, c * s * (a - b), s * s * a + c * c * b];
    let [xx, xy, yy] = turn(2.0, 0.1);
    let data = Mixture::new(&[1.0], &[vec![0.3, -0.4]], &[vec![xx, xy, xy, yy]]).expect("positive definite");
    const ROWS: usize = 400;
    const PROBES: u32 = 50;
    for (name, sde) in sdes() {
        let growth = |value: f64| {
            let var = |t: f64| {
                let kernel = sde.marginal(t);
                kernel.mean_coef.powi(2) * value + kernel.std.powi(2)
            };
            0.5 * (var(sde.domain().t_end) / var(sde.domain().likelihood_eps)).ln()
        };
        let [axx, axy, ayy] = turn(growth(2.0), growth(0.1));
        let points = points(&data, &*sde, ROWS);
        for (law, formula) in LAWS
            .into_iter()
            .zip([4.0 * axy * axy, 2.0 * (axx * axx + 2.0 * axy * axy + ayy * ayy)])
        {
            let method = likelihood(&*sde, 1e-5, Some((PROBES, law)));
            let run = closed_by_the_oracle(&data, &sde, &method, &points, 8).expect("regular");
            let errors = run.std_errors.expect("50 probes");
            // The mean over rows of the sample variance of 50 probes: 20,000 probes in all.
            let var = errors.iter().map(|e| e * e * f64::from(PROBES)).sum::<f64>() / ROWS as f64;
            println!("{name:9}{law:?}: variance {var:.4}, formula {formula:.4}");
            // The relative standard error of a variance from n values of kurtosis k is sqrt((k - 1)/n); k is 2 or less for one
            // product of signs and 15 for the square of a normal: 4 standard errors are 3 % and 11 %.
            let bound = if law == ProbeLaw::Rademacher { 0.03 } else { 0.11 };
            assert!(
                (var / formula - 1.0).abs() < bound,
                "{name} {law:?}: {var} {formula}"
            );
        }
    }
}

/// On a diagonal covariance signs leave no error at all, which is why the tests above do not use one; normals do.
#[test]
fn signs_are_exact_on_diagonal_covariances_only() {
    let data =
        Mixture::new(&[1.0], &[vec![0.3, -0.4]], &[vec![2.0, 0.0, 0.0, 0.1]]).expect("positive definite");
    for (name, sde) in sdes() {
        let points = points(&data, &*sde, 16);
        let exact = closed_by_the_oracle(&data, &sde, &likelihood(&*sde, 1e-8, None), &points, 0);
        let exact = exact.expect("regular");
        let run = |law, probes| {
            let method = likelihood(&*sde, 1e-8, Some((probes, law)));
            closed_by_the_oracle(&data, &sde, &method, &points, 3).expect("regular")
        };
        let signs = run(ProbeLaw::Rademacher, 4);
        let worst = largest(signs.nats.iter().zip(&exact.nats).map(|(a, b)| a - b));
        assert!(worst < 1e-9, "{name}: {worst:e}");
        assert!(largest(signs.std_errors.expect("four")) < 1e-9);
        let normals = run(ProbeLaw::Gaussian, 4);
        assert!(
            normals
                .std_errors
                .expect("four")
                .iter()
                .all(|error| *error > 1e-3),
            "{name}"
        );
        assert!(
            run(ProbeLaw::Rademacher, 1).std_errors.is_none(),
            "one probe tells no error"
        );
    }
}

/// Probe `k` of row `r` belongs to (seed, `r`, `k`): one more probe leaves the others where they are, another seed moves them all.
#[test]
fn probes_are_addressed() {
    let sde = sde("kind = \"vp\"");
    let (data, rows) = (mixture(), 40);
    let points = points(&data, &*sde, rows);
    let run = |probes, seed| {
        let method = likelihood(&*sde, 1e-10, Some((probes, ProbeLaw::Rademacher)));
        closed_by_the_oracle(&data, &sde, &method, &points, seed).expect("regular")
    };
    let (one, two) = (run(1, 9), run(2, 9));
    // From the means over one and two probes, and the error over two (half the distance), both probes follow.
    let errors = two.std_errors.expect("two");
    for (row, half) in errors.iter().enumerate() {
        let (first, mean) = (one.nats[row], two.nats[row]);
        assert!(
            (((first - mean).abs()) - half).abs() < 1e-7,
            "row {row}: {first} {mean} {half}"
        );
    }
    let other = run(1, 10);
    let moved = (0..rows)
        .filter(|row| (other.nats[*row] - one.nats[*row]).abs() > 1e-6)
        .count();
    // In two dimensions two probes of signs give one of two values.
    assert!((10..=30).contains(&moved), "{moved} of {rows}");
    let same = Array2::from_shape_fn((rows, 2), |(_, d)| points[[0, d]]);
    let method = likelihood(&*sde, 1e-6, Some((1, ProbeLaw::Gaussian)));
    let copies = closed_by_the_oracle(&data, &sde, &method, &same, 1).expect("regular");
    let distinct: std::collections::HashSet<u64> = copies.nats.iter().map(|nats| nats.to_bits()).collect();
    assert_eq!(distinct.len(), rows, "equal points get probes of their own");
}
