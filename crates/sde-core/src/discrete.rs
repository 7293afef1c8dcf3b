//! The discrete noise ladders of DDPM and SMLD, and explicit conversions between them and continuous time.
//!
//! A rung is counted from 0 (least noise) to `N - 1`. A time never becomes a rung silently: see
//! [`Ddpm::exact_label`], [`Ddpm::nearest_label`] and [`Ddpm::floor_label`].

use crate::error::positive;
use crate::schedule::{Cosine, Linear, ScaledLinear, Schedule, Steps};
use crate::sde::{Ve, VeKernel};
use crate::{ConfigError, Marginal};

/// Which time a rung of a ladder with `N` rungs stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labelling {
    /// `t = i / (N - 1)` (the reference code of Song et al. 2021): the lowest rung is `t = 0`, the highest 1.
    Song,
    /// `t = (i + 1) / N` (Lu et al. 2022, arXiv:2206.00927, and the integral of the rates): the lowest rung
    /// is `t = 1/N`.
    Interval,
}

/// Time of rung `label` in a ladder of `count`.
fn time_of(labelling: Labelling, label: usize, count: usize) -> f64 {
    match labelling {
        Labelling::Song => label as f64 / (count.max(2) - 1) as f64,
        Labelling::Interval => (label + 1) as f64 / count as f64,
    }
}

/// The label of `t`, a real number, that inverts [`time_of`].
fn label_of(labelling: Labelling, t: f64, count: usize) -> f64 {
    match labelling {
        Labelling::Song => t * (count as f64 - 1.0),
        Labelling::Interval => t * count as f64 - 1.0,
    }
}

/// The rung within 1e-9 of a real label.
fn exact(label: f64, count: usize) -> Option<usize> {
    let rung = label.round();
    ((label - rung).abs() <= 1e-9 * label.abs().max(1.0) && rung >= 0.0 && rung < count as f64)
        .then_some(rung as usize)
}

/// A DDPM ladder `x_i = sqrt(1 - beta_i) x_{i-1} + sqrt(beta_i) z` (Ho et al. 2020, arXiv:2006.11239), with
/// `alpha_bar_i = prod_{k <= i} (1 - beta_k)` held as its negative logarithm, so that `1 - alpha_bar` does
/// not cancel.
#[derive(Debug, Clone, PartialEq)]
pub struct Ddpm {
    betas: Vec<f64>,
    /// `B_i = -ln alpha_bar_i`.
    integrals: Vec<f64>,
}

impl Ddpm {
    /// A ladder of given betas, each in `(0, 1)`.
    ///
    /// # Errors
    /// [`ConfigError`] at `ddpm.betas[i]`.
    pub fn from_betas(betas: Vec<f64>) -> Result<Self, ConfigError> {
        if betas.is_empty() {
            return Err(ConfigError::new("ddpm.betas", "[]", "needs at least one beta"));
        }
        let mut integrals = Vec::with_capacity(betas.len());
        let mut sum = 0.0;
        for (i, beta) in betas.iter().enumerate() {
            if !(*beta > 0.0 && *beta < 1.0) {
                return Err(ConfigError::new(
                    format!("ddpm.betas[{i}]"),
                    beta,
                    "must lie between 0 and 1",
                ));
            }
            sum -= (-beta).ln_1p();
            integrals.push(sum);
        }
        Ok(Self { betas, integrals })
    }

    /// The linear ladder `beta_i = (beta_min + i / (N - 1) (beta_max - beta_min)) / N`, with `beta_min` and
    /// `beta_max` the rates in continuous time (Song et al. 2021, appendix C); a thousand rungs of 0.1 and 20
    /// are those of Ho et al.
    ///
    /// # Errors
    /// [`ConfigError`] at the rates as for [`Linear::new`], or at `ddpm.betas[i]` where `beta_max >= N`.
    pub fn linear(beta_min: f64, beta_max: f64, count: usize) -> Result<Self, ConfigError> {
        Self::sampled(&Linear::new(beta_min, beta_max)?, count)
    }

    /// The ladder whose `sqrt(beta_i)` is linear in `i`, from `sqrt(beta_min / N)` to `sqrt(beta_max / N)`, with
    /// `beta_min` and `beta_max` the rates in continuous time (Rombach et al. 2022, arXiv:2112.10752;
    /// [`ScaledLinear`]).
    ///
    /// # Errors
    /// As [`Ddpm::linear`].
    pub fn scaled_linear(beta_min: f64, beta_max: f64, count: usize) -> Result<Self, ConfigError> {
        Self::sampled(&ScaledLinear::new(beta_min, beta_max)?, count)
    }

