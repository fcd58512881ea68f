//! What can go wrong with the delivery log, in the words an operator reads.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anole_event::code_enum;

code_enum! {
    /// The stable codes of what can go wrong with the delivery log.
    pub enum LogCode {
        /// It is open for reading only.
        ReadOnly "history_read_only",
        /// It is closed.
        Closed "history_closed",
        /// SQLite failed.
        Database "history_database",
        /// A file cannot be used.
        File "history_file",
        /// A newer anole wrote it.
        Newer "history_newer",
        /// There is none.
        Missing "history_missing",
    }
}

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
    pub const fn code(&self) -> LogCode {
        match self {
            Self::ReadOnly => LogCode::ReadOnly,
            Self::Closed => LogCode::Closed,
            Self::Database { .. } => LogCode::Database,
            Self::File { .. } => LogCode::File,
        }
    }

    pub(crate) fn database(doing: &'static str, file: &Path, error: rusqlite::Error) -> Self {
        Self::Database { doing, file: file.to_owned(), error: Arc::new(error) }
    }

    pub(crate) fn file(file: &Path, error: std::io::Error) -> Self {
        Self::File { file: file.to_owned(), error: Arc::new(error) }
    }

    /// Whether the same call may succeed later. A full disk may be emptied; a closed log is not opened again.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Database { .. } | Self::File { .. })
    }
}

// === impl OpenError ===

impl OpenError {
    /// The stable code of the error, as programs and the `explain` verb use it.
    #[must_use]
    pub const fn code(&self) -> LogCode {
        match self {
            Self::Newer { .. } => LogCode::Newer,
            Self::Missing { .. } => LogCode::Missing,
            Self::Log(error) => error.code(),
        }
    }
}

/// Whether the file itself is broken, rather than busy, full or forbidden: SQLite says so, or a row holds what no anole
/// wrote.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::QueryReturnedNoRows
    ) || matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
    )
}
