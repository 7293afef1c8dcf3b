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
