//! `statistics.db`: statistics (L-5) and what was dropped (L-4), which both outlive the rows.
//!
//! Sums of minutes and lanes are gathered in memory and written every few seconds, together with the place in the log up to
//! which they count. What was appended behind that place is counted again when the log is opened, so a crash neither loses
//! a row nor counts one twice. Hours are kept beside the minutes: a question about months must not read every minute.
//!
//! A file that is to be dropped is written down here with what it held before it is removed, and struck out afterwards: a
//! crash in between removes it at the next opening and does not count it twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anole_event::{LaneId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::query::Dropped;
use crate::ready::Ready;
use crate::row::foreign;
use crate::statistics::{self, Measured, Statistics, StatisticsQuery, Sums};
use crate::{row, schema};

/// The format that this version writes, kept in `PRAGMA user_version`.
pub(crate) const FORMAT: u32 = 1;

/// Bytes of a page.
const PAGE: u32 = 4 * 1024;
const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;

const TABLES: &str = "
CREATE TABLE about (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  counted_file INTEGER NOT NULL,     -- the rows up to this one are in the sums
  counted_row INTEGER NOT NULL,
  files INTEGER NOT NULL,            -- what was dropped: files of rows
  entries INTEGER NOT NULL,
  sends INTEGER NOT NULL,
  bodies INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  rows_until INTEGER,                -- the newest time of what was dropped
  bodies_until INTEGER
) STRICT;

CREATE TABLE lanes (
  lane INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE minutes (
  at INTEGER NOT NULL,               -- when it begins, in microseconds
  lane INTEGER NOT NULL,
  sums BLOB NOT NULL,                -- see statistics.rs
  PRIMARY KEY (at, lane)
) STRICT, WITHOUT ROWID;

CREATE TABLE hours (
  at INTEGER NOT NULL,
  lane INTEGER NOT NULL,
  sums BLOB NOT NULL,
  PRIMARY KEY (at, lane)
) STRICT, WITHOUT ROWID;

CREATE TABLE going (                 -- what is counted as dropped and perhaps not yet removed
  number INTEGER NOT NULL,
  rows INTEGER NOT NULL,             -- 1: the file whole, 0: its bodies
  PRIMARY KEY (number, rows)
) STRICT, WITHOUT ROWID;
";

/// A place in the log: a file, and its last row that is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    pub(crate) file: u32,
    pub(crate) row: u32,
}

/// Sums that are not written yet, by minute and lane.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pending(BTreeMap<(i64, LaneId), Sums>);

/// A file that is dropped: whole, or only its bodies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Going {
    pub(crate) number: u32,
    pub(crate) rows: bool,
}

/// The file, as its writer has it.
pub(crate) struct Ledger {
    db: Connection,
    pub(crate) file: PathBuf,
}

// === impl Pending ===

impl Pending {
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn count(&mut self, entry: &Ready) {
        self.of(entry.at, &entry.lane).add(&entry.sums);
    }

    /// The sums of a minute.
    fn of(&mut self, at: Timestamp, lane: &LaneId) -> &mut Sums {
        let at = at.micros();
        self.0.entry((at - at.rem_euclid(MINUTE), lane.clone())).or_default()
    }

    /// Counts the rows of a file behind one.
    pub(crate) fn count_rows(&mut self, db: &Connection, behind: u32) -> rusqlite::Result<()> {
        let sql =
            format!("SELECT {} FROM entries e JOIN lanes l USING (lane) WHERE e.row > ?1 ORDER BY e.row", row::COLUMNS);
        let mut statement = db.prepare(&sql)?;
        let mut rows = statement.query([behind])?;
        while let Some(one) = rows.next()? {
            let meta = row::meta(one)?;
            let attempt = meta.attempt.map(|attempt| (attempt.status, attempt.duration_us));
            self.of(meta.at, &meta.lane).count(meta.at, attempt, &row::block(one)?);
        }
        Ok(())
    }

    fn within(&self, query: &StatisticsQuery, unit: i64) -> Vec<((i64, LaneId), Sums)> {
        let (from, until) = (query.from.micros(), query.until.micros());
        let wanted = |at: i64, lane: &LaneId| {
            at > from.saturating_sub(unit) && at < until && query.lane.as_ref().is_none_or(|wanted| wanted == lane)
        };
        let found = self.0.iter().filter(|((at, lane), _)| wanted(*at, lane));
        found.map(|((at, lane), sums)| ((*at, lane.clone()), sums.clone())).collect()
    }
}

