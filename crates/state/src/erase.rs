//! Erasure: what the state holds of a person goes (J-8's other half), from the tables and from the bytes of the files.
//!
//! It has two steps, because history is written before state (S-2). [`State::erasable`](crate::State::erasable) finds the
//! parked and deferred sends that an erasure is about to remove; the caller writes their outcome `erased` to the delivery
//! log; then [`State::erase`](crate::State::erase) removes them. One step with a predicate was passed over: a crash between
//! it and the log would leave sends that ended nowhere. A crash between the two steps here leaves sends that are found
//! again. An erasure is therefore repeated until nothing is found, and the last call of `erase` is made all the same: it is
//! what empties the write-ahead log and renews the backup, in case an earlier one was cut off before that.
//!
//! The journal is erased first. A record that can still be read there may be parked again; one that a lane has in memory
//! at that moment may be parked once more, and is found by the repetition.
//!
//! What is removed is removed by where it stands (lane, position, ordinal) and not by the row it was found in: a deferred
//! send that was parked between the two steps goes with it.
//!
//! # What becomes of the bytes in the embedded store
//!
//! - `secure_delete` overwrites deleted cells and freed pages with zeros. It is in force at all times, as what was deleted
//!   before an erasure may be the same person's. It does not reach what balancing leaves behind: a cell that moved to
//!   another page may still stand in the unused middle of the old one (a test found that).
//! - So the three tables that hold people's data are built anew in the same transaction, and the old pages are freed, which
//!   zeroes them. `VACUUM` does the same and makes the file smaller, but by way of a copy in memory or in the folder for
//!   temporary files, which may be too small or not there at all. The price: the file may grow, once, to twice its size;
//!   the pages are used again. The writer is busy for that long, some seconds for a gigabyte, and lanes wait.
//! - Then the write-ahead log is moved into the database, cut to nothing and synced, and the backup is made anew.
//! - What was set aside as damaged, and the copy from before a migration, are not touched: [`Erased::left`] names them for a
//!   person to remove. What a disk keeps in blocks that no file has any more is beyond us.

use std::path::PathBuf;
use std::sync::Arc;

use anole_event::{LaneId, Position, Record, Timestamp};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::row::{IdentityOf, SendKey};
use crate::{StateError, read, write};

/// Whether an event is to be erased. It is asked with the whole record of each parked and deferred send, on a thread that
/// others wait for: it should look at the head first, and must not panic.
pub type Matches = Arc<dyn Fn(&Record) -> bool + Send + Sync>;

/// A parked or deferred send whose event is to be erased: what the outcome `erased` in the delivery log needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasable {
    /// Its lane.
    pub lane: LaneId,
    /// The send.
    pub key: SendKey,
    /// The rule that made it; empty when mapping did not come that far.
    pub rule: String,
    /// The event's name, or its type when it has none.
    pub event: String,
    /// The event's message id.
    pub message_id: String,
    /// When the event came in.
    pub received_at: Timestamp,
    /// The hash of the plan that mapped it.
    pub plan: u64,
    /// Whether it is deferred; else it is parked.
    pub is_deferred: bool,
}

/// Whose identities are to be forgotten: all that is remembered of this id in this pipeline, whatever its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdentitiesOf {
    /// The pipeline; pipelines share nothing.
    pub pipeline: Arc<str>,
    /// The visitor or user.
    pub id: IdentityOf,
}

/// A value that is to be forgotten wherever the identity map has it in this pipeline, whosever it is: a visitor code is a value
/// of the visitor's anonymous id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdentityValue {
    /// The pipeline; pipelines share nothing.
    pub pipeline: Arc<str>,
    /// The value.
    pub value: Box<str>,
}

/// What is to be erased. Anything may be left empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erase {
    /// Sends that [`State::erasable`](crate::State::erasable) found and the delivery log knows to be erased.
    pub sends: Vec<(LaneId, SendKey)>,
    /// Identities, by whose they are.
    pub identities: Vec<IdentitiesOf>,
    /// Identities, by what they are.
    pub values: Vec<IdentityValue>,
}

/// What an erasure removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// The sends that were there, parked or deferred.
    pub sends: Vec<(LaneId, SendKey)>,
    /// How many identities were there.
    pub identities: usize,
    /// Copies that the store does not write any more and that may hold the same data: a person has to remove them.
    pub left: Vec<PathBuf>,
}

/// What the transaction of an erasure did.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    pub(crate) sends: Vec<(LaneId, SendKey)>,
    /// The fingerprints of the identities that were stored.
    pub(crate) identities: Vec<u64>,
}

fn erased(error: rusqlite::Error) -> StateError {
    StateError::database("erased", error)
}

fn found(row: &Row<'_>, is_deferred: bool) -> rusqlite::Result<Erasable> {
    let position = Position { partition: row.get(1)?, offset: row.get::<_, i64>(2)?.cast_unsigned() };
    Ok(Erasable {
        lane: LaneId::from_text(row.get_ref(0)?.as_str()?),
        key: SendKey { position, ordinal: row.get(3)? },
        rule: row.get(4)?,
        event: row.get(5)?,
        message_id: row.get(6)?,
        received_at: Timestamp::from_micros(row.get(7)?),
        plan: row.get::<_, i64>(8)?.cast_unsigned(),
        is_deferred,
    })
}

