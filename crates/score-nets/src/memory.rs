//! Keeping freed memory for the next step.

use tch::{Device, Kind, Tensor};

/// Makes glibc's allocator keep freed blocks instead of handing them back to the system, which would fault them in
/// again page by page in the next training step. Call it once, before the first step; costs nothing elsewhere.
///
/// glibc raises the size from which it maps blocks one by one to that of the largest mapped block freed so far (up to
/// 32 MiB), and the free memory it keeps at the top of the heap to twice that (mallopt(3), `M_MMAP_THRESHOLD`,
/// dynamic adjustment): allocating and freeing one such block is enough.
pub fn keep_freed_memory() {
    const BYTES: i64 = (32 << 20) - (64 << 10);
    // Without so much memory to spare there is nothing to keep.
    drop(Tensor::f_empty([BYTES], (Kind::Uint8, Device::Cpu)));
}
