//! The backup (S-3): a copy of the database beside it, that takes the place of the one before it only when it is good.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anole_event::Timestamp;
use anole_telemetry::{StateBackedUp, Telemetry};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{OwnedMutexGuard, oneshot};

use crate::file::{self, Files};
use crate::recover::{self, is_good};
use crate::row::BackedUp;
use crate::{StateError, read};

/// How long a connection waits for another one's lock. Ours are short; the limit is for a person's shell on the file.
pub(crate) const BUSY: std::time::Duration = std::time::Duration::from_secs(5);

/// The backups of an open state.
pub(crate) struct Backups {
    pub(crate) files: Files,
    /// How many transactions were written since the state was opened.
    pub(crate) writes: Arc<AtomicU64>,
    last: Mutex<Option<Last>>,
    /// One at a time: two would write the same file.
    running: Arc<tokio::sync::Mutex<()>>,
}

/// The right to make a backup.
pub(crate) type Turn = OwnedMutexGuard<()>;

#[derive(Clone)]
struct Last {
    /// How many transactions it holds for certain.
    writes: u64,
    held: Arc<BackedUp>,
}

// === impl Backups ===

impl Backups {
    pub(crate) fn of(files: &Files) -> Self {
        // The opening itself is a write: it raised the epoch.
        let last = read_last(files).map(|held| Last { writes: 0, held: Arc::new(held) });
        Self {
            files: files.clone(),
            writes: Arc::new(AtomicU64::new(1)),
            last: Mutex::new(last),
            running: Arc::default(),
        }
    }

    pub(crate) async fn turn(&self) -> Turn {
        Arc::clone(&self.running).lock_owned().await
    }

    fn lock(&self) -> MutexGuard<'_, Option<Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn last(&self) -> Option<Arc<BackedUp>> {
        self.lock().as_ref().map(|last| Arc::clone(&last.held))
    }

    /// Makes a backup, unless nothing was written since the last one.
    pub(crate) async fn make(
        self: &Arc<Self>,
        turn: Turn,
        telemetry: &Arc<Telemetry>,
        at: Timestamp,
    ) -> Result<Arc<BackedUp>, StateError> {
        let writes = self.writes.load(Ordering::Acquire);
        if let Some(last) = self.lock().clone().filter(|last| last.writes == writes) {
            return Ok(last.held);
        }
        self.renew(turn, telemetry, at).await
    }

    /// Makes a backup on a thread of its own. Once begun it is finished, also when nobody waits for it any more.
    pub(crate) async fn renew(
        self: &Arc<Self>,
        turn: Turn,
        telemetry: &Arc<Telemetry>,
        at: Timestamp,
    ) -> Result<Arc<BackedUp>, StateError> {
        let (reply, answer) = oneshot::channel();
        let (this, telemetry) = (Arc::clone(self), Arc::clone(telemetry));
        let run = move || {
            let made = this.run(&telemetry, at);
            drop(turn);
            let _gone = reply.send(made);
        };
        let started = std::thread::Builder::new().name("state-backup".into()).spawn(run);
        match started {
            Ok(_) => answer.await.map_err(|_| StateError::Closed)?,
            Err(error) => Err(StateError::File { file: self.files.backup(), error: Arc::new(error) }),
        }
    }

    fn run(&self, telemetry: &Telemetry, at: Timestamp) -> Result<Arc<BackedUp>, StateError> {
        // Counted before it is read: what is written meanwhile is in the copy or not, and counts as not.
        let writes = self.writes.load(Ordering::Acquire);
        let held = Arc::new(make(&self.files, at)?);
        *self.lock() = Some(Last { writes, held: Arc::clone(&held) });
        telemetry.emit(StateBackedUp { file: &self.files.backup() });
        Ok(held)
    }
}

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
fn make(files: &Files, at: Timestamp) -> Result<BackedUp, StateError> {
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
    single_file(&copy).map_err(wrong)?;
    Ok(copy)
}

/// To its end: SQLite gives the row before it commits the change, and `query_row` would drop the error of a full disk.
fn single_file(copy: &Connection) -> rusqlite::Result<()> {
    copy.prepare("PRAGMA journal_mode = DELETE")?.query_map([], |_| Ok(()))?.collect()
}

/// What the backup that is there holds; nothing when it is damaged, as the journal may not let go of anything by it then.
fn read_last(files: &Files) -> Option<BackedUp> {
    let backup = files.backup();
    let at = file::written_at(&backup)?;
    let connection = open_reader(&backup).ok()?;
    if !is_good(&connection, recover::is_small(&backup)).ok()? {
        return None;
    }
    Some(BackedUp { at, lanes: read::backed_up(&connection).ok()? })
}
