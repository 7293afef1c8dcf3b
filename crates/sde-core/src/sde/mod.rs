//! Linear stochastic differential equations `dx = a(t) x dt + g(t) dw` with scalar coefficients, and what
//! samplers, losses and likelihoods ask of them.

use std::fmt::Debug;

use crate::ConfigError;

mod additive;
mod edm;
mod subvp;
mod ve;
mod vp;

pub use additive::Additive;
pub use edm::Edm;
pub use subvp::SubVp;
pub use ve::{Ve, VeKernel};
pub use vp::Vp;

/// The perturbation kernel `p(x_t | x_0) = N(mean_coef x_0, std^2 I)` at one time.
///
/// `mean_coef` is what Song et al. write `exp(-B/2)` and the diffusion literature `alpha_t` or
/// `sqrt(alpha_bar_t)`; `std` is `sigma_t`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Marginal {
    /// Factor of the clean data, dimensionless.
    pub mean_coef: f64,
    /// Standard deviation of the added noise, in units of the data.
    pub std: f64,
}

/// The times between which an SDE is used. Three different lower ends, since what is best differs
/// (Song et al. 2021, appendix C): sampling stops early, training and likelihood go further.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimeDomain {
    /// Time of the prior.
    pub t_end: f64,
    /// Smallest time drawn in training.
    pub train_eps: f64,
    /// Time at which samplers stop.
    pub sample_eps: f64,
    /// Time at which likelihoods start.
    pub likelihood_eps: f64,
}

/// One step of a sampler on its grid, backwards in time.
///
/// `gap` is the step length that enters the update. On true grids `gap = from - to`; the `song-compat` grid
/// keeps the reference code's `gap = 1/N` beside points that lie `(1 - eps)/(N - 1)` apart, and its last span
/// ends at `to = 0`, below which there is no noise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// Time of the current state, the larger one.
    pub from: f64,
    /// Time after the step.
    pub to: f64,
    /// Step length, positive.
    pub gap: f64,
}

/// Forward one-step discretisation `x_from = (1 + drift) x_to + sqrt(noise_var) z` whose reversal is the
/// reverse-diffusion predictor: `mean = x - drift x + noise_var score`, `x' = mean + sqrt(noise_var) z`
/// (Song et al. 2021, appendix E).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EulerStep {
    /// Coefficient of the state in the forward step, without the identity.
    pub drift: f64,
    /// Variance added by the forward step.
    pub noise_var: f64,
}

/// Ancestral step `x' = state_coef x + score_coef score + std z`
/// (DDPM, Ho et al. 2020, arXiv:2006.11239; SMLD form in Song et al. 2021, appendix F).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AncestralStep {
    /// Coefficient of the state.
    pub state_coef: f64,
    /// Coefficient of the score.
    pub score_coef: f64,
    /// Standard deviation of the fresh noise.
    pub std: f64,
}

/// A linear SDE `dx = a(t) x dt + g(t) dw` with scalar coefficients.
///
/// Laws, tested for every implementor: `mean_coef' = a mean_coef`, `(std^2)' = 2 a std^2 + g^2`,
/// `time_at_lambda(lambda(t)) = t`, `lambda` strictly decreasing.
pub trait Sde: Send + Sync + Debug {
    /// `a(t)`, per unit of time.
    fn drift_coef(&self, t: f64) -> f64;

    /// `g(t)^2`, squared data units per unit of time.
    fn diffusion_sq(&self, t: f64) -> f64;

    /// The kernel of `x_t` given `x_0`, free of cancellation at small `t`.
    fn marginal(&self, t: f64) -> Marginal;

    /// Where the SDE is used.
    fn domain(&self) -> TimeDomain;

    /// Standard deviation of the Gaussian prior at `t_end` (mean zero).
    fn prior_std(&self) -> f64;

    /// `lambda(t) = ln(mean_coef / std)`, half the log signal-to-noise ratio.
    fn lambda(&self, t: f64) -> f64;

    /// Exact inverse of [`Sde::lambda`].
    fn time_at_lambda(&self, lambda: f64) -> f64;

    /// [`Sde::drift_coef`] and [`Sde::diffusion_sq`] at many times, to rounding: for rows that each stand at a time of their own.
    /// A value depends on its own time alone. All slices have one length.
    fn rates(&self, times: &[f64], drift_coef: &mut [f64], diffusion_sq: &mut [f64]) {
        for ((t, drift_coef), diffusion_sq) in times.iter().zip(drift_coef).zip(diffusion_sq) {
            (*drift_coef, *diffusion_sq) = (self.drift_coef(*t), self.diffusion_sq(*t));
        }
    }

    /// `mean_coef` and `std^2` of [`Sde::marginal`] at many times, to rounding, as [`Sde::rates`].
    fn marginals(&self, times: &[f64], mean_coef: &mut [f64], var: &mut [f64]) {
        for ((t, mean_coef), var) in times.iter().zip(mean_coef).zip(var) {
            let at = self.marginal(*t);
            (*mean_coef, *var) = (at.mean_coef, at.std * at.std);
        }
    }

