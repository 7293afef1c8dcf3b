//! The hand-written loops for a mixture of eight isotropic Gaussians in 64 dimensions: as many rows as a vector has lanes, at most
//! 4 KiB, go through all steps; score, noise and update of four dimensions are one pass, and no score is ever stored. What depends
//! on time alone is prepared, as the library keeps it from run to run. Vectors are written out here; left to the compiler, these
//! loops run at a quarter of the speed.

#![allow(
    clippy::needless_range_loop,
    reason = "index loops over several arrays are what can be read beside the formulas"
)]

use std::array::from_fn;
use std::ops::{Add, Mul, Sub};

use pulp::Simd;
use sde_core::{Mixture, Sde};

use crate::yardstick::{Move, heun_factors, normals, philox};
use crate::yardstick_2m::{Step, steps};

pub const DIM: usize = 64;
const PARTS: usize = 8;
/// Most lanes of a vector.
const MOST: usize = 16;
/// Dimensions a pass.
const TILE: usize = 4;
const LOG2_E: f64 = std::f64::consts::LOG2_E;
const LN_2: f64 = std::f64::consts::LN_2;

/// One number of each row.
#[derive(Clone, Copy)]
struct V<S: Simd>(S, S::f32s);

impl<S: Simd> V<S> {
    #[inline(always)]
    fn all(simd: S, value: f32) -> Self {
        Self(simd, simd.splat_f32s(value))
    }

    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        let mask = self.0.greater_than_f32s(self.1, other.1);
        Self(self.0, self.0.select_f32s(mask, self.1, other.1))
    }

    /// `2^x` for `x <= 0`.
    #[inline(always)]
    fn exp2(self) -> Self {
        let simd = self.0;
        let c = |value| Self::all(simd, value);
        let x = self.larger(c(-80.0));
        let shifted = x + c(12_582_912.0);
        let f = x - (shifted - c(12_582_912.0));
        let p = c(0.001_326_472_7) * f + c(0.009_671_513);
        let p = ((p * f + c(0.055_507_336)) * f + c(0.240_222_42)) * f + c(0.693_146_97);
        let [p, shifted] = [p * f + c(1.0), shifted].map(|v| simd.transmute_u32s_f32s(v.1));
        let exponent = simd.wrapping_dyn_shl_u32s(shifted, simd.splat_u32s(23));
        Self(simd, simd.transmute_f32s_u32s(simd.add_u32s(p, exponent)))
    }
}

impl<S: Simd> Add for V<S> {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(self.0, self.0.add_f32s(self.1, other.1))
    }
}

impl<S: Simd> Sub for V<S> {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(self.0, self.0.sub_f32s(self.1, other.1))
    }
}

impl<S: Simd> Mul for V<S> {
    type Output = Self;

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(self.0, self.0.mul_f32s(self.1, other.1))
    }
}

type Block<S> = [V<S>; DIM];
type Tile<S> = [V<S>; TILE];

/// The noised components at one time.
struct Parts {
    mean: [[f32; DIM]; PARTS],
    precision: [f32; PARTS],
    log_weight: [f32; PARTS],
}

fn parts(mixture: &Mixture, sde: &dyn Sde, t: f64) -> Parts {
    let noised = mixture.noised(sde.marginal(t));
    let all = noised.components();
    let largest = all
        .iter()
        .map(|c| c.log_weight())
        .fold(f64::NEG_INFINITY, f64::max);
    let root = |k: usize| (0.5 * LOG2_E).sqrt() * all[k].isotropic().expect("isotropic").sqrt();
    Parts {
        mean: from_fn(|k| from_fn(|d| all[k].mean()[d] as f32)),
        precision: from_fn(|k| root(k) as f32 * root(k) as f32),
        log_weight: from_fn(|k| ((all[k].log_weight() - largest) * LOG2_E) as f32),
    }
}

/// The score is `pull x + sum_k weights[k] mean_k`.
struct Shares<S: Simd> {
    pull: V<S>,
    weights: [V<S>; PARTS],
}

#[inline(always)]
fn shares<S: Simd>(parts: &Parts, x: &Block<S>) -> Shares<S> {
    let simd = x[0].0;
    let mut w = [V::all(simd, 0.0); PARTS];
    for d in 0..DIM {
        for k in 0..PARTS {
            let centred = x[d] - V::all(simd, parts.mean[k][d]);
            w[k] = w[k] + centred * centred;
        }
    }
    for k in 0..PARTS {
        w[k] = V::all(simd, parts.log_weight[k]) - V::all(simd, parts.precision[k]) * w[k];
    }
    let top = w.iter().skip(1).fold(w[0], |top, w| w.larger(top));
    let mut total = V::all(simd, 0.0);
    for k in 0..PARTS {
        w[k] = (w[k] - top).exp2();
        total = total + w[k];
    }
    let share = V(
        simd,
        simd.div_f32s(simd.splat_f32s((-2.0 * LN_2) as f32), total.1),
    );
    let mut pull = V::all(simd, 0.0);
    for k in 0..PARTS {
        let signed = w[k] * V::all(simd, parts.precision[k]) * share;
        pull = pull + signed;
        w[k] = V(simd, simd.neg_f32s(signed.1));
    }
    Shares { pull, weights: w }
}

