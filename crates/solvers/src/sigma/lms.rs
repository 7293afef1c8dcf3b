//! LMS: linear multistep in `sigma`, the Adams-Bashforth method with variable steps; `sample_lms` of k-diffusion.
//!
//! The weights are the integrals over the step of the Lagrange polynomials in `sigma` through the newest `order` noise predictions
//! (Hairer, Norsett and Wanner 1993, section III.5, equation 5.2). Zhang and Chen 2022, arXiv:2204.13902, call this rho-AB-DEIS.
//! Gauss's rule with two nodes is exact for the cubics that occur: the weights have no error but rounding. Order `order` (from 1,
//! Euler's method, to 4) once the first steps, which are of lower order, are short.
//!
//! `final = "tweedie"` is here the method's own step to `sigma = 0`, as in k-diffusion where 0 is appended to the list of `sigma`: it
//! extrapolates the predictions to the clean data, and is the posterior mean only for `order = 1`.

use sde_core::Sde;
use sde_core::grid::Grid;

use super::Multistep;
use super::multistep::{Weights, lagrange};
use crate::sampler::Final;
use crate::sampler::level::Level;

impl Multistep {
    /// The method [`lms`](self), `order` from 1 to 4.
    pub(crate) fn lms(sde: &dyn Sde, grid: Grid, order: usize, final_step: Final) -> Self {
        let weights = Self::weights_by(sde, &grid, order, |levels| {
            let sigmas: Vec<f64> = levels.iter().map(|level| level.sigma).collect();
            adams(&sigmas)
        });
        let times = grid.times();
        let newest = &times[times.len() - order.min(times.len())..];
        let mut sigmas: Vec<f64> = newest.iter().map(|t| Level::at(sde, *t).sigma).collect();
        sigmas.push(0.0);
        let to_zero = (sigmas[newest.len() - 1] > 0.0).then(|| adams(&sigmas));
        Self {
            name: "lms",
            order,
            convergence: order,
            grid,
            weights,
            to_zero,
            final_step,
        }
    }
}

/// The integrals over the last gap of `points` of the Lagrange polynomials through all points but the last, the newest first; at
/// most five points.
fn adams(points: &[f64]) -> Weights {
    let (known, to) = points.split_at(points.len() - 1);
    let from = known[known.len() - 1];
    let (middle, half) = (0.5 * (from + to[0]), 0.5 * (to[0] - from));
    let mut weights = Weights::default();
    for (j, weight) in weights.iter_mut().take(known.len()).enumerate() {
        let node = half / 3f64.sqrt();
        *weight = half * (lagrange(known, j, middle - node) + lagrange(known, j, middle + node));
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On equal steps the weights are those of Adams and Bashforth (1883).
    #[test]
    fn equal_steps_give_the_adams_bashforth_weights() {
        let published: [&[f64]; 4] = [
            &[1.0],
            &[3.0 / 2.0, -1.0 / 2.0],
            &[23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0],
            &[55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
        ];
        for (order, published) in (1..).zip(published) {
            let points: Vec<f64> = (0..=order).map(|i| 7.0 - 0.25 * f64::from(i)).collect();
            for (got, want) in adams(&points).iter().zip(published) {
                assert!((got + 0.25 * want).abs() < 1e-15, "{order}: {got}");
            }
        }
    }

    /// Unequal steps, down to 0: any cubic is integrated exactly.
    #[test]
    fn weights_integrate_cubics_exactly() {
        let points = [3.0, 1.7, 1.1, 0.4, 0.0];
        let cubic = |x: f64| 0.3 - 2.0 * x + 0.7 * x * x - 1.9 * x * x * x;
        let integral = |x: f64| 0.3 * x - x * x + 0.7 / 3.0 * x.powi(3) - 1.9 / 4.0 * x.powi(4);
        let known: f64 = adams(&points)
            .iter()
            .zip(points[..4].iter().rev())
            .map(|(w, x)| w * cubic(*x))
            .sum();
        assert!((known - (integral(0.0) - integral(0.4))).abs() < 1e-14, "{known}");
    }
}
