//! What can go wrong in building or running a network. Every variant names the place.

use tch::TchError;
use thiserror::Error;

/// An error of a network or of its configuration.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NetError {
    /// A value of the configuration is refused; `key` is its dotted key.
    #[error("{key} = {value}: {reason}")]
    Config {
        /// Dotted key, for example `net.channels`.
        key: String,
        /// The value as given.
        value: String,
        /// Why it is refused and what would do.
        reason: String,
    },
    /// A tensor has another shape than the network needs.
    #[error("{what}: got {got:?}, need {need}")]
    Shape {
        /// Which tensor.
        what: &'static str,
        /// Its shape.
        got: Vec<i64>,
        /// The shape needed.
        need: String,
    },
    /// A value of the time input is none that the network knows.
    #[error("time input of the network: got {got}, need {need}")]
    Time {
        /// The value, or the range of values.
        got: String,
        /// What it must be.
        need: String,
    },
    /// A value that a network is given is not one that it takes.
    #[error("{what}: got {value}, need {need}")]
    Value {
        /// Which value.
        what: &'static str,
        /// The value.
        value: String,
        /// What would do.
        need: String,
    },
    /// libtorch failed: memory, device, or an operation that the device lacks.
    #[error("libtorch: {reason}")]
    Torch {
        /// The first line of what it said.
        reason: String,
    },
}

impl NetError {
    /// A refused value of the table `[net]`.
    pub fn config(key: &str, value: impl ToString, reason: impl Into<String>) -> Self {
        NetError::Config {
            key: format!("net.{key}"),
            value: value.to_string(),
            reason: reason.into(),
        }
    }
}

/// libtorch appends a C++ backtrace to its message: only the first line helps.
impl From<TchError> for NetError {
    fn from(error: TchError) -> Self {
        NetError::Torch {
            reason: first_line(&error),
        }
    }
}

/// The first line of an error of libtorch.
pub(crate) fn first_line(error: &TchError) -> String {
    let text = match error {
        TchError::Torch(text) => text.clone(),
        other => other.to_string(),
    };
    text.lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("no message")
        .trim()
        .to_string()
}
