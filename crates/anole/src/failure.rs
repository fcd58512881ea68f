//! How a verb fails: the exit code tells programs what the message tells people. A failure with a stable code names the page
//! that tells more.

use std::fmt;
use std::process::ExitCode;

use anole_console::{LookError, registry_code};
use anole_delivery::RegistryError;

use crate::lock::LockError;

/// A verb that did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Wrong usage or configuration: exit code 2. The text is shown as it is.
    Wrong(String),
    /// Anything else: exit code 1.
    Failed(String),
    /// The same, with a stable code: `anole explain CODE`.
    Coded {
        /// The code.
        code: String,
        /// What happened.
        text: String,
    },
}

/// What the daemon refused to do, in its words.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refused {
    /// The code of its answer, where it has one.
    pub(crate) code: Option<String>,
    pub(crate) message: String,
}

// === impl Failure ===

impl Failure {
    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Self::Wrong(_) => ExitCode::from(2),
            Self::Failed(_) | Self::Coded { .. } => ExitCode::from(1),
        }
    }

    /// A failure of something that should have worked.
    pub(crate) fn of(error: impl fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }

    /// A failure with a stable code.
    pub(crate) fn coded(code: impl fmt::Display, error: impl fmt::Display) -> Self {
        Self::Coded { code: code.to_string(), text: error.to_string() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong(text) => f.write_str(text.trim_end()),
            Self::Failed(text) => write!(f, "anole: {text}"),
            Self::Coded { code, text } => write!(f, "anole: {text}\n`anole explain {code}` says more"),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast_ref::<Refused>() {
            // A newer daemon may have codes that this one has no page of.
            Some(Refused { code: Some(code), message }) if anole_codes::page(code).is_some() => {
                Self::coded(code, message)
            }
            _ => Self::Failed(format!("{error:#}")),
        }
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::State(error) => error.into(),
            error => Self::coded(registry_code(&error).1, error),
        }
    }
}

impl From<LookError> for Failure {
    fn from(error: LookError) -> Self {
        match error {
            LookError::State(error) => error.into(),
            LookError::Log(error) => error.into(),
            error @ (LookError::Journal(_) | LookError::Stopped) => Self::of(error),
        }
    }
}

/// Errors that carry a code of their own.
macro_rules! coded {
    ($($error:ty),+ $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::coded(error.code(), error)
            }
        })+
    };
}

coded!(
    LockError,
    anole_journal::OpenError,
    anole_state::OpenError,
    anole_state::StateError,
    anole_delivery_log::OpenError,
    anole_delivery_log::LogError,
);