// === impl Ledger ===

impl Ledger {
    /// Opens the file, or makes it with `mark` as the place from which on rows are counted. The file is there, if empty.
    pub(crate) fn open(file: &Path, mark: Mark) -> rusqlite::Result<Result<Self, u32>> {
        let mut db = schema::open_writer(file, PAGE)?;
        // Small and seldom written: its write-ahead log must not be larger than it is.
        db.execute_batch("PRAGMA wal_autocheckpoint = 200")?;
        match schema::format_of(&db)? {
            0 => {
                let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
                transaction.execute_batch(TABLES)?;
                let sql = "INSERT INTO about VALUES (1, ?1, ?2, 0, 0, 0, 0, 0, NULL, NULL)";
                transaction.execute(sql, params![mark.file, mark.row])?;
                transaction.pragma_update(None, "user_version", FORMAT)?;
                transaction.commit()?;
            }
            FORMAT => {}
            newer => return Ok(Err(newer)),
        }
        Ok(Ok(Self { db, file: file.to_owned() }))
    }

    /// Up to where the sums count.
    pub(crate) fn mark(&self) -> rusqlite::Result<Mark> {
        mark(&self.db)
    }

    /// Adds sums that count up to a place; `commit` says when, so that a reader sees them either here or in memory.
    pub(crate) fn write(
        &mut self,
        pending: &Pending,
        mark: Mark,
        commit: impl FnOnce(Transaction<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut hours: BTreeMap<(i64, i64), Sums> = BTreeMap::new();
        for ((at, lane), sums) in &pending.0 {
            let lane = lane_number(&transaction, lane)?;
            add(&transaction, "minutes", *at, lane, sums)?;
            hours.entry((at - at.rem_euclid(HOUR), lane)).or_default().add(sums);
        }
        for ((at, lane), sums) in &hours {
            add(&transaction, "hours", *at, *lane, sums)?;
        }
        transaction.execute("UPDATE about SET counted_file = ?1, counted_row = ?2", params![mark.file, mark.row])?;
        commit(transaction)
    }

    /// Lets go of statistics from before a time.
    pub(crate) fn expire(&self, before: Timestamp) -> rusqlite::Result<()> {
        self.db.execute("DELETE FROM minutes WHERE at < ?1", [before.micros()])?;
        self.db.execute("DELETE FROM hours WHERE at < ?1", [before.micros()])?;
        Ok(())
    }

    /// Writes down that something goes, and what it held. Its removal follows.
    pub(crate) fn begin_drop(&mut self, going: Going, held: &Dropped) -> rusqlite::Result<()> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let new = transaction
            .execute("INSERT OR IGNORE INTO going VALUES (?1, ?2)", params![going.number, i64::from(going.rows)])?;
        if new > 0 {
            let time = |at: Option<Timestamp>| at.map(Timestamp::micros);
            transaction.execute(
                "UPDATE about SET files = files + ?1, entries = entries + ?2, sends = sends + ?3, bodies = bodies + ?4,
                   bytes = bytes + ?5, rows_until = coalesce(max(rows_until, ?6), rows_until, ?6),
                   bodies_until = coalesce(max(bodies_until, ?7), bodies_until, ?7)",
                params![
                    held.files.cast_signed(),
                    held.entries.cast_signed(),
                    held.sends.cast_signed(),
                    held.bodies.cast_signed(),
                    held.bytes.cast_signed(),
                    time(held.rows_until),
                    time(held.bodies_until)
                ],
            )?;
        }
        transaction.commit()
    }

    /// It is removed.
    pub(crate) fn end_drop(&self, going: Going) -> rusqlite::Result<()> {
        let sql = "DELETE FROM going WHERE number = ?1 AND rows = ?2";
        self.db.execute(sql, params![going.number, i64::from(going.rows)]).map(|_| ())
    }

    /// What was to be removed when the process ended.
    pub(crate) fn going(&self) -> rusqlite::Result<Vec<Going>> {
        let mut statement = self.db.prepare("SELECT number, rows FROM going")?;
        let going = statement.query_map([], |row| Ok(Going { number: row.get(0)?, rows: row.get(1)? }))?;
        going.collect()
    }

    pub(crate) fn checkpoint(&self) -> rusqlite::Result<()> {
        self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }
}

