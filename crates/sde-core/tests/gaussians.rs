//! The Gaussian oracle: its noised density, exact flow and prior mismatch.

use std::sync::Arc;

use sde_core::oracle::Gaussian;
use sde_core::sde::{Edm, SubVp, Ve, VeKernel, Vp};
use sde_core::{Marginal, Sde};

fn sdes() -> Vec<Arc<dyn Sde>> {
    vec![
        Arc::new(Vp::linear(0.1, 20.0).expect("vp")),
        Arc::new(SubVp::linear(0.1, 20.0).expect("subvp")),
        Arc::new(Ve::new(0.01, 50.0, VeKernel::Exact, Ve::DOMAIN).expect("ve")),
        Arc::new(Edm::new(0.002, 80.0, 0.5).expect("edm")),
    ]
}

/// Fourth-order central difference along one axis.
fn difference(f: impl Fn(&[f64]) -> f64, x: &[f64], axis: usize, h: f64) -> f64 {
    let at = |k: f64| {
        let mut x = x.to_vec();
        x[axis] += k * h;
        f(&x)
    };
    (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * h)
}

/// One component of a mixture and a Gaussian agree; the noised Gaussian's covariance is `m^2 Sigma + s^2 I`.
#[test]
fn gaussians() {
    let gaussian = Gaussian::new(&[0.7, -0.2], &[0.5, 0.2, 0.2, 0.3]).expect("a Gaussian");
    let marginal = Marginal {
        mean_coef: 0.6,
        std: 0.8,
    };
    let noised = gaussian.noised(marginal);
    let (x, clean) = (
        [0.4, 0.9],
        Marginal {
            mean_coef: 1.0,
            std: 0.0,
        },
    );
    let (mut a, mut b) = ([0.0; 2], [0.0; 2]);
    noised.mixture().noised(clean).score(&x, &mut a);
    gaussian.mixture().noised(marginal).score(&x, &mut b);
    assert!((a[0] - b[0]).abs() < 1e-13 && (a[1] - b[1]).abs() < 1e-13);
    assert!(
        (noised.cov()[1] - 0.36 * 0.2).abs() < 1e-15 && (noised.cov()[3] - (0.36 * 0.3 + 0.64)).abs() < 1e-15
    );
}

/// The exact flow has the probability-flow ODE as its derivative and brings back where it came from.
#[test]
fn gaussian_flow_solves_the_ode() {
    let cov = [0.5, 0.2, 0.1, 0.2, 0.3, -0.1, 0.1, -0.1, 0.9];
    let gaussian = Gaussian::new(&[0.7, -0.2, 0.1], &cov).expect("a Gaussian");
    for sde in sdes() {
        for u in [0.1, 0.5, 0.9] {
            let t = u * sde.domain().t_end;
            let at = sde.marginal(t);
            let x = [0.3, 1.4, -0.8].map(|x| x * (at.mean_coef + at.std));
            let mut score = [0.0; 3];
            gaussian.mixture().noised(at).score(&x, &mut score);
            let mut there = [0.0; 3];
            for i in 0..3 {
                let moved = |t: &[f64]| {
                    let mut out = [0.0; 3];
                    gaussian.flow(at, sde.marginal(t[0]), &x, &mut out);
                    out[i]
                };
                let slope = difference(moved, &[t], 0, 1e-3 * t);
                let drift = sde.drift_coef(t) * x[i] - 0.5 * sde.diffusion_sq(t) * score[i];
                let scale = sde.drift_coef(t).abs() * x[i].abs() + sde.diffusion_sq(t) * score[i].abs();
                assert!(
                    (slope - drift).abs() < 1e-7 * scale,
                    "{sde:?} t = {t}: {slope} {drift}"
                );
            }
            let start = sde.marginal(0.01 * t);
            gaussian.flow(at, start, &x, &mut there);
            let mut back = [0.0; 3];
            gaussian.flow(start, at, &there, &mut back);
            for i in 0..3 {
                assert!((back[i] - x[i]).abs() < 1e-12 * (1.0 + x[i].abs()));
            }
        }
    }
}

/// The end of the trajectory on which the orders of ODE solvers are measured: VP, data `N(0.7, 0.3^2)`, a
/// start 1.3 standard deviations above the mean.
#[test]
fn published_flow_end_point() {
    let vp = Vp::linear(0.1, 20.0).expect("vp");
    let gaussian = Gaussian::isotropic(&[0.7], 0.3).expect("a Gaussian");
    let (from, to) = (vp.marginal(1.0), vp.marginal(1e-3));
    let start = gaussian.noised(from);
    let mut end = [0.0];
    gaussian.flow(
        from,
        to,
        &[start.mean()[0] + 1.3 * start.cov()[0].sqrt()],
        &mut end,
    );
    assert!(
        (end[0] / 1.090_178_231_179_744_8 - 1.0).abs() < 1e-12,
        "{}",
        end[0]
    );
}

/// `KL(p_T || prior)` against its definition by quadrature in one dimension.
#[test]
fn prior_kl_by_quadrature() {
    let gaussian = Gaussian::isotropic(&[0.7], 0.3).expect("a Gaussian");
    for sde in sdes() {
        let at = sde.marginal(sde.domain().t_end);
        let prior = Gaussian::isotropic(&[0.0], sde.prior_std()).expect("the prior");
        let clean = Marginal {
            mean_coef: 1.0,
            std: 0.0,
        };
        let (p, q) = (gaussian.mixture().noised(at), prior.mixture().noised(clean));
        let (n, width) = (4000, 10.0 * sde.prior_std());
        let h = 2.0 * width / f64::from(n);
        let sum: f64 = (0..=n)
            .map(|i| {
                let x = [-width + h * f64::from(i)];
                let weight = if i == 0 || i == n {
                    1.0
                } else if i % 2 == 1 {
                    4.0
                } else {
                    2.0
                };
                let ratio = q.log_density(&x) - p.log_density(&x);
                // E_p[e^r - 1 - r] = KL, every term >= 0
                weight * p.log_density(&x).exp() * (ratio.exp_m1() - ratio)
            })
            .sum();
        let quadrature = sum * h / 3.0;
        let closed = gaussian.prior_kl(&*sde);
        assert!(
            (closed - quadrature).abs() < 1e-6 * quadrature + 1e-13,
            "{sde:?}: {closed} {quadrature}"
        );
    }
}

#[test]
fn refusals() {
    let error = Gaussian::new(&[0.0], &[-1.0]).expect_err("negative").to_string();
    assert!(error.starts_with("gaussian.cov = "), "{error}");
    assert!(
        Gaussian::new(&[], &[])
            .expect_err("empty")
            .to_string()
            .starts_with("gaussian.mean = ")
    );
}
