//! The format of the database, and how one format becomes the next.
//!
//! `PRAGMA user_version` holds the format. A newer one is refused, an older one is copied away and migrated step by step,
//! each step with its raise of the number in one transaction.

use rusqlite::{Connection, TransactionBehavior};

/// A step from the format of its index to the next one. The first makes an empty database into format 1.
pub(crate) const STEPS: &[&str] = &[FORMAT_1, FORMAT_2];

/// The format that this version writes.
pub(crate) const FORMAT: u32 = STEPS.len() as u32;

/// Numbers are kept as SQLite has them, signed: offsets, plans and the epoch by their bits, times in microseconds.
///
/// A lane's name stands in one place only, so that renaming it touches one row. How much is parked is counted by
/// triggers, in the transaction that parks: delivery asks for it after each park, and must not scan a gigabyte.
const FORMAT_1: &str = "
CREATE TABLE epoch (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  epoch INTEGER NOT NULL
) STRICT;
INSERT INTO epoch VALUES (1, 0);

CREATE TABLE lanes (
  lane INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  status INTEGER NOT NULL,          -- 1 active, 2 orphaned, 3 released
  registered_at INTEGER NOT NULL,
  orphaned_at INTEGER,
  paused_since INTEGER
) STRICT;

CREATE TABLE progress (
  lane INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  start INTEGER NOT NULL,
  watermark INTEGER NOT NULL,
  finished BLOB NOT NULL,           -- see ranges.rs
  PRIMARY KEY (lane, partition)
) STRICT, WITHOUT ROWID;

CREATE TABLE parked (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  lane INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  ordinal INTEGER NOT NULL,
  rule TEXT NOT NULL,
  event TEXT NOT NULL,
  message_id TEXT NOT NULL,
  received_at INTEGER NOT NULL,
  parked_at INTEGER NOT NULL,
  reason INTEGER NOT NULL,
  detail TEXT,
  plan INTEGER NOT NULL,
  attempt BLOB,
  bytes INTEGER NOT NULL,
  record BLOB NOT NULL,
  UNIQUE (lane, partition, offset, ordinal)
) STRICT;
CREATE INDEX parked_lane ON parked (lane);
CREATE INDEX parked_problem ON parked (lane, reason, event);
CREATE INDEX parked_event ON parked (event);
CREATE INDEX parked_message ON parked (message_id);

CREATE TABLE parked_counts (
  lane INTEGER NOT NULL,
  reason INTEGER NOT NULL,
  event TEXT NOT NULL,
  count INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (lane, reason, event)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER parked_added AFTER INSERT ON parked BEGIN
  INSERT INTO parked_counts VALUES (new.lane, new.reason, new.event, 1, new.bytes)
    ON CONFLICT DO UPDATE SET count = count + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER parked_removed AFTER DELETE ON parked BEGIN
  UPDATE parked_counts SET count = count - 1, bytes = bytes - old.bytes
    WHERE lane = old.lane AND reason = old.reason AND event = old.event;
  DELETE FROM parked_counts WHERE lane = old.lane AND reason = old.reason AND event = old.event AND count = 0;
END;
CREATE TRIGGER parked_changed AFTER UPDATE ON parked BEGIN
  UPDATE parked_counts SET count = count - 1, bytes = bytes - old.bytes
    WHERE lane = old.lane AND reason = old.reason AND event = old.event;
  DELETE FROM parked_counts WHERE lane = old.lane AND reason = old.reason AND event = old.event AND count = 0;
  INSERT INTO parked_counts VALUES (new.lane, new.reason, new.event, 1, new.bytes)
    ON CONFLICT DO UPDATE SET count = count + 1, bytes = bytes + excluded.bytes;
END;

CREATE TABLE deferred (
  id INTEGER PRIMARY KEY,
  lane INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  ordinal INTEGER NOT NULL,
  rule TEXT NOT NULL,
  event TEXT NOT NULL,
  message_id TEXT NOT NULL,
  received_at INTEGER NOT NULL,
  deferred_at INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  tries INTEGER NOT NULL,
  reason INTEGER NOT NULL,
  detail TEXT,
  plan INTEGER NOT NULL,
  attempt BLOB,
  bytes INTEGER NOT NULL,
  record BLOB NOT NULL,
  UNIQUE (lane, partition, offset, ordinal)
) STRICT;
CREATE INDEX deferred_lane ON deferred (lane, due_at, bytes);
CREATE INDEX deferred_due ON deferred (due_at);
CREATE INDEX deferred_message ON deferred (message_id);

CREATE TABLE identities (
  fingerprint INTEGER PRIMARY KEY,
  pipeline TEXT NOT NULL,
  name TEXT NOT NULL,
  kind INTEGER NOT NULL,            -- 1 anonymous, 2 user
  id TEXT NOT NULL,
  value TEXT NOT NULL,
  received_at INTEGER NOT NULL
) STRICT;
";

/// Whose a database is and how many transactions it has seen. One that is not its backup's own, or has fewer than it, is
/// not gone on with: see recover.rs.
const FORMAT_2: &str = "
ALTER TABLE epoch ADD COLUMN id BLOB NOT NULL DEFAULT x'';
ALTER TABLE epoch ADD COLUMN writes INTEGER NOT NULL DEFAULT 0;
UPDATE epoch SET id = randomblob(16);
";

/// What tells a database from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Made with the database, and the same in all copies of it. Empty in formats that did not have it.
    id: Vec<u8>,
    writes: i64,
}

