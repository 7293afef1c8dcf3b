//! Times and noise of training steps, addressed by (seed, step, slot): a step draws the same numbers whether the
//! run was resumed, how a batch is cut into pieces, and what was drawn before.

use score_nets::Given;
use sde_core::TimeDensity;
use sde_core::time_density::{golden, stratified};
use solvers::noise::{Draw, Purpose, fill_rows_f32, uniform, uniform_at};
use tch::{Device, TchError, Tensor};

/// Everything random that a loss needs for some rows.
#[derive(Debug)]
pub struct TrainDraw {
    /// Diffusion time of each row.
    pub times: Vec<f64>,
    /// Factor of each row's loss that makes up for times drawn by importance instead of uniformly; 1 where the density
    /// of times is part of the objective.
    pub ratios: Vec<f64>,
    /// Standard normals of the shape of the data.
    pub noise: Tensor,
    /// Whether dropout is on.
    pub train: bool,
    /// What the network is told of each row.
    pub given: Given,
    /// Where further random numbers come from.
    pub origin: Origin,
}

/// The address of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Seed of the run.
    pub seed: u64,
    /// Step and purpose.
    pub draw: Draw,
    /// Slot of the first row.
    pub first_slot: u64,
}

impl Default for Origin {
    fn default() -> Self {
        Self {
            seed: 0,
            draw: address(0),
            first_slot: 0,
        }
    }
}

const FITS: &str = "invariant: a batch that was read fits in memory";

/// The slot of what a batch draws once; no row has it.
const SHARED: u64 = 1 << 48;
/// The slot of what a run draws once, in its first step.
const OF_RUN: u64 = SHARED + 1;
/// Slots from one stream of normals to the next; rows are fewer.
const STREAM: u64 = 1 << 49;

impl TrainDraw {
    /// The `k`-th uniform of a row besides its time, on (0, 1): the same however a batch is cut into pieces.
    pub fn extra(&self, row: usize, k: usize) -> f64 {
        let slot = self.origin.first_slot + row as u64;
        uniform_at(self.origin.seed, self.origin.draw, slot, 2 + k)
    }

    /// Further standard normals, `[rows, ...]` with rows of this shape, the same however a batch is cut into pieces. Stream 0 is the
    /// noise; 127 is the last.
    ///
    /// # Errors
    /// libtorch cannot allocate.
    pub fn normals(&self, stream: u64, shape: &[i64]) -> Result<Tensor, TchError> {
        let slot = stream % 128 * STREAM + self.origin.first_slot;
        normals(self.origin.seed, self.origin.draw, slot, self.times.len(), shape)
    }

    /// The `k`-th uniform of the batch, on (0, 1).
    pub fn shared(&self, k: usize) -> f64 {
        uniform_at(self.origin.seed, self.origin.draw, SHARED, 2 + k)
    }
}

/// Times, ratios and noise of some rows, in the memory of the host: what a thread without libtorch can make.
#[derive(Debug, Clone, Default)]
pub struct HostDraw {
    /// Diffusion time of each row.
    pub times: Vec<f64>,
    /// See [`TrainDraw::ratios`].
    pub ratios: Vec<f64>,
    /// Standard normals, row after row.
    pub noise: Vec<f32>,
    /// Where further random numbers come from.
    pub origin: Origin,
}

impl HostDraw {
    /// The same with the noise on a device, for training; `shape` is that of one row.
    ///
    /// # Errors
    /// libtorch cannot allocate, or the noise has another shape.
    pub fn to_tensors(&self, shape: &[i64], device: Device) -> Result<TrainDraw, TchError> {
        Ok(TrainDraw {
            times: self.times.clone(),
            ratios: self.ratios.clone(),
            noise: tensor(&self.noise, self.times.len(), shape)?.f_to_device(device)?,
            train: true,
            given: Given::default(),
            origin: self.origin,
        })
    }
}

/// Where times and noise come from.
#[derive(Debug, Clone)]
pub struct DrawSource {
    /// Seed of the run.
    pub seed: u64,
    /// Density of the diffusion times.
    pub density: TimeDensity,
    /// Whether the times of a batch are spread evenly over the density's quantiles.
    pub stratified: bool,
    /// Whether the times of a run follow each other in the golden-ratio sequence: those of all rows, or the offsets that the steps
    /// give to their strata.
    pub low_discrepancy: bool,
}

