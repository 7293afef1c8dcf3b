//! What the library is measured against: for one problem (a mixture of three Gaussians in two dimensions, `f32`) one
//! hand-written loop that takes a block of rows through all steps, with noise, score and update inline and nothing
//! kept between passes but the block itself. No trait, no state type, no driver. It draws the library's noise and adds
//! in the library's order, so that both must agree to the last bit.

use std::array::from_fn;

use sde_core::{Mixture, Sde};

/// Rows a block.
const ROWS: usize = 64;
const LOG2_E: f64 = std::f64::consts::LOG2_E;
const LN_2: f64 = std::f64::consts::LN_2;

/// One score evaluation and the update `x' = state x + score s + noise z` after it.
#[derive(Clone, Copy)]
pub struct Move {
    /// Time of the score.
    pub t: f64,
    /// Factors of state, score and noise.
    pub factors: [f64; 3],
    /// Step and purpose of the draw.
    pub draw: [u32; 2],
}

/// Mean, factor and log weight of a noised component.
#[derive(Clone, Copy)]
pub struct Part {
    mean: [f32; 2],
    factor: [f32; 3],
    log_weight: f32,
}

pub fn parts(mixture: &Mixture, sde: &dyn Sde, t: f64) -> [Part; 3] {
    let noised = mixture.noised(sde.marginal(t));
    let largest = noised
        .components()
        .iter()
        .map(|c| c.log_weight())
        .fold(f64::NEG_INFINITY, f64::max);
    let scale = (0.5 * LOG2_E).sqrt();
    from_fn(|k| {
        let c = &noised.components()[k];
        let w = c.inv_chol();
        Part {
            mean: from_fn(|d| c.mean()[d] as f32),
            factor: [
                (scale * w[0]) as f32,
                (scale * w[2]) as f32,
                (scale * w[3]) as f32,
            ],
            log_weight: ((c.log_weight() - largest) * LOG2_E) as f32,
        }
    })
}

/// `2^x` for `x <= 0`.
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
pub fn score(parts: &[Part; 3], x: [f32; 2]) -> [f32; 2] {
    let mut y = [[0.0; 2]; 3];
    let mut e = [0.0; 3];
    for k in 0..3 {
        let (p, d) = (&parts[k], [x[0] - parts[k].mean[0], x[1] - parts[k].mean[1]]);
        y[k] = [p.factor[0] * d[0], p.factor[1] * d[0] + p.factor[2] * d[1]];
        e[k] = p.log_weight - y[k][0] * y[k][0] - y[k][1] * y[k][1];
    }
    let top = if e[1] > e[0] { e[1] } else { e[0] };
    let top = if e[2] > top { e[2] } else { top };
    let (mut total, mut s) = (0.0, [0.0; 2]);
    for k in 0..3 {
        let w = exp2(e[k] - top);
        total += w;
        s[0] += w * (parts[k].factor[0] * y[k][0] + parts[k].factor[1] * y[k][1]);
        s[1] += w * (parts[k].factor[2] * y[k][1]);
    }
    let scale = (-2.0 * LN_2) as f32 / total;
    [s[0] * scale, s[1] * scale]
}

/// Philox4x32-10, words in the low halves.
#[inline(always)]
pub fn philox(seed: u64, counter: [u64; 4]) -> [u64; 4] {
    let (mut k0, mut k1) = (seed as u32, (seed >> 32) as u32);
    let [mut a, mut b, mut c, mut d] = counter;
    for _ in 0..10 {
        let (p, q) = ((a & 0xFFFF_FFFF) * 0xD251_1F53, (c & 0xFFFF_FFFF) * 0xCD9E_8D57);
        (a, b, c, d) = ((q >> 32) ^ b ^ u64::from(k0), q, (p >> 32) ^ d ^ u64::from(k1), p);
        (k0, k1) = (k0.wrapping_add(0x9E37_79B9), k1.wrapping_add(0xBB67_AE85));
    }
    [a, b, c, d]
}

#[inline(always)]
fn words(
    seed: u64,
    row: u64,
    [step, purpose]: [u32; 2],
    radius: &mut [u64; ROWS / 2],
    angle: &mut [u64; ROWS / 2],
) {
    for i in 0..ROWS / 2 {
        let [a, b, c, d] = philox(seed, [0, row / 2 + i as u64, u64::from(step), u64::from(purpose)]);
        radius[i] = (a & 0xFFFF_FFFF) | c << 32;
        angle[i] = (b & 0xFFFF_FFFF) | d << 32;
    }
}

