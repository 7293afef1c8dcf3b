//! The two number types of host states.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

mod sealed {
    pub trait Sealed: crate::vectors::Lanes {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// `f32` or `f64`. Sealed: the kernels rely on what these two promise, above all that no operation here is
/// contracted to a fused multiply-add, so that every instruction set gives the same bits.
pub trait Real:
    sealed::Sealed
    + Copy
    + Default
    + PartialOrd
    + Debug
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Distance from 1 to the next number.
    const ROUNDING: f64;

    /// Rounds to nearest.
    fn from_f64(value: f64) -> Self;
    /// Exact.
    fn from_f32(value: f32) -> Self;
    /// Exact.
    fn to_f64(self) -> f64;
    /// Absolute value.
    fn abs(self) -> Self;
    /// Square root, correctly rounded.
    fn sqrt(self) -> Self;
    /// `2^-e` for a positive normal `self = m 2^e`, `1 <= m < 2`: scales it to `[1, 2)` without rounding.
    fn exponent_scale(self) -> Self;
    /// Neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// `2^max(x, -80)` (`f32`) or `2^max(x, -900)` (`f64`) for `x <= 0`: branch-free, no library call, relative error
    /// at most 2e-7 or 5e-16. As the weight of a sum whose largest weight is 1, what lies below the bound does not
    /// count, while smaller numbers would make products subnormal, which processors compute a hundred times slower.
    /// NaN gives the bound.
    fn exp2_nonpositive(self) -> Self;
    /// `log2(x)` of a positive normal `x`: branch-free, no library call, error at most a unit in the last place of
    /// the result or of 1, whichever is larger, or two. Other arguments give an unspecified value.
    fn log2_positive(self) -> Self;
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const ROUNDING: f64 = f32::EPSILON as f64;

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as f32
    }

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        value
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn abs(self) -> Self {
        self.abs()
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }

    #[inline(always)]
    fn exponent_scale(self) -> Self {
        f32::from_bits(0x7f00_0000_u32.wrapping_sub(self.to_bits() & 0x7f80_0000))
    }

    #[inline(always)]
    fn is_finite(self) -> bool {
        self.is_finite()
    }

