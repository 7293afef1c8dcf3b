//! Collectives between processes on libtorch's own distributed engine, c10d with Gloo and NCCL: what PyTorch's `torch.distributed` stands
//! on, so that a program in Rust takes part in what `torchrun`, Slurm or a cluster's operator launches.
//!
//! Every rank of a group makes a [`Group`] with the same [`Store`] and calls the same operations in the same order. Operations work in
//! place on contiguous tensors of the host, by Gloo; after [`Group::route`] also on those of a GPU, by NCCL. A rank that is gone or late
//! makes the others' operations fail with [`C10dError`], at once or after the timeout, never hang. Sums on the host are the same on every
//! rank, to the bit. Ranks of one machine can sum through memory that they share ([`Shared`]), in a fraction of the time.
//!
//! ```no_run
//! use std::time::Duration;
//! let store = c10d::Store::Tcp { host: "10.0.0.1".to_owned(), port: 29500, serve: true };
//! let group = c10d::Group::new(&c10d::Options::new(store, 0, 2).timeout(Duration::from_secs(60)))?;
//! let mut gradient = tch::Tensor::ones([1000], (tch::Kind::Float, tch::Device::Cpu));
//! group.all_reduce(&mut gradient, c10d::Reduce::Sum)?;
//! # Ok::<(), c10d::C10dError>(())
//! ```

mod ffi;
mod gpus;
mod memory;
mod options;
mod shared;

use std::time::Duration;

use tch::{Device, Tensor};

pub use gpus::{Route, has_nccl};
pub use options::{Options, Store};
pub use shared::Shared;

/// What failed between processes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum C10dError {
    /// The group did not come together: a wrong address, a port in use, a rank that never came.
    #[error("rank {rank} of {world} found no group at {store} (timeout {} s): {reason}", timeout.as_secs_f64())]
    Rendezvous {
        /// This process.
        rank: u32,
        /// Processes in all.
        world: u32,
        /// Where they were to meet.
        store: String,
        /// How long it would have waited.
        timeout: Duration,
        /// What the engine says.
        reason: String,
    },
    /// An operation failed, which after the first one means that another rank is gone or late.
    #[error("rank {rank}: {operation} failed: {reason}")]
    Operation {
        /// This process.
        rank: u32,
        /// Which operation.
        operation: &'static str,
        /// What the engine says.
        reason: String,
    },
    /// NCCL does not work here, or not between these ranks.
    #[error("rank {rank}: NCCL between the ranks' GPUs failed: {reason}")]
    Nccl {
        /// This process.
        rank: u32,
        /// What libtorch or NCCL says.
        reason: String,
    },
    /// An option or tensor that no group takes.
    #[error("{what} is {value}; need {need}")]
    Value {
        /// Which.
        what: &'static str,
        /// What it is.
        value: String,
        /// What it has to be.
        need: &'static str,
    },
}

/// What becomes of the ranks' values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduce {
    /// Their sum.
    Sum,
    /// The smallest.
    Minimum,
    /// The largest.
    Maximum,
}

/// A rank's membership in a group. It may move to another thread, but is used by one at a time.
#[derive(Debug)]
pub struct Group {
    inner: ffi::Group,
    rank: u32,
    world: u32,
    timeout: Duration,
    /// Whose tensors go by NCCL.
    gpu: Option<Device>,
}

impl Group {
    /// Joins; returns when all ranks have come.
    ///
    /// # Errors
    /// [`C10dError::Value`] for options that make no sense, [`C10dError::Rendezvous`] if not all come in time.
    pub fn new(options: &Options) -> Result<Self, C10dError> {
        let inner = ffi::Group::new(&options.checked()?).map_err(|reason| C10dError::Rendezvous {
            rank: options.rank,
            world: options.world,
            store: options.store.to_string(),
            timeout: options.timeout,
            reason: first_line(&reason),
        })?;
        Ok(Self {
            inner,
            rank: options.rank,
            world: options.world,
            timeout: options.timeout,
            gpu: None,
        })
    }

    /// Number of this process, from 0.
    pub fn rank(&self) -> u32 {
        self.rank
    }

    /// Processes in all.
    pub fn world(&self) -> u32 {
        self.world
    }

    /// How long an operation waits for the others.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Reduces the ranks' tensors of one shape and kind into each of them.
    ///
    /// # Errors
    /// The tensor is not contiguous, or on a device that the group does not take; another rank is gone or late.
    pub fn all_reduce(&self, tensor: &mut Tensor, reduce: Reduce) -> Result<(), C10dError> {
        self.all_reduce_start(tensor, reduce)?.wait()
    }

