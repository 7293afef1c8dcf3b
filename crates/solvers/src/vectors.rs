//! Vectors written out, for the loops that the compiler does not vectorise reliably: blocks of lanes with three operations that all
//! instruction sets round alike, and a choice.

#![allow(
    clippy::needless_range_loop,
    reason = "index loops are what the vectoriser reads best"
)]

use std::ops::{Add, Mul, Sub};

use pulp::Simd;

/// Bytes of a [`Block`]: the widest vector.
pub(crate) const BLOCK_BYTES: usize = 64;

/// Numbers that vectors are made of.
pub trait Lanes: Copy {
    /// A vector of an instruction set.
    type Vector<S: Simd>: Copy;

    /// As many whole vectors as there are.
    fn vectors<S: Simd>(values: &[Self]) -> &[Self::Vector<S>];
    /// As [`Lanes::vectors`].
    fn vectors_mut<S: Simd>(values: &mut [Self]) -> &mut [Self::Vector<S>];
    /// The same number in all lanes.
    fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S>;
    /// Lane by lane.
    fn add<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// Lane by lane.
    fn sub<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// Lane by lane.
    fn mul<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// `a` in the lanes in which `flag` is positive, else `b`.
    fn choose<S: Simd>(
        simd: S,
        flag: Self::Vector<S>,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
    ) -> Self::Vector<S>;
}

macro_rules! lanes {
    ($T:ty, $V:ident, $vectors:ident, $vectors_mut:ident, $splat:ident, $add:ident, $sub:ident, $mul:ident, $greater:ident, $select:ident) => {
        impl Lanes for $T {
            type Vector<S: Simd> = S::$V;

            #[inline(always)]
            fn vectors<S: Simd>(values: &[Self]) -> &[S::$V] {
                S::$vectors(values).0
            }

            #[inline(always)]
            fn vectors_mut<S: Simd>(values: &mut [Self]) -> &mut [S::$V] {
                S::$vectors_mut(values).0
            }

            #[inline(always)]
            fn splat<S: Simd>(simd: S, value: Self) -> S::$V {
                simd.$splat(value)
            }

            #[inline(always)]
            fn add<S: Simd>(simd: S, a: S::$V, b: S::$V) -> S::$V {
                simd.$add(a, b)
            }

            #[inline(always)]
            fn sub<S: Simd>(simd: S, a: S::$V, b: S::$V) -> S::$V {
                simd.$sub(a, b)
            }

            #[inline(always)]
            fn mul<S: Simd>(simd: S, a: S::$V, b: S::$V) -> S::$V {
                simd.$mul(a, b)
            }

            #[inline(always)]
            fn choose<S: Simd>(simd: S, flag: S::$V, a: S::$V, b: S::$V) -> S::$V {
                simd.$select(simd.$greater(flag, simd.$splat(0.0)), a, b)
            }
        }
    };
}
lanes!(
    f32,
    f32s,
    as_simd_f32s,
    as_mut_simd_f32s,
    splat_f32s,
    add_f32s,
    sub_f32s,
    mul_f32s,
    greater_than_f32s,
    select_f32s
);
lanes!(
    f64,
    f64s,
    as_simd_f64s,
    as_mut_simd_f64s,
    splat_f64s,
    add_f64s,
    sub_f64s,
    mul_f64s,
    greater_than_f64s,
    select_f64s
);

/// [`BLOCK_BYTES`] of lanes, as `W` vectors.
#[derive(Clone, Copy)]
pub(crate) struct Block<S: Simd, T: Lanes, const W: usize>(S, [T::Vector<S>; W]);

impl<S: Simd, T: Lanes, const W: usize> Block<S, T, W> {
    /// The same number in all lanes.
    #[inline(always)]
    pub(crate) fn all(simd: S, value: T) -> Self {
        Self(simd, [T::splat(simd, value); W])
    }

    /// The first lanes of `values`.
    #[inline(always)]
    pub(crate) fn load(simd: S, values: &[T]) -> Self {
        let vectors: &[T::Vector<S>; W] = T::vectors(values).first_chunk().expect("a block of lanes");
        Self(simd, *vectors)
    }

    /// To the first lanes of `values`.
    #[inline(always)]
    pub(crate) fn store(self, values: &mut [T]) {
        *T::vectors_mut(values)
            .first_chunk_mut()
            .expect("a block of lanes") = self.1;
    }
}

impl<S: Simd, T: Lanes, const W: usize> Block<S, T, W> {
    /// `a` in the lanes in which this is positive, else `b`.
    #[inline(always)]
    pub(crate) fn choose(self, a: Self, mut b: Self) -> Self {
        for w in 0..W {
            b.1[w] = T::choose(self.0, self.1[w], a.1[w], b.1[w]);
        }
        b
    }
}

macro_rules! operator {
    ($Op:ident, $op:ident) => {
        impl<S: Simd, T: Lanes, const W: usize> $Op for Block<S, T, W> {
            type Output = Self;

            #[inline(always)]
            fn $op(mut self, other: Self) -> Self {
                for w in 0..W {
                    self.1[w] = T::$op(self.0, self.1[w], other.1[w]);
                }
                self
            }
        }
    };
}
operator!(Add, add);
operator!(Sub, sub);
operator!(Mul, mul);

/// Copies at most 32 numbers as two pieces of a given length, which may overlap: a copy of any length is a call that costs more than
/// what is done with the numbers.
#[inline(always)]
pub(crate) fn copy_few<T: Copy>(from: &[T], to: &mut [T]) {
    let n = from.len();
    let to = &mut to[..n];
    macro_rules! pieces {
        ($($len:literal)*) => {$(
            if let (Some(first), Some(last)) = (from.first_chunk::<$len>(), from.last_chunk::<$len>()) {
                *to.first_chunk_mut().expect("as long") = *first;
                *to.last_chunk_mut().expect("as long") = *last;
                return;
            }
        )*};
    }
    pieces!(16 8 4 2 1);
}

/// Runs `run::<S, T, L, W>(..)` with the number of vectors that make a [`Block`].
macro_rules! by_width {
    ($run:ident::<$S:ty, $T:ty, $L:tt>($($arg:expr),*)) => {
        match $crate::vectors::BLOCK_BYTES / size_of::<<$T as $crate::vectors::Lanes>::Vector<$S>>() {
            1 => $run::<$S, $T, $L, 1>($($arg),*),
            2 => $run::<$S, $T, $L, 2>($($arg),*),
            4 => $run::<$S, $T, $L, 4>($($arg),*),
            8 => $run::<$S, $T, $L, 8>($($arg),*),
            _ => $run::<$S, $T, $L, 16>($($arg),*),
        }
    };
}
pub(crate) use by_width;
