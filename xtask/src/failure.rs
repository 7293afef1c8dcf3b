//! How commands fail: one clear line, a remedy, an exit code.

/// The result of a command or of one of its steps.
pub type Outcome<T> = Result<T, Failure>;

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    message: String,
    remedy: Option<String>,
    exit_code: u8,
}

impl Failure {
    /// A failure without an obvious remedy.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            remedy: None,
            exit_code: 1,
        }
    }

    /// A wrong command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            exit_code: 2,
            ..Self::new(message)
        }
    }

    /// A program that was run has failed and has said why itself.
    pub fn status(message: impl Into<String>, exit_code: u8) -> Self {
        Self {
            exit_code,
            ..Self::new(message)
        }
    }

    /// Adds what the user can do.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// An error of the operating system about a path.
    pub fn io(action: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        let failure = Self::new(format!("cannot {action} {}: {error}", path.display()));
        match error.kind() {
            std::io::ErrorKind::StorageFull => {
                failure.remedy("free some disk space, or set SDE_CACHE to a folder on a larger disk")
            }
            std::io::ErrorKind::PermissionDenied => {
                failure.remedy("set SDE_CACHE to a folder that you may write to")
            }
            _ => failure,
        }
    }

    /// What failed, in one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }

    /// Writes the failure to stderr.
    pub fn print(&self) {
        eprintln!("{self}");
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "xtask: {}", self.message)?;
        self.remedy
            .as_ref()
            .map_or(Ok(()), |remedy| write!(f, "\n  remedy: {remedy}"))
    }
}
