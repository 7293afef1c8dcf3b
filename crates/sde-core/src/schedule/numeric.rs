//! A schedule from a rate alone.

use std::fmt;
use std::sync::Arc;

use super::Schedule;
use super::check::integrate;
use crate::ConfigError;

/// A schedule from a function for the rate: the integral by Gauss-Legendre quadrature between tabulated
/// points, the inverse by bracketed Newton iteration on it, to about 1e-13 of the whole integral for smooth
/// rates.
///
/// Beyond `t_end` the rate is taken as `rate(t_end)`. Each evaluation of the integral costs some ten to
/// twenty of the rate.
#[derive(Clone)]
pub struct Numeric {
    rate: Arc<dyn Fn(f64) -> f64 + Send + Sync>,
    t_end: f64,
    integrals: Vec<f64>,
}

impl Numeric {
    const INTERVALS: usize = 256;

    /// The schedule with this rate, which must be finite and not negative on `[0, t_end]`.
    ///
    /// # Errors
    /// [`ConfigError`] at `sde.t_end` or, where the rate breaks this, `sde.schedule`.
    pub fn new(rate: impl Fn(f64) -> f64 + Send + Sync + 'static, t_end: f64) -> Result<Self, ConfigError> {
        crate::error::positive("sde.t_end", t_end)?;
        let mut schedule = Self {
            rate: Arc::new(rate),
            t_end,
            integrals: vec![0.0],
        };
        for k in 0..Self::INTERVALS {
            let (from, to) = (schedule.knot(k), schedule.knot(k + 1));
            for t in [from, 0.5 * (from + to), to] {
                let rate = (schedule.rate)(t);
                if !(rate.is_finite() && rate >= 0.0) {
                    return Err(ConfigError::new(
                        "sde.schedule",
                        rate,
                        format!("the rate at t = {t} must be finite and >= 0"),
                    ));
                }
            }
            let next = schedule.integrals[k] + schedule.area(from, to);
            schedule.integrals.push(next);
        }
        Ok(schedule)
    }

    fn knot(&self, k: usize) -> f64 {
        self.t_end * k as f64 / Self::INTERVALS as f64
    }

    fn area(&self, from: f64, to: f64) -> f64 {
        let scale = (self.rate)(0.5 * (from + to)) * (to - from);
        integrate(&*self.rate, from, to, 1e-15 * scale.abs().max(f64::MIN_POSITIVE))
    }
}

impl fmt::Debug for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Numeric")
            .field("t_end", &self.t_end)
            .finish_non_exhaustive()
    }
}

impl Schedule for Numeric {
    fn rate(&self, t: f64) -> f64 {
        (self.rate)(t.min(self.t_end))
    }

    fn integral(&self, t: f64) -> f64 {
        if t >= self.t_end {
            return self.integrals[Self::INTERVALS] + self.rate(t) * (t - self.t_end);
        }
        if t <= 0.0 {
            return 0.0;
        }
        let k = ((t / self.t_end * Self::INTERVALS as f64) as usize).min(Self::INTERVALS - 1);
        self.integrals[k] + self.area(self.knot(k), t)
    }

    fn time_at(&self, integral: f64) -> f64 {
        if integral <= 0.0 {
            return 0.0;
        }
        let total = self.integrals[Self::INTERVALS];
        if integral >= total {
            let excess = integral - total;
            return if excess == 0.0 {
                self.t_end
            } else {
                self.t_end + excess / self.rate(self.t_end)
            };
        }
        let k = self.integrals.partition_point(|r| *r <= integral) - 1;
        let (mut low, mut high) = (self.knot(k), self.knot(k + 1));
        let mut t = 0.5 * (low + high);
        for _ in 0..100 {
            let miss = self.integrals[k] + self.area(self.knot(k), t) - integral;
            if miss > 0.0 {
                high = t;
            } else {
                low = t;
            }
            let newton = t - miss / self.rate(t);
            let next = if newton > low && newton < high {
                newton
            } else {
                0.5 * (low + high)
            };
            if (next - t).abs() <= 2.0 * f64::EPSILON * next {
                return next;
            }
            t = next;
        }
        t
    }

    fn increment(&self, from: f64, to: f64) -> f64 {
        let close = (to - from).abs() < self.t_end / Self::INTERVALS as f64;
        if close && from.max(to) <= self.t_end {
            self.area(from, to)
        } else {
            self.integral(to) - self.integral(from)
        }
    }
}