    /// `g(t)`.
    fn diffusion(&self, t: f64) -> f64 {
        self.diffusion_sq(t).sqrt()
    }

    /// Log signal-to-noise ratio `ln(mean_coef^2 / std^2) = 2 lambda`.
    fn log_snr(&self, t: f64) -> f64 {
        2.0 * self.lambda(t)
    }

    /// Noise-to-signal ratio `std / mean_coef = exp(-lambda)`, the `sigma` of Karras et al. 2022.
    fn sigma(&self, t: f64) -> f64 {
        (-self.lambda(t)).exp()
    }

    /// Exact inverse of [`Sde::sigma`].
    fn time_at_sigma(&self, sigma: f64) -> f64 {
        self.time_at_lambda(-sigma.ln())
    }

    /// The forward discretisation over one span; Euler-Maruyama unless the SDE has a published one of its own
    /// (DDPM for VP, SMLD for VE).
    fn discretize(&self, span: Span) -> EulerStep {
        EulerStep {
            drift: self.drift_coef(span.from) * span.gap,
            noise_var: self.diffusion_sq(span.from) * span.gap,
        }
    }

    /// The kernel of `x_from` given `x_to`, `to < from`: `N(mean_coef x_to, std^2 I)` with `mean_coef =
    /// mean_coef(from) / mean_coef(to)`, `std^2 = std(from)^2 - mean_coef^2 std(to)^2`.
    ///
    /// By default the variance is `std(from)^2 (1 - e^{2 (lambda(from) - lambda(to))})`; the SDEs of this
    /// crate have forms that keep full precision over short spans.
    fn transition(&self, from: f64, to: f64) -> Marginal {
        let (now, next) = (self.marginal(from), self.marginal(to));
        let kept = 2.0 * (self.lambda(from) - self.lambda(to));
        Marginal {
            mean_coef: now.mean_coef / next.mean_coef,
            std: now.std * (-kept.exp_m1()).max(0.0).sqrt(),
        }
    }

    /// The ancestral step over one span; by default the mean of the exact posterior with the score in place
    /// of the unknown data, and the posterior's variance.
    fn ancestral(&self, span: Span) -> AncestralStep {
        let (now, next) = (self.marginal(span.from).std, self.marginal(span.to).std);
        let step = self.transition(span.from, span.to);
        AncestralStep {
            state_coef: 1.0 / step.mean_coef,
            score_coef: step.std * step.std / step.mean_coef,
            std: if next > 0.0 { next * (step.std / now) } else { 0.0 },
        }
    }

    /// Whether [`Sde::ancestral`] makes sense over this span. A solver that uses it asks once for each span
    /// of its grid, see [`crate::Grid::check_spans`]. ([`Sde::discretize`] can go one step further, to
    /// `beta(t) dt = 1`, where it is not a number beyond.)
    ///
    /// # Errors
    /// [`ConfigError`] at `sampler.steps` where the step is too long: `beta(t) dt >= 1` for VP.
    fn check_span(&self, _span: Span) -> Result<(), ConfigError> {
        Ok(())
    }

    /// Standard deviation of the data, where the SDE's configuration states it.
    fn sigma_data(&self) -> Option<f64> {
        None
    }
}

/// Every time finite, `0 < eps < t_end`.
pub(crate) fn check_domain(domain: &TimeDomain) -> Result<(), ConfigError> {
    crate::error::positive("sde.t_end", domain.t_end)?;
    for (key, eps) in [
        ("sde.train_eps", domain.train_eps),
        ("sde.sample_eps", domain.sample_eps),
        ("sde.likelihood_eps", domain.likelihood_eps),
    ] {
        crate::error::positive(key, eps)?;
        if eps >= domain.t_end {
            return Err(ConfigError::new(
                key,
                eps,
                format!("must be below sde.t_end = {}", domain.t_end),
            ));
        }
    }
    Ok(())
}

/// Refuses a VP-type SDE that leaves signal in its prior, or so little that `mean_coef` underflows.
fn check_terminal(sde: &dyn Sde) -> Result<(), ConfigError> {
    let t_end = sde.domain().t_end;
    let lambda = sde.lambda(t_end);
    if (-100.0..=-3.0).contains(&lambda) {
        return Ok(());
    }
    let reason = if lambda < -100.0 {
        format!("lambda = {lambda:.1} there is below -100: lower sde.beta_max or sde.t_end")
    } else {
        format!(
            "lambda = {lambda:.4} there leaves signal in the prior N(0, I); it must be at most -3: raise sde.beta_max or sde.t_end"
        )
    };
    Err(ConfigError::new("sde.t_end", t_end, reason))
}

/// The ancestral step where the mean coefficient is 1 (Song et al. 2021, appendix F; eta = 1 in Karras et al.
/// 2022).
fn additive_ancestral(now: f64, next: f64, added_var: f64) -> AncestralStep {
    AncestralStep {
        state_coef: 1.0,
        score_coef: added_var,
        std: next * (added_var.sqrt() / now),
    }
}