/// Two normals from two words.
#[inline(always)]
pub fn normals(radius: u32, angle: u32) -> [f32; 2] {
    let scaled = (radius >> 1) as i32 as f32 + 0.5;
    let offset = (scaled.to_bits() as i32).wrapping_sub(0x3f35_04f3);
    let f = f32::from_bits(((offset & 0x007f_ffff) + 0x3f35_04f3) as u32) - 1.0;
    let p = (0.201_647_6 * f - 0.323_61) * f + 0.344_864_5;
    let p = ((p * f - 0.398_137_66) * f + 0.499_424_58) * f - 0.666_694_3;
    let square =
        ((p * f + 1.000_006_5) * f - 2.0) * f + (31 - (offset >> 23)) as f32 * (2.0 * std::f32::consts::LN_2);
    let r = f32::from_bits(square.sqrt().to_bits() ^ (angle << 31));
    let v = (((angle as i32) >> 1) | 1) as f32 * (1.0 / 1_073_741_824.0);
    let y = v * v;
    let s = ((-3.595_045_2e-5 * y + 2.490_001e-3) * y - 0.080_745_43) * y + std::f32::consts::FRAC_PI_4;
    let (s, c) = (
        s * v,
        ((-3.191_601_6e-4 * y + 0.015_850_397) * y - 0.308_424_5) * y + 1.0,
    );
    if angle & 2 != 0 {
        [r * s, r * c]
    } else {
        [r * c, r * s]
    }
}

/// Predictors and correctors: the moves one after the other.
pub struct Affine<'a> {
    pub mixture: &'a Mixture,
    pub sde: &'a dyn Sde,
    pub moves: &'a [Move],
    pub seed: u64,
    /// `[rows, 2]`, a multiple of 64 rows.
    pub out: &'a mut [f32],
}

impl pulp::WithSimd for Affine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _simd: S) {
        let steps: Vec<_> = self
            .moves
            .iter()
            .map(|m| {
                (
                    parts(self.mixture, self.sde, m.t),
                    m.factors.map(|f| f as f32),
                    m.draw,
                )
            })
            .collect();
        let std = self.sde.prior_std() as f32;
        let (mut radius, mut angle) = ([0; ROWS / 2], [0; ROWS / 2]);
        for (block, out) in self.out.chunks_exact_mut(2 * ROWS).enumerate() {
            let row = (block * ROWS) as u64;
            let mut x = [[0.0_f32; ROWS]; 2];
            words(self.seed, row, [0, 0], &mut radius, &mut angle);
            let [x0, x1] = &mut x;
            let (r, a): (&[u32], &[u32]) = (
                pulp::bytemuck::cast_slice(&radius),
                pulp::bytemuck::cast_slice(&angle),
            );
            for l in 0..ROWS {
                let z = normals(r[l], a[l]);
                (x0[l], x1[l]) = (z[0] * std, z[1] * std);
            }
            for (parts, factors, draw) in &steps {
                if factors[2] == 0.0 {
                    for l in 0..ROWS {
                        let s = score(parts, [x0[l], x1[l]]);
                        x0[l] = factors[0] * x0[l] + factors[1] * s[0];
                        x1[l] = factors[0] * x1[l] + factors[1] * s[1];
                    }
                    continue;
                }
                words(self.seed, row, *draw, &mut radius, &mut angle);
                let (r, a): (&[u32], &[u32]) = (
                    pulp::bytemuck::cast_slice(&radius),
                    pulp::bytemuck::cast_slice(&angle),
                );
                for l in 0..ROWS {
                    let (s, z) = (score(parts, [x0[l], x1[l]]), normals(r[l], a[l]));
                    x0[l] = factors[0] * x0[l] + factors[1] * s[0] + factors[2] * z[0];
                    x1[l] = factors[0] * x1[l] + factors[1] * s[1] + factors[2] * z[1];
                }
            }
            for l in 0..ROWS {
                (out[2 * l], out[2 * l + 1]) = (x0[l], x1[l]);
            }
        }
    }
}

