//! Time grids for samplers: `N + 1` points from `t_start` down to `t_end`, exactly, and the `N` spans
//! between.

use crate::{ConfigError, Sde, Span};

mod config;

pub use config::GridConfig;

/// A checked grid: finite, strictly descending times and the spans between them.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    times: Vec<f64>,
    spans: Vec<Span>,
}

impl Grid {
    /// A grid of true gaps over these times.
    ///
    /// # Errors
    /// [`ConfigError`] at `key` where there are fewer than two times, or one is not finite, below 0 or not
    /// below the one before.
    pub fn from_times(key: &str, times: Vec<f64>) -> Result<Self, ConfigError> {
        check_times(key, &times)?;
        let spans = times
            .windows(2)
            .map(|w| Span {
                from: w[0],
                to: w[1],
                gap: w[0] - w[1],
            })
            .collect();
        Ok(Self { times, spans })
    }

    /// The grid of the reference code: `N` points `linspace(t_start, eps, N)`, `N` steps of `gap = t_start /
    /// N`, the last of which goes to 0. For reproduction only: it integrates over `t_start` where `t_start -
    /// eps` would be right.
    pub(crate) fn song_compat(key: &str, steps: usize, t_start: f64, eps: f64) -> Result<Self, ConfigError> {
        let gap = t_start / steps as f64;
        let mut times: Vec<f64> = (0..steps)
            .map(|i| interpolate(t_start, eps, i, steps.max(2) - 1))
            .collect();
        times.push(0.0);
        check_times(key, &times)?;
        let spans = times
            .windows(2)
            .map(|w| Span {
                from: w[0],
                to: w[1],
                gap,
            })
            .collect();
        Ok(Self { times, spans })
    }

    /// The `N + 1` times, descending.
    pub fn times(&self) -> &[f64] {
        &self.times
    }

    /// The `N` spans, in the order of a sampler's steps.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Number of spans, at least 1.
    pub fn steps(&self) -> usize {
        self.spans.len()
    }

    /// The first and largest time.
    pub fn start(&self) -> f64 {
        self.times[0]
    }

    /// The last time, at which the sampler's state stands; 0 for the `song-compat` grid.
    pub fn end(&self) -> f64 {
        self.times[self.times.len() - 1]
    }

    /// Asks [`Sde::check_span`] about every span, for solvers that take ancestral steps.
    ///
    /// # Errors
    /// [`ConfigError`] at `sampler.steps` where a step is too long, with the number of steps as the value.
    pub fn check_spans(&self, sde: &dyn Sde) -> Result<(), ConfigError> {
        for span in &self.spans {
            sde.check_span(*span).map_err(|error| ConfigError {
                value: self.steps().to_string(),
                ..error
            })?;
        }
        Ok(())
    }
}

/// The `i`-th of `n + 1` equidistant points, with both ends exact.
pub(crate) fn interpolate(from: f64, to: f64, i: usize, n: usize) -> f64 {
    if i == 0 {
        from
    } else if i == n {
        to
    } else {
        let u = i as f64 / n as f64;
        from + u * (to - from)
    }
}

fn check_times(key: &str, times: &[f64]) -> Result<(), ConfigError> {
    if times.len() < 2 {
        return Err(ConfigError::new(
            key,
            times.len(),
            "a grid needs at least two points (one step)",
        ));
    }
    for (i, t) in times.iter().enumerate() {
        if !(t.is_finite() && *t >= 0.0) {
            return Err(ConfigError::new(
                key,
                t,
                format!("point {i} of the grid must be a finite time >= 0"),
            ));
        }
        if i > 0 && *t >= times[i - 1] {
            return Err(ConfigError::new(
                key,
                t,
                format!(
                    "point {i} of the grid must lie below the one before, {}; take fewer steps or another grid",
                    times[i - 1]
                ),
            ));
        }
    }
    Ok(())
}
