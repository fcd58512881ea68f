//! What can go wrong with the state, in the words an operator reads.

use std::path::PathBuf;
use std::sync::Arc;

use anole_event::{LaneId, code_enum};

/// What a store says of its failure: an error of SQLite, or of a database server's client.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

code_enum! {
    /// The stable codes of what can go wrong with the state.
    pub enum StateCode {
        /// Another process has the state.
        Fenced "state_fenced",
        /// There is no such lane.
        LaneUnknown "lane_unknown",
        /// A pipeline has the lane.
        LaneActive "lane_active",
        /// A lane of that name is there.
        LaneExists "lane_exists",
        /// Another process keeps what was erased in the write-ahead log.
        HeldOpen "state_held_open",
        /// It is open for reading only.
        ReadOnly "state_read_only",
        /// It is closed.
        Closed "state_closed",
        /// The file is damaged.
        Damaged "state_damaged",
        /// SQLite failed.
        Database "state_database",
        /// A file cannot be used.
        File "state_file",
        /// A newer anole wrote it.
        Newer "state_newer",
        /// There is none.
        Missing "state_missing",
    }
}

/// Why a call of [`State`](crate::State) failed. Cheap to clone, as one failed write may answer several callers.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StateError {
    /// Another process opened the state after us; what we would write could undo its work.
    #[error(
        "the state was opened by another process after this one (epoch {theirs}, ours is {ours}): this one may not \
         write any more and must end"
    )]
    Fenced {
        /// Our epoch.
        ours: u64,
        /// The epoch that stands in the store.
        theirs: u64,
    },
    /// There is no such lane.
    #[error("there is no lane `{0}`: `anole lanes list` names those there are")]
    UnknownLane(LaneId),
    /// The lane is in use.
    #[error("the lane `{0}` is in use: remove its destination from the pipeline first, then release it")]
    LaneActive(LaneId),
    /// A lane of that name is there already.
    #[error("there is a lane `{0}` already: rename the old lane before the pipeline names the new one")]
    LaneExists(LaneId),
    /// Something was erased from the tables, and the write-ahead log still has it.
    #[error(
        "what was to be erased is gone from the tables but not yet from the write-ahead log, as another process reads the \
         state (an sqlite3 shell?): end that one and erase again"
    )]
    HeldOpen,
    /// The store was opened for reading only.
    #[error("the state is open for reading only")]
    ReadOnly,
    /// The store was closed.
    #[error("the state is closed")]
    Closed,
    /// The database is damaged. It is set aside and its backup taken when the state is opened the next time.
    #[error("the state is damaged ({error}): restart anole, it will go on from the backup")]
    Damaged {
        /// What the store says.
        error: Cause,
    },
    /// The store failed.
    #[error("the state cannot be {doing}: {error}")]
    Database {
        /// What was being done: `read`, `written`, `erased` …
        doing: &'static str,
        /// What the store says.
        error: Cause,
    },
    /// A file beside the database could not be written.
    #[error("{}: {error}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the operating system says.
        error: Arc<std::io::Error>,
    },
}

/// Why a state could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A newer anole wrote it.
    #[error(
        "{}: the state has format {found}, this anole reads formats up to {known}: start the newer anole again, or put \
         back the copy that it made before it migrated",
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
    /// There is no state to look at.
    #[error("{}: there is no state here: has anole run with this data_dir?", file.display())]
    Missing {
        /// Where it was looked for.
        file: PathBuf,
    },
    /// The file or its folder cannot be used.
    #[error("{}: {error}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the operating system says.
        error: std::io::Error,
    },
    /// Something else than damage, which is repaired.
    #[error("{}: {error}", file.display())]
    State {
        /// The file.
        file: PathBuf,
        /// What failed.
        error: StateError,
    },
}

// === impl StateError ===

impl StateError {
    /// The stable code of the error, as programs and the `explain` verb use it.
    #[must_use]
    pub const fn code(&self) -> StateCode {
        match self {
            Self::Fenced { .. } => StateCode::Fenced,
            Self::UnknownLane(_) => StateCode::LaneUnknown,
            Self::LaneActive(_) => StateCode::LaneActive,
            Self::LaneExists(_) => StateCode::LaneExists,
            Self::HeldOpen => StateCode::HeldOpen,
            Self::ReadOnly => StateCode::ReadOnly,
            Self::Closed => StateCode::Closed,
            Self::Damaged { .. } => StateCode::Damaged,
            Self::Database { .. } => StateCode::Database,
            Self::File { .. } => StateCode::File,
        }
    }

    /// Whether the same call may succeed later. A full disk may be emptied; a fence never opens again.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Database { .. } | Self::File { .. } | Self::HeldOpen)
    }

    pub(crate) fn database(doing: &'static str, error: rusqlite::Error) -> Self {
        let is_damage = is_damage(&error);
        let error: Cause = Arc::new(error);
        if is_damage { Self::Damaged { error } } else { Self::Database { doing, error } }
    }
}

// === impl OpenError ===

impl OpenError {
    /// The stable code of the error, as programs and the `explain` verb use it.
    #[must_use]
    pub const fn code(&self) -> StateCode {
        match self {
            Self::Newer { .. } => StateCode::Newer,
            Self::Missing { .. } => StateCode::Missing,
            Self::File { .. } => StateCode::File,
            Self::State { error, .. } => error.code(),
        }
    }
}

/// Whether the file itself is broken, rather than busy, full or forbidden: SQLite says so, or a row holds what no anole
/// wrote.
fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
    ) || matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
    )
}
