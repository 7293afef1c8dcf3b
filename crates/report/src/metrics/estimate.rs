//! Values with standard errors.

use super::MetricError;
use super::pass::Pass;

/// A value that was estimated from finitely many rows or draws.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// Its standard error, where one is known.
    pub standard_error: Option<f64>,
}

impl Estimate {
    /// A value whose error is not known.
    pub(super) fn bare(value: f64) -> Self {
        Self {
            value,
            standard_error: None,
        }
    }

    /// The mean of values and its standard error (none for a single value).
    pub(super) fn of_mean(values: &[f64]) -> Self {
        let mean = mean(values);
        Self {
            value: mean,
            standard_error: (values.len() > 1).then(|| (variance(values) / values.len() as f64).sqrt()),
        }
    }

    /// A share of n independent rows: the binomial standard error.
    pub(super) fn of_share(share: f64, n: usize) -> Self {
        Self {
            value: share,
            standard_error: Some((share * (1.0 - share) / n as f64).max(0.0).sqrt()),
        }
    }

    pub(super) fn finite(self, quantity: &'static str) -> Result<Self, MetricError> {
        if self.value.is_finite() && self.standard_error.is_none_or(f64::is_finite) {
            Ok(self)
        } else {
            Err(MetricError::Overflow { quantity })
        }
    }
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The unbiased variance.
pub(super) fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    values
        .iter()
        .map(|value| (value - mean) * (value - mean))
        .sum::<f64>()
        / (values.len() - 1) as f64
}

/// The U-statistic `E h(X, X') + E h(Y, Y') - 2 E h(X, Y)` of two sets, from the sums over rows of a symmetric
/// h: pairs of a row with itself are left out, so that it is unbiased. `sums(a, b)` gives for each row of the
/// segments `a` the sum of h over the rows of the segments `b`.
///
/// The standard error is that of the first-order (Hájek) projection, `4 Var_x(E_x' h - E_y h) / n` and the same
/// in y (W. Hoeffding, A class of statistics with asymptotically normal distribution, 1948). For two equal
/// distributions the projection vanishes, and what is left in the row means makes the error too large rather
/// than too small.
pub(super) fn two_sample(
    pass: &Pass<'_>,
    comparison: usize,
    sums: impl Fn(&[usize], &[usize]) -> Vec<f64>,
) -> Estimate {
    let sets = &pass.comparisons[comparison];
    let side = |own: &[usize], other: &[usize]| {
        let (n, m) = (pass.pool.len(own) as f64, pass.pool.len(other) as f64);
        let within = sums(own, own);
        let across = sums(own, other);
        let both = within.iter().zip(&across);
        let differences: Vec<f64> = both.map(|(w, a)| w / (n - 1.0) - a / m).collect();
        (mean(&differences), 4.0 * variance(&differences) / n)
    };
    let (x, x_variance) = side(&sets.first, &sets.second);
    let (y, y_variance) = side(&sets.second, &sets.first);
    Estimate {
        value: x + y,
        standard_error: Some((x_variance + y_variance).sqrt()),
    }
}
