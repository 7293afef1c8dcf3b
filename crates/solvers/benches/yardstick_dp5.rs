//! The hand-written loop that adaptive runs are measured against: Dormand-Prince 5(4) with one step size a row, for VP with a linear
//! rate and the mixture of three Gaussians in two dimensions, `f32`. Sixty-four lanes go through all stages together; a lane whose
//! row is done takes the next row. No trait, no state type, no driver.

use std::array::from_fn;

use sde_core::{Mixture, Sde};

use super::yardstick::{LANES as L, end, prior};

type Real = [f32; L];
type Wide = [f64; L];
type Plane = [Real; 2];

const A: [&[f32]; 7] = [
    &[],
    &[0.2],
    &[3.0 / 40.0, 9.0 / 40.0],
    &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
    &[
        19372.0 / 6561.0,
        -25360.0 / 2187.0,
        64448.0 / 6561.0,
        -212.0 / 729.0,
    ],
    &[
        9017.0 / 3168.0,
        -355.0 / 33.0,
        46732.0 / 5247.0,
        49.0 / 176.0,
        -5103.0 / 18656.0,
    ],
    &[
        35.0 / 384.0,
        0.0,
        500.0 / 1113.0,
        125.0 / 192.0,
        -2187.0 / 6784.0,
        11.0 / 84.0,
    ],
];
const C: [f64; 7] = [0.0, 0.2, 0.3, 0.8, 8.0 / 9.0, 1.0, 1.0];
const E: [f32; 7] = [
    71.0 / 57600.0,
    0.0,
    -71.0 / 16695.0,
    71.0 / 1920.0,
    -17253.0 / 339200.0,
    22.0 / 525.0,
    -1.0 / 40.0,
];

/// A component: weight, mean, eigenvalues of the covariance, and cosine and sine of its first eigenvector.
struct Part {
    weight: f32,
    mean: [f32; 2],
    values: [f32; 2],
    turn: [f32; 2],
}

pub struct Dp5<'a> {
    pub mixture: &'a Mixture,
    pub sde: &'a dyn Sde,
    /// Rates at `t = 0` and `t = 1`.
    pub beta: [f64; 2],
    /// Both tolerances.
    pub tolerance: f64,
    pub seed: u64,
    /// `[rows, 2]`, a multiple of 64 rows.
    pub out: &'a mut [f32],
}

/// `2^x`, `x <= 0`.
#[inline(always)]
fn exp2(x: f32) -> f32 {
    let x = if x > -80.0 { x } else { -80.0 };
    let shifted = x + 12_582_912.0;
    let f = x - (shifted - 12_582_912.0);
    let p = 0.001_326_472_7_f32 * f + 0.009_671_513;
    let p = ((p * f + 0.055_507_336) * f + 0.240_222_42) * f + 0.693_146_97;
    f32::from_bits((p * f + 1.0).to_bits().wrapping_add(shifted.to_bits() << 23))
}

#[inline(always)]
fn log2(x: f32) -> f32 {
    let offset = (x.to_bits() as i32).wrapping_sub(0x3f35_04f3);
    let m = f32::from_bits((offset as u32 & 0x007f_ffff) + 0x3f35_04f3);
    let z = (m - 1.0) / (m + 1.0);
    let y = z * z;
    let p = ((2.0 / 9.0 * y + 2.0 / 7.0) * y + 2.0 / 5.0) * y + 2.0 / 3.0;
    (p * y + 2.0) * z * std::f32::consts::LOG2_E + (offset >> 23) as f32
}

/// `e^x - 1`, `-700 <= x <= 0`.
#[inline(always)]
fn exp_m1(x: f64) -> f64 {
    let shifted = x * std::f64::consts::LOG2_E + 6_755_399_441_055_744.0;
    let whole = shifted - 6_755_399_441_055_744.0;
    let r = (x - whole * 6.931_471_803_691_238e-1) - whole * 1.908_214_929_270_587_7e-10;
    let (r2, r4) = (r * r, (r * r) * (r * r));
    let low = (0.5 + r / 6.0) + (1.0 / 24.0 + 1.0 / 120.0 * r) * r2;
    let middle = (1.0 / 720.0 + 1.0 / 5_040.0 * r) + (1.0 / 40_320.0 + 1.0 / 362_880.0 * r) * r2;
    let high =
        (1.0 / 3_628_800.0 + 1.0 / 39_916_800.0 * r) + (1.0 / 479_001_600.0 + 1.0 / 6_227_020_800.0 * r) * r2;
    let power = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    power * (r + r2 * (low + (middle + high * r4) * r4)) + (power - 1.0)
}

