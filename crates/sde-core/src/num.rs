//! Elementary functions written so that nothing cancels.

/// `ln(e^x - 1)` for `x >= 0`; minus infinity at 0.
pub(crate) fn ln_expm1(x: f64) -> f64 {
    if x < 1.0 {
        x.exp_m1().ln()
    } else {
        x + (-(-x).exp()).ln_1p()
    }
}

/// `ln(1 + e^x)`.
pub(crate) fn softplus(x: f64) -> f64 {
    if x > 0.0 {
        x + (-x).exp().ln_1p()
    } else {
        x.exp().ln_1p()
    }
}

/// `ln(2 sinh x)` for `x >= 0`; minus infinity at 0.
pub(crate) fn ln_2sinh(x: f64) -> f64 {
    if x < 1.0 {
        (2.0 * x.sinh()).ln()
    } else {
        x + (-(-2.0 * x).exp()).ln_1p()
    }
}

/// `asinh(e^x / 2)`, the inverse of [`ln_2sinh`], without overflow for large `x`.
pub(crate) fn asinh_half_exp(x: f64) -> f64 {
    if x > 20.0 {
        x + (-2.0 * x).exp()
    } else {
        (0.5 * x.exp()).asinh()
    }
}

/// `|a - b| <= tolerance`, false for NaN.
pub(crate) fn within(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance
}

/// `(e^x, e^x - 1)`, both to two units in the last place, for `|x| <= 700` (held at these bounds beyond). No branch and no library
/// call: a loop over it runs in SIMD lanes, with the same bits on every machine. NaN stays NaN.
#[inline(always)]
pub(crate) fn exp_pair(x: f64) -> (f64, f64) {
    const MAGIC: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52: adding it rounds to an integer
    // ln 2 in two parts, the first with so few digits that its product with an integer of three digits is exact.
    const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let x = if x < -700.0 { -700.0 } else { x };
    let x = if x > 700.0 { 700.0 } else { x };
    let shifted = x * std::f64::consts::LOG2_E + MAGIC;
    let whole = shifted - MAGIC;
    let r = (x - whole * LN2_HIGH) - whole * LN2_LOW;
    // Taylor series of (e^r - 1 - r)/r^2 to r^11, |r| <= ln(2)/2: the next term is below 5e-17. Taken in pairs, so that short chains
    // of operations run side by side.
    const C: [f64; 12] = [
        0.5,
        1.0 / 6.0,
        1.0 / 24.0,
        1.0 / 120.0,
        1.0 / 720.0,
        1.0 / 5_040.0,
        1.0 / 40_320.0,
        1.0 / 362_880.0,
        1.0 / 3_628_800.0,
        1.0 / 39_916_800.0,
        1.0 / 479_001_600.0,
        1.0 / 6_227_020_800.0,
    ];
    let (r2, r4) = (r * r, (r * r) * (r * r));
    let low = (C[0] + C[1] * r) + (C[2] + C[3] * r) * r2;
    let middle = (C[4] + C[5] * r) + (C[6] + C[7] * r) * r2;
    let high = (C[8] + C[9] * r) + (C[10] + C[11] * r) * r2;
    let p = r + r2 * (low + (middle + high * r4) * r4);
    let power = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    (power * p + power, power * p + (power - 1.0))
}

/// A function of one number. `at` and all that it calls are to be `#[inline(always)]`: what is compiled apart loses the instruction
/// set of [`each`].
pub(crate) trait Number {
    fn at(&self, x: f64) -> f64;
}

/// A function of two numbers to two numbers, as [`Number`].
pub(crate) trait Pair {
    fn at(&self, a: f64, b: f64) -> (f64, f64);
}

/// Numbers that [`each`] takes at a time, in local arrays: the function's own numbers then stay in registers, since nothing that is
/// written can be one of them.
const STRIP: usize = 32;

