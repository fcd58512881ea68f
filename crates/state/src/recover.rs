//! What happens before the database is opened for work (S-3): a damaged one is set aside and its backup taken.
//!
//! How closely it is looked at follows its size. The tables that decide what is sent (lanes, progress, deferred) are
//! small and are always checked whole; every page of the file is checked up to [`CHECK_ALL`] bytes, which takes about a
//! tenth of a second, or when the last run found damage. So a gigabyte of parked events does not delay each start by
//! seconds, and damage in it is still found by the next backup, which checks its copy.

use std::path::{Path, PathBuf};

use anole_event::Timestamp;
use rusqlite::{Connection, OpenFlags};

use crate::file::{self, Files};
use crate::{OpenError, StateError, read, schema};

/// A database up to this size is checked whole when it is opened: 64 MiB.
const CHECK_ALL: u64 = 64 * 1024 * 1024;

/// What was done before the database could be opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A good one, or none and no backup either.
    Good,
    /// A damaged one (now set aside) or none, and the backup was put in its place.
    Restored { set_aside: PathBuf },
    /// A damaged one, and no good backup: it starts empty.
    Emptied { set_aside: PathBuf },
}

enum Condition {
    Good,
    Damaged,
    Empty,
}

/// Makes sure that what stands in the database's place is good.
pub(crate) fn prepare(files: &Files, now: Timestamp) -> Result<Found, OpenError> {
    let database = &files.database;
    let broken = |error| OpenError::File { file: database.clone(), error };
    file::make_folder_of(database).map_err(broken)?;
    let there = database.exists();
    let set_aside = match if there { condition(database, files.suspect().exists())? } else { Condition::Empty } {
        Condition::Good => {
            file::remove(&files.suspect()).map_err(broken)?;
            return Ok(Found::Good);
        }
        // A crash between setting aside and restoring leaves no database; so does who deletes it by hand.
        Condition::Empty if !files.backup().exists() => return Ok(Found::Good),
        Condition::Empty if !there => database.clone(),
        Condition::Empty | Condition::Damaged => files.set_aside(now).map_err(broken)?,
    };
    file::remove(&files.suspect()).map_err(broken)?;
    if files.backup().exists() {
        if matches!(condition(&files.backup(), true)?, Condition::Good) {
            files.restore().map_err(broken)?;
            return Ok(Found::Restored { set_aside });
        }
        Files::of(&files.backup()).set_aside(now).map_err(broken)?;
    }
    Ok(Found::Emptied { set_aside })
}

fn condition(database: &Path, all: bool) -> Result<Condition, OpenError> {
    let checked = match open(database) {
        Ok(connection) => check(&connection, database, all)?,
        Err(error) => Err(StateError::database("opened", error)),
    };
    match checked {
        Ok(condition) => Ok(condition),
        Err(StateError::Damaged { .. }) => Ok(Condition::Damaged),
        Err(error) => Err(OpenError::State { file: database.to_owned(), error }),
    }
}

fn open(database: &Path) -> rusqlite::Result<Connection> {
    // For writing, as SQLite may have to bring its write-ahead log back after a crash.
    Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

/// The outer error is about a good database that is not for us, the inner one about what SQLite could not do.
fn check(connection: &Connection, database: &Path, all: bool) -> Result<Result<Condition, StateError>, OpenError> {
    let format = match schema::format_of(connection) {
        Ok(found) if found > schema::FORMAT => {
            return Err(OpenError::Newer { file: database.to_owned(), found, known: schema::FORMAT });
        }
        Ok(found) => found,
        Err(error) => return Ok(Err(StateError::database("opened", error))),
    };
    if format == 0 {
        let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0));
        let empty = |tables: i64| if tables == 0 { Condition::Empty } else { Condition::Damaged };
        return Ok(tables.map(empty).map_err(|error| StateError::database("opened", error)));
    }
    let size = std::fs::metadata(database).map_or(0, |metadata| metadata.len());
    let good = is_good(connection, all || size <= CHECK_ALL);
    Ok(good.map(|good| if good { Condition::Good } else { Condition::Damaged }))
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
