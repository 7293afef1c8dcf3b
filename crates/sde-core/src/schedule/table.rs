//! A rate that is linear between knots.

use std::fmt;

use super::Schedule;
use super::steps::{check_knots, check_rates};
use crate::ConfigError;

/// A piecewise-linear rate through `(knots[k], rates[k])`, the last rate kept beyond: the schedule for rates
/// that are known as a table. Integral and inverse are closed forms.
#[derive(Clone, PartialEq)]
pub struct Table {
    knots: Vec<f64>,
    rates: Vec<f64>,
    integrals: Vec<f64>,
}

impl Table {
    /// Knots from 0 on, strictly ascending, and one rate >= 0 for each, not all 0.
    ///
    /// # Errors
    /// [`ConfigError`] at `sde.schedule.knots` or `sde.schedule.rates`.
    pub fn new(knots: Vec<f64>, rates: Vec<f64>) -> Result<Self, ConfigError> {
        check_knots(&knots, rates.len())?;
        check_rates(&rates)?;
        let mut integrals = vec![0.0; knots.len()];
        for k in 1..knots.len() {
            integrals[k] = integrals[k - 1] + 0.5 * (rates[k - 1] + rates[k]) * (knots[k] - knots[k - 1]);
        }
        Ok(Self {
            knots,
            rates,
            integrals,
        })
    }

    fn last(&self) -> usize {
        self.knots.len() - 1
    }

    /// The interval that holds a point; `None` beyond the last knot.
    fn interval(points: &[f64], at: f64) -> Option<usize> {
        let above = points.partition_point(|p| *p <= at);
        (above < points.len()).then(|| above.saturating_sub(1))
    }

    fn slope(&self, k: usize) -> f64 {
        (self.rates[k + 1] - self.rates[k]) / (self.knots[k + 1] - self.knots[k])
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (last, rate) = (self.knots[self.knots.len() - 1], self.rates[self.rates.len() - 1]);
        f.debug_struct("Table")
            .field("knots", &self.knots.len())
            .field("last", &(last, rate))
            .finish()
    }
}

impl Schedule for Table {
    fn rate(&self, t: f64) -> f64 {
        match Self::interval(&self.knots, t) {
            Some(k) => self.rates[k] + self.slope(k) * (t - self.knots[k]),
            None => self.rates[self.last()],
        }
    }

    fn integral(&self, t: f64) -> f64 {
        match Self::interval(&self.knots, t) {
            Some(k) => {
                let gap = t - self.knots[k];
                self.integrals[k] + gap * (self.rates[k] + 0.5 * self.slope(k) * gap)
            }
            None => self.integrals[self.last()] + self.rates[self.last()] * (t - self.knots[self.last()]),
        }
    }

    fn time_at(&self, integral: f64) -> f64 {
        match Self::interval(&self.integrals, integral) {
            Some(k) => {
                let excess = integral - self.integrals[k];
                if excess == 0.0 {
                    return self.knots[k];
                }
                let (rate, slope) = (self.rates[k], self.slope(k));
                let root = (rate * rate + 2.0 * excess * slope).max(0.0).sqrt();
                self.knots[k] + 2.0 * excess / (rate + root)
            }
            None => {
                let excess = integral - self.integrals[self.last()];
                let end = self.knots[self.last()];
                if excess == 0.0 {
                    end
                } else {
                    end + excess / self.rates[self.last()]
                }
            }
        }
    }

    fn increment(&self, from: f64, to: f64) -> f64 {
        if from > to {
            return -self.increment(to, from);
        }
        let last = self.last();
        let (low, high) = (Self::interval(&self.knots, from), Self::interval(&self.knots, to));
        if low == high {
            return 0.5 * (self.rate(from) + self.rate(to)) * (to - from);
        }
        // the two differ, so `from` lies before the last knot
        let next = low.map_or(last, |k| k + 1);
        let before = high.unwrap_or(last);
        0.5 * (self.rate(from) + self.rates[next]) * (self.knots[next] - from)
            + (self.integrals[before] - self.integrals[next])
            + 0.5 * (self.rates[before] + self.rate(to)) * (to - self.knots[before])
    }
}
