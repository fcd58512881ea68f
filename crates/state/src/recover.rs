//! What happens before the database is opened for work (S-3): a damaged one is set aside and its backup taken.
//!
//! How closely it is looked at follows its size. The tables that decide what is sent (lanes, progress, deferred) are
//! small and are always checked whole; every page of the file is checked up to [`CHECK_ALL`] bytes, which takes about a
//! tenth of a second, or when the last run found damage. So a gigabyte of parked events does not delay each start by
//! seconds, and damage in it is still found by the next backup, which checks its copy.
//!
//! A database that is older than its own backup, or another one's, counts as damaged too, however sound it is: its
//! write-ahead log was removed, or somebody put an old copy in its place, or a log that belongs to another database, which
//! SQLite lays over it all the same. The journal may have let go of what such a state takes for undone. The id and the
//! count of transactions in the table `epoch` tell. Whoever means it removes the backup as well.
//!
//! A file that is no state of ours (no SQLite database, or another program's) is set aside like a damaged one. Only a state
//! that a newer anole wrote is refused.

use std::path::{Path, PathBuf};

use anole_event::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use crate::file::{self, Files};
use crate::schema::Mark;
use crate::{Cause, OpenError, StateError, backup, read, schema};

/// A database up to this size is checked whole when it is opened: 64 MiB.
const CHECK_ALL: u64 = 64 * 1024 * 1024;

/// What was done before the database could be opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A good one, or none and no backup either.
    Good,
    /// What was there, if anything, is set aside. The backup of this time stands in its place; without one it starts empty.
    Replaced { set_aside: Option<PathBuf>, backup: Option<Timestamp> },
}

#[derive(Clone, PartialEq, Eq)]
enum Condition {
    Good(Mark),
    Damaged,
    Empty,
}

/// Makes sure that what stands in the database's place is good.
pub(crate) fn prepare(files: &Files, now: Timestamp) -> Result<Found, OpenError> {
    let (database, backup) = (&files.database, files.backup());
    let broken = |error| OpenError::File { file: database.clone(), error };
    file::make_folder_of(database).map_err(broken)?;
    files.remove_unfinished().map_err(broken)?;
    // Before SQLite reads it: it would lay over the database, and append to, what a failed sync of the last run left in memory
    // only. A power cut would then take everything behind it, acknowledged commits too.
    let log = files.log();
    file::renew(&log).map_err(|error| OpenError::File { file: log, error })?;
    let found = if database.exists() { condition(database, files.suspect().exists())? } else { Condition::Empty };
    let remedy = match found {
        Condition::Good(ref mark) if mark_of(&backup).is_none_or(|backup| mark.goes_with(&backup)) => None,
        _ if backup.exists() => Some(condition(&backup, true)?),
        Condition::Empty => None,
        Condition::Good(_) | Condition::Damaged => Some(Condition::Empty),
    };
    let is_better = matches!(remedy, Some(Condition::Good(_)));
    let Some(remedy) = remedy.filter(|_| is_better || !matches!(found, Condition::Good(_))) else {
        file::remove(&files.suspect()).map_err(broken)?;
        return Ok(Found::Good);
    };
    let set_aside = files.set_aside(now).map_err(broken)?;
    file::remove(&files.suspect()).map_err(broken)?;
    let restored = match remedy {
        Condition::Good(_) => {
            let at = file::written_at(&backup);
            files.restore().map_err(broken)?;
            at
        }
        Condition::Damaged | Condition::Empty => {
            Files::of(&backup).set_aside(now).map_err(broken)?;
            None
        }
    };
    Ok(Found::Replaced { set_aside, backup: restored })
}

fn condition(database: &Path, all: bool) -> Result<Condition, OpenError> {
    let checked = match open(database) {
        Ok(connection) => check(&connection, database, all)?,
        Err(error) => Err(StateError::database("opened", error)),
    };
    match checked {
        Ok(condition) => Ok(condition),
        Err(StateError::Damaged { .. }) => Ok(Condition::Damaged),
        Err(StateError::Database { error, .. }) if is_unreadable(&error) => Ok(Condition::Damaged),
        Err(error) => Err(OpenError::State { file: database.to_owned(), error }),
    }
}

/// A sector that the disk cannot read is damage like any other, at start: there is a copy.
fn is_unreadable(error: &Cause) -> bool {
    let error = error.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error);
    error.is_some_and(|error| {
        error.code == ErrorCode::SystemIoFailure
            && matches!(
                error.extended_code,
                ffi::SQLITE_IOERR_READ | ffi::SQLITE_IOERR_SHORT_READ | ffi::SQLITE_IOERR_CORRUPTFS
            )
    })
}

fn open(database: &Path) -> rusqlite::Result<Connection> {
    // For writing, as SQLite may have to bring its write-ahead log back after a crash.
    Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

/// The outer error is about a good database that is not for us, the inner one about what SQLite could not do.
fn check(connection: &Connection, database: &Path, all: bool) -> Result<Result<Condition, StateError>, OpenError> {
    let wrong = |error| Ok(Err(StateError::database("opened", error)));
    let format = match schema::format_of(connection) {
        Ok(found) => found,
        Err(error) => return wrong(error),
    };
    let (ours, tables) = match schema::tables(connection) {
        Ok(found) => found,
        Err(error) => return wrong(error),
    };
    if format > schema::FORMAT && ours.contains(&"epoch") {
        return Err(OpenError::Newer { file: database.to_owned(), found: format, known: schema::FORMAT });
    }
    if format == 0 && tables == 0 {
        return Ok(Ok(Condition::Empty));
    }
    if format == 0 || ours.len() < schema::TABLES.len() {
        return Ok(Ok(Condition::Damaged));
    }
    let good = is_good(connection, all || is_small(database)).and_then(|good| {
        let mark = schema::mark(connection).map_err(|error| StateError::database("opened", error))?;
        Ok(if good { Condition::Good(mark) } else { Condition::Damaged })
    });
    Ok(good)
}

/// The mark of a backup; `None` when there is none, or none that can be read.
fn mark_of(backup: &Path) -> Option<Mark> {
    if !backup.exists() {
        return None;
    }
    schema::mark(&backup::open_reader(backup).ok()?).ok()
}

/// Whether every page is checked each time.
pub(crate) fn is_small(database: &Path) -> bool {
    std::fs::metadata(database).map_or(0, |metadata| metadata.len()) <= CHECK_ALL
}

/// Whether SQLite finds nothing wrong, and what decides about sends can be read.
pub(crate) fn is_good(connection: &Connection, all: bool) -> Result<bool, StateError> {
    let checks: &[&str] = if all {
        &["PRAGMA quick_check(1)"]
    } else {
        &[
            "PRAGMA quick_check(epoch)",
            "PRAGMA quick_check(lanes)",
            "PRAGMA quick_check(progress)",
            "PRAGMA quick_check(parked_counts)",
            "PRAGMA quick_check(deferred)",
        ]
    };
    for check in checks {
        let said = connection.query_row(check, [], |row| row.get::<_, String>(0));
        if said.map_err(|error| StateError::database("checked", error))? != "ok" {
            return Ok(false);
        }
    }
    match read::backed_up(connection) {
        Ok(_) => Ok(true),
        Err(StateError::Damaged { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
