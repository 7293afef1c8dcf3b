//! What the ranks of one machine share: a part of memory each, with a counter, a word and two places for numbers. With `ffi.rs` all of
//! the crate's `unsafe`.
//!
//! [`Part`]'s functions are safe to call as `shared.rs` does: a rank writes to its own part only, and to a place that others have read only
//! after it has met all ranks since then; a rank reads another's place only after it has met that rank since it was written, and nothing
//! that is still being written.
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
/// Bytes of counter and word: a cache line, and the one that is fetched with it.
const HEAD: usize = 128;

/// A number that is summed.
pub(crate) trait Number: Copy + AddAssign {
    /// What tensors of it are called.
    const KIND: Kind;
}

impl Number for f32 {
    const KIND: Kind = Kind::Float;
}

impl Number for f64 {
    const KIND: Kind = Kind::Double;
}

/// The part of a rank, mapped into this process.
#[derive(Debug)]
pub(crate) struct Part(MmapRaw);

impl Part {
    /// Bytes of a part.
    pub(crate) const BYTES: usize = HEAD + PLACES * PLACE;

    /// Maps a file of [`Part::BYTES`] zeros; it stays mapped when its name is gone.
    ///
    /// # Errors
    /// The file has another size, or the system refuses.
    pub(crate) fn map(file: &File) -> io::Result<Self> {
        let map = MmapRaw::map_raw(file)?;
        if map.len() != Self::BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Self(map))
    }

    fn head(&self, word: usize) -> &AtomicU64 {
        assert!(word < HEAD / size_of::<u64>());
        // SAFETY: inside the mapping, which lives as long as `self`, and aligned, since mappings begin with a page; every process uses
        // these bytes as atomic numbers only.
        unsafe { AtomicU64::from_ptr(self.0.as_mut_ptr().cast::<u64>().add(word)) }
    }

    /// Says that the owner has come to meeting `number`, with a word for the others: what it wrote before, they see after they have
    /// found it [arrived](Part::arrived).
    pub(crate) fn arrive(&self, number: u64, word: u64) {
        self.head(1).store(word, Ordering::Relaxed);
        self.head(0).store(number, Ordering::Release);
    }

    /// Whether the owner has come to meeting `number`.
    pub(crate) fn arrived(&self, number: u64) -> bool {
        self.head(0).load(Ordering::Acquire) >= number
    }

    /// The owner's word of the last meeting.
    pub(crate) fn word(&self) -> u64 {
        self.head(1).load(Ordering::Relaxed)
    }

    /// Where the numbers `range` of a place begin.
    fn start<T: Number>(&self, place: usize, range: &Range<usize>) -> *mut T {
        assert!(place < PLACES && range.start <= range.end && range.end <= PLACE / size_of::<T>());
        let offset = HEAD + place * PLACE + range.start * size_of::<T>();
        // SAFETY: inside the mapping, by the assertion.
        unsafe { self.0.as_mut_ptr().add(offset).cast() }
    }

    /// Writes `values` to the numbers of a place from `start` on.
    pub(crate) fn put<T: Number>(&self, place: usize, start: usize, values: &[T]) {
        let to = self.start(place, &(start..start + values.len()));
        // SAFETY: so many numbers lie there in the mapping, apart from `values`, and nobody else uses them now: see the module.
        unsafe { copy_nonoverlapping(values.as_ptr(), to, values.len()) }
    }

    /// Reads the numbers of a place from `start` on.
    pub(crate) fn get<T: Number>(&self, place: usize, start: usize, out: &mut [T]) {
        let from = self.start(place, &(start..start + out.len()));
        // SAFETY: as in `put`; any bits are a number.
        unsafe { copy_nonoverlapping(from, out.as_mut_ptr(), out.len()) }
    }

    /// As [`Part::get`], added to what is there.
    pub(crate) fn add<T: Number>(&self, place: usize, start: usize, sums: &mut [T]) {
        let from: *const T = self.start(place, &(start..start + sums.len()));
        for (i, sum) in sums.iter_mut().enumerate() {
            // SAFETY: as in `get`.
            *sum += unsafe { from.add(i).read() };
        }
    }
}

/// The numbers of a dense, contiguous tensor of this kind on the host; `None` for others. As for every operation in place, nobody else
/// may use the tensor's storage meanwhile, through another tensor or from another thread, and no backward pass may need its old values.
pub(crate) fn numbers<T: Number>(tensor: &mut Tensor) -> Option<&mut [T]> {
    let dense =
        tensor.defined() && tensor.device() == Device::Cpu && !tensor.is_sparse() && !tensor.is_mkldnn();
    let fits = dense && tensor.kind() == T::KIND && tensor.is_contiguous() && tensor.numel() > 0;
    let start: *mut T = if fits {
        tensor.data_ptr().cast()
    } else {
        std::ptr::null_mut()
    };
    // SAFETY: a dense tensor has so many numbers of its kind there, in a row; it is borrowed as long as the slice is.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts_mut(start, tensor.numel()) })
}
