//! The `[sampler.grid]` table.

use super::{Grid, interpolate};
use crate::error::positive;
use crate::{ConfigError, Sde};

/// The `[sampler.grid]` table: how the times between start and end are spaced. `i` counts from 0 to `N`.
///
/// `sigma` is the noise-to-signal ratio [`Sde::sigma`]. The grids in `sigma` and `lambda` go through the
/// exact inverse of the SDE.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)
)]
pub enum GridConfig {
    /// Equidistant in `t`.
    Uniform {},
    /// Equidistant in `sqrt(t)`: finer towards the data (Song et al. 2021, arXiv:2010.02502, appendix D).
    Quadratic {},
    /// Equidistant in `lambda`, half the log signal-to-noise ratio (Lu et al. 2022, arXiv:2206.00927).
    LogSnr {},
    /// Equidistant in `sigma^(1/rho)` (Karras et al. 2022, arXiv:2206.00364, equation 5).
    Karras {
        /// Exponent, > 0; 7.
        #[cfg_attr(feature = "serde", serde(default = "seven"))]
        rho: f64,
    },
    /// Equidistant in `ln sigma`. Since `ln sigma = -lambda`, the points are those of `log-snr`; the name is
    /// that of the samplers in sigma space.
    Exponential {},
    /// `ln sigma` runs with `(1 - i/N)^rho` from the end to the start; `rho = 1` is `exponential`.
    Polyexponential {
        /// Exponent, > 0; 1.
        #[cfg_attr(feature = "serde", serde(default = "one"))]
        rho: f64,
    },
    /// The grid of the reference code, see [`Grid`]: `N` points, `N` steps of `1/N`, the last one to 0.
    SongCompat {},
    /// Points of the user's own, `N + 1` of them, descending: either times or noise-to-signal ratios. They
    /// set start and end themselves.
    Custom {
        /// Times.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        times: Option<Vec<f64>>,
        /// Noise-to-signal ratios.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        sigmas: Option<Vec<f64>>,
    },
}

#[cfg(feature = "serde")]
fn seven() -> f64 {
    7.0
}

#[cfg(feature = "serde")]
fn one() -> f64 {
    1.0
}

const KEY: &str = "sampler.grid";

/// More steps than any sampler needs, and few enough to hold.
const MOST_STEPS: usize = 10_000_000;

impl GridConfig {
    /// The number of steps that a custom list implies; the other kinds take any.
    pub fn own_steps(&self) -> Option<usize> {
        match self {
            Self::Custom {
                times: Some(points),
                sigmas: None,
            }
            | Self::Custom {
                times: None,
                sigmas: Some(points),
            } => Some(points.len().saturating_sub(1)),
            _ => None,
        }
    }

    /// The grid of `steps` spans from `t_start` down to `t_end`, both exact (`song-compat` goes on to 0,
    /// `custom` has its own ends).
    ///
    /// # Errors
    /// [`ConfigError`] at `sampler.steps`, `sampler.t_start`, `sampler.t_end` or `sampler.grid...`: no step,
    /// ends out of order or outside `[0, t_end of the SDE]`, points that repeat or are not finite, a list of
    /// another length.
    pub fn build(&self, sde: &dyn Sde, steps: usize, t_start: f64, t_end: f64) -> Result<Grid, ConfigError> {
        if let Self::Custom { times, sigmas } = self {
            return custom(sde, steps, times.as_deref(), sigmas.as_deref());
        }
        if steps == 0 || steps > MOST_STEPS {
            return Err(ConfigError::new(
                "sampler.steps",
                steps,
                format!("must lie between 1 and {MOST_STEPS}"),
            ));
        }
        check_ends(sde, t_start, t_end)?;
        let spaced = |f: &dyn Fn(usize) -> f64| {
            let times = (0..=steps)
                .map(|i| match i {
                    0 => t_start,
                    i if i == steps => t_end,
                    i => f(i),
                })
                .collect();
            Grid::from_times(KEY, times)
        };
        match self {
            Self::Uniform {} => spaced(&|i| interpolate(t_start, t_end, i, steps)),
            Self::Quadratic {} => spaced(&|i| {
                let root = interpolate(t_start.sqrt(), t_end.sqrt(), i, steps);
                root * root
            }),
            Self::LogSnr {} | Self::Exponential {} => {
                let (from, to) = (sde.lambda(t_start), sde.lambda(t_end));
                spaced(&|i| sde.time_at_lambda(interpolate(from, to, i, steps)))
            }
            Self::Karras { rho } => {
                let rho = positive("sampler.grid.rho", *rho)?;
                let (from, to) = (
                    sde.sigma(t_start).powf(1.0 / rho),
                    sde.sigma(t_end).powf(1.0 / rho),
                );
                spaced(&|i| sde.time_at_sigma(interpolate(from, to, i, steps).powf(rho)))
            }
            Self::Polyexponential { rho } => {
                let rho = positive("sampler.grid.rho", *rho)?;
                let (from, to) = (sde.lambda(t_start), sde.lambda(t_end));
                spaced(&|i| {
                    let ramp = (1.0 - i as f64 / steps as f64).powf(rho);
                    sde.time_at_lambda(to + ramp * (from - to))
                })
            }
            Self::SongCompat {} => Grid::song_compat(KEY, steps, t_start, t_end),
            Self::Custom { .. } => unreachable!("custom grids returned above"),
        }
    }
}

fn check_ends(sde: &dyn Sde, t_start: f64, t_end: f64) -> Result<(), ConfigError> {
    let last = sde.domain().t_end;
    if !(t_start.is_finite() && t_start > 0.0 && t_start <= last) {
        return Err(ConfigError::new(
            "sampler.t_start",
            t_start,
            format!("must lie above 0 and at most at sde.t_end = {last}"),
        ));
    }
    if !(t_end.is_finite() && t_end >= 0.0 && t_end < t_start) {
        return Err(ConfigError::new(
            "sampler.t_end",
            t_end,
            format!("must be >= 0 and below sampler.t_start = {t_start}"),
        ));
    }
    Ok(())
}

fn custom(
    sde: &dyn Sde,
    steps: usize,
    times: Option<&[f64]>,
    sigmas: Option<&[f64]>,
) -> Result<Grid, ConfigError> {
    let (key, points) = match (times, sigmas) {
        (Some(times), None) => ("sampler.grid.times", times.to_vec()),
        (None, Some(sigmas)) => {
            if sigmas.contains(&0.0) && sde.marginal(0.0).std != 0.0 {
                return Err(ConfigError::new(
                    "sampler.grid.sigmas",
                    0.0,
                    "this SDE keeps noise at t = 0; leave the 0 out and take final = \"tweedie\"",
                ));
            }
            let at = |sigma: &f64| {
                if *sigma == 0.0 {
                    0.0
                } else {
                    sde.time_at_sigma(*sigma)
                }
            };
            ("sampler.grid.sigmas", sigmas.iter().map(at).collect())
        }
        _ => {
            return Err(ConfigError::new(
                "sampler.grid.kind",
                "custom",
                "needs exactly one of the lists times and sigmas",
            ));
        }
    };
    let count = points.len();
    let grid = Grid::from_times(key, points)?;
    if steps != grid.steps() {
        return Err(ConfigError::new(
            "sampler.steps",
            steps,
            format!("{key} has {count} points, which make {} steps", grid.steps()),
        ));
    }
    let last = sde.domain().t_end;
    if grid.start() > last * (1.0 + 1e-12) {
        return Err(ConfigError::new(
            key,
            grid.start(),
            format!("the first point lies above sde.t_end = {last}"),
        ));
    }
    Ok(grid)
}