/// The first `most` sends whose record matches, parked ones first, each table in the order of its ids.
pub(crate) fn find(db: &Connection, matches: &Matches, most: usize) -> Result<Vec<Erasable>, StateError> {
    let wrong = |error| StateError::database("read", error);
    let mut all = Vec::new();
    for table in ["parked", "deferred"] {
        // A cross join keeps the order of the tables: the other way round the records would be sorted in memory.
        let sql = format!(
            "SELECT l.name, t.partition, t.offset, t.ordinal, t.rule, t.event, t.message_id, t.received_at, t.plan,
               t.record
             FROM {table} t CROSS JOIN lanes l ON l.lane = t.lane ORDER BY t.id"
        );
        let mut statement = db.prepare_cached(&sql).map_err(wrong)?;
        let mut rows = statement.query([]).map_err(wrong)?;
        while let Some(row) = rows.next().map_err(wrong)? {
            if all.len() >= most {
                return Ok(all);
            }
            let record = row.get_ref(9).map_err(wrong)?.as_blob().map_err(|error| wrong(error.into()))?;
            if matches(&Record::from_bytes(Bytes::copy_from_slice(record))) {
                all.push(found(row, table == "deferred").map_err(wrong)?);
            }
        }
    }
    Ok(all)
}

/// Removes within the writer's transaction.
pub(crate) fn remove(db: &Connection, erase: &Erase) -> Result<Gone, StateError> {
    let mut gone = Gone::default();
    for (lane, key) in &erase.sends {
        let Some((number, _)) = write::row_of(db, lane)? else { continue };
        let mut removed = 0;
        for sql in [
            "DELETE FROM parked WHERE lane = ?1 AND partition = ?2 AND offset = ?3 AND ordinal = ?4",
            "DELETE FROM deferred WHERE lane = ?1 AND partition = ?2 AND offset = ?3 AND ordinal = ?4",
        ] {
            let values = params![number, key.position.partition, key.position.offset.cast_signed(), key.ordinal];
            removed += db.prepare_cached(sql).and_then(|mut delete| delete.execute(values)).map_err(erased)?;
        }
        if removed > 0 {
            gone.sends.push((lane.clone(), *key));
        }
    }
    for IdentitiesOf { pipeline, id } in &erase.identities {
        let (kind, id) = read::stored_id(id);
        // A scan: there is no index by id, which each remembered identity would pay for.
        let sql = "DELETE FROM identities WHERE pipeline = ?1 AND kind = ?2 AND id = ?3 RETURNING fingerprint";
        let mut delete = db.prepare_cached(sql).map_err(erased)?;
        let rows = delete.query_map(params![&**pipeline, kind, id], |row| row.get::<_, i64>(0)).map_err(erased)?;
        for fingerprint in rows {
            gone.identities.push(fingerprint.map_err(erased)?.cast_unsigned());
        }
    }
    for IdentityValue { pipeline, value } in &erase.values {
        let sql = "DELETE FROM identities WHERE pipeline = ?1 AND value = ?2 RETURNING fingerprint";
        let mut delete = db.prepare_cached(sql).map_err(erased)?;
        let rows = delete.query_map(params![&**pipeline, &**value], |row| row.get::<_, i64>(0)).map_err(erased)?;
        for fingerprint in rows {
            gone.identities.push(fingerprint.map_err(erased)?.cast_unsigned());
        }
    }
    for table in ["parked", "deferred", "identities"] {
        rebuild(db, table).map_err(erased)?;
    }
    Ok(gone)
}

/// Builds a table anew, so that nothing stands in its pages but its rows.
///
/// It is written out from what the database says of itself, so that a new index or trigger cannot be forgotten here.
pub(crate) fn rebuild(db: &Connection, table: &str) -> rusqlite::Result<()> {
    let sql = "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    let made: String = db.query_row(sql, [table], |row| row.get(0))?;
    let columns = made.find('(').map_or("", |at| &made[at..]);
    let sql =
        "SELECT sql FROM sqlite_schema WHERE tbl_name = ?1 AND type <> 'table' AND sql IS NOT NULL ORDER BY rowid";
    let mut statement = db.prepare(sql)?;
    let around = statement.query_map([table], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    db.execute_batch(&format!(
        "CREATE TABLE rebuilt {columns};
         INSERT INTO rebuilt SELECT * FROM {table};
         DELETE FROM sqlite_sequence WHERE name = 'rebuilt';
         INSERT INTO sqlite_sequence SELECT 'rebuilt', seq FROM sqlite_sequence WHERE name = '{table}';
         DROP TABLE {table};
         ALTER TABLE rebuilt RENAME TO {table};"
    ))?;
    around.iter().try_for_each(|sql| db.execute_batch(sql))
}

/// Moves the write-ahead log into the database and cuts it to nothing. False when somebody reads what stood there.
pub(crate) fn empty_log(db: &Connection) -> Result<bool, StateError> {
    let busy = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0)).optional();
    busy.map(|busy| busy != Some(true)).map_err(erased)
}