/// The probability flow in every lane.
#[inline(always)]
fn flow(parts: &[Part; 3], beta: [f64; 2], t: &Wide, x: &Plane, out: &mut Plane) {
    let (mut m, mut v, mut rate) = ([0.0_f32; L], [0.0_f32; L], [0.0_f32; L]);
    for l in 0..L {
        let u = exp_m1(-0.5 * t[l] * (beta[0] + 0.5 * t[l] * (beta[1] - beta[0])));
        m[l] = (1.0 + u) as f32;
        v[l] = (-u * (2.0 + u)) as f32;
        rate[l] = (-0.5 * (beta[0] + t[l] * (beta[1] - beta[0]))) as f32;
    }
    let mut scores = [[[0.0_f32; L]; 2]; 3];
    let (mut squares, mut weights) = ([[0.0_f32; L]; 3], [[0.0_f32; L]; 3]);
    for (k, part) in parts.iter().enumerate() {
        for l in 0..L {
            let d = [x[0][l] - m[l] * part.mean[0], x[1][l] - m[l] * part.mean[1]];
            let [c, s] = part.turn;
            let u = [c * d[0] + s * d[1], c * d[1] - s * d[0]];
            let n: [f32; 2] = from_fn(|i| m[l] * m[l] * part.values[i] + v[l]);
            let inverse = 1.0 / (n[0] * n[1]);
            let y = [u[0] * n[1] * inverse, u[1] * n[0] * inverse];
            squares[k][l] = u[0] * y[0] + u[1] * y[1];
            weights[k][l] = part.weight * inverse.sqrt();
            scores[k][0][l] = c * y[0] - s * y[1];
            scores[k][1][l] = s * y[0] + c * y[1];
        }
    }
    for l in 0..L {
        let least = if squares[1][l] < squares[0][l] {
            squares[1][l]
        } else {
            squares[0][l]
        };
        let least = if squares[2][l] < least {
            squares[2][l]
        } else {
            least
        };
        let w: [f32; 3] =
            from_fn(|k| weights[k][l] * exp2(0.5 * std::f32::consts::LOG2_E * (least - squares[k][l])));
        let scale = 1.0 / (w[0] + w[1] + w[2]);
        for d in 0..2 {
            let score = w[0] * scores[0][d][l] + w[1] * scores[1][d][l] + w[2] * scores[2][d][l];
            // f = a x - g^2 s/2 with a = -g^2/2.
            out[d][l] = rate[l] * (x[d][l] - score * scale);
        }
    }
}

/// Scaled error norms.
#[inline(always)]
fn norm(error: &Plane, a: &Plane, b: &Plane, tolerance: f64) -> Real {
    let tolerance = tolerance as f32;
    from_fn(|l| {
        let ratio: [f32; 2] = from_fn(|d| {
            let (a, b) = (a[d][l].abs(), b[d][l].abs());
            error[d][l] / (tolerance + tolerance * if a > b { a } else { b })
        });
        (0.5 * (ratio[0] * ratio[0] + ratio[1] * ratio[1])).sqrt()
    })
}

impl pulp::WithSimd for Dp5<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _simd: S) {
        let parts: [Part; 3] = from_fn(|k| {
            let cov = self.mixture.component_cov(k);
            let angle = 0.5 * (2.0 * cov[1]).atan2(cov[0] - cov[3]);
            let (c, s) = (angle.cos(), angle.sin());
            let along = |c: f64, s: f64| (c * c * cov[0] + 2.0 * c * s * cov[1] + s * s * cov[3]) as f32;
            Part {
                weight: self.mixture.weight(k) as f32,
                mean: from_fn(|d| self.mixture.component_mean(k)[d] as f32),
                values: [along(c, s), along(-s, c)],
                turn: [c as f32, s as f32],
            }
        });
        let (beta, tolerance) = (self.beta, self.tolerance);
        let (start, last) = (self.sde.domain().t_end, self.sde.domain().sample_eps);
        let (span, rows) = (start - last, self.out.len() / 2);
        let zero = [[0.0_f32; L]; 2];

        // Start states, slopes and steps of all rows.
        let (mut first, mut slopes, mut steps) = (
            vec![zero; rows / L],
            vec![zero; rows / L],
            vec![[0.0; L]; rows / L],
        );
        for block in 0..rows / L {
            let (x, k) = (&mut first[block], &mut slopes[block]);
            *x = prior(self.seed, (block * L) as u64, self.sde.prior_std() as f32);
            flow(&parts, beta, &[start; L], x, k);
            let (size, slope) = (norm(x, x, x, tolerance), norm(k, x, x, tolerance));
            let guess: Wide = from_fn(|l| f64::from(0.01 * size[l] / slope[l]).min(span));
            let moved: Plane = from_fn(|d| from_fn(|l| x[d][l] - guess[l] as f32 * k[d][l]));
            let mut then = zero;
            flow(&parts, beta, &from_fn(|l| start - guess[l]), &moved, &mut then);
            let change: Plane = from_fn(|d| from_fn(|l| then[d][l] - k[d][l]));
            let change = norm(&change, x, x, tolerance);
            steps[block] = from_fn(|l| {
                let steepest = f64::from(slope[l]).max(f64::from(change[l]) / guess[l]);
                (100.0 * guess[l]).min((0.01 / steepest).powf(0.2)).min(span)
            });
        }

