//! DEIS, the diffusion exponential integrator sampler: the noise prediction as a polynomial in time through its newest values,
//! integrated against the exact kernel.
//!
//! Source: Zhang and Chen 2023, arXiv:2204.13902, equations 14 and 15, the variant tAB. With `x~ = x/mean_coef` the flow is `dx~ = eps
//! dsigma` and the weights are
//!
//! ```text
//! w_j = int L_j(t) sigma'(t) dt    over the step,
//! ```
//!
//! with `L_j` the Lagrange polynomials **in `t`** through the times of the newest `order` predictions. `order` counts predictions: the
//! paper's tAB-DEIS of polynomial degree `r` is `order = r + 1`, and `order = 1` is DDIM. Polynomials in `sigma`, the paper's rho-AB,
//! are [`lms`](crate::sigma::lms); where the time is `sigma`, as in EDM, the two are one. Order `order` once the first steps, which are
//! of lower order, are short; one evaluation a step.
//!
//! The integrals are taken in `sigma`, where they exist down to 0, by Gauss's rule with ten nodes on halves of halves until the halves
//! change nothing: their error is below `1e-12` of the sum of the weights' sizes. That happens once, when the sampler is built.

use sde_core::Sde;
use sde_core::grid::Grid;

use crate::sampler::Final;
use crate::sampler::level::Level;
use crate::sigma::{Multistep, Weights, lagrange};

impl Multistep {
    /// The method [`deis`](self), `order` from 1 to 4.
    pub(crate) fn deis(sde: &dyn Sde, grid: Grid, order: usize, final_step: Final) -> Self {
        let weights = Self::weights_by(sde, &grid, order, |levels| weights(sde, levels));
        Self {
            name: "deis",
            order,
            convergence: order,
            grid,
            weights,
            to_zero: None,
            final_step,
        }
    }
}

/// Nodes in (0, 1) and weights of Gauss's rule with ten nodes on [-1, 1], which is symmetric.
const GAUSS: [(f64, f64); 5] = [
    (0.148_874_338_981_631_2, 0.295_524_224_714_752_87),
    (0.433_395_394_129_247_2, 0.269_266_719_309_996_35),
    (0.679_409_568_299_024_4, 0.219_086_362_515_982_04),
    (0.865_063_366_688_984_5, 0.149_451_349_150_580_6),
    (0.973_906_528_517_171_7, 0.066_671_344_308_688_14),
];

/// A panel is halved until the halves change its integral by no more than this part of the whole.
const TOLERANCE: f64 = 1e-14;

/// Most halvings of a step; a kink in the schedule takes some forty.
const HALVINGS: usize = 500;

/// The weights of the step from the last but one level to the last.
fn weights(sde: &dyn Sde, levels: &[Level]) -> Weights {
    let (known, to) = levels.split_at(levels.len() - 1);
    let (from, to) = (known[known.len() - 1].sigma, to[0].sigma);
    let times: Vec<f64> = known.iter().map(|level| level.t).collect();
    let panel = |a: f64, b: f64| {
        let (middle, half) = (0.5 * (a + b), 0.5 * (b - a));
        let mut sum = Weights::default();
        for (node, weight) in GAUSS {
            for sigma in [middle - half * node, middle + half * node] {
                let t = sde.time_at_sigma(sigma);
                for (j, sum) in sum.iter_mut().enumerate().take(times.len()) {
                    *sum += half * weight * lagrange(&times, j, t);
                }
            }
        }
        sum
    };
    let size = |weights: &Weights| weights.iter().map(|w| w.abs()).sum::<f64>();
    let whole = panel(from, to);
    let allowed = TOLERANCE * size(&whole);
    let mut open = vec![(from, to, whole)];
    let (mut total, mut halvings) = (Weights::default(), 0);
    while let Some((a, b, coarse)) = open.pop() {
        let middle = 0.5 * (a + b);
        let (left, right) = (panel(a, middle), panel(middle, b));
        halvings += 1;
        let change: Weights = std::array::from_fn(|j| left[j] + right[j] - coarse[j]);
        if size(&change) <= allowed || halvings > HALVINGS {
            for (total, (left, right)) in total.iter_mut().zip(left.iter().zip(right)) {
                *total += left + right;
            }
        } else {
            open.extend([(a, middle, left), (middle, b, right)]);
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use sde_core::sde::Vp;

    use super::*;

    /// The weights of two steps of order 4 under VP, from the definition by quadrature in `t` with thirty digits (mpmath).
    #[test]
    fn weights_to_the_error_stated() {
        let sde = Vp::linear(0.1, 20.0).expect("valid");
        let step = |sigmas: [f64; 5]| weights(&sde, &sigmas.map(|sigma| Level::at_sigma(&sde, sigma)));
        for (sigmas, published) in [
            (
                [40.0, 20.0, 9.0, 4.0, 1.8],
                [
                    -5.325_500_278_626_787,
                    7.114_001_250_529_629,
                    -6.002_997_596_581_835,
                    2.014_496_624_678_993,
                ],
            ),
            (
                [1.8, 0.8, 0.3, 0.1, 0.02],
                [
                    -0.106_381_019_890_576_53,
                    0.032_469_670_435_425_876,
                    -0.007_081_132_379_519_729,
                    0.000_992_481_834_670_386_8,
                ],
            ),
        ] {
            let size: f64 = published.iter().map(|w: &f64| w.abs()).sum();
            for (got, want) in step(sigmas).iter().zip(published) {
                assert!((got - want).abs() < 1e-12 * size, "{got} for {want}");
            }
        }
    }
}
