//! The number that tells a network the time.

use std::sync::Arc;

use super::IddpmLadder;
use crate::Sde;
use crate::schedule::{Linear, Schedule};

/// How a time becomes the network's time input. `sigma` is the noise-to-signal ratio [`Sde::sigma`].
#[derive(Debug, Clone)]
pub enum TimeInput {
    /// `999 t / t_end` (Song et al. 2021, continuous models).
    Scaled,
    /// `ln(sigma) / 4` (Karras et al. 2022, table 1, `c_noise`).
    LogSigmaQuarter,
    /// `ln(sigma / 2)` (Karras et al. 2022, table 1, VE).
    LogSigmaHalved,
    /// `sigma` itself (NCSN++ takes its logarithm inside).
    Sigma,
    /// `ln(mean_coef^2 / std^2) = 2 lambda` (Kingma et al. 2021, arXiv:2107.00630).
    LogSnr,
    /// The label `t / t_end (count - 1)` of a model trained on `count` discrete times, not rounded.
    Label {
        /// Number of discrete times.
        count: usize,
    },
    /// `t / t_end count - 1`, not rounded: the label of a ladder whose rung `i` stands for `t = (i + 1) / count`.
    IntervalLabel {
        /// Number of discrete times.
        count: usize,
    },
    /// `(1 - t / t_end) (count - 1)`, rounded to the nearest: the labels of the reference code's discrete VE models,
    /// which count from the largest noise (Song et al. 2021, arXiv:2011.13456).
    DescendingLabel {
        /// Number of discrete times.
        count: usize,
    },
    /// `(count - 1)` times the time at which a linear VP SDE has this `sigma` (Karras et al. 2022, table 1,
    /// VP).
    VpLabel {
        /// The VP SDE's schedule.
        schedule: Linear,
        /// Number of discrete times.
        count: usize,
    },
    /// The label of the nearest rung of the improved DDPM's ladder (Karras et al. 2022, table 1, iDDPM).
    Iddpm(Arc<IddpmLadder>),
}

impl TimeInput {
    /// The time input at `t`.
    pub fn value(&self, sde: &dyn Sde, t: f64) -> f64 {
        match self {
            Self::Scaled => 999.0 * (t / sde.domain().t_end),
            Self::LogSigmaQuarter => -0.25 * sde.lambda(t),
            Self::LogSigmaHalved => -sde.lambda(t) - std::f64::consts::LN_2,
            Self::Sigma => sde.sigma(t),
            Self::LogSnr => sde.log_snr(t),
            Self::Label { count } => (*count as f64 - 1.0) * (t / sde.domain().t_end),
            Self::IntervalLabel { count } => *count as f64 * (t / sde.domain().t_end) - 1.0,
            Self::DescendingLabel { count } => {
                ((*count as f64 - 1.0) * (1.0 - t / sde.domain().t_end)).round_ties_even()
            }
            Self::VpLabel { schedule, count } => {
                let sigma = sde.sigma(t);
                (*count as f64 - 1.0) * schedule.time_at((sigma * sigma).ln_1p())
            }
            Self::Iddpm(ladder) => ladder.label(sde.sigma(t)),
        }
    }
}
