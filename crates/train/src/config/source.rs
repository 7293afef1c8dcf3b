//! Where a value of the configuration stands.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sde_core::ConfigError;
use solvers::SolveError;

use crate::TrainError;

/// The origin of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
    },
    /// An argument of the command line, as typed.
    Argument(String),
    /// A default; the text says whose.
    Default(String),
    /// Set by a program that uses the library.
    Code,
}

impl Source {
    /// What is appended to an error: ` (configs/x.toml:3)`, ` (argument --optim.lr abc)`, or nothing.
    pub fn suffix(&self) -> String {
        match self {
            Source::File { path, line } => format!(" ({}:{line})", path.display()),
            Source::Argument(text) => format!(" (argument {text})"),
            Source::Default(text) => format!(" ({text})"),
            Source::Code => String::new(),
        }
    }
}

/// The origin of every value, by dotted key.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    map: BTreeMap<String, Source>,
}

impl Sources {
    /// Origin of a key; a key that nobody set has its default.
    pub fn get(&self, key: &str) -> Source {
        match self.map.get(key) {
            Some(source) => source.clone(),
            None if self.map.is_empty() => Source::Code,
            None => Source::Default("the default".to_string()),
        }
    }

    /// The error of a `build` with the place where the refused value stands.
    pub fn refuse(&self, error: ConfigError) -> TrainError {
        let ConfigError { key, value, reason } = error;
        TrainError::Config {
            origin: self.get(&key),
            key,
            value,
            reason,
        }
    }

    /// As [`Sources::refuse`], for the errors of samplers; those that are not about a value pass unchanged.
    pub fn refuse_solve(&self, error: SolveError) -> TrainError {
        match error {
            SolveError::Config { key, value, reason } => self.refuse(ConfigError { key, value, reason }),
            other => TrainError::Solve(other),
        }
    }

    /// Origin of a key, else of the first key below it that was set, else its default.
    pub(super) fn first_at_or_below(&self, key: &str) -> Source {
        let below = format!("{key}.");
        let found = self.map.get(key).or_else(|| {
            self.map
                .iter()
                .find(|(k, _)| k.starts_with(&below))
                .map(|(_, s)| s)
        });
        found.cloned().unwrap_or_else(|| self.get(key))
    }

    /// Records an origin.
    pub(super) fn set(&mut self, key: String, source: Source) {
        self.map.insert(key, source);
    }

    /// Forgets a key and everything below it.
    pub(super) fn remove(&mut self, key: &str) {
        let below = format!("{key}.");
        self.map.retain(|k, _| k != key && !k.starts_with(&below));
    }

    /// Whether the key itself was set by an argument.
    pub(super) fn is_argument(&self, key: &str) -> bool {
        matches!(self.map.get(key), Some(Source::Argument(_)))
    }

    /// Whether the key or one below it was set by an argument.
    pub(super) fn any_argument(&self, key: &str) -> bool {
        let below = format!("{key}.");
        let by_argument = |source: &Source| matches!(source, Source::Argument(_));
        self.map
            .iter()
            .any(|(k, source)| (k == key || k.starts_with(&below)) && by_argument(source))
    }
}