    /// `beta_i` the rate at `t = i / (N - 1)` over `N`.
    fn sampled(rates: &dyn Schedule, count: usize) -> Result<Self, ConfigError> {
        let n = count as f64;
        let beta = |i| rates.rate(time_of(Labelling::Song, i, count)) / n;
        Self::from_betas((0..count).map(beta).collect())
    }

    /// The cosine ladder `beta_i = min(1 - f(t_i) / f(t_{i-1}), max_beta)`, `t_i = (i + 1) / N` (Nichol and
    /// Dhariwal 2021, arXiv:2102.09672, equation 17, with offset 0.008 and `max_beta` 0.999).
    ///
    /// # Errors
    /// [`ConfigError`] at `ddpm.max_beta`, or at `sde.cosine_offset`.
    pub fn cosine(count: usize, offset: f64, max_beta: f64) -> Result<Self, ConfigError> {
        if !(max_beta > 0.0 && max_beta < 1.0) {
            return Err(ConfigError::new(
                "ddpm.max_beta",
                max_beta,
                "must lie between 0 and 1",
            ));
        }
        // capped so late that only the end of the last rung, where f = 0, is affected; that rung clips anyway
        let schedule = Cosine::new(offset, -20.0)?;
        let beta = |i: usize| {
            if i + 1 == count {
                return max_beta;
            }
            let (from, to) = (i as f64 / count as f64, (i + 1) as f64 / count as f64);
            (-(-schedule.increment(from, to)).exp_m1()).min(max_beta)
        };
        Self::from_betas((0..count).map(beta).collect())
    }

    /// The ladder whose `alpha_bar_i` is `exp(-B((i + 1) t_end / N))` of a continuous schedule, exactly.
    ///
    /// # Errors
    /// [`ConfigError`] at `ddpm.betas[i]` where the schedule stands still or ends the signal in one rung.
    pub fn from_schedule(schedule: &dyn Schedule, t_end: f64, count: usize) -> Result<Self, ConfigError> {
        let at = |i: usize| t_end * i as f64 / count as f64;
        let beta = |i| -(-schedule.increment(at(i), at(i + 1))).exp_m1();
        Self::from_betas((0..count).map(beta).collect())
    }

    /// The continuous schedule on `[0, 1]` whose VP kernel at `t = (i + 1) / N` is that of rung `i`, exactly:
    /// the rate is constant over each rung (`ln alpha_bar` is interpolated linearly). Times follow
    /// [`Labelling::Interval`].
    pub fn to_schedule(&self) -> Steps {
        let n = self.len();
        let knots = (0..=n).map(|i| i as f64 / n as f64).collect();
        let rates = self
            .betas
            .iter()
            .map(|beta| -(-beta).ln_1p() * n as f64)
            .collect();
        Steps::new(knots, rates).expect("betas between 0 and 1 give finite positive rates")
    }

    /// Number of rungs, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a ladder is never empty")]
    pub fn len(&self) -> usize {
        self.betas.len()
    }

    /// `beta_i`.
    pub fn betas(&self) -> &[f64] {
        &self.betas
    }

    /// `alpha_bar_i`.
    ///
    /// # Panics
    /// Where there is no such rung; so do the other methods that take one.
    pub fn alpha_bar(&self, rung: usize) -> f64 {
        (-self.integrals[rung]).exp()
    }

    /// The kernel of rung `rung`: `mean_coef = sqrt(alpha_bar)`, `std = sqrt(1 - alpha_bar)`.
    pub fn marginal(&self, rung: usize) -> Marginal {
        let integral = self.integrals[rung];
        Marginal {
            mean_coef: (-0.5 * integral).exp(),
            std: (-(-integral).exp_m1()).sqrt(),
        }
    }

    /// `ln(mean_coef / std)` of rung `rung`.
    pub fn lambda(&self, rung: usize) -> f64 {
        -0.5 * crate::num::ln_expm1(self.integrals[rung])
    }

    /// The time in `[0, 1]` of a rung.
    pub fn time(&self, labelling: Labelling, rung: usize) -> f64 {
        time_of(labelling, rung, self.len())
    }

    /// The label of a time, a real number.
    pub fn label(&self, labelling: Labelling, t: f64) -> f64 {
        label_of(labelling, t, self.len())
    }

    /// The rung of a time that is one (to 1e-9 of the label), else `None`.
    pub fn exact_label(&self, labelling: Labelling, t: f64) -> Option<usize> {
        exact(self.label(labelling, t), self.len())
    }

