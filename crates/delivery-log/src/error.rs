//! What can go wrong with the delivery log, in the words an operator reads.

use std::path::PathBuf;
use std::sync::Arc;

/// Why a call of [`DeliveryLog`](crate::DeliveryLog) failed. Cheap to clone, as one failed write may answer several
/// callers.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// The log was opened for reading only.
    #[error("the delivery log is open for reading only")]
    ReadOnly,
    /// The log was closed.
    #[error("the delivery log is closed")]
    Closed,
    /// SQLite failed.
    #[error("{}: the delivery log cannot be {doing}: {error}", file.display())]
    Database {
        /// What was being done: `read`, `written` …
        doing: &'static str,
        /// The file.
        file: PathBuf,
        /// What SQLite says.
        error: Arc<rusqlite::Error>,
    },
    /// A file or the folder could not be used.
    #[error("{}: {error}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the operating system says.
        error: Arc<std::io::Error>,
    },
    /// What stands in the log is not what this version writes.
    #[error("{}: row {row} of the delivery log cannot be read: {what}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// The row.
        row: u32,
        /// What was found.
        what: &'static str,
    },
}

/// Why a delivery log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A newer anole wrote it.
    #[error(
        "{}: this file of the delivery log has format {found}, this anole reads formats up to {known}: start the newer \
         anole again, or move the file away",
        file.display()
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that we read.
        known: u32,
    },
    /// There is no log to look at.
    #[error("{}: there is no delivery log here: has anole run with this data_dir?", dir.display())]
    Missing {
        /// Where it was looked for.
        dir: PathBuf,
    },
    /// Anything else.
    #[error(transparent)]
    Log(#[from] LogError),
}

// === impl LogError ===

impl LogError {
    /// The stable code of the error, as programs and the `explain` verb use it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ReadOnly => "history_read_only",
            Self::Closed => "history_closed",
            Self::Database { .. } => "history_database",
            Self::File { .. } => "history_file",
            Self::Damaged { .. } => "history_damaged",
        }
    }

    /// Whether the same call may succeed later. A full disk may be emptied; a closed log is not opened again.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Database { .. } | Self::File { .. } | Self::Damaged { .. })
    }
}

// === impl OpenError ===

impl OpenError {
    /// The stable code of the error, as programs and the `explain` verb use it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Newer { .. } => "history_newer",
            Self::Missing { .. } => "history_missing",
            Self::Log(error) => error.code(),
        }
    }
}
