//! The memory that the ranks of one machine share: a counter for each rank and places for numbers. With `ffi.rs` all of the crate's
//! `unsafe`.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::{AddAssign, Range};
use std::ptr::copy_nonoverlapping;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::MmapRaw;
use tch::{Device, Kind, Tensor};

/// Bytes of one place.
pub(crate) const PLACE: usize = 1 << 20;
/// Places of a rank: one is filled while others still read the one before.
const PLACES: usize = 2;
/// Bytes of a counter: a cache line of its own, and the one that is fetched with it.
const COUNTER: usize = 128;

/// A number that is summed.
pub(crate) trait Number: Copy + Default + AddAssign {
    /// What tensors of it are called.
    const KIND: Kind;
}

impl Number for f32 {
    const KIND: Kind = Kind::Float;
}

impl Number for f64 {
    const KIND: Kind = Kind::Double;
}

/// Memory of `world` ranks, mapped into this process.
#[derive(Debug)]
pub(crate) struct Memory {
    map: MmapRaw,
    world: usize,
}

impl Memory {
    /// Bytes for so many ranks.
    pub(crate) fn bytes(world: usize) -> usize {
        world * (COUNTER + PLACES * PLACE)
    }

    /// Maps a file of [`Memory::bytes`] zeros, which stays mapped when its name is gone.
    ///
    /// # Errors
    /// The file is shorter, or the system refuses.
    pub(crate) fn map(file: &File, world: usize) -> io::Result<Self> {
        let map = MmapRaw::map_raw(file)?;
        if map.len() != Self::bytes(world) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Self { map, world })
    }

    /// How far a rank has come.
    pub(crate) fn counter(&self, rank: usize) -> &AtomicU64 {
        assert!(rank < self.world);
        // SAFETY: inside the mapping, which lives as long as `self`, at a multiple of 128 bytes of a page; every process uses these
        // bytes as an atomic number only.
        unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().add(rank * COUNTER).cast()) }
    }

    /// Where the numbers `range` of a place begin.
    fn start<T: Number>(&self, (rank, place): (usize, usize), range: &Range<usize>) -> *mut T {
        assert!(rank < self.world && place < PLACES);
        assert!(range.start <= range.end && range.end <= PLACE / size_of::<T>());
        let offset = self.world * COUNTER + (rank * PLACES + place) * PLACE + range.start * size_of::<T>();
        // SAFETY: inside the mapping, by the assertions.
        unsafe { self.map.as_mut_ptr().add(offset).cast() }
    }

    /// Writes `values` to the numbers `range` of a place: between two meetings, in which no other rank reads these.
    pub(crate) fn put<T: Number>(&self, place: (usize, usize), range: Range<usize>, values: &[T]) {
        assert_eq!(range.len(), values.len());
        let to = self.start(place, &range);
        // SAFETY: `range` lies in the mapping, `values` does not; the ranks' counters order this before what other ranks read.
        unsafe { copy_nonoverlapping(values.as_ptr(), to, values.len()) }
    }

    /// Reads the numbers `range` of a place: after a meeting that follows their writing, and before the next that lets it go on.
    pub(crate) fn get<T: Number>(&self, place: (usize, usize), range: Range<usize>, out: &mut [T]) {
        assert_eq!(range.len(), out.len());
        let from = self.start(place, &range);
        // SAFETY: as in `put`.
        unsafe { copy_nonoverlapping(from, out.as_mut_ptr(), out.len()) }
    }

    /// As [`Memory::get`], added to what is there.
    pub(crate) fn add<T: Number>(&self, place: (usize, usize), range: Range<usize>, sums: &mut [T]) {
        assert_eq!(range.len(), sums.len());
        let from: *const T = self.start(place, &range);
        for (i, sum) in sums.iter_mut().enumerate() {
            // SAFETY: as in `put`; numbers of any bits are numbers.
            *sum += unsafe { from.add(i).read() };
        }
    }

    /// Says that this rank has come to meeting `number`: what it wrote before, others see after they have waited for it.
    pub(crate) fn arrive(&self, rank: usize, number: u64) {
        self.counter(rank).store(number, Ordering::Release);
    }

    /// Whether a rank has come to meeting `number`.
    pub(crate) fn arrived(&self, rank: usize, number: u64) -> bool {
        self.counter(rank).load(Ordering::Acquire) >= number
    }
}

/// The numbers of a contiguous tensor of this kind on the host; `None` for others.
pub(crate) fn numbers<T: Number>(tensor: &mut Tensor) -> Option<&mut [T]> {
    let fits = tensor.defined()
        && tensor.kind() == T::KIND
        && tensor.device() == Device::Cpu
        && tensor.is_contiguous()
        && tensor.numel() > 0;
    // SAFETY: so many numbers of this kind lie there, and the tensor is borrowed as long as the slice. Other tensors that share its
    // storage are not used meanwhile: libtorch itself would not mind, and no other thread has them.
    fits.then(|| unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast(), tensor.numel()) })
}