    /// The rung nearest to a time; `None` outside the ladder by more than half a rung, and for NaN.
    pub fn nearest_label(&self, labelling: Labelling, t: f64) -> Option<usize> {
        let rung = self.label(labelling, t).round();
        (rung >= 0.0 && rung < self.len() as f64).then_some(rung as usize)
    }

    /// The rung at or below a time, the rounding of the reference code. With its grid from 1 to 1e-3 it skips
    /// a rung and never reaches rung 0. `None` outside the ladder, and for NaN.
    pub fn floor_label(&self, labelling: Labelling, t: f64) -> Option<usize> {
        let rung = self.label(labelling, t).floor();
        (rung >= 0.0 && rung < self.len() as f64).then_some(rung as usize)
    }
}

/// An SMLD ladder of noise levels `sigma_0 < ... < sigma_{N-1}`, with no noise below rung 0 (Song and Ermon
/// 2019, arXiv:1907.05600).
#[derive(Debug, Clone, PartialEq)]
pub struct Smld {
    sigmas: Vec<f64>,
}

impl Smld {
    /// A ladder of given levels, positive and strictly ascending.
    ///
    /// # Errors
    /// [`ConfigError`] at `smld.sigmas[i]`.
    pub fn from_sigmas(sigmas: Vec<f64>) -> Result<Self, ConfigError> {
        if sigmas.is_empty() {
            return Err(ConfigError::new("smld.sigmas", "[]", "needs at least one level"));
        }
        for (i, sigma) in sigmas.iter().enumerate() {
            let key = format!("smld.sigmas[{i}]");
            positive(&key, *sigma)?;
            if i > 0 && *sigma <= sigmas[i - 1] {
                return Err(ConfigError::new(
                    key,
                    sigma,
                    format!("must be above the level before, {}", sigmas[i - 1]),
                ));
            }
        }
        Ok(Self { sigmas })
    }

    /// The geometric ladder `sigma_i = sigma_min (sigma_max / sigma_min)^{i / (N - 1)}` (Song et al. 2021,
    /// appendix C): the `song` kernel of [`Ve`] at `t = i / (N - 1)`.
    ///
    /// # Errors
    /// [`ConfigError`] at `sde.sigma_min` or `sde.sigma_max`, or at `smld.sigmas` for `count = 0`.
    pub fn geometric(sigma_min: f64, sigma_max: f64, count: usize) -> Result<Self, ConfigError> {
        let ve = Ve::new(sigma_min, sigma_max, VeKernel::Song, Ve::DOMAIN)?;
        Self::from_sigmas(
            (0..count)
                .map(|i| ve.noise_level(time_of(Labelling::Song, i, count)))
                .collect(),
        )
    }

    /// Number of levels, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a ladder is never empty")]
    pub fn len(&self) -> usize {
        self.sigmas.len()
    }

    /// The levels, ascending.
    pub fn sigmas(&self) -> &[f64] {
        &self.sigmas
    }

    /// The kernel of a rung.
    ///
    /// # Panics
    /// Where there is no such rung; so do the other methods that take one.
    pub fn marginal(&self, rung: usize) -> Marginal {
        Marginal {
            mean_coef: 1.0,
            std: self.sigmas[rung],
        }
    }

    /// `sigma_i^2 - sigma_{i-1}^2`, with `sigma_{-1} = 0`.
    pub fn added_var(&self, rung: usize) -> f64 {
        let low = if rung == 0 { 0.0 } else { self.sigmas[rung - 1] };
        (self.sigmas[rung] - low) * (self.sigmas[rung] + low)
    }

    /// The time `i / (N - 1)` of a rung in the VE SDE with the same ends.
    pub fn time(&self, rung: usize) -> f64 {
        time_of(Labelling::Song, rung, self.len())
    }

    /// The rung of a time that is one (to 1e-9 of the label), else `None`.
    pub fn exact_label(&self, t: f64) -> Option<usize> {
        exact(label_of(Labelling::Song, t, self.len()), self.len())
    }

    /// The number that networks trained on this ladder by the reference code are told: it descends, `N - 1 -
    /// i`.
    pub fn network_label(&self, rung: usize) -> usize {
        self.len() - 1 - rung
    }

    /// The rung nearest to a noise level, on the logarithmic scale.
    pub fn nearest_sigma(&self, sigma: f64) -> usize {
        let above = self.sigmas.partition_point(|s| *s < sigma);
        if above == 0 {
            0
        } else if above == self.len() || sigma * sigma < self.sigmas[above - 1] * self.sigmas[above] {
            above - 1
        } else {
            above
        }
    }
}