/// The score in dimensions `d..d + 4`.
#[inline(always)]
fn score<S: Simd>(parts: &Parts, shares: &Shares<S>, x: &Block<S>, d: usize) -> Tile<S> {
    let mut s: Tile<S> = [
        shares.pull * x[d],
        shares.pull * x[d + 1],
        shares.pull * x[d + 2],
        shares.pull * x[d + 3],
    ];
    for k in 0..PARTS {
        for i in 0..TILE {
            s[i] = s[i] + shares.weights[k] * V::all(shares.pull.0, parts.mean[k][d + i]);
        }
    }
    s
}

/// Normals of dimensions `d..d + 4`.
#[inline(always)]
fn noise<S: Simd>(simd: S, seed: u64, row: u64, [step, purpose]: [u32; 2], d: usize) -> Tile<S> {
    let lanes = S::F32_LANES.min(MOST);
    let mut words = [[0_u64; MOST]; 4];
    let [w0, w1, w2, w3] = &mut words;
    for l in 0..lanes {
        let counter = [
            (d / TILE) as u64,
            row + l as u64,
            u64::from(step),
            u64::from(purpose),
        ];
        [w0[l], w1[l], w2[l], w3[l]] = philox(seed, counter);
    }
    let mut z = [[0.0; MOST]; TILE];
    let [z0, z1, z2, z3] = &mut z;
    for l in 0..lanes {
        [z0[l], z1[l]] = normals(w0[l] as u32, w1[l] as u32);
    }
    for l in 0..lanes {
        [z2[l], z3[l]] = normals(w2[l] as u32, w3[l] as u32);
    }
    z.map(|z| V(simd, simd.partial_load_f32s(&z[..lanes])))
}

#[inline(always)]
fn prior<S: Simd>(simd: S, seed: u64, row: u64, std: f32) -> Block<S> {
    let mut x = [V::all(simd, 0.0); DIM];
    for d in (0..DIM).step_by(TILE) {
        let z = noise(simd, seed, row, [0, 0], d);
        for i in 0..TILE {
            x[d + i] = z[i] * V::all(simd, std);
        }
    }
    x
}

/// The last evaluation: `x <- f[0] x + f[1] s`.
#[inline(always)]
fn tweedie<S: Simd>(parts: &Parts, f: [f32; 2], x: &mut Block<S>) {
    let (f, shares) = (f.map(|f| V::all(x[0].0, f)), shares(parts, x));
    for d in (0..DIM).step_by(TILE) {
        let s = score(parts, &shares, x, d);
        for i in 0..TILE {
            x[d + i] = f[0] * x[d + i] + f[1] * s[i];
        }
    }
}

/// `[rows, 64]`.
#[inline(always)]
fn write<S: Simd>(x: &Block<S>, out: &mut [f32]) {
    for d in 0..DIM {
        let mut lanes = [0.0; MOST];
        x[d].0.partial_store_f32s(&mut lanes, x[d].1);
        for (row, value) in out.chunks_exact_mut(DIM).zip(lanes) {
            row[d] = value;
        }
    }
}

/// What a method does, its coefficients made.
pub enum Method {
    /// Affine steps with noise.
    Affine(Vec<Move>),
    /// Heun's method.
    Heun(Vec<[f32; 4]>),
    /// DPM-Solver++(2M), and its SDE with `true`.
    Multistep(Vec<Step>, bool),
}

/// A prepared run.
pub struct Prepared {
    method: Method,
    /// At the times of the grid.
    parts: Vec<Parts>,
    end: [f32; 2],
    prior_std: f32,
}

impl Prepared {
    fn new(mixture: &Mixture, sde: &dyn Sde, times: &[f64], method: Method) -> Self {
        let kernel = sde.marginal(times[times.len() - 1]);
        let var = kernel.std * kernel.std;
        Self {
            method,
            parts: times.iter().map(|t| parts(mixture, sde, *t)).collect(),
            end: [1.0 / kernel.mean_coef, var / kernel.mean_coef].map(|f| f as f32),
            prior_std: sde.prior_std() as f32,
        }
    }