/// `to = f(from)` for many numbers, in SIMD lanes. The instruction set does not change the bits.
pub(crate) fn each<F: Number>(f: &F, from: &[f64], to: &mut [f64]) {
    struct Each<'a, F>(&'a F, &'a [f64], &'a mut [f64]);

    impl<F: Number> Loop for Each<'_, F> {
        #[inline(always)]
        fn run(self) {
            let (strips, rest) = self.1.as_chunks::<STRIP>();
            let (strips_out, rest_out) = self.2.as_chunks_mut::<STRIP>();
            for (from, to) in strips.iter().zip(strips_out) {
                let (x, mut out) = (*from, [0.0; STRIP]);
                for i in 0..STRIP {
                    out[i] = self.0.at(x[i]);
                }
                *to = out;
            }
            let [mut x, mut out] = [[0.0; STRIP]; 2];
            let n = rest.len();
            x[..n].copy_from_slice(rest);
            for i in 0..n {
                out[i] = self.0.at(x[i]);
            }
            rest_out.copy_from_slice(&out[..n]);
        }
    }

    dispatch(Each(f, from, to));
}

/// `(a, b) <- f(a, b)` for many numbers, as [`each`].
pub(crate) fn each_pair<F: Pair>(f: &F, a: &mut [f64], b: &mut [f64]) {
    struct EachPair<'a, F>(&'a F, &'a mut [f64], &'a mut [f64]);

    impl<F: Pair> Loop for EachPair<'_, F> {
        #[inline(always)]
        fn run(self) {
            for (a, b) in self.1.iter_mut().zip(self.2) {
                (*a, *b) = self.0.at(*a, *b);
            }
        }
    }

    dispatch(EachPair(f, a, b));
}

/// What is compiled for each instruction set.
trait Loop {
    fn run(self);
}

/// Runs a loop with the best instruction set of the processor.
#[cfg(feature = "simd")]
fn dispatch<L: Loop>(of: L) {
    struct Op<L>(L);

    impl<L: Loop> pulp::WithSimd for Op<L> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, _simd: S) {
            self.0.run();
        }
    }

    pulp::Arch::new().dispatch(Op(of));
}

#[cfg(not(feature = "simd"))]
fn dispatch<L: Loop>(of: L) {
    of.run();
}

#[cfg(test)]
mod tests {
    use super::{Pair, each_pair, exp_pair};

    #[test]
    fn many_exponentials_have_the_bits_of_each() {
        struct Exponentials;

        impl Pair for Exponentials {
            #[inline(always)]
            fn at(&self, x: f64, _: f64) -> (f64, f64) {
                exp_pair(x)
            }
        }

        let arguments: Vec<f64> = (0..103).map(|i| 0.37 * f64::from(i) - 19.0).collect();
        let (mut exp, mut less_one) = (arguments.clone(), vec![0.0; arguments.len()]);
        each_pair(&Exponentials, &mut exp, &mut less_one);
        for ((x, exp), less_one) in arguments.iter().zip(exp).zip(less_one) {
            let (one, other) = exp_pair(*x);
            assert_eq!(
                (exp.to_bits(), less_one.to_bits()),
                (one.to_bits(), other.to_bits()),
                "{x}"
            );
        }
    }

    #[test]
    fn exponentials_are_accurate_to_two_units() {
        for i in -200_000..200_000 {
            let u = f64::from(i) / 200_000.0;
            for x in [690.0 * u, 2.0 * u, 1e-3 * u, 1e-12 * u] {
                let (exp, less_one) = exp_pair(x);
                assert!((exp / x.exp() - 1.0).abs() < 4.5e-16, "{x}");
                assert!((less_one - x.exp_m1()).abs() <= 4.5e-16 * x.exp_m1().abs(), "{x}");
            }
        }
        assert_eq!(exp_pair(0.0), (1.0, 0.0));
        assert_eq!(exp_pair(f64::NEG_INFINITY).0, exp_pair(-700.0).0);
        assert!(exp_pair(f64::NAN).0.is_nan() && exp_pair(f64::NAN).1.is_nan());
    }
}
