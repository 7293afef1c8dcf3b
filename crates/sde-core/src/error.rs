//! The one error of this crate: a value of a configuration that is refused.

use std::fmt;

/// A configuration value that is refused, with its dotted key, the value as given and the reason with the
/// remedy.
///
/// Displays as `key = value: reason`, for example `sde.beta_min = -1: must be a finite number >= 0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Dotted key, for example `sde.beta_min`.
    pub key: String,
    /// The value as given.
    pub value: String,
    /// Why it is refused and what would do.
    pub reason: String,
}

impl ConfigError {
    /// An error at `key`.
    pub fn new(key: impl Into<String>, value: impl fmt::Display, reason: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: value.to_string(),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}: {}", self.key, self.value, self.reason)
    }
}

impl std::error::Error for ConfigError {}

/// `Ok(value)` where it is finite and above zero.
pub(crate) fn positive(key: &str, value: f64) -> Result<f64, ConfigError> {
    if value.is_finite() && value > 0.0 {
        Ok(value)
    } else {
        Err(ConfigError::new(key, value, "must be a finite number > 0"))
    }
}

/// `Ok(value)` where it is finite and not below zero.
pub(crate) fn not_negative(key: &str, value: f64) -> Result<f64, ConfigError> {
    if value.is_finite() && value >= 0.0 {
        Ok(value)
    } else {
        Err(ConfigError::new(key, value, "must be a finite number >= 0"))
    }
}

/// `Ok(value)` where it is finite.
pub(crate) fn finite(key: &str, value: f64) -> Result<f64, ConfigError> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(ConfigError::new(key, value, "must be a finite number"))
    }
}