impl DrawSource {
    /// The numbers of the rows `first_slot..first_slot + rows` of the `batch` rows of a step. `shape` is that of one
    /// row of the data.
    pub fn draw(
        &self,
        step: u64,
        first_slot: u64,
        rows: usize,
        batch: u64,
        shape: &[i64],
        device: Device,
    ) -> TrainDraw {
        let mut host = HostDraw::default();
        self.fill(step, first_slot, rows, batch, row_len(shape), &mut host);
        host.to_tensors(shape, device).expect(FITS)
    }

    /// As [`DrawSource::draw`], for rows of `row_len` values, into buffers that are used again.
    pub fn fill(
        &self,
        step: u64,
        first_slot: u64,
        rows: usize,
        batch: u64,
        row_len: usize,
        out: &mut HostDraw,
    ) {
        self.fill_at(address(step), step, first_slot, rows, batch, row_len, out);
    }

    /// The numbers of the held-out rows `first_slot..first_slot + rows` of `all`: the same whenever they are asked for, those of
    /// no step, without dropout.
    pub fn validation(
        &self,
        first_slot: u64,
        rows: usize,
        all: u64,
        shape: &[i64],
        device: Device,
    ) -> TrainDraw {
        let address = Draw {
            step: 1,
            purpose: Purpose::Data,
        };
        let mut host = HostDraw::default();
        self.fill_at(address, 0, first_slot, rows, all, row_len(shape), &mut host);
        TrainDraw {
            train: false,
            ..host.to_tensors(shape, device).expect(FITS)
        }
    }

    /// The quantile of a row's time, in [0, 1).
    fn quantile(&self, address: Draw, step: u64, slot: u64, batch: u64) -> f64 {
        // Where the sequence of the run starts; what moves the strata of a step.
        let of_run = || uniform(self.seed, Draw { step: 0, ..address }, OF_RUN);
        let of_step = || uniform(self.seed, address, SHARED);
        let strata = |offset| stratified(offset, slot as usize, batch as usize);
        match (self.stratified, self.low_discrepancy) {
            (false, false) => uniform(self.seed, address, slot),
            (true, false) => strata(of_step()),
            (false, true) => golden(of_run(), step.wrapping_mul(batch).wrapping_add(slot)),
            (true, true) => {
                // Which stratum is a slot's stays random, so that each slot sees all times.
                let rows = batch.max(1) as f64;
                strata(((rows * of_step()).floor() + golden(of_run(), step)) / rows)
            }
        }
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "an address, a part of a batch and a length"
    )]
    fn fill_at(
        &self,
        address: Draw,
        step: u64,
        first_slot: u64,
        rows: usize,
        batch: u64,
        row_len: usize,
        out: &mut HostDraw,
    ) {
        out.times.clear();
        out.ratios.clear();
        for slot in first_slot..first_slot + rows as u64 {
            let t = self.density.time_at(self.quantile(address, step, slot, batch));
            out.times.push(t);
            out.ratios.push(self.density.correction(t));
        }
        out.noise.resize(rows * row_len, 0.0);
        fill_rows_f32(self.seed, address, first_slot, row_len, &mut out.noise);
        out.origin = Origin {
            seed: self.seed,
            draw: address,
            first_slot,
        };
    }
}

/// Normals of the rows `first_slot..first_slot + rows`, `[rows, ...]`.
fn normals(
    seed: u64,
    address: Draw,
    first_slot: u64,
    rows: usize,
    shape: &[i64],
) -> Result<Tensor, TchError> {
    let row_len = row_len(shape);
    let mut values = vec![0.0_f32; rows * row_len];
    fill_rows_f32(seed, address, first_slot, row_len, &mut values);
    tensor(&values, rows, shape)
}

/// Values of so many rows of a shape.
fn tensor(values: &[f32], rows: usize, shape: &[i64]) -> Result<Tensor, TchError> {
    let mut size = vec![i64::try_from(rows).expect("invariant: row counts fit i64")];
    size.extend_from_slice(shape);
    Tensor::f_from_slice(values)?.f_view(size.as_slice())
}

/// Number of values in a row of a shape.
fn row_len(shape: &[i64]) -> usize {
    usize::try_from(shape.iter().product::<i64>()).expect("invariant: sizes are not negative")
}

/// Uniforms (times) and normals of a step share an address and are independent all the same.
fn address(step: u64) -> Draw {
    // 2^32 steps are more than any run takes; beyond, the numbers repeat from the start.
    let step = u32::try_from(step % (1 << 32)).expect("invariant: reduced modulo 2^32");
    Draw {
        step,
        purpose: Purpose::Training,
    }
}