/// Factors of Heun's method, of each step and of the final Tweedie step.
pub fn heun_factors(sde: &dyn Sde, times: &[f64]) -> (Vec<[f32; 4]>, [f32; 2]) {
    let levels: Vec<_> = times
        .iter()
        .map(|t| sde.marginal(*t))
        .map(|m| (m.mean_coef, m.std / m.mean_coef))
        .collect();
    let factors = levels.windows(2).map(|pair| {
        let ((m, sigma), (m_next, sigma_next)) = (pair[0], pair[1]);
        let (scale, drop) = (m_next / m, sigma - sigma_next);
        let slopes = [
            drop * sigma * m * m_next,
            0.5 * drop * sigma_next * m_next * m_next,
        ];
        [scale, slopes[0], 0.5 * scale, slopes[1]].map(|f| f as f32)
    });
    let (mean_coef, sigma) = levels[levels.len() - 1];
    let end = [1.0 / mean_coef, sigma * sigma * mean_coef].map(|f| f as f32);
    (factors.collect(), end)
}

/// Heun's method in the variables of Karras et al. (2022), with the final Tweedie step.
pub struct Heun<'a> {
    pub mixture: &'a Mixture,
    pub sde: &'a dyn Sde,
    /// Grid, from the start time down.
    pub times: &'a [f64],
    pub seed: u64,
    /// `[rows, 2]`, a multiple of 64 rows.
    pub out: &'a mut [f32],
}

impl pulp::WithSimd for Heun<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _simd: S) {
        let parts: Vec<_> = self
            .times
            .iter()
            .map(|t| parts(self.mixture, self.sde, *t))
            .collect();
        let (factors, end) = heun_factors(self.sde, self.times);
        let std = self.sde.prior_std() as f32;
        let (mut radius, mut angle) = ([0; ROWS / 2], [0; ROWS / 2]);
        for (block, out) in self.out.chunks_exact_mut(2 * ROWS).enumerate() {
            let mut x = [[0.0_f32; ROWS]; 2];
            let [x0, x1] = &mut x;
            words(self.seed, (block * ROWS) as u64, [0, 0], &mut radius, &mut angle);
            let (r, a): (&[u32], &[u32]) = (
                pulp::bytemuck::cast_slice(&radius),
                pulp::bytemuck::cast_slice(&angle),
            );
            for l in 0..ROWS {
                let z = normals(r[l], a[l]);
                (x0[l], x1[l]) = (z[0] * std, z[1] * std);
            }
            for (pair, f) in parts.windows(2).zip(&factors) {
                for l in 0..ROWS {
                    let x = [x0[l], x1[l]];
                    let s = score(&pair[0], x);
                    let y: [f32; 2] = [f[0] * x[0] + f[1] * s[0], f[0] * x[1] + f[1] * s[1]];
                    let s = score(&pair[1], y);
                    x0[l] = f[2] * x[0] + 0.5 * y[0] + f[3] * s[0];
                    x1[l] = f[2] * x[1] + 0.5 * y[1] + f[3] * s[1];
                }
            }
            let last = &parts[parts.len() - 1];
            for l in 0..ROWS {
                let s = score(last, [x0[l], x1[l]]);
                (out[2 * l], out[2 * l + 1]) =
                    (end[0] * x0[l] + end[1] * s[0], end[0] * x1[l] + end[1] * s[1]);
            }
        }
    }
}

/// Rows a block, for loops of other files.
pub const LANES: usize = ROWS;

/// A block of the library's prior draws.
#[inline(always)]
pub fn prior(seed: u64, row: u64, std: f32) -> [[f32; ROWS]; 2] {
    let (mut radius, mut angle) = ([0; ROWS / 2], [0; ROWS / 2]);
    words(seed, row, [0, 0], &mut radius, &mut angle);
    let (r, a): (&[u32], &[u32]) = (
        pulp::bytemuck::cast_slice(&radius),
        pulp::bytemuck::cast_slice(&angle),
    );
    let mut x = [[0.0_f32; ROWS]; 2];
    for l in 0..ROWS {
        let z = normals(r[l], a[l]);
        (x[0][l], x[1][l]) = (z[0] * std, z[1] * std);
    }
    x
}

/// The final Tweedie step of all rows, at time `t`.
#[inline(always)]
pub fn end(mixture: &Mixture, sde: &dyn Sde, t: f64, out: &mut [f32]) {
    let (parts, kernel) = (parts(mixture, sde, t), sde.marginal(t));
    let factors = [1.0 / kernel.mean_coef, kernel.std * kernel.std / kernel.mean_coef].map(|f| f as f32);
    for row in out.chunks_exact_mut(2) {
        let s = score(&parts, [row[0], row[1]]);
        (row[0], row[1]) = (
            factors[0] * row[0] + factors[1] * s[0],
            factors[0] * row[1] + factors[1] * s[1],
        );
    }
}
