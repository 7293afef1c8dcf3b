//! The hand-written loop for DPM-Solver++(2M) in two dimensions, and the factors of this method and of its SDE sibling.

use sde_core::{Mixture, Sde};

use crate::yardstick::{LANES, Part, end, parts, prior, score};

/// One step: `D = mean[0] x + mean[1] s`, `x' = factors[0] x + factors[1] D + factors[2] D_before + factors[3] z`.
#[derive(Clone, Copy)]
pub struct Step {
    pub mean: [f32; 2],
    pub factors: [f32; 4],
    /// Step and purpose of the draw.
    pub draw: [u32; 2],
}

/// The steps of DPM-Solver++(2M) between `times`, with noise where `eta` is not 0 (k-diffusion's 2M SDE, midpoint).
pub fn steps(sde: &dyn Sde, times: &[f64], eta: f64) -> Vec<Step> {
    let mut before = f64::INFINITY;
    let pairs = times.windows(2).enumerate();
    pairs
        .map(|(step, pair)| {
            let [from, to] = [pair[0], pair[1]].map(|t| sde.marginal(t));
            let h = sde.lambda(pair[1]) - sde.lambda(pair[0]);
            let towards = -(-(1.0 + eta) * h).exp_m1();
            // The difference is divided by `before / h`, in the library's order of operations.
            let (factors, square) = if eta == 0.0 {
                let first = to.mean_coef * towards;
                let slope = 0.5 * first / (before / h);
                let square = from.std * from.std / from.mean_coef;
                ([to.std / from.std, first + slope, -slope, 0.0], square)
            } else {
                let slope = 0.5 * towards * h / before;
                let added = to.std * (-(-2.0 * eta * h).exp_m1()).sqrt();
                let kept = to.std / from.std * (-eta * h).exp();
                let means = [to.mean_coef * (towards + slope), -to.mean_coef * slope];
                let square = from.std * (from.std / from.mean_coef);
                ([kept, means[0], means[1], added], square)
            };
            before = h;
            Step {
                mean: [1.0 / from.mean_coef, square].map(|f| f as f32),
                factors: factors.map(|f| f as f32),
                draw: [step as u32, solvers::Purpose::Predictor as u32],
            }
        })
        .collect()
}

/// DPM-Solver++(2M) with the final Tweedie step.
pub struct Multistep<'a> {
    pub mixture: &'a Mixture,
    pub sde: &'a dyn Sde,
    /// Grid, from the start time down.
    pub times: &'a [f64],
    pub seed: u64,
    /// `[rows, 2]`, a multiple of 64 rows.
    pub out: &'a mut [f32],
}

impl pulp::WithSimd for Multistep<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _simd: S) {
        let Self {
            mixture,
            sde,
            times,
            seed,
            out,
        } = self;
        let all: Vec<([Part; 3], Step)> = (times.iter())
            .zip(steps(sde, times, 0.0))
            .map(|(t, step)| (parts(mixture, sde, *t), step))
            .collect();
        let std = sde.prior_std() as f32;
        for (block, out) in out.chunks_exact_mut(2 * LANES).enumerate() {
            let [mut x0, mut x1] = prior(seed, (block * LANES) as u64, std);
            let (mut d0, mut d1) = ([0.0_f32; LANES], [0.0_f32; LANES]);
            for (parts, step) in &all {
                let (m, f) = (step.mean, step.factors);
                for l in 0..LANES {
                    let s = score(parts, [x0[l], x1[l]]);
                    let mean = [m[0] * x0[l] + m[1] * s[0], m[0] * x1[l] + m[1] * s[1]];
                    x0[l] = f[0] * x0[l] + f[1] * mean[0] + f[2] * d0[l];
                    x1[l] = f[0] * x1[l] + f[1] * mean[1] + f[2] * d1[l];
                    (d0[l], d1[l]) = (mean[0], mean[1]);
                }
            }
            for l in 0..LANES {
                (out[2 * l], out[2 * l + 1]) = (x0[l], x1[l]);
            }
        }
        end(mixture, sde, times[times.len() - 1], out);
    }
}
