//! How a verb fails: the exit code tells programs what the message tells people.

use std::fmt;
use std::process::ExitCode;

/// A verb that did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Wrong usage or configuration: exit code 2. The text is shown as it is.
    Wrong(String),
    /// Anything else: exit code 1.
    Failed(String),
}

// === impl Failure ===

impl Failure {
    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Self::Wrong(_) => ExitCode::from(2),
            Self::Failed(_) => ExitCode::from(1),
        }
    }

    /// A failure of something that should have worked.
    pub(crate) fn of(error: impl fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong(text) => f.write_str(text.trim_end()),
            Self::Failed(text) => write!(f, "anole: {text}"),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(format!("{error:#}"))
    }
}
