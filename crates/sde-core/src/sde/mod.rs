//! Linear stochastic differential equations `dx = a(t) x dt + g(t) dw` with scalar coefficients, and what
//! samplers, losses and likelihoods ask of them.

use std::fmt::Debug;

/// The perturbation kernel `p(x_t | x_0) = N(mean_coef x_0, std^2 I)` at one time.
///
/// `mean_coef` is what Song et al. write `exp(-B/2)` and the diffusion literature `alpha_t` or `sqrt(alpha_bar_t)`;
/// `std` is `sigma_t`.
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

    /// The ancestral step over one span; by default the mean of the exact posterior with the score in place of
    /// the unknown data, and the posterior's variance.
    fn ancestral(&self, span: Span) -> AncestralStep {
        let (now, next) = (self.marginal(span.from), self.marginal(span.to));
        let ratio = now.mean_coef / next.mean_coef;
        let added_var = now.std * now.std - ratio * ratio * next.std * next.std;
        AncestralStep {
            state_coef: 1.0 / ratio,
            score_coef: added_var / ratio,
            std: next.std * added_var.max(0.0).sqrt() / now.std,
        }
    }
}
