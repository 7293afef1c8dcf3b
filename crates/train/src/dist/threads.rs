//! Ranks as threads of one process, which add in the order of their numbers: what a distributed run is tested with.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use c10d::C10dError;
use tch::Tensor;

use super::Comm;

/// A rank that is a thread.
#[derive(Debug)]
pub struct ThreadRank {
    rank: u32,
    table: Arc<Table>,
    timeout: Duration,
}

/// Where ranks lay their tensors, and take the others' from.
#[derive(Debug)]
struct Table {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    laid: Vec<Option<Tensor>>,
    /// Ranks that have taken what they need.
    taken: usize,
    gone: bool,
}

/// The ranks of a group of threads; one that waits longer than `timeout` gives up.
pub fn threads(world: u32, timeout: Duration) -> Vec<ThreadRank> {
    let table = Arc::new(Table {
        state: Mutex::new(State {
            laid: (0..world).map(|_| None).collect(),
            ..State::default()
        }),
        changed: Condvar::new(),
    });
    let rank = |rank| ThreadRank {
        rank,
        table: Arc::clone(&table),
        timeout,
    };
    (0..world).map(rank).collect()
}

impl ThreadRank {
    /// Lays a copy of the tensor on the table, has `take` look at those of all ranks, and clears the table when all have.
    fn exchange(
        &self,
        operation: &'static str,
        tensor: &Tensor,
        take: impl FnOnce(&[Option<Tensor>]),
    ) -> Result<(), C10dError> {
        let lost = |reason: &str| C10dError::Operation {
            rank: self.rank,
            operation,
            reason: reason.to_owned(),
        };
        let lock = || self.table.state.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = |state, until: &mut dyn FnMut(&mut State) -> bool| {
            let (mut state, _) = self
                .table
                .changed
                .wait_timeout_while(state, self.timeout, |state| !until(state) && !state.gone)
                .unwrap_or_else(PoisonError::into_inner);
            match (until(&mut state), state.gone) {
                (true, _) => Ok(state),
                (_, true) => Err(lost("another rank is gone")),
                _ => Err(lost("another rank did not come in time")),
            }
        };
        let own = self.rank as usize;
        let mut state = wait(lock(), &mut |state| state.laid[own].is_none())?;
        state.laid[own] = Some(tensor.copy());
        self.table.changed.notify_all();
        let mut state = wait(state, &mut |state| state.laid.iter().all(Option::is_some))?;
        take(&state.laid);
        state.taken += 1;
        if state.taken == state.laid.len() {
            state.taken = 0;
            state.laid.iter_mut().for_each(|laid| *laid = None);
            self.table.changed.notify_all();
            return Ok(());
        }
        // Nobody lays the next tensor before all have taken this one's.
        wait(state, &mut |state| state.laid[own].is_none()).map(drop)
    }
}

impl Comm for ThreadRank {
    fn rank(&self) -> u32 {
        self.rank
    }

    fn world(&self) -> u32 {
        let state = self.table.state.lock().unwrap_or_else(PoisonError::into_inner);
        u32::try_from(state.laid.len()).expect("invariant: made from a u32")
    }

    fn sum(&self, tensor: &mut Tensor) -> Result<(), C10dError> {
        let mut total = None;
        self.exchange("the sum", tensor, |laid| {
            total = laid.iter().flatten().map(Tensor::copy).reduce(|a, b| a + b);
        })?;
        if let Some(total) = total {
            tensor.copy_(&total);
        }
        Ok(())
    }

    fn broadcast(&self, tensor: &mut Tensor, root: u32) -> Result<(), C10dError> {
        let mut sent = None;
        self.exchange("the broadcast", tensor, |laid| {
            sent = laid[root as usize].as_ref().map(Tensor::copy);
        })?;
        if let Some(sent) = sent {
            tensor.copy_(&sent);
        }
        Ok(())
    }
}

impl Drop for ThreadRank {
    /// Who waits for this rank is told; a rank that leaves after the last operation disturbs nobody.
    fn drop(&mut self) {
        let mut state = self.table.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.gone = true;
        self.table.changed.notify_all();
    }
}
