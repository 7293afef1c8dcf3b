//! A rate that is constant between knots.

use std::fmt;

use super::Schedule;
use crate::ConfigError;
use crate::error::{finite, not_negative};

/// A piecewise-constant rate: `rates[k]` between `knots[k]` and `knots[k + 1]`, the last one kept beyond. The
/// integral is piecewise linear, so a discrete ladder becomes continuous without approximation at its own
/// times.
///
/// At a knot [`Schedule::rate`] is that of the interval that ends there, the one a backward step from the
/// knot crosses.
#[derive(Clone, PartialEq)]
pub struct Steps {
    knots: Vec<f64>,
    rates: Vec<f64>,
    integrals: Vec<f64>,
}

impl Steps {
    /// Knots from 0 on, strictly ascending, and one rate >= 0 for each interval, not all 0.
    ///
    /// # Errors
    /// [`ConfigError`] at `sde.schedule.knots` or `sde.schedule.rates`.
    pub fn new(knots: Vec<f64>, rates: Vec<f64>) -> Result<Self, ConfigError> {
        check_knots(&knots, rates.len() + 1)?;
        check_rates(&rates)?;
        let mut integrals = vec![0.0; knots.len()];
        for k in 0..rates.len() {
            integrals[k + 1] = integrals[k] + rates[k] * (knots[k + 1] - knots[k]);
        }
        Ok(Self {
            knots,
            rates,
            integrals,
        })
    }

    /// The interval that holds `t`, knots counting to the interval before.
    fn interval(&self, points: &[f64], at: f64) -> usize {
        points
            .partition_point(|p| *p < at)
            .saturating_sub(1)
            .min(self.rates.len() - 1)
    }
}

pub(super) fn check_knots(knots: &[f64], need: usize) -> Result<(), ConfigError> {
    const KEY: &str = "sde.schedule.knots";
    if knots.len() != need || need < 2 {
        return Err(ConfigError::new(
            KEY,
            format!("{} knots", knots.len()),
            format!("needs {} (at least 2) for the rates given", need.max(2)),
        ));
    }
    for (k, knot) in knots.iter().enumerate() {
        finite(KEY, *knot)?;
        if k == 0 && *knot != 0.0 {
            return Err(ConfigError::new(KEY, knot, "the first knot must be 0"));
        }
        if k > 0 && *knot <= knots[k - 1] {
            return Err(ConfigError::new(
                KEY,
                knot,
                format!("knot {k} must lie above the one before, {}", knots[k - 1]),
            ));
        }
    }
    Ok(())
}

pub(super) fn check_rates(rates: &[f64]) -> Result<(), ConfigError> {
    const KEY: &str = "sde.schedule.rates";
    rates
        .iter()
        .try_for_each(|rate| not_negative(KEY, *rate).map(drop))?;
    if rates.iter().all(|rate| *rate == 0.0) {
        return Err(ConfigError::new(
            KEY,
            "all 0",
            "at least one rate must be above 0",
        ));
    }
    Ok(())
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (last, rate) = (self.knots[self.knots.len() - 1], self.rates[self.rates.len() - 1]);
        f.debug_struct("Steps")
            .field("knots", &self.knots.len())
            .field("last", &(last, rate))
            .finish()
    }
}

impl Schedule for Steps {
    fn rate(&self, t: f64) -> f64 {
        self.rates[self.interval(&self.knots, t)]
    }

    fn integral(&self, t: f64) -> f64 {
        let k = self.interval(&self.knots, t);
        self.integrals[k] + self.rates[k] * (t - self.knots[k])
    }

    fn time_at(&self, integral: f64) -> f64 {
        let k = self.interval(&self.integrals, integral);
        let excess = integral - self.integrals[k];
        if excess == 0.0 {
            self.knots[k]
        } else {
            self.knots[k] + excess / self.rates[k]
        }
    }

    fn increment(&self, from: f64, to: f64) -> f64 {
        if from > to {
            return -self.increment(to, from);
        }
        let (low, high) = (self.interval(&self.knots, from), self.interval(&self.knots, to));
        if low == high {
            return self.rates[low] * (to - from);
        }
        self.rates[low] * (self.knots[low + 1] - from)
            + (self.integrals[high] - self.integrals[low + 1])
            + self.rates[high] * (to - self.knots[high])
    }
}
