//! Ranks as processes, on libtorch's own distributed engine.

use c10d::{C10dError, Group, Reduce, Shared};
use tch::Tensor;

use super::{Comm, Membership};

/// A rank that is a process. Sums of ranks on one machine go through memory that they share.
#[derive(Debug)]
pub struct Engine {
    /// Dropped first: where ranks share memory, they see the end of one by it.
    shared: Option<Shared>,
    group: Group,
}

impl Engine {
    /// Joins the group; returns when all ranks have come.
    ///
    /// # Errors
    /// Not all come in time, or they do not fit together.
    pub fn join(membership: &Membership) -> Result<Self, C10dError> {
        let group = Group::new(&membership.options())?;
        let folder = membership.shared_memory.then(Shared::folder).flatten();
        let shared = Shared::join(&group, folder)?;
        Ok(Self { shared, group })
    }
}

impl Comm for Engine {
    fn rank(&self) -> u32 {
        self.group.rank()
    }

    fn world(&self) -> u32 {
        self.group.world()
    }

    fn sum(&self, tensor: &mut Tensor) -> Result<(), C10dError> {
        match &self.shared {
            Some(shared) if shared.sum(tensor)? => Ok(()),
            _ => self.group.all_reduce(tensor, Reduce::Sum),
        }
    }

    fn broadcast(&self, tensor: &mut Tensor, root: u32) -> Result<(), C10dError> {
        self.group.broadcast(tensor, root)
    }
}
