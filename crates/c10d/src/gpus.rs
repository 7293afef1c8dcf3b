//! Tensors of GPUs between ranks: by NCCL where every rank has a GPU of its own.

use tch::{Device, TchError, Tensor};

use crate::ffi::{self, NcclState};
use crate::{C10dError, Group, Reduce, first_line};

/// Whether NCCL can be used: the libtorch of this build is one for CUDA, and the headers of CUDA and of its NCCL were found. See the build
/// script.
pub fn has_nccl() -> bool {
    ffi::nccl_state() == NcclState::Usable
}

/// How tensors of the ranks' devices go from rank to rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// No rank computes on a GPU.
    NoGpus,
    /// The group takes tensors of this rank's GPU as they are, by NCCL.
    Nccl,
    /// The group takes tensors of the host alone, to which callers copy those of GPUs; why.
    Host(&'static str),
}

/// What a rank says of its device: one byte of [`State`], sixteen of the GPU's identity.
const CARD: usize = 17;

/// What speaks for NCCL or against it on one rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum State {
    NoGpu,
    Unwanted,
    Absent,
    OtherVersion,
    Usable,
}

impl Group {
    /// Finds out how tensors of the ranks' devices go from rank to rank, and prepares it: by NCCL if each rank of the group computes on
    /// a CUDA device that is no other rank's, all have NCCL, and all want it. All ranks call it, once. From then on the operations take
    /// tensors of that device, too. Those wait, already when they are started, until all ranks have come to them, and then for the
    /// values, on the host. NCCL's own variables (`NCCL_DEBUG`, `NCCL_SOCKET_IFNAME`, ...) count.
    ///
    /// The NCCL of a rank that leaves no longer serves the others: after a last operation of GPUs, call [`Group::barrier`] before the
    /// group is dropped.
    ///
    /// It sets two variables of this process: `TORCH_NCCL_BLOCKING_WAIT`, without which libtorch's own threads abort the process when an
    /// operation fails, and, where it is not set, `NCCL_RUNTIME_CONNECT` to 0, without which NCCL waits for ranks where no timeout counts.
    ///
    /// # Errors
    /// The device is absent; another rank is gone or late; NCCL fails.
    pub fn route(&mut self, device: Device, wanted: bool) -> Result<Route, C10dError> {
        let card = card(device, wanted).map_err(|reason| self.without_nccl(&reason))?;
        let cards = self.all_gather(&Tensor::from_slice(&card))?;
        let mut bytes = vec![0_u8; self.world() as usize * CARD];
        cards
            .f_copy_data(&mut bytes, cards.numel())
            .map_err(|error| self.without_nccl(&error.to_string()))?;
        let route = decide(bytes.as_chunks().0);
        if let (Route::Nccl, Device::Cuda(number)) = (route, device) {
            self.inner
                .add_nccl(number as i32)
                .map_err(|reason| self.without_nccl(&reason))?;
            self.gpu = Some(device);
            self.try_out(device)?;
            // Whoever fails next does so when the others are done with its NCCL.
            self.barrier()?;
        }
        Ok(route)
    }

    fn without_nccl(&self, reason: &str) -> C10dError {
        C10dError::Nccl {
            rank: self.rank(),
            reason: first_line(reason),
        }
    }

    /// A first sum: what does not work says so here.
    fn try_out(&self, device: Device) -> Result<(), C10dError> {
        let fail = |error: TchError| self.without_nccl(&error.to_string());
        let mut ranks = Tensor::from_slice(&[1.0_f64]).f_to_device(device).map_err(fail)?;
        self.all_reduce(&mut ranks, Reduce::Sum)?;
        let found = ranks.f_double_value(&[0]).map_err(fail)?;
        if found == f64::from(self.world()) {
            return Ok(());
        }
        let reason = format!("the sum of a one of each of {} ranks is {found}", self.world());
        Err(self.without_nccl(&reason))
    }
}

/// What this rank says.
fn card(device: Device, wanted: bool) -> Result<[u8; CARD], String> {
    let mut card = [0; CARD];
    let state = match (device, ffi::nccl_state()) {
        (Device::Cuda(_), _) if !wanted => State::Unwanted,
        (Device::Cuda(_), NcclState::Absent) => State::Absent,
        (Device::Cuda(_), NcclState::OtherVersion) => State::OtherVersion,
        (Device::Cuda(number), NcclState::Usable) => {
            let number = i32::try_from(number).map_err(|error| error.to_string())?;
            card[1..].copy_from_slice(&ffi::gpu_identity(number)?);
            State::Usable
        }
        _ => State::NoGpu,
    };
    card[0] = state as u8;
    Ok(card)
}

/// What follows from what all ranks say.
fn decide(cards: &[[u8; CARD]]) -> Route {
    let is = |state: State| move |card: &[u8; CARD]| card[0] == state as u8;
    let any = |state: State| cards.iter().any(is(state));
    let shared = || {
        let mut identities: Vec<_> = cards.iter().map(|card| &card[1..]).collect();
        identities.sort_unstable();
        identities.windows(2).any(|pair| pair[0] == pair[1])
    };
    if cards.iter().all(is(State::NoGpu)) {
        Route::NoGpus
    } else if any(State::NoGpu) {
        Route::Host("a rank computes on no CUDA device")
    } else if any(State::Unwanted) {
        Route::Host("a rank is told to do without NCCL")
    } else if any(State::Absent) {
        Route::Host("the program of a rank was built without NCCL")
    } else if any(State::OtherVersion) {
        Route::Host("the program of a rank was built with the header of another NCCL than libtorch")
    } else if shared() {
        Route::Host("two ranks compute on one GPU")
    } else {
        Route::Nccl
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cards(ranks: &[(State, u8)]) -> Vec<[u8; CARD]> {
        let card = |&(state, last): &(State, u8)| {
            let mut card = [7; CARD];
            (card[0], card[CARD - 1]) = (state as u8, last);
            card
        };
        ranks.iter().map(card).collect()
    }

    #[test]
    fn nccl_needs_a_gpu_for_each_rank() {
        use State::{Absent, NoGpu, OtherVersion, Unwanted, Usable};
        let route = |ranks: &[(State, u8)]| decide(&cards(ranks));
        assert_eq!(route(&[(Usable, 1)]), Route::Nccl);
        assert_eq!(route(&[(Usable, 3), (Usable, 1), (Usable, 2)]), Route::Nccl);
        // Not as if two ranks without a GPU had the same.
        assert_eq!(route(&[(NoGpu, 0), (NoGpu, 0)]), Route::NoGpus);
        let host = |ranks: &[(State, u8)]| match route(ranks) {
            Route::Host(why) => why,
            other => panic!("{other:?} for {ranks:?}"),
        };
        assert!(host(&[(Usable, 1), (Usable, 2), (Usable, 1)]).contains("two ranks"));
        assert!(host(&[(Usable, 1), (NoGpu, 0)]).contains("no CUDA device"));
        assert!(host(&[(Unwanted, 0), (Usable, 1)]).contains("told to do without"));
        assert!(host(&[(Absent, 0), (Usable, 1)]).contains("without NCCL"));
        assert!(host(&[(OtherVersion, 0), (Usable, 1)]).contains("another NCCL"));
    }

    #[test]
    fn a_rank_on_the_processor_says_so() {
        assert_eq!(card(Device::Cpu, true).unwrap()[0], State::NoGpu as u8);
    }
}