    #[inline(always)]
    fn exp2_nonpositive(self) -> Self {
        // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits: `f32::round` would be a library
        // call on SSE2.
        const MAGIC: f32 = 12_582_912.0;
        let x = if self > -80.0 { self } else { -80.0 };
        let shifted = x + MAGIC;
        let f = x - (shifted - MAGIC);
        // Minimax fit of (2^f - 1)/f on [-1/2, 1/2], relative error 9.2e-8 in 2^f.
        let p = 0.001_326_472_7;
        let p = p * f + 0.009_671_513;
        let p = p * f + 0.055_507_336;
        let p = p * f + 0.240_222_42;
        let p = p * f + 0.693_146_97;
        let p = p * f + 1.0;
        f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23))
    }

    #[inline(always)]
    fn log2_positive(self) -> Self {
        const SQRT_HALF: u32 = 0x3f35_04f3;
        let offset = (self.to_bits() as i32).wrapping_sub(SQRT_HALF as i32);
        let exponent = (offset >> 23) as f32;
        let m = f32::from_bits((offset as u32 & 0x007f_ffff) + SQRT_HALF);
        // ln(m) = 2 artanh(z), z = (m - 1)/(m + 1), |z| <= 0.1716: the first term left out is 2 z^11/11 < 7e-10.
        let z = (m - 1.0) / (m + 1.0);
        let y = z * z;
        let p = 2.0 / 9.0;
        let p = p * y + 2.0 / 7.0;
        let p = p * y + 2.0 / 5.0;
        let p = p * y + 2.0 / 3.0;
        let p = p * y + 2.0;
        p * z * std::f32::consts::LOG2_E + exponent
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const ROUNDING: f64 = f64::EPSILON;

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        f64::from(value)
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }

    #[inline(always)]
    fn abs(self) -> Self {
        self.abs()
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }

    #[inline(always)]
    fn exponent_scale(self) -> Self {
        f64::from_bits(0x7fe0_0000_0000_0000_u64.wrapping_sub(self.to_bits() & 0x7ff0_0000_0000_0000))
    }

    #[inline(always)]
    fn is_finite(self) -> bool {
        self.is_finite()
    }

    #[inline(always)]
    fn exp2_nonpositive(self) -> Self {
        const MAGIC: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52
        let x = if self > -900.0 { self } else { -900.0 };
        let shifted = x + MAGIC;
        let f = (x - (shifted - MAGIC)) * std::f64::consts::LN_2;
        // Taylor series of e^f to f^13 on |f| <= ln(2)/2: the next term is below 5e-18.
        let p = 1.0 / 6_227_020_800.0;
        let p = p * f + 1.0 / 479_001_600.0;
        let p = p * f + 1.0 / 39_916_800.0;
        let p = p * f + 1.0 / 3_628_800.0;
        let p = p * f + 1.0 / 362_880.0;
        let p = p * f + 1.0 / 40_320.0;
        let p = p * f + 1.0 / 5_040.0;
        let p = p * f + 1.0 / 720.0;
        let p = p * f + 1.0 / 120.0;
        let p = p * f + 1.0 / 24.0;
        let p = p * f + 1.0 / 6.0;
        let p = p * f + 0.5;
        let p = p * f + 1.0;
        let p = p * f + 1.0;
        f64::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 52))
    }

    #[inline(always)]
    fn log2_positive(self) -> Self {
        const SQRT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
        let offset = self.to_bits().wrapping_sub(SQRT_HALF);
        // The exponent, shifted by 1024 to be positive, joins the low bits of 2^52: no 64-bit conversion on AVX2.
        let biased = (offset >> 52).wrapping_add(1024) & 0xfff;
        let exponent = f64::from_bits(0x4330_0000_0000_0000 | biased) - (4_503_599_627_370_496.0 + 1024.0);
        let m = f64::from_bits((offset & 0x000f_ffff_ffff_ffff) + SQRT_HALF);
        // As for f32; the first term left out is 2 z^23/23 < 3e-19.
        let z = (m - 1.0) / (m + 1.0);
        let y = z * z;
        let p = 2.0 / 21.0;
        let p = p * y + 2.0 / 19.0;
        let p = p * y + 2.0 / 17.0;
        let p = p * y + 2.0 / 15.0;
        let p = p * y + 2.0 / 13.0;
        let p = p * y + 2.0 / 11.0;
        let p = p * y + 2.0 / 9.0;
        let p = p * y + 2.0 / 7.0;
        let p = p * y + 2.0 / 5.0;
        let p = p * y + 2.0 / 3.0;
        let p = p * y + 2.0;
        p * z * std::f64::consts::LOG2_E + exponent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp2_and_log2_are_accurate_to_their_promise() {
        let mut worst32 = 0.0_f64;
        let mut worst64 = 0.0_f64;
        for i in 0..200_000 {
            let x = -900.0 * f64::from(i) / 200_000.0;
            let x32 = (x * (80.0 / 900.0)) as f32;
            let exact = f64::from(x32).exp2();
            worst32 = worst32.max((f64::from(x32.exp2_nonpositive()) / exact - 1.0).abs());
            worst64 = worst64.max((x.exp2_nonpositive() / x.exp2() - 1.0).abs());
        }
        assert!(worst32 < 2e-7, "{worst32:e}");
        assert!(worst64 < 5e-16, "{worst64:e}");
        let (mut log32, mut log64) = (0.0_f64, 0.0_f64);
        for i in -60_000..60_000 {
            let x = (f64::from(i) * 1.234_567e-3).exp();
            let x32 = x as f32;
            let exact = f64::from(x32).log2();
            log32 = log32.max((f64::from(x32.log2_positive()) - exact).abs() / exact.abs().max(1.0));
            log64 = log64.max((x.log2_positive() - x.log2()).abs() / x.log2().abs().max(1.0));
        }
        assert!(log32 < 2.5e-7 && log64 < 5e-16, "{log32:e} {log64:e}");
        assert_eq!(0.0_f32.exp2_nonpositive(), 1.0);
        assert_eq!(0.0_f64.exp2_nonpositive(), 1.0);
        assert_eq!(f32::NEG_INFINITY.exp2_nonpositive(), (-80.0_f32).exp2());
        assert_eq!(f64::NEG_INFINITY.exp2_nonpositive(), (-900.0_f64).exp2());
    }
    #[test]
    fn exponent_scales_are_exact() {
        for x in [1.0_f64, 1.5, 1.999, 2.0, 3e-30, 7e30, 0.25] {
            let (narrow, wide) = (x as f32 * (x as f32).exponent_scale(), x * x.exponent_scale());
            assert!((1.0..2.0).contains(&narrow) && (1.0..2.0).contains(&wide), "{x}");
            assert_eq!(x.exponent_scale(), 2f64.powi(-(x.log2().floor() as i32)));
        }
    }
}
