//! The format of a file, and how a connection to one is opened.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::blocks;

/// The format that this version writes, kept in `PRAGMA user_version`. A file of a newer one is refused. Format 1, with
/// bodies in a table of the same file, was never released: such a file is set aside.
pub(crate) const FORMAT: u32 = 4;
/// The newest format that has blocks within its rows only, and none beside them (see blocks.rs). A file that an erasure wrote
/// anew has it.
pub(crate) const WITHIN: u32 = 3;
/// The oldest format that is read. Format 2 knew no intake (see intake.rs) and is otherwise the same: a file of it that is not
/// sealed is raised when it is opened for writing, so that a version that would overlook the intake refuses it.
pub(crate) const OLDEST: u32 = 2;

/// How long a connection waits for another one's lock. Ours are short; the limit is for a person's shell on the file.
const BUSY: Duration = Duration::from_secs(5);

/// Bytes of the write-ahead log before it is moved into the database. That syncs both: every 16 MiB instead of every 4, which
/// is usual, costs fewer of them.
const WAL: u32 = 16 * 1024 * 1024;

/// Bodies stand in a file of their own (see bodies.rs). Numbers of rows have no gaps: a stretch of time is found by halving.
/// There is one index, by id: it is what makes an append idempotent, and ids grow with time, so it is written at its end.
const TABLES: &str = "
CREATE TABLE file (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  opened_at INTEGER NOT NULL,
  sealed INTEGER NOT NULL           -- 1: all rows are in runs, nothing is added any more
) STRICT;

CREATE TABLE lanes (
  lane INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE entries (
  row INTEGER PRIMARY KEY,
  id BLOB NOT NULL,
  lane INTEGER NOT NULL,
  at INTEGER NOT NULL,
  plan INTEGER NOT NULL,
  sends INTEGER NOT NULL,
  tally BLOB NOT NULL,              -- pairs of state (0: none yet) and count, LEB128
  decision INTEGER,                 -- this and what follows up to error: null without a request
  reached INTEGER,
  status INTEGER,
  duration_us INTEGER,
  request_bytes INTEGER,
  answer_bytes INTEGER,
  method TEXT,
  url TEXT,
  error_source INTEGER,
  error TEXT,
  body_at INTEGER,                  -- where the bodies stand in their file; null when there are none
  body_bytes INTEGER,
  body_checksum INTEGER,
  block BLOB NOT NULL,              -- see block.rs, or its place, see blocks.rs
  UNIQUE (id, lane)
) STRICT;

CREATE TABLE runs (
  run INTEGER PRIMARY KEY,
  first_row INTEGER NOT NULL,
  last_row INTEGER NOT NULL,
  min_at INTEGER NOT NULL,
  max_at INTEGER NOT NULL,
  disorder INTEGER NOT NULL,        -- the most by which a row is older than one before it, see span.rs
  sends INTEGER NOT NULL,
  bodies INTEGER NOT NULL,          -- rows that have bodies
  first_page INTEGER NOT NULL,
  pages INTEGER NOT NULL,
  fences BLOB NOT NULL              -- see postings.rs
) STRICT;

CREATE TABLE pages (
  page INTEGER PRIMARY KEY,
  postings BLOB NOT NULL
) STRICT;
";

/// A connection that can only read.
pub(crate) fn open_reader(file: &Path) -> rusqlite::Result<Connection> {
    let blocks = blocks::look(file);
    let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(BUSY)?;
    blocks::teach(&db, blocks)?;
    db.pragma_update(None, "query_only", true)?;
    // One connection for each file that was looked into: the cache of the system does the rest.
    db.pragma_update(None, "cache_size", -1_024)?;
    Ok(db)
}

/// A connection to write to a file, which is there, if empty.
///
/// `synchronous = NORMAL`: a crash of the process loses nothing, a power cut the last seconds, and never the file.
/// `page_bytes` is for a new file; one that has pages keeps their size.
pub(crate) fn open_writer(file: &Path, page_bytes: u32) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(BUSY)?;
    db.pragma_update(None, "page_size", page_bytes)?;
    // To its end: SQLite gives the row before it commits the change, and `query_row` would drop the error of a full disk.
    db.prepare("PRAGMA journal_mode = WAL")?.query_map([], |_| Ok(()))?.collect::<rusqlite::Result<Vec<()>>>()?;
    db.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA cache_size = -8192")?;
    let page_bytes: u32 = db.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    db.pragma_update(None, "wal_autocheckpoint", WAL / page_bytes.max(1))?;
    Ok(db)
}

/// Says that a file has all blocks within its rows.
pub(crate) fn lower(db: &Connection) -> rusqlite::Result<()> {
    db.pragma_update(None, "user_version", WITHIN)
}

/// The format of a file; 0 when it has no tables yet.
pub(crate) fn format_of(db: &Connection) -> rusqlite::Result<u32> {
    db.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// The row that comes next in the database.
pub(crate) fn next_row(db: &Connection) -> rusqlite::Result<u32> {
    db.query_row("SELECT coalesce(max(row), 0) + 1 FROM entries", [], |row| row.get(0))
}

/// The highest id of an entry; 0 when there is none.
pub(crate) fn highest_id(db: &Connection) -> rusqlite::Result<u128> {
    let highest: Option<[u8; 16]> = db.query_row("SELECT max(id) FROM entries", [], |row| row.get(0))?;
    Ok(highest.map_or(0, u128::from_be_bytes))
}

/// Says of a file of an older format that it is of this one.
pub(crate) fn raise(db: &Connection) -> rusqlite::Result<()> {
    db.pragma_update(None, "user_version", FORMAT)
}

/// Makes the tables of a new file.
pub(crate) fn make(db: &mut Connection, opened_at: i64) -> rusqlite::Result<()> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(TABLES)?;
    transaction.execute("INSERT INTO file VALUES (1, ?1, 0)", [opened_at])?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()
}
