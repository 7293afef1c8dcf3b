//! Choice of the instruction set at run time.
//!
//! Kernels are plain loops in functions marked `#[inline(always)]`; `dispatch` compiles them once for the build's
//! own instruction set (SSE2 on x86-64) and once for AVX2, and picks at run time. No kernel uses a fused
//! multiply-add and none reorders a sum, so both versions give the same bits.

use std::sync::atomic::{AtomicU8, Ordering};

/// Instruction set that the kernels run with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Level {
    /// What the program was compiled for.
    Baseline = 0,
    /// The best that this processor offers (AVX2 on x86-64).
    Best = 1,
}

static LEVEL: AtomicU8 = AtomicU8::new(Level::Best as u8);

/// Sets the instruction set for the whole process: for measurements and for tests that compare the two.
/// Results do not depend on it.
pub fn set_level(level: Level) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

/// The instruction set that kernels use now, for reports: `avx2` or `baseline`.
pub fn level_name() -> &'static str {
    match arch() {
        pulp::Arch::Scalar => "baseline",
        #[cfg(target_arch = "x86_64")]
        pulp::Arch::V3(_) => "avx2",
        _ => "other",
    }
}

fn arch() -> pulp::Arch {
    if LEVEL.load(Ordering::Relaxed) == Level::Baseline as u8 {
        pulp::Arch::Scalar
    } else {
        pulp::Arch::new()
    }
}

struct Call<F, A> {
    kernel: F,
    args: A,
}

impl<A, R, F: FnOnce(A) -> R> pulp::WithSimd for Call<F, A> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _simd: S) -> R {
        (self.kernel)(self.args)
    }
}

/// Runs a kernel with the instruction set chosen. `kernel` must be the name of a function marked
/// `#[inline(always)]` (a closure might be compiled apart and lose the instruction set).
pub(crate) fn dispatch<A, R>(kernel: impl FnOnce(A) -> R, args: A) -> R {
    arch().dispatch(Call { kernel, args })
}