    /// One move a step between `times`.
    pub fn affine(mixture: &Mixture, sde: &dyn Sde, times: &[f64], moves: Vec<Move>) -> Self {
        Self::new(mixture, sde, times, Method::Affine(moves))
    }

    pub fn heun(mixture: &Mixture, sde: &dyn Sde, times: &[f64]) -> Self {
        let (factors, end) = heun_factors(sde, times);
        let prepared = Self::new(mixture, sde, times, Method::Heun(factors));
        Self { end, ..prepared }
    }

    pub fn multistep(mixture: &Mixture, sde: &dyn Sde, times: &[f64], eta: f64) -> Self {
        let steps = steps(sde, times, eta);
        Self::new(mixture, sde, times, Method::Multistep(steps, eta != 0.0))
    }

    /// `out` is `[rows, 64]`, a multiple of the lanes.
    pub fn run(&self, seed: u64, out: &mut [f32]) {
        pulp::Arch::new().dispatch(Run {
            prepared: self,
            seed,
            out,
        });
    }
}

struct Run<'a> {
    prepared: &'a Prepared,
    seed: u64,
    out: &'a mut [f32],
}

impl pulp::WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (p, seed, lanes) = (self.prepared, self.seed, S::F32_LANES.min(MOST));
        for (block, out) in self.out.chunks_exact_mut(lanes * DIM).enumerate() {
            let row = (block * lanes) as u64;
            let mut x = prior(simd, seed, row, p.prior_std);
            match &p.method {
                Method::Affine(moves) => affine(&p.parts, moves, seed, row, &mut x),
                Method::Heun(factors) => heun(&p.parts, factors, &mut x),
                Method::Multistep(steps, false) => multistep::<S, false>(&p.parts, steps, seed, row, &mut x),
                Method::Multistep(steps, true) => multistep::<S, true>(&p.parts, steps, seed, row, &mut x),
            }
            tweedie(&p.parts[p.parts.len() - 1], p.end, &mut x);
            write(&x, out);
        }
    }
}

#[inline(always)]
fn affine<S: Simd>(parts: &[Parts], moves: &[Move], seed: u64, row: u64, x: &mut Block<S>) {
    let simd = x[0].0;
    for (parts, one) in parts.iter().zip(moves) {
        let f = one.factors.map(|f| V::all(simd, f as f32));
        let shares = shares(parts, x);
        for d in (0..DIM).step_by(TILE) {
            let (s, z) = (score(parts, &shares, x, d), noise(simd, seed, row, one.draw, d));
            for i in 0..TILE {
                x[d + i] = f[0] * x[d + i] + f[1] * s[i] + f[2] * z[i];
            }
        }
    }
}

#[inline(always)]
fn heun<S: Simd>(parts: &[Parts], factors: &[[f32; 4]], x: &mut Block<S>) {
    let simd = x[0].0;
    let mut y = [V::all(simd, 0.0); DIM];
    let half = V::all(simd, 0.5);
    for (pair, f) in parts.windows(2).zip(factors) {
        let f = f.map(|f| V::all(simd, f));
        let here = shares(&pair[0], x);
        for d in (0..DIM).step_by(TILE) {
            let s = score(&pair[0], &here, x, d);
            for i in 0..TILE {
                y[d + i] = f[0] * x[d + i] + f[1] * s[i];
            }
        }
        let there = shares(&pair[1], &y);
        for d in (0..DIM).step_by(TILE) {
            let s = score(&pair[1], &there, &y, d);
            for i in 0..TILE {
                x[d + i] = f[2] * x[d + i] + half * y[d + i] + f[3] * s[i];
            }
        }
    }
}

#[inline(always)]
fn multistep<S: Simd, const NOISY: bool>(
    parts: &[Parts],
    steps: &[Step],
    seed: u64,
    row: u64,
    x: &mut Block<S>,
) {
    let simd = x[0].0;
    let mut before = [V::all(simd, 0.0); DIM];
    for (parts, step) in parts.iter().zip(steps) {
        let (m, f) = (
            step.mean.map(|f| V::all(simd, f)),
            step.factors.map(|f| V::all(simd, f)),
        );
        let shares = shares(parts, x);
        for d in (0..DIM).step_by(TILE) {
            let s = score(parts, &shares, x, d);
            let z = if NOISY {
                noise(simd, seed, row, step.draw, d)
            } else {
                s
            };
            for i in 0..TILE {
                let mean = m[0] * x[d + i] + m[1] * s[i];
                let moved = f[0] * x[d + i] + f[1] * mean + f[2] * before[d + i];
                x[d + i] = if NOISY { moved + f[3] * z[i] } else { moved };
                before[d + i] = mean;
            }
        }
    }
}
