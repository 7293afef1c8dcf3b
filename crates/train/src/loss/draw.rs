//! Times and noise of training steps, addressed by (seed, step, slot): a step draws the same numbers whether the
//! run was resumed, how a batch is cut into pieces, and what was drawn before.

use score_nets::Given;
use sde_core::TimeDensity;
use sde_core::time_density::stratified;
use solvers::noise::{Draw, Purpose, fill_rows_f32, uniform, uniform_at};
use tch::{Device, Tensor};

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

/// The slot of what a batch draws once; no row has it.
const SHARED: u64 = 1 << 48;

impl TrainDraw {
    /// The `k`-th uniform of a row besides its time, on (0, 1): the same however a batch is cut into pieces.
    pub fn extra(&self, row: usize, k: usize) -> f64 {
        let slot = self.origin.first_slot + row as u64;
        uniform_at(self.origin.seed, self.origin.draw, slot, 2 + k)
    }

    /// The `k`-th uniform of the batch, on (0, 1).
    pub fn shared(&self, k: usize) -> f64 {
        uniform_at(self.origin.seed, self.origin.draw, SHARED, 2 + k)
    }
}

/// Where times and noise come from.
#[derive(Debug)]
pub struct DrawSource {
    /// Seed of the run.
    pub seed: u64,
    /// Density of the diffusion times.
    pub density: TimeDensity,
    /// Whether the times of a batch are spread evenly over the density's quantiles.
    pub stratified: bool,
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
        self.draw_at(address(step), first_slot, rows, batch, shape, device)
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
        TrainDraw {
            train: false,
            ..self.draw_at(address, first_slot, rows, all, shape, device)
        }
    }

    fn draw_at(
        &self,
        address: Draw,
        first_slot: u64,
        rows: usize,
        batch: u64,
        shape: &[i64],
        device: Device,
    ) -> TrainDraw {
        // One offset moves all strata of a step; its address is a slot that no row has.
        let offset = uniform(self.seed, address, SHARED);
        let (mut times, mut ratios) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        for slot in first_slot..first_slot + rows as u64 {
            let u = if self.stratified {
                stratified(offset, slot as usize, batch as usize)
            } else {
                uniform(self.seed, address, slot)
            };
            let t = self.density.time_at(u);
            times.push(t);
            ratios.push(self.density.correction(t));
        }
        let row_len = shape.iter().product::<i64>();
        let row_len = usize::try_from(row_len).expect("invariant: sizes are not negative");
        let mut noise = vec![0.0_f32; rows * row_len];
        fill_rows_f32(self.seed, address, first_slot, row_len, &mut noise);
        let mut size = vec![i64::try_from(rows).expect("invariant: row counts fit i64")];
        size.extend_from_slice(shape);
        let noise = Tensor::from_slice(&noise).view(size.as_slice()).to_device(device);
        TrainDraw {
            times,
            ratios,
            noise,
            train: true,
            given: Given::default(),
            origin: Origin {
                seed: self.seed,
                draw: address,
                first_slot,
            },
        }
    }
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
