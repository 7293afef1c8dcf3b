//! Ranks as processes, on libtorch's own distributed engine.

use c10d::{C10dError, Group, Reduce, Route, Shared};
use tch::{Device, Tensor};

use super::{Comm, Membership};

/// A rank that is a process. Sums of ranks on one machine go through memory that they share, those of tensors on GPUs by NCCL where
/// each rank has a GPU of its own.
#[derive(Debug)]
pub struct Engine {
    /// Dropped first: where ranks share memory, they see the end of one by it.
    shared: Option<Shared>,
    group: Group,
    /// The GPU whose tensors the group takes.
    gpu: Option<Device>,
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
        let gpu = None;
        Ok(Self { shared, group, gpu })
    }

    /// With tensors of this rank's device, and how they go; by NCCL only if `nccl`. All ranks call it. A rank by itself sends nothing.
    ///
    /// # Errors
    /// Another rank is gone or late, or NCCL fails.
    pub fn on(mut self, device: Device, nccl: bool) -> Result<(Self, Route), C10dError> {
        let route = match self.group.world() {
            1 => Route::NoGpus,
            _ => self.group.route(device, nccl)?,
        };
        self.gpu = (route == Route::Nccl).then_some(device);
        Ok((self, route))
    }
}

impl Comm for Engine {
    fn rank(&self) -> u32 {
        self.group.rank()
    }

    fn world(&self) -> u32 {
        self.group.world()
    }

    fn takes(&self, device: Device) -> bool {
        device == Device::Cpu || Some(device) == self.gpu
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
