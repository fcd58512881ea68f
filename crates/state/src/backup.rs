//! The backup (S-3): a copy of the database beside it, that takes the place of the one before it only when it is good.

use std::path::Path;
use std::sync::Arc;

use anole_event::Timestamp;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use crate::file::{self, Files};
use crate::recover::is_good;
use crate::row::BackedUp;
use crate::{StateError, read};

/// How long a connection waits for another one's lock. Ours are short; the limit is for a person's shell on the file.
pub(crate) const BUSY: std::time::Duration = std::time::Duration::from_secs(5);

fn wrong(error: rusqlite::Error) -> StateError {
    StateError::database("backed up", error)
}

/// A connection that can only read.
pub(crate) fn open_reader(database: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -8_192)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Copies the database to its backup.
///
/// The copy is one read of the database, which in WAL mode holds up no writer. It is checked whole before it takes the
/// place of the last one: a damaged database must not overwrite its own remedy.
pub(crate) fn make(files: &Files, at: Timestamp) -> Result<BackedUp, StateError> {
    let unfinished = files.unfinished_backup();
    let broken = |error| StateError::File { file: unfinished.clone(), error: Arc::new(error) };
    file::remove(&unfinished).map_err(broken)?;
    file::make_private(&unfinished).map_err(broken)?;
    let lanes = {
        let copy = copy(&files.database, &unfinished)?;
        if !is_good(&copy, true)? {
            file::make_private(&files.suspect()).map_err(broken)?;
            let error = rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
                Some("the check of the copy failed".to_owned()),
            );
            return Err(wrong(error));
        }
        read::backed_up(&copy)?
    };
    file::replace(&unfinished, &files.backup()).map_err(broken)?;
    // The time of a backup that is found at start is its file's; both are only shown.
    Ok(BackedUp { at, lanes })
}

/// A copy of one database in another file, left open.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<Connection, StateError> {
    let source = open_reader(from).map_err(wrong)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut copy = Connection::open_with_flags(to, flags).map_err(wrong)?;
    copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF").map_err(wrong)?;
    {
        // In one step: between steps SQLite would start over whenever the writer has written.
        let backup = Backup::new(&source, &mut copy).map_err(wrong)?;
        let step = backup.step(-1).map_err(wrong)?;
        if step != StepResult::Done {
            let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None);
            return Err(wrong(error));
        }
    }
    // The copy says that it is in WAL mode, as the source is. As a single file it can be moved about and read anywhere.
    copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).map_err(wrong)?;
    Ok(copy)
}

/// What the backup that is there holds.
pub(crate) fn read_last(files: &Files) -> Option<BackedUp> {
    let backup = files.backup();
    let modified = std::fs::metadata(&backup).ok()?.modified().ok()?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let at = Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
    let connection = open_reader(&backup).ok()?;
    Some(BackedUp { at, lanes: read::backed_up(&connection).ok()? })
}
