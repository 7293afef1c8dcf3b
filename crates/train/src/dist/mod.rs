//! Data-parallel training: several processes, each a rank, take the steps of one run together.
//!
//! The batch of a step is that of the configuration, whatever the number of ranks: each rank sees some of its slots, gradients and
//! losses are summed, and every rank takes the same update. Rows, times and noise belong to slots, not to ranks, so that the losses do
//! not depend on how many ranks there are but by rounding. Rank 0 alone writes files.
//!
//! - [`Comm`]: what a group of ranks can do, with three implementations: [`Single`], [`Engine`] (processes, on libtorch's own c10d)
//!   and [`threads`] (ranks in one process, for tests);
//! - [`Membership`]: which rank of which group this process is, from arguments or a launcher's environment;
//! - [`launch`]: several ranks on this machine.

mod engine;
mod launch;
mod membership;
mod threads;
mod turns;

use std::fmt;
use std::ops::Range;

use c10d::C10dError;
use tch::{Device, Tensor};

use crate::TrainError;

pub use c10d::Route;
pub use engine::Engine;
pub use launch::{end_with, launch};
pub use membership::{Lookup, Membership};
pub use threads::{ThreadRank, threads};
pub use turns::{Turns, in_turn, largest};

/// A rank's side of a group. All ranks call the same operations in the same order; tensors are contiguous, on a device that the group
/// takes, and of one shape and kind on all ranks.
pub trait Comm: fmt::Debug + Send {
    /// Number of this rank, from 0.
    fn rank(&self) -> u32;

    /// Ranks in all.
    fn world(&self) -> u32;

    /// Whether tensors of this device go as they are; those of the host always do.
    fn takes(&self, device: Device) -> bool {
        device == Device::Cpu
    }

    /// Sums in place, on the host to the same bits on every rank. (NCCL gives no such word, but sums that way; weights are compared before
    /// each checkpoint.)
    ///
    /// # Errors
    /// Another rank is gone or late.
    fn sum(&self, tensor: &mut Tensor) -> Result<(), C10dError>;

    /// Gives every rank the values of one.
    ///
    /// # Errors
    /// As [`Comm::sum`].
    fn broadcast(&self, tensor: &mut Tensor, root: u32) -> Result<(), C10dError>;
}

/// The group of one: nothing is sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Single;

impl Comm for Single {
    fn rank(&self) -> u32 {
        0
    }

    fn world(&self) -> u32 {
        1
    }

    fn sum(&self, _tensor: &mut Tensor) -> Result<(), C10dError> {
        Ok(())
    }

    fn broadcast(&self, _tensor: &mut Tensor, _root: u32) -> Result<(), C10dError> {
        Ok(())
    }
}

/// Whether this rank is alone, so that there is nothing to agree on.
pub fn alone(comm: &dyn Comm) -> bool {
    comm.world() == 1
}

/// Whether this rank writes files and speaks.
pub fn leads(comm: &dyn Comm) -> bool {
    comm.rank() == 0
}

/// The part of `count` things that a rank has: contiguous, of sizes that differ by one at most.
pub fn share(comm: &dyn Comm, count: u64) -> Range<u64> {
    let (rank, world) = (u64::from(comm.rank()), u64::from(comm.world()));
    let bound = |rank: u64| (u128::from(count) * u128::from(rank) / u128::from(world)) as u64;
    bound(rank)..bound(rank + 1)
}

/// Sums of a few numbers over all ranks, the same on every rank.
///
/// # Errors
/// Another rank is gone or late.
pub fn sums<const N: usize>(comm: &dyn Comm, values: [f64; N]) -> Result<[f64; N], TrainError> {
    sums_with(comm, values, &mut [])
}

/// As [`sums`]; `more` is summed in place by the same message.
///
/// # Errors
/// As there.
pub fn sums_with<const N: usize>(
    comm: &dyn Comm,
    values: [f64; N],
    more: &mut [f64],
) -> Result<[f64; N], TrainError> {
    let mut all = [&values, &*more].concat();
    sum_in_place(comm, &mut all)?;
    let (summed, rest) = all.split_at(N);
    more.copy_from_slice(rest);
    Ok(std::array::from_fn(|i| summed[i]))
}

/// As [`sums`], in place.
fn sum_in_place(comm: &dyn Comm, values: &mut [f64]) -> Result<(), TrainError> {
    if alone(comm) {
        return Ok(());
    }
    let fail = TrainError::tensor("numbers of all ranks");
    let mut tensor = Tensor::f_from_slice(values).map_err(&fail)?;
    comm.sum(&mut tensor)?;
    tensor.f_copy_data(values, values.len()).map_err(&fail)
}

