//! Conversions between the ways to state one prediction at a state `x` with kernel `N(m x_0, s^2 I)`: noise
//! `eps`, denoised data `x0`, velocity `v = (m eps - s x0) / sqrt(m^2 + s^2)` and score.
//!
//! Elementwise; each is one line of algebra from `x = m x0 + s eps` and `score = -eps / s`. For VP SDEs `m^2
//! + s^2 = 1` and `v` is that of Salimans and Ho (2022, arXiv:2202.00512, appendix D). The conversions into
//! `eps` lose digits as `s -> 0` and those into `x0` as `m -> 0`, by the nature of the quantities.

use crate::Marginal;

/// `score = -eps / s`.
pub fn eps_to_score(at: Marginal, eps: f64) -> f64 {
    -eps / at.std
}

/// `eps = -s score`.
pub fn score_to_eps(at: Marginal, score: f64) -> f64 {
    -at.std * score
}

/// `x0 = (x - s eps) / m`.
pub fn eps_to_x0(at: Marginal, x: f64, eps: f64) -> f64 {
    (x - at.std * eps) / at.mean_coef
}

/// `eps = (x - m x0) / s`.
pub fn x0_to_eps(at: Marginal, x: f64, x0: f64) -> f64 {
    (x - at.mean_coef * x0) / at.std
}

/// `x0 = (x + s^2 score) / m`, Tweedie's formula (Efron 2011).
pub fn score_to_x0(at: Marginal, x: f64, score: f64) -> f64 {
    (x + at.std * at.std * score) / at.mean_coef
}

/// `score = (m x0 - x) / s^2`.
pub fn x0_to_score(at: Marginal, x: f64, x0: f64) -> f64 {
    (at.mean_coef * x0 - x) / (at.std * at.std)
}

/// `x0 = (m x - s r v) / r^2`, `r^2 = m^2 + s^2`.
pub fn v_to_x0(at: Marginal, x: f64, v: f64) -> f64 {
    let var = total_var(at);
    (at.mean_coef * x - at.std * var.sqrt() * v) / var
}

/// `eps = (s x + m r v) / r^2`.
pub fn v_to_eps(at: Marginal, x: f64, v: f64) -> f64 {
    let var = total_var(at);
    (at.std * x + at.mean_coef * var.sqrt() * v) / var
}

/// `score = -(x + (m / s) r v) / r^2`.
pub fn v_to_score(at: Marginal, x: f64, v: f64) -> f64 {
    let var = total_var(at);
    -(x + at.mean_coef / at.std * var.sqrt() * v) / var
}

/// `v = (m x - r^2 x0) / (s r)`.
pub fn x0_to_v(at: Marginal, x: f64, x0: f64) -> f64 {
    let var = total_var(at);
    (at.mean_coef * x - var * x0) / (at.std * var.sqrt())
}

/// `v = (r^2 eps - s x) / (m r)`.
pub fn eps_to_v(at: Marginal, x: f64, eps: f64) -> f64 {
    let var = total_var(at);
    (var * eps - at.std * x) / (at.mean_coef * var.sqrt())
}

/// `v = -s (r^2 score + x) / (m r)`.
pub fn score_to_v(at: Marginal, x: f64, score: f64) -> f64 {
    let var = total_var(at);
    -at.std * (var * score + x) / (at.mean_coef * var.sqrt())
}

fn total_var(at: Marginal) -> f64 {
    at.mean_coef * at.mean_coef + at.std * at.std
}
