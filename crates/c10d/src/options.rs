//! How a process joins a group.

use std::ffi::CString;
use std::path::PathBuf;
use std::time::Duration;

use crate::{C10dError, ffi};

/// Where ranks meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// A TCP store.
    Tcp {
        /// Name or address of the host that serves it.
        host: String,
        /// Its port.
        port: u16,
        /// Whether this process serves it: one does, unless a launcher's agent serves it for all.
        serve: bool,
    },
    /// A file that all ranks reach, absent or empty at first.
    File {
        /// Its path.
        path: PathBuf,
    },
}

impl std::fmt::Display for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { host, port, .. } => write!(f, "tcp://{host}:{port}"),
            Self::File { path } => write!(f, "file://{}", path.display()),
        }
    }
}

/// How a process joins a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where the ranks meet.
    pub store: Store,
    /// Number of this process, from 0.
    pub rank: u32,
    /// Processes in all.
    pub world: u32,
    /// Put before every key of the store, so that one store serves several groups one after the other.
    pub prefix: String,
    /// How long a rank waits for the others, in the beginning and in every operation.
    pub timeout: Duration,
    /// The network interface to use, by name; without one, `address` counts.
    pub interface: Option<String>,
    /// The own name or address that the other ranks reach; without one, that which the host's name resolves to.
    pub address: Option<String>,
}

impl Options {
    /// Waits for 5 minutes, on the interface of the host's name.
    pub fn new(store: Store, rank: u32, world: u32) -> Self {
        Self {
            store,
            rank,
            world,
            prefix: String::new(),
            timeout: Duration::from_secs(300),
            interface: None,
            address: None,
        }
    }

    /// With another timeout.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// On the loopback interface: all ranks on this machine.
    #[must_use]
    pub fn loopback(self) -> Self {
        Self {
            address: Some("127.0.0.1".to_owned()),
            ..self
        }
    }

    pub(crate) fn checked(&self) -> Result<ffi::Options, C10dError> {
        let refused = |what, value: String, need| C10dError::Value { what, value, need };
        let number = |what, value: u32| {
            i32::try_from(value).map_err(|_| refused(what, value.to_string(), "a number below 2^31"))
        };
        let text = |what, text: &str| {
            CString::new(text).map_err(|_| refused(what, format!("{text:?}"), "text without a zero byte"))
        };
        if self.world == 0 {
            return Err(refused("the number of ranks", "0".to_owned(), "1 or more"));
        }
        if self.rank >= self.world {
            return Err(refused(
                "the rank",
                self.rank.to_string(),
                "less than the number of ranks",
            ));
        }
        if self.timeout.is_zero() {
            return Err(refused("the timeout", "0".to_owned(), "a time above 0"));
        }
        let store = match &self.store {
            Store::Tcp { host, port, .. } => Ok((text("the host", host)?, *port)),
            Store::File { path } => match path.to_str() {
                Some(path) => Err(text("the file", path)?),
                None => {
                    return Err(refused(
                        "the file",
                        path.display().to_string(),
                        "a path of Unicode text",
                    ));
                }
            },
        };
        Ok(ffi::Options {
            store,
            is_server: matches!(&self.store, Store::Tcp { serve: true, .. }),
            prefix: text("the prefix", &self.prefix)?,
            interface: self
                .interface
                .as_deref()
                .map(|name| text("the interface", name))
                .transpose()?,
            address: self
                .address
                .as_deref()
                .map(|name| text("the address", name))
                .transpose()?,
            rank: number("the rank", self.rank)?,
            world: number("the number of ranks", self.world)?,
            // 30 years are as good as ever, and far from what the engine's clocks cannot count.
            timeout_ms: i64::try_from(self.timeout.as_millis())
                .unwrap_or(i64::MAX)
                .clamp(1, 1_000_000_000_000),
        })
    }
}
