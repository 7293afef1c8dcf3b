//! Ranks as processes, on libtorch's own distributed engine.

use c10d::{C10dError, Group, Reduce};
use tch::Tensor;

use super::{Comm, Membership};

/// A rank that is a process.
#[derive(Debug)]
pub struct Engine(Group);

impl Engine {
    /// Joins the group; returns when all ranks have come.
    ///
    /// # Errors
    /// Not all come in time, or they do not fit together.
    pub fn join(membership: &Membership) -> Result<Self, C10dError> {
        Group::new(&membership.options()).map(Self)
    }
}

impl Comm for Engine {
    fn rank(&self) -> u32 {
        self.0.rank()
    }

    fn world(&self) -> u32 {
        self.0.world()
    }

    fn sum(&self, tensor: &mut Tensor) -> Result<(), C10dError> {
        self.0.all_reduce(tensor, Reduce::Sum)
    }

    fn broadcast(&self, tensor: &mut Tensor, root: u32) -> Result<(), C10dError> {
        self.0.broadcast(tensor, root)
    }
}
