//! Rates `r(t) >= 0` with their integrals `R(t)` and the inverse: the noise schedules `beta(t)`, `B(t)` of VP
//! and subVP SDEs and the variance rates of additive ones.

use std::fmt::Debug;

use crate::num::{Number, each};

mod check;
mod cosine;
mod exponential;
mod linear;
mod numeric;
mod scaled_linear;
mod steps;
mod table;

pub use check::check;
pub use cosine::Cosine;
pub use exponential::Exponential;
pub use linear::Linear;
pub use numeric::Numeric;
pub use scaled_linear::ScaledLinear;
pub use steps::Steps;
pub use table::Table;

/// A rate `r(t) >= 0` per unit of time and its integral `R(t)` from 0, both on `0 <= t`.
///
/// Laws, tested for every implementor and checked for schedules of users by [`check`]: `R(0) = 0`, `R' = r`,
/// `time_at(R(t)) = t`, `increment(s, t) = R(t) - R(s)`.
pub trait Schedule: Send + Sync + Debug {
    /// `r(t)`.
    fn rate(&self, t: f64) -> f64;

    /// `R(t)`, the integral of the rate from 0 to `t`.
    fn integral(&self, t: f64) -> f64;

    /// Exact inverse of [`Schedule::integral`].
    fn time_at(&self, integral: f64) -> f64;

    /// [`Schedule::rate`] at many times.
    fn rates(&self, times: &[f64], out: &mut [f64]) {
        each(&Rate(self), times, out);
    }

    /// [`Schedule::integral`] at many times.
    fn integrals(&self, times: &[f64], out: &mut [f64]) {
        each(&Integral(self), times, out);
    }

    /// `R(to) - R(from)`; overridden where a form exists that keeps its precision over short spans.
    fn increment(&self, from: f64, to: f64) -> f64 {
        self.integral(to) - self.integral(from)
    }
}

struct Rate<'a, S: ?Sized>(&'a S);

impl<S: Schedule + ?Sized> Number for Rate<'_, S> {
    #[inline(always)]
    fn at(&self, t: f64) -> f64 {
        self.0.rate(t)
    }
}

struct Integral<'a, S: ?Sized>(&'a S);

impl<S: Schedule + ?Sized> Number for Integral<'_, S> {
    #[inline(always)]
    fn at(&self, t: f64) -> f64 {
        self.0.integral(t)
    }
}