        let (mut id, mut next) = ([usize::MAX; L], 0);
        let (mut t, mut h, mut to) = ([last; L], [0.0_f64; L], [last; L]);
        let (mut log_error, mut most) = ([0.0_f32; L], [0.0_f32; L]);
        let (mut x, mut y, mut k) = (zero, zero, [zero; 7]);
        loop {
            let mut busy = false;
            for l in 0..L {
                if h[l] == 0.0 {
                    if id[l] != usize::MAX {
                        (self.out[2 * id[l]], self.out[2 * id[l] + 1]) = (x[0][l], x[1][l]);
                        id[l] = usize::MAX;
                    }
                    if next < rows {
                        let (block, at) = (next / L, next % L);
                        for d in 0..2 {
                            (x[d][l], k[0][d][l]) = (first[block][d][at], slopes[block][d][at]);
                        }
                        (id[l], t[l], h[l]) = (next, start, steps[block][at]);
                        (log_error[l], most[l]) = (1e-4_f32.log2(), 10.0);
                        next += 1;
                    }
                }
                busy |= h[l] > 0.0;
            }
            if !busy {
                break;
            }
            let mut size = [0.0_f32; L];
            for l in 0..L {
                let left = t[l] - last;
                let ends = 1.01 * h[l] >= left;
                h[l] = if ends { left } else { h[l] };
                to[l] = if ends { last } else { t[l] - h[l] };
            }
            for l in 0..L {
                size[l] = h[l] as f32;
            }
            for stage in 1..7 {
                let mut at = to;
                if C[stage] < 1.0 {
                    for l in 0..L {
                        at[l] = t[l] - C[stage] * h[l];
                    }
                }
                for d in 0..2 {
                    for l in 0..L {
                        let mut sum = A[stage][0] * k[0][d][l];
                        for (j, a) in A[stage].iter().enumerate().skip(1) {
                            sum += a * k[j][d][l];
                        }
                        y[d][l] = x[d][l] - size[l] * sum;
                    }
                }
                flow(&parts, beta, &at, &y, &mut k[stage]);
            }
            let mut error = zero;
            for d in 0..2 {
                for l in 0..L {
                    let mut sum = E[0] * k[0][d][l];
                    for j in 2..7 {
                        sum += E[j] * k[j][d][l];
                    }
                    error[d][l] = size[l] * sum;
                }
            }
            let error = norm(&error, &x, &y, tolerance);
            let (mut factor, mut taken) = ([0.0_f32; L], [0_u32; L]);
            for l in 0..L {
                let took = error[l] <= 1.0;
                let bounded = if error[l] > 1e-12 { error[l] } else { 1e-12 };
                let log = log2(bounded);
                let memory = if took { 0.04 * log_error[l] } else { 0.0 };
                let exponent = 0.9_f32.log2() + memory - 0.17 * log - 10_f32.log2();
                let wanted = 10.0 * exp2(if exponent < 0.0 { exponent } else { 0.0 });
                let wanted = if wanted > 0.2 { wanted } else { 0.2 };
                let capped = if wanted < most[l] { wanted } else { most[l] };
                factor[l] = if took { capped } else { wanted };
                most[l] = if took { 10.0 } else { 1.0 };
                let remembered = if log > 1e-4_f32.log2() {
                    log
                } else {
                    1e-4_f32.log2()
                };
                log_error[l] = if took { remembered } else { log_error[l] };
                taken[l] = u32::from(took);
            }
            for d in 0..2 {
                for l in 0..L {
                    x[d][l] = if taken[l] == 1 { y[d][l] } else { x[d][l] };
                    k[0][d][l] = if taken[l] == 1 { k[6][d][l] } else { k[0][d][l] };
                }
            }
            for l in 0..L {
                let took = taken[l] == 1;
                let done = took & (to[l] == last);
                t[l] = if took { to[l] } else { t[l] };
                h[l] = if done { 0.0 } else { h[l] * f64::from(factor[l]) };
            }
        }
        end(self.mixture, self.sde, last, self.out);
    }
}