/// A number of each rank, by rank: a sum over ranks of vectors with one place a rank.
///
/// # Errors
/// Another rank is gone or late.
fn of_ranks(comm: &dyn Comm, value: f64) -> Result<Vec<f64>, TrainError> {
    let mut values = vec![0.0; comm.world() as usize];
    values[comm.rank() as usize] = value;
    sum_in_place(comm, &mut values)?;
    Ok(values)
}

/// Whether something holds on every rank.
///
/// # Errors
/// Another rank is gone or late.
pub fn all(comm: &dyn Comm, holds: bool) -> Result<bool, TrainError> {
    let [against] = sums(comm, [f64::from(u8::from(!holds))])?;
    Ok(against == 0.0)
}

/// A tensor of any device and layout, summed over all ranks.
///
/// # Errors
/// Another rank is gone or late, or libtorch fails.
pub fn sum_anywhere(comm: &dyn Comm, tensor: &Tensor) -> Result<(), TrainError> {
    where_taken(comm, tensor, |comm, tensor| comm.sum(tensor))
}

/// A tensor of any device and layout gets the values that rank `root` has.
///
/// # Errors
/// Another rank is gone or late, or libtorch fails.
pub fn broadcast_anywhere(comm: &dyn Comm, tensor: &Tensor, root: u32) -> Result<(), TrainError> {
    where_taken(comm, tensor, |comm, tensor| comm.broadcast(tensor, root))
}

/// Works on the tensor itself where the group takes it, else on a copy, on the host if it must be, whose values it gets.
fn where_taken(
    comm: &dyn Comm,
    tensor: &Tensor,
    work: impl FnOnce(&dyn Comm, &mut Tensor) -> Result<(), C10dError>,
) -> Result<(), TrainError> {
    if alone(comm) {
        return Ok(());
    }
    let _guard = tch::no_grad_guard();
    let taken = comm.takes(tensor.device());
    if taken && tensor.is_contiguous() {
        return Ok(work(comm, &mut tensor.detach())?);
    }
    let fail = TrainError::tensor("a tensor between ranks");
    let place = if taken { tensor.device() } else { Device::Cpu };
    let mut copy = tensor
        .f_to_device(place)
        .and_then(|copy| copy.f_contiguous())
        .map_err(&fail)?;
    work(comm, &mut copy)?;
    tensor.shallow_clone().f_copy_(&copy).map_err(&fail)
}

/// The text that rank 0 has.
///
/// # Errors
/// Another rank is gone or late, or libtorch fails.
pub fn text_of_first(comm: &dyn Comm, text: &str) -> Result<String, TrainError> {
    if alone(comm) {
        return Ok(text.to_owned());
    }
    let fail = TrainError::tensor("text between ranks");
    let mut length = Tensor::from_slice(&[text.len() as i64]);
    comm.broadcast(&mut length, 0)?;
    let length = usize::try_from(length.f_int64_value(&[0]).map_err(&fail)?).unwrap_or(0);
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(length, 0);
    let mut tensor = Tensor::f_from_slice(&bytes).map_err(&fail)?;
    if length > 0 {
        comm.broadcast(&mut tensor, 0)?;
    }
    tensor.f_copy_data(&mut bytes, length).map_err(&fail)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Refuses ranks of which one has another text than rank 0: every rank is told which, and that rank which line. A rank that is alone is
/// not asked.
///
/// # Errors
/// [`TrainError::Ranks`] if one has; that of `text`; another rank is gone or late.
pub fn same_text(
    comm: &dyn Comm,
    what: &str,
    text: impl FnOnce() -> Result<String, TrainError>,
) -> Result<(), TrainError> {
    if alone(comm) {
        return Ok(());
    }
    let text = text()?;
    let first = text_of_first(comm, &text)?;
    let own = (first != text).then(|| {
        let lines = first.lines().zip(text.lines()).find(|(a, b)| a != b);
        match lines {
            Some((first, own)) => format!("here `{own}`, on rank 0 `{first}`"),
            None => "one has more lines".to_owned(),
        }
    });
    let differ = of_ranks(comm, f64::from(u8::from(own.is_some())))?;
    let Some(rank) = differ.iter().position(|&differs| differs > 0.0) else {
        return Ok(());
    };
    Err(TrainError::Ranks {
        rank: comm.rank(),
        reason: match own {
            Some(line) => format!("{what} is not that of rank 0: {line}; start all ranks alike"),
            None => format!("rank {rank} was started with another {what} than rank 0; start all ranks alike"),
        },
    })
}