// === impl Mark ===

impl Mark {
    /// Whether a database with this mark can have come from a backup with that one, or the backup from it.
    pub(crate) fn goes_with(&self, backup: &Self) -> bool {
        let is_same = self.id == backup.id || self.id.is_empty() || backup.id.is_empty();
        is_same && self.writes >= backup.writes
    }
}

/// The tables that every format has.
pub(crate) const TABLES: [&str; 7] =
    ["deferred", "epoch", "identities", "lanes", "parked", "parked_counts", "progress"];

/// Which of our tables a database has, and how many it has in all.
pub(crate) fn tables(connection: &Connection) -> rusqlite::Result<(Vec<&'static str>, usize)> {
    let mut statement = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let names = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    let ours = TABLES.into_iter().filter(|table| names.iter().any(|name| name == table)).collect();
    Ok((ours, names.len()))
}

/// The mark of a database.
pub(crate) fn mark(connection: &Connection) -> rusqlite::Result<Mark> {
    if format_of(connection)? < 2 {
        return Ok(Mark { id: Vec::new(), writes: 0 });
    }
    connection.query_row("SELECT id, writes FROM epoch", [], |row| Ok(Mark { id: row.get(0)?, writes: row.get(1)? }))
}

/// The format of a database; 0 for one that has no tables yet.
pub(crate) fn format_of(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Takes the steps from the database's format to the newest one.
pub(crate) fn migrate(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<()> {
    let from = format_of(connection)?;
    for (format, step) in (1_u32..).zip(steps).skip(from as usize) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", format)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_taken_once_and_a_step_that_fails_changes_nothing() {
        let mut connection = Connection::open_in_memory().expect("a database");
        migrate(&mut connection, &["CREATE TABLE a (x)"]).expect("the first step");
        assert_eq!(format_of(&connection), Ok(1));
        let steps = ["CREATE TABLE a (x)", "CREATE TABLE b (x)", "CREATE TABLE c (x); nonsense"];
        assert!(migrate(&mut connection, &steps).is_err());
        assert_eq!(format_of(&connection), Ok(2), "the step that worked stays");
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).expect("a count");
        assert_eq!(tables, 2);
    }

    #[test]
    fn what_is_parked_is_counted_however_it_comes_and_goes() {
        let mut connection = Connection::open_in_memory().expect("a database");
        migrate(&mut connection, STEPS).expect("the tables");
        let sum = |connection: &Connection| {
            connection
                .query_row(
                    "SELECT (SELECT total(count) FROM parked_counts) = (SELECT count(*) FROM parked)
                        AND (SELECT total(bytes) FROM parked_counts) = (SELECT total(bytes) FROM parked)",
                    [],
                    |row| row.get::<_, bool>(0),
                )
                .expect("a sum")
        };
        for offset in 0..10 {
            connection
                .execute(
                    "INSERT INTO parked (lane, partition, offset, ordinal, rule, event, message_id, received_at,
                        parked_at, reason, plan, bytes, record)
                     VALUES (1, 0, ?1, 0, '', 'page', '', 0, 0, 1, 0, 10, x'')",
                    [offset],
                )
                .expect("a row");
        }
        assert!(sum(&connection));
        connection.execute("UPDATE parked SET reason = 2, bytes = 30 WHERE id < 4", []).expect("an update");
        assert!(sum(&connection));
        connection.execute("DELETE FROM parked WHERE id > 2", []).expect("a removal");
        assert!(sum(&connection));
        let groups: i64 =
            connection.query_row("SELECT count(*) FROM parked_counts", [], |row| row.get(0)).expect("a count");
        assert_eq!(groups, 1, "a group without sends is gone");
    }
}