    /// As [`Group::all_reduce`], without waiting: the tensor's values are whole when the work has been waited for, and nobody may
    /// touch them before.
    ///
    /// # Errors
    /// As there.
    pub fn all_reduce_start(&self, tensor: &Tensor, reduce: Reduce) -> Result<Work, C10dError> {
        self.usable(tensor)?;
        let op = match reduce {
            Reduce::Sum => 0,
            Reduce::Minimum => 1,
            Reduce::Maximum => 2,
        };
        self.started("the all-reduce", self.inner.all_reduce(tensor, op))
    }

    /// Gives every rank the values of one.
    ///
    /// # Errors
    /// As [`Group::all_reduce`].
    pub fn broadcast(&self, tensor: &mut Tensor, root: u32) -> Result<(), C10dError> {
        self.usable(tensor)?;
        if root >= self.world {
            return Err(C10dError::Value {
                what: "the rank to broadcast from",
                value: root.to_string(),
                need: "less than the number of ranks",
            });
        }
        self.started("the broadcast", self.inner.broadcast(tensor, root.cast_signed()))?
            .wait()
    }

    /// The tensors of all ranks, of one shape and kind, in a tensor with one more dimension in front.
    ///
    /// # Errors
    /// As [`Group::all_reduce`].
    pub fn all_gather(&self, tensor: &Tensor) -> Result<Tensor, C10dError> {
        self.usable(tensor)?;
        let mut size = vec![i64::from(self.world)];
        size.extend(tensor.size());
        let output = Tensor::f_zeros(size, (tensor.kind(), tensor.device()))
            .map_err(|error| self.failed("the all-gather", &error.to_string()))?;
        self.started("the all-gather", self.inner.all_gather(&output, tensor))?
            .wait()?;
        Ok(output)
    }

    /// Waits for all ranks to come here.
    ///
    /// # Errors
    /// Another rank is gone or late.
    pub fn barrier(&self) -> Result<(), C10dError> {
        self.started("the barrier", self.inner.barrier())?.wait()
    }

    fn started(&self, operation: &'static str, work: Result<ffi::Work, String>) -> Result<Work, C10dError> {
        match work {
            Ok(inner) => Ok(Work {
                inner,
                rank: self.rank,
                operation,
            }),
            Err(reason) => Err(self.failed(operation, &reason)),
        }
    }

    fn failed(&self, operation: &'static str, reason: &str) -> C10dError {
        C10dError::Operation {
            rank: self.rank,
            operation,
            reason: first_line(reason),
        }
    }

    fn usable(&self, tensor: &Tensor) -> Result<(), C10dError> {
        let refused = |value: String, need| {
            Err(C10dError::Value {
                what: "a tensor between processes",
                value,
                need,
            })
        };
        if !tensor.defined() {
            return refused("undefined".to_owned(), "a tensor with values");
        }
        if tensor.device() != Device::Cpu && Some(tensor.device()) != self.gpu {
            let need = "one in the memory of the host, or of the GPU that NCCL was prepared for";
            return refused(format!("on {:?}", tensor.device()), need);
        }
        if !tensor.is_contiguous() {
            return refused("not contiguous".to_owned(), "a contiguous one");
        }
        Ok(())
    }
}

/// An operation under way. Dropped, it is waited for all the same.
#[derive(Debug)]
#[must_use = "the values are whole only after `wait`"]
pub struct Work {
    inner: ffi::Work,
    rank: u32,
    operation: &'static str,
}

impl Work {
    /// Waits until it is done.
    ///
    /// # Errors
    /// Another rank is gone or late.
    pub fn wait(self) -> Result<(), C10dError> {
        self.inner.wait().map_err(|reason| C10dError::Operation {
            rank: self.rank,
            operation: self.operation,
            reason: first_line(&reason),
        })
    }
}

/// The engine's messages have places in its source before them, and stack traces and advice behind the first sentence.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = match line.split_once("] ") {
        Some((place, rest)) if place.starts_with('[') && place.contains(".cc:") => rest,
        _ => line,
    };
    let line = match line.strip_prefix("NCCL error in: ") {
        Some(rest) => rest.split_once(", ").map_or(rest, |(_, reason)| reason),
        None => line,
    };
    let line = line.split(". This is typically caused by").next().unwrap_or(line);
    line.trim().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::first_line;

    #[test]
    fn of_the_engines_messages_the_reason_is_left() {
        for (message, reason) in [
            (
                "[/a/transport/tcp/pair.cc:144] Connection closed by peer [10.0.0.2]:300. This is typically caused by that\nat 0x1",
                "Connection closed by peer [10.0.0.2]:300",
            ),
            (
                "NCCL error in: /a/b.cpp:92, unhandled system error (run with NCCL_DEBUG=INFO for details), NCCL version 2.29.7\nmore",
                "unhandled system error (run with NCCL_DEBUG=INFO for details), NCCL version 2.29.7",
            ),
            ("wait timeout.", "wait timeout"),
        ] {
            assert_eq!(first_line(message), reason);
        }
    }
}
