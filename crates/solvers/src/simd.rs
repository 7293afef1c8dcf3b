//! Choice of the instruction set at run time.
//!
//! Kernels are plain loops in functions marked `#[inline(always)]`; `dispatch` compiles them once for the build's
//! own instruction set (SSE2 on x86-64), once for AVX2 and once for AVX-512, and picks the best at run time. The
//! compiler alone makes the vectors: no kernel uses a fused multiply-add, none reorders a sum, and none depends on
//! the number of lanes, so all versions give the same bits.

use std::sync::atomic::{AtomicU8, Ordering};

/// Instruction set that the kernels run with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Level {
    /// What the program was compiled for: SSE2 on x86-64, unless the build says more.
    Baseline = 0,
    /// AVX2 and no more, where the processor has it; `Baseline` where it does not.
    Avx2 = 1,
    /// The best that this processor offers: AVX-512 (with the extensions F, BW, CD, DQ and VL), AVX2 or `Baseline`
    /// on x86-64. What runs where nothing is set.
    Best = 2,
}

impl Level {
    /// All levels, from the narrowest up.
    pub const ALL: [Self; 3] = [Self::Baseline, Self::Avx2, Self::Best];
}

static LEVEL: AtomicU8 = AtomicU8::new(Level::Best as u8);

/// Sets the instruction set for the whole process: for measurements and for tests that compare the levels.
/// Results do not depend on it.
pub fn set_level(level: Level) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

/// The instruction set that kernels use now, for reports: `baseline`, `avx2`, `avx512`, or `other` on processors
/// other than x86-64.
pub fn level_name() -> &'static str {
    match arch() {
        pulp::Arch::Scalar => "baseline",
        #[cfg(target_arch = "x86_64")]
        pulp::Arch::V3(_) => "avx2",
        #[cfg(target_arch = "x86_64")]
        pulp::Arch::V4(_) => "avx512",
        _ => "other",
    }
}

fn arch() -> pulp::Arch {
    const BASELINE: u8 = Level::Baseline as u8;
    const AVX2: u8 = Level::Avx2 as u8;
    match LEVEL.load(Ordering::Relaxed) {
        BASELINE => pulp::Arch::Scalar,
        AVX2 => avx2(),
        _ => pulp::Arch::new(),
    }
}

#[cfg(target_arch = "x86_64")]
fn avx2() -> pulp::Arch {
    pulp::x86::V3::try_new().map_or(pulp::Arch::Scalar, pulp::Arch::V3)
}

#[cfg(not(target_arch = "x86_64"))]
fn avx2() -> pulp::Arch {
    pulp::Arch::Scalar
}

/// Work that [`dispatch`] compiles for each instruction set. `run` must be `#[inline(always)]`, and so must all that
/// it calls in its loops: a function compiled apart loses the instruction set. See [`kernels`].
pub(crate) trait Kernel {
    type Output;

    /// `simd` is for kernels that write their vectors out.
    fn run<S: pulp::Simd>(self, simd: S) -> Self::Output;
}

struct Op<K>(K);

impl<K: Kernel> pulp::WithSimd for Op<K> {
    type Output = K::Output;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) -> K::Output {
        self.0.run(simd)
    }
}

/// Runs a kernel with the instruction set chosen.
pub(crate) fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    arch().dispatch(Op(kernel))
}

/// Declares kernels: each a struct around the arguments of a function marked `#[inline(always)]`. (Passing the
/// function itself would not do: the compiler's glue around functions as values is compiled apart.)
macro_rules! kernels {
    ($($name:ident<$($l:lifetime,)* $T:ident $(, const $C:ident: $CT:ty)*>($args:ty) -> $out:ty = $body:ident;)*) => {$(
        struct $name<$($l,)* $T: $crate::real::Real $(, const $C: $CT)*>($args);

        impl<$($l,)* $T: $crate::real::Real $(, const $C: $CT)*> $crate::simd::Kernel
            for $name<$($l,)* $T $(, $C)*>
        {
            type Output = $out;

            #[inline(always)]
            fn run<S: pulp::Simd>(self, _: S) -> $out {
                $body::<$T $(, $C)*>(self.0)
            }
        }
    )*};
}
pub(crate) use kernels;
