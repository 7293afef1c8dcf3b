//! The cosine schedule, normalised and capped.

use std::f64::consts::FRAC_PI_2;

use super::Schedule;
use crate::ConfigError;
use crate::error::{finite, positive};
use crate::num::softplus;

/// The cosine schedule of Nichol and Dhariwal (2021, arXiv:2102.09672, equation 17) in continuous time:
/// `exp(-B(t)) = f(t) / f(0)`, `f(t) = cos^2(u)`, `u = (t + s) / (1 + s) * pi / 2`, so `beta(t) = pi / (1 +
/// s) tan(u)`.
///
/// `beta` diverges at `t = 1`. From the time `t*` at which `lambda = ln(mean_coef / std)` of the VP kernel
/// reaches `lambda_min`, the rate stays at `beta(t*)` and the integral goes on from `B(t*)`: both are
/// continuous. With `s = 0.008` and `lambda_min = -5.1`, `t* = 0.9960879926`. Beyond, `lambda(1)` is a little
/// below `lambda_min`.
///
/// Differences of cosines are formed as products of sines, so that nothing cancels near `t = 0`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cosine {
    offset: f64,
    start: f64,
    cap_time: f64,
    cap_integral: f64,
    cap_rate: f64,
}

impl Cosine {
    /// The usual offset `s`.
    pub const OFFSET: f64 = 0.008;
    /// Where the project caps by default (Lu et al. 2022, arXiv:2206.00927, clip there as well).
    pub const LAMBDA_MIN: f64 = -5.1;

    /// The schedule with offset `s` in `(0, 1]`, capped at `lambda_min` in `[-20, -3]`.
    ///
    /// # Errors
    /// [`ConfigError`] at `sde.cosine_offset` or `sde.lambda_min`.
    pub fn new(offset: f64, lambda_min: f64) -> Result<Self, ConfigError> {
        positive("sde.cosine_offset", offset)?;
        if offset > 1.0 {
            return Err(ConfigError::new(
                "sde.cosine_offset",
                offset,
                "must be at most 1; the usual value is 0.008",
            ));
        }
        finite("sde.lambda_min", lambda_min)?;
        if !(-20.0..=-3.0).contains(&lambda_min) {
            return Err(ConfigError::new(
                "sde.lambda_min",
                lambda_min,
                "must lie in [-20, -3]: above, signal is left at the prior; the usual value is -5.1",
            ));
        }
        let start = offset / (1.0 + offset) * FRAC_PI_2;
        let mut schedule = Self {
            offset,
            start,
            cap_time: f64::INFINITY,
            cap_integral: f64::INFINITY,
            cap_rate: 0.0,
        };
        let cap_integral = softplus(-2.0 * lambda_min);
        let cap_time = schedule.time_at(cap_integral);
        let cap_rate = schedule.rate(cap_time);
        schedule.cap_time = cap_time;
        schedule.cap_integral = cap_integral;
        schedule.cap_rate = cap_rate;
        Ok(schedule)
    }

    /// The time from which the rate is constant.
    pub fn cap_time(&self) -> f64 {
        self.cap_time
    }

    /// `u(t) - u(0)`.
    fn angle(&self, t: f64) -> f64 {
        t / (1.0 + self.offset) * FRAC_PI_2
    }

    /// `cos u(t)`, accurate near `t = 1` where it vanishes.
    fn cos_u(&self, t: f64) -> f64 {
        ((1.0 - t) / (1.0 + self.offset) * FRAC_PI_2).sin()
    }
}

impl Schedule for Cosine {
    fn rate(&self, t: f64) -> f64 {
        if t >= self.cap_time {
            return self.cap_rate;
        }
        let u = self.start + self.angle(t);
        2.0 * FRAC_PI_2 / (1.0 + self.offset) * u.sin() / self.cos_u(t)
    }

    fn integral(&self, t: f64) -> f64 {
        if t >= self.cap_time {
            return self.cap_integral + self.cap_rate * (t - self.cap_time);
        }
        let angle = self.angle(t);
        // 1 - cos u / cos u0, by the product formula
        let lost = 2.0 * (self.start + 0.5 * angle).sin() * (0.5 * angle).sin() / self.start.cos();
        if lost < 0.5 {
            -2.0 * (-lost).ln_1p()
        } else {
            -2.0 * (self.cos_u(t) / self.start.cos()).ln()
        }
    }

    fn time_at(&self, integral: f64) -> f64 {
        if integral >= self.cap_integral {
            return self.cap_time + (integral - self.cap_integral) / self.cap_rate;
        }
        let (sin0, cos0) = self.start.sin_cos();
        let cos_u = cos0 * (-0.5 * integral).exp();
        let sin_gain = cos0 * cos0 * -(-integral).exp_m1(); // sin^2 u - sin^2 u0
        let sin_u = (sin0 * sin0 + sin_gain).sqrt();
        let cos_lost = cos0 * -(-0.5 * integral).exp_m1(); // cos u0 - cos u
        // sin and cos of u - u0, sums of positive terms
        let sin_d = sin_gain / (sin_u + sin0) * cos0 + cos_lost * sin0;
        let cos_d = cos_u * cos0 + sin_u * sin0;
        sin_d.atan2(cos_d) / FRAC_PI_2 * (1.0 + self.offset)
    }

    fn increment(&self, from: f64, to: f64) -> f64 {
        if from > to {
            return -self.increment(to, from);
        }
        if from < self.cap_time && to > self.cap_time {
            return self.increment(from, self.cap_time) + self.cap_rate * (to - self.cap_time);
        }
        if from >= self.cap_time {
            return self.cap_rate * (to - from);
        }
        // 1 - cos u' / cos u, by the product formula
        let half = 0.5 * self.angle(to - from);
        let lost = 2.0 * (self.start + self.angle(from) + half).sin() * half.sin() / self.cos_u(from);
        if lost < 0.5 {
            -2.0 * (-lost).ln_1p()
        } else {
            -2.0 * (self.cos_u(to) / self.cos_u(from)).ln()
        }
    }
}
