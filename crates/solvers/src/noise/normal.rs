//! Two standard normals from two random words (Box and Muller 1958), without a branch, a table or a library call.
//!
//! The radius takes 31 bits: `r = sqrt(-2 ln u)`, `u = (k + 1/2) 2^-31`, so values reach
//! `sqrt(-2 ln 2^-32) = 6.6604` ([`MAX_ABS`]) and no further (one normal in 4e10 lies beyond). The angle takes 30
//! bits inside a quarter of the circle, symmetric about its middle, where sine and cosine are short polynomials;
//! the last two bits choose the quarter by a swap and a common sign. Arithmetic is `f32` with separate multiply
//! and add: the same bits with every instruction set. The error against exact arithmetic is a few units of
//! 1e-7 relative to the radius.

/// No value is larger in absolute value: `sqrt(64 ln 2)`, rounded up.
pub const MAX_ABS: f32 = 6.6605;

/// Two independent standard normals from two random words.
#[inline(always)]
pub(crate) fn pair(radius_word: u32, angle_word: u32) -> (f32, f32) {
    // u 2^31 in (0, 2^31]; the signed conversion is the one that SSE2 has.
    let scaled = (radius_word >> 1) as i32 as f32 + 0.5;
    // scaled = m 2^e with m in [sqrt(1/2), sqrt(2))
    const SQRT_HALF: i32 = 0x3f35_04f3;
    let offset = (scaled.to_bits() as i32).wrapping_sub(SQRT_HALF);
    let exponent = (31 - (offset >> 23)) as f32;
    let f = f32::from_bits(((offset & 0x007f_ffff) + SQRT_HALF) as u32) - 1.0;
    // Minimax fit of (2 f - 2 ln(1 + f)) / f^2; relative error of the logarithm 1.8e-7.
    let p = 0.201_647_6;
    let p = p * f - 0.323_61;
    let p = p * f + 0.344_864_5;
    let p = p * f - 0.398_137_66;
    let p = p * f + 0.499_424_58;
    let p = p * f - 0.666_694_3;
    let p = p * f + 1.000_006_5;
    let square = (p * f - 2.0) * f + exponent * (2.0 * std::f32::consts::LN_2);
    let radius = f32::from_bits(square.sqrt().to_bits() ^ (angle_word << 31));

    // v in (-1, 1), odd multiples of 2^-30; the angle is v pi/4.
    let v = (((angle_word as i32) >> 1) | 1) as f32 * (1.0 / 1_073_741_824.0);
    let y = v * v;
    let s = -3.595_045_2e-5;
    let s = s * y + 2.490_001e-3;
    let s = s * y - 0.080_745_43;
    let s = s * y + std::f32::consts::FRAC_PI_4;
    let s = s * v;
    let c = -3.191_601_6e-4;
    let c = c * y + 0.015_850_397;
    let c = c * y - 0.308_424_5;
    let c = c * y + 1.0;
    let swap = angle_word & 2 != 0;
    let (a, b) = (if swap { s } else { c }, if swap { c } else { s });
    (radius * a, radius * b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{Draw, Purpose, fill_rows_f32};

    /// Against the formula in `f64`, over words that reach every branch of the radius and the circle.
    #[test]
    fn agrees_with_box_muller_in_double_precision() {
        let mut worst = 0.0_f64;
        for i in 0..400_000_u32 {
            let radius_word = match i % 3 {
                0 => i.wrapping_mul(0x9E37_79B9),
                1 => i,
                _ => !i,
            };
            let angle_word = i.wrapping_mul(0x85EB_CA6B).rotate_left(7);
            let (a, b) = pair(radius_word, angle_word);
            // The argument is rounded to f32 first; that rounding is part of the definition.
            let u = f64::from((radius_word >> 1) as f32 + 0.5) / 2_147_483_648.0;
            let radius = (-2.0 * u.ln()).sqrt();
            let v = f64::from(((angle_word as i32) >> 1) | 1) / 1_073_741_824.0;
            let (s, c) = (v * std::f64::consts::FRAC_PI_4).sin_cos();
            let (x, y) = if angle_word & 2 != 0 { (s, c) } else { (c, s) };
            let sign = if angle_word & 1 != 0 { -1.0 } else { 1.0 };
            let scale = radius.max(1e-3);
            worst = worst.max((f64::from(a) - sign * radius * x).abs() / scale);
            worst = worst.max((f64::from(b) - sign * radius * y).abs() / scale);
        }
        assert!(worst < 5e-7, "{worst:e}");
    }

    #[test]
    fn extreme_words_stay_finite() {
        for radius_word in [0, 1, 2, u32::MAX, u32::MAX - 1, 1 << 31] {
            for angle_word in [0, 1, 2, 3, u32::MAX, 1 << 31, (1 << 31) - 1] {
                let (a, b) = pair(radius_word, angle_word);
                assert!(
                    a.abs() <= MAX_ABS && b.abs() <= MAX_ABS,
                    "{radius_word} {angle_word}: {a} {b}"
                );
            }
        }
        assert!((pair(0, 0).0.hypot(pair(0, 0).1) - 6.6604).abs() < 1e-4);
    }

    /// Moments, pair correlation, tails and Kolmogorov's distance of 2^20 values, each within 4.5 standard errors
    /// (the chance that a right generator fails is about 1e-4; the seed is fixed).
    #[test]
    fn distribution_is_normal() {
        const N: usize = 1 << 20;
        let mut z = vec![0.0_f32; N];
        fill_rows_f32(
            2026,
            Draw {
                step: 0,
                purpose: Purpose::Data,
            },
            0,
            2,
            &mut z,
        );
        let n = N as f64;
        let moment = |k: i32| z.iter().map(|v| f64::from(*v).powi(k)).sum::<f64>() / n;
        // Var(z^k) = m_2k - m_k^2 with m_2, m_4, m_6, m_8, m_12 = 1, 3, 15, 105, 10395.
        for (k, mean, var) in [
            (1, 0.0, 1.0),
            (2, 1.0, 2.0),
            (3, 0.0, 15.0),
            (4, 3.0, 96.0),
            (6, 15.0, 10_170.0),
        ] {
            let error = moment(k) - mean;
            assert!(error.abs() < 4.5 * (var / n).sqrt(), "moment {k}: {error:e}");
        }
        for lag in [1, 2, 3, 4, 64, 128, 256] {
            let c = z
                .iter()
                .zip(&z[lag..])
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum::<f64>()
                / n;
            assert!(c.abs() < 4.5 / n.sqrt(), "lag {lag}: {c:e}");
        }
        // 2 (1 - Phi(x)), from tables.
        for (x, p) in [
            (1.0, 0.317_310_5),
            (2.0, 0.045_500_26),
            (3.0, 0.002_699_796),
            (4.0, 6.334_25e-5),
        ] {
            let count = z.iter().filter(|v| v.abs() > x).count() as f64;
            let (mean, std) = (n * p, (n * p * (1.0 - p)).sqrt());
            assert!(
                (count - mean).abs() < 4.5 * std,
                "beyond {x}: {count} against {mean}"
            );
        }
        z.sort_by(f32::total_cmp);
        let distance = z.iter().enumerate().fold(0.0_f64, |worst, (i, v)| {
            let cdf = normal_cdf(f64::from(*v));
            worst
                .max((cdf - i as f64 / n).abs())
                .max((cdf - (i + 1) as f64 / n).abs())
        });
        // Kolmogorov: P(sqrt(n) D > 2.23) = 2 exp(-2 2.23^2) = 1e-4.
        assert!(distance * n.sqrt() < 2.23, "{}", distance * n.sqrt());
    }

    /// `Phi(x)` by the series `1/2 + phi(x) (x + x^3/3 + x^5/15 + ...)`.
    fn normal_cdf(x: f64) -> f64 {
        let (mut term, mut sum, mut k) = (x, x, 3.0);
        while term.abs() > 1e-17 * sum.abs() {
            term *= x * x / k;
            sum += term;
            k += 2.0;
        }
        0.5 + sum * (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt()
    }
}
