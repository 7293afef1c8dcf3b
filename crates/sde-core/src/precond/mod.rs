//! From a network's output to the score and the denoised data: preconditioning and parametrisations.

use std::sync::Arc;

use crate::{ConfigError, Marginal, Sde};

mod config;
pub mod convert;
mod iddpm;
mod time_input;

pub use config::{PrecondConfig, RawTable, ScaledTable, TimeInputKind};
pub use iddpm::IddpmLadder;
pub use time_input::TimeInput;

/// What goes into and comes out of a network `F` at one time:
/// `score = score_skip x + score_out F(input x, time)` and
/// `E[x_0 | x] = denoised_skip x + denoised_out F(input x, time)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NetCoefs {
    /// Factor of the state before it enters the network.
    pub input: f64,
    /// The number that tells the network the time.
    pub time: f64,
    /// Factor of the state in the score.
    pub score_skip: f64,
    /// Factor of the network's output in the score.
    pub score_out: f64,
    /// Factor of the state in the denoised data.
    pub denoised_skip: f64,
    /// Factor of the network's output in the denoised data.
    pub denoised_out: f64,
}

/// What a network predicts. With `x = m x_0 + s z` (`m = mean_coef`, `s = std`), `d = sigma_data` and
/// `r^2 = m^2 d^2 + s^2`, the network's output approximates the conditional mean of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// `-z`, the score times `std`: `score = F / s` (NCSN, Song and Ermon 2019, arXiv:1907.05600;
    /// `scale_by_sigma`).
    Score,
    /// `z` (Ho et al. 2020, arXiv:2006.11239): `score = -F / s`.
    Eps,
    /// `x_0`: `score = (m F - x) / s^2`.
    Denoised,
    /// `(m d z - s x_0 / d) / r`; with `d = 1` on a VP SDE the velocity `m z - s x_0` of Salimans and Ho
    /// (2022, arXiv:2202.00512).
    Velocity,
    /// The negative of [`Target::Velocity`], `(s x_0 / d - m d z) / r`: the effective target of Karras et al.
    /// (2022, arXiv:2206.00364, equation 8).
    Edm,
    /// `-z / s`: the network returns the score itself, as NCSN++ does after its division by sigma.
    RawScore,
}

/// What becomes of the state before it enters the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputScaling {
    /// Divided by `sqrt(m^2 d^2 + s^2)`: unit variance for data of standard deviation `d`.
    Unit,
    /// Divided by `m` (the VE row of Karras et al.).
    Mean,
    /// Nothing: the network sees the state as it is.
    Plain,
}

/// A checked preconditioning on an SDE.
#[derive(Debug, Clone)]
pub struct Precond {
    sde: Arc<dyn Sde>,
    target: Target,
    input: InputScaling,
    sigma_data: f64,
    time: TimeInput,
}

impl Precond {
    /// Any combination; [`PrecondConfig::build`] gives the named ones.
    ///
    /// `unit_input` scales the state to unit variance for data of standard deviation `sigma_data`; without it
    /// `x / mean_coef` enters the network.
    ///
    /// # Errors
    /// [`ConfigError`] at `precond.sigma_data`.
    pub fn new(
        sde: Arc<dyn Sde>,
        target: Target,
        time: TimeInput,
        sigma_data: f64,
        unit_input: bool,
    ) -> Result<Self, ConfigError> {
        crate::error::positive("precond.sigma_data", sigma_data)?;
        Ok(Self {
            sde,
            target,
            input: match unit_input {
                true => InputScaling::Unit,
                false => InputScaling::Mean,
            },
            sigma_data,
            time,
        })
    }

    /// The same with another scaling of the input.
    #[must_use]
    pub fn with_input(self, input: InputScaling) -> Self {
        Self { input, ..self }
    }

    /// The SDE underneath.
    pub fn sde(&self) -> &Arc<dyn Sde> {
        &self.sde
    }

    /// What the network predicts.
    pub fn target(&self) -> Target {
        self.target
    }

    /// The standard deviation of the data that the scalings assume.
    pub fn sigma_data(&self) -> f64 {
        self.sigma_data
    }

    /// How the network is told the time.
    pub fn time_input(&self) -> &TimeInput {
        &self.time
    }

    /// The coefficients at time `t > 0`. Closed forms without cancellation; not finite where `std = 0`.
    pub fn coefs(&self, t: f64) -> NetCoefs {
        self.coefs_of(t, self.sde.marginal(t))
    }

    /// As [`Precond::coefs`], where the marginal at `t` is known already.
    pub fn coefs_of(&self, t: f64, marginal: Marginal) -> NetCoefs {
        let (m, s, d) = (marginal.mean_coef, marginal.std, self.sigma_data);
        let var = m * m * d * d + s * s;
        let root = var.sqrt();
        let (score_skip, score_out, denoised_skip, denoised_out) = match self.target {
            Target::Score => (0.0, 1.0 / s, 1.0 / m, s / m),
            Target::Eps => (0.0, -1.0 / s, 1.0 / m, -s / m),
            Target::Denoised => (-1.0 / (s * s), m / (s * s), 0.0, 1.0),
            Target::Velocity => (-1.0 / var, -(m * d) / (s * root), m * d * d / var, -s * d / root),
            Target::Edm => (-1.0 / var, m * d / (s * root), m * d * d / var, s * d / root),
            Target::RawScore => (0.0, 1.0, 1.0 / m, s * s / m),
        };
        NetCoefs {
            input: match self.input {
                InputScaling::Unit => 1.0 / root,
                InputScaling::Mean => 1.0 / m,
                InputScaling::Plain => 1.0,
            },
            time: self.time.value(&*self.sde, t),
            score_skip,
            score_out,
            denoised_skip,
            denoised_out,
        }
    }

    /// What the network should predict for `x = mean_coef x0 + std z` at time `t`, as the pair of factors of
    /// `x0` and of `z`.
    pub fn target_coefs(&self, t: f64) -> (f64, f64) {
        self.target_coefs_of(self.sde.marginal(t))
    }

    /// As [`Precond::target_coefs`], where the marginal at that time is known already.
    pub fn target_coefs_of(&self, marginal: Marginal) -> (f64, f64) {
        let (m, s, d) = (marginal.mean_coef, marginal.std, self.sigma_data);
        let root = (m * m * d * d + s * s).sqrt();
        match self.target {
            Target::Score => (0.0, -1.0),
            Target::Eps => (0.0, 1.0),
            Target::Denoised => (1.0, 0.0),
            Target::Velocity => (-s / (d * root), m * d / root),
            Target::Edm => (s / (d * root), -(m * d) / root),
            Target::RawScore => (0.0, -1.0 / s),
        }
    }
}