fn lane_number(db: &Connection, lane: &LaneId) -> rusqlite::Result<i64> {
    let known = db
        .prepare_cached("SELECT lane FROM lanes WHERE name = ?1")?
        .query_row([lane.as_str()], |row| row.get(0))
        .optional()?;
    if let Some(number) = known {
        return Ok(number);
    }
    db.prepare_cached("INSERT INTO lanes (name) VALUES (?1)")?.execute([lane.as_str()])?;
    Ok(db.last_insert_rowid())
}

fn add(db: &Connection, table: &'static str, at: i64, lane: i64, sums: &Sums) -> rusqlite::Result<()> {
    let known = db
        .prepare_cached(&format!("SELECT sums FROM {table} WHERE at = ?1 AND lane = ?2"))?
        .query_row([at, lane], |row| row.get::<_, Vec<u8>>(0))
        .optional()?;
    let mut all = match known {
        Some(bytes) => statistics::decode(&bytes).map_err(|what| foreign(0, what))?,
        None => Sums::default(),
    };
    all.add(sums);
    db.prepare_cached(&format!("INSERT OR REPLACE INTO {table} VALUES (?1, ?2, ?3)"))?.execute(params![
        at,
        lane,
        statistics::encode(&all)
    ])?;
    Ok(())
}

// === What a reader asks ===

/// Up to where the sums count.
pub(crate) fn mark(db: &Connection) -> rusqlite::Result<Mark> {
    db.query_row("SELECT counted_file, counted_row FROM about", [], |row| {
        Ok(Mark { file: row.get(0)?, row: row.get(1)? })
    })
}

/// What was dropped, and the oldest minute that is kept.
pub(crate) fn about(db: &Connection) -> rusqlite::Result<(Dropped, Option<Timestamp>)> {
    let sql = "SELECT files, entries, sends, bodies, bytes, rows_until, bodies_until, (SELECT min(at) FROM hours)
               FROM about";
    db.query_row(sql, [], |row| {
        let count = |column: usize| row.get::<_, i64>(column).map(i64::cast_unsigned);
        let time = |column: usize| row.get::<_, Option<i64>>(column).map(|at| at.map(Timestamp::from_micros));
        let dropped = Dropped {
            files: count(0)?,
            entries: count(1)?,
            sends: count(2)?,
            bodies: count(3)?,
            bytes: count(4)?,
            rows_until: time(5)?,
            bodies_until: time(6)?,
        };
        Ok((dropped, time(7)?))
    })
}

/// Answers a question from the file and from what is not written yet.
pub(crate) fn measured(db: &Connection, query: &StatisticsQuery, pending: &Pending) -> rusqlite::Result<Statistics> {
    let step = query.step_micros();
    let width = step.cast_signed();
    let (table, unit) = if width >= HOUR { ("hours", HOUR) } else { ("minutes", MINUTE) };
    let mut folded: BTreeMap<(i64, LaneId), Sums> = BTreeMap::new();
    let sql = format!(
        "SELECT m.at, l.name, m.sums FROM {table} m JOIN lanes l USING (lane)
         WHERE m.at > ?1 AND m.at < ?2 AND (?3 IS NULL OR l.name = ?3) ORDER BY m.at"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let lane = query.lane.as_ref().map(LaneId::as_str);
    let mut rows = statement.query(params![query.from.micros().saturating_sub(unit), query.until.micros(), lane])?;
    // Names repeat: one piece of memory for each.
    let mut names: Vec<LaneId> = Vec::new();
    while let Some(row) = rows.next()? {
        let (at, name) = (row.get::<_, i64>(0)?, row.get_ref(1)?.as_str()?);
        let known = names.iter().position(|known| known.as_str() == name);
        let lane = known.unwrap_or_else(|| {
            names.push(LaneId::from_text(name));
            names.len() - 1
        });
        let sums = statistics::decode(row.get_ref(2)?.as_blob()?).map_err(|what| foreign(2, what))?;
        folded.entry((at - at.rem_euclid(width), names[lane].clone())).or_default().add(&sums);
    }
    for ((at, lane), sums) in pending.within(query, unit) {
        folded.entry((at - at.rem_euclid(width), lane)).or_default().add(&sums);
    }
    let rows = folded.into_iter().map(|((at, lane), sums)| Measured { at: Timestamp::from_micros(at), lane, sums });
    Ok(Statistics { step: std::time::Duration::from_micros(step), rows: rows.collect() })
}
