//! Tensors of GPUs between ranks: by NCCL where every rank has a GPU of its own.

use tch::{Device, Tensor};

use crate::{C10dError, Group, Reduce, ffi};

/// Whether this build has NCCL: its libtorch is one for CUDA, and the headers of CUDA and NCCL were found. See the build script.
pub fn has_nccl() -> bool {
    ffi::has_nccl()
}

/// How tensors of the ranks' devices go from rank to rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// The group takes tensors of this rank's GPU as they are, by NCCL.
    Nccl,
    /// The group takes tensors of the host alone, to which callers copy; why.
    Host(&'static str),
}

/// What a rank says of its device: one byte of [`State`], sixteen of the GPU's identity.
const CARD: usize = 17;

/// What speaks for NCCL or against it on one rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum State {
    Usable = 0,
    NoGpu = 1,
    NotBuilt = 2,
    NotFound = 3,
}

impl Group {
    /// Finds out how tensors of the ranks' devices go from rank to rank, and prepares it: by NCCL if each rank of the group computes on
    /// a CUDA device that is no other rank's, and all were built with NCCL. All ranks call it, once. From then on the operations take
    /// tensors of that device, too; they return when the values are there. NCCL's own variables (`NCCL_DEBUG`, `NCCL_SOCKET_IFNAME`, ...)
    /// count.
    ///
    /// # Errors
    /// Another rank is gone or late, or NCCL fails in spite of all that.
    pub fn route(&mut self, device: Device) -> Result<Route, C10dError> {
        let cards = self.all_gather(&Tensor::from_slice(&card(device)))?;
        let mut bytes = vec![0_u8; self.world() as usize * CARD];
        cards
            .f_copy_data(&mut bytes, cards.numel())
            .map_err(|error| self.failed("NCCL", &error.to_string()))?;
        let route = decide(bytes.as_chunks().0);
        if let (Route::Nccl, Device::Cuda(number)) = (route, device) {
            self.inner
                .add_nccl(number as i32)
                .map_err(|reason| self.failed("NCCL", &reason))?;
            self.gpu = Some(device);
            // The ranks' GPUs meet at the first operation: what does not work says so here.
            let mut ranks = Tensor::from_slice(&[1.0_f64])
                .f_to_device(device)
                .map_err(|error| self.failed("NCCL", &error.to_string()))?;
            self.all_reduce(&mut ranks, Reduce::Sum)?;
            let found = ranks
                .f_double_value(&[0])
                .map_err(|error| self.failed("NCCL", &error.to_string()))?;
            if found != f64::from(self.world()) {
                let reason = format!("the sum of a one of each of {} ranks is {found}", self.world());
                return Err(self.failed("NCCL", &reason));
            }
        }
        Ok(route)
    }
}

/// What this rank says.
fn card(device: Device) -> [u8; CARD] {
    let mut card = [0; CARD];
    let state = match device {
        Device::Cuda(_) if !has_nccl() => State::NotBuilt,
        Device::Cuda(number) => match i32::try_from(number).map(ffi::gpu_identity) {
            Ok(Ok(identity)) => {
                card[1..].copy_from_slice(&identity);
                State::Usable
            }
            _ => State::NotFound,
        },
        _ => State::NoGpu,
    };
    card[0] = state as u8;
    card
}

/// What follows from what all ranks say.
fn decide(cards: &[[u8; CARD]]) -> Route {
    let any = |state: State| cards.iter().any(|card| card[0] == state as u8);
    let shared = || {
        let mut identities: Vec<_> = cards.iter().map(|card| &card[1..]).collect();
        identities.sort_unstable();
        identities.windows(2).any(|pair| pair[0] == pair[1])
    };
    if any(State::NoGpu) {
        Route::Host("a rank computes on no CUDA device")
    } else if any(State::NotBuilt) {
        Route::Host("the program of a rank was built without NCCL")
    } else if any(State::NotFound) {
        Route::Host("the CUDA device of a rank has no identity")
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
        use State::{NoGpu, NotBuilt, NotFound, Usable};
        let route = |ranks: &[(State, u8)]| decide(&cards(ranks));
        assert_eq!(route(&[(Usable, 1)]), Route::Nccl);
        assert_eq!(route(&[(Usable, 3), (Usable, 1), (Usable, 2)]), Route::Nccl);
        let host = |ranks: &[(State, u8)]| match route(ranks) {
            Route::Host(why) => why,
            Route::Nccl => panic!("NCCL for {ranks:?}"),
        };
        assert!(host(&[(Usable, 1), (Usable, 2), (Usable, 1)]).contains("two ranks"));
        assert!(host(&[(Usable, 1), (NoGpu, 0)]).contains("no CUDA device"));
        assert!(host(&[(NotBuilt, 0), (Usable, 1)]).contains("without NCCL"));
        assert!(host(&[(NotFound, 0), (Usable, 1)]).contains("identity"));
        // Not as if two ranks without a GPU had the same.
        assert!(host(&[(NoGpu, 0), (NoGpu, 0)]).contains("no CUDA device"));
    }

    #[test]
    fn a_rank_on_the_processor_says_so() {
        assert_eq!(card(Device::Cpu)[0], State::NoGpu as u8);
    }
}
