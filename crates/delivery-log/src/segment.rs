//! One file `history-N.db` with its bodies, as its writer has it open.

use std::collections::HashMap;
use std::path::PathBuf;

use anole_event::{Decision, Entry, LaneId, Timestamp};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::block::Encoder;
use crate::bodies::{BodiesWriter, Place, has_bodies};
use crate::catalog::Held;
use crate::folder::Folder;
use crate::postings::{Recent, Sorted};
use crate::span::Span;
use crate::{row, schema, terms};

/// The open file.
pub(crate) struct Segment {
    pub(crate) number: u32,
    pub(crate) file: PathBuf,
    pub(crate) sealed: bool,
    db: Connection,
    pub(crate) next_row: u32,
    lanes: HashMap<LaneId, i64>,
    /// What the rows hold that are in no run, and all rows.
    recent: Held,
    pub(crate) held: Held,
    encoder: Encoder,
    /// `None` when nothing is added to the file any more.
    bodies: Option<BodiesWriter>,
    block: Vec<u8>,
    /// Bytes that were appended since the size was last asked for, and that size.
    grown: u64,
    size: u64,
}

/// The rows of an append: their terms and what they hold, to be told once they are committed.
#[derive(Default)]
pub(crate) struct Written {
    rows: Vec<(u32, usize)>,
    terms: Vec<u64>,
    /// Which of the append's entries they are.
    entries: Vec<usize>,
    held: Held,
}

/// Why a file could not be opened.
pub(crate) enum Unfit {
    Newer(u32),
    /// Of a format that was never released.
    Unreleased,
    Sqlite(rusqlite::Error),
    File(std::io::Error),
}

/// Why an append was not written.
#[derive(Debug)]
pub(crate) enum Failed {
    Sqlite(rusqlite::Error),
    Bodies(std::io::Error),
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<rusqlite::Error> for Unfit {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<std::io::Error> for Unfit {
    fn from(error: std::io::Error) -> Self {
        Self::File(error)
    }
}

// === impl Failed ===

impl Failed {
    /// Whether the disk has no room.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Sqlite(error) => error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull),
            Self::Bodies(error) => {
                matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
            }
        }
    }
}

// === impl Written ===

impl Written {
    pub(crate) fn post(&self, recent: &mut Recent) {
        let mut start = 0;
        for (row, end) in &self.rows {
            recent.push(*row, &self.terms[start..*end]);
            start = *end;
        }
    }

    /// Which of the append's entries were not there before, in their order.
    pub(crate) fn entries(&self) -> &[usize] {
        &self.entries
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.terms.clear();
        self.entries.clear();
        self.held = Held::default();
    }
}

// === impl Segment ===

impl Segment {
    /// Opens a file, or makes it; gives the postings of those of its rows that are in no run.
    pub(crate) fn open(folder: &Folder, number: u32, now: Timestamp) -> Result<(Self, Recent), Unfit> {
        let file = folder.file(number);
        Folder::make_private(&file)?;
        let mut db = schema::open_writer(&file)?;
        match schema::format_of(&db)? {
            0 => schema::make(&mut db, now.micros())?,
            schema::FORMAT => {}
            newer if newer > schema::FORMAT => return Err(Unfit::Newer(newer)),
            _ => return Err(Unfit::Unreleased),
        }
        db.set_prepared_statement_cache_capacity(16);
        let last_row: u32 = db.query_row("SELECT coalesce(max(row), 0) FROM entries", [], |row| row.get(0))?;
        let sealed = db.query_row("SELECT sealed FROM file", [], |row| row.get(0))?;
        let (postings, recent) = rebuild(&db)?;
        let mut held = in_runs(&db)?;
        held.join(&recent);
        let segment = Self {
            number,
            file,
            sealed,
            next_row: last_row + 1,
            lanes: HashMap::new(),
            recent,
            held,
            encoder: Encoder::new()?,
            bodies: if sealed { None } else { Some(BodiesWriter::open(&folder.bodies(number))?) },
            block: Vec::new(),
            grown: u64::MAX,
            size: 0,
            db,
        };
        Ok((segment, postings))
    }

    pub(crate) fn db(&self) -> &Connection {
        &self.db
    }

    /// What the rows hold that are in no run.
    pub(crate) fn recent(&self) -> &Held {
        &self.recent
    }

    /// Bytes of the bodies.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.bodies.as_ref().map_or(0, BodiesWriter::len)
    }

    /// Bytes of the database, without its write-ahead log. SQLite is asked once in a while: it costs as much as writing a
    /// send does, and a file may be a percent larger than it should.
    pub(crate) fn size(&mut self, limit: u64) -> rusqlite::Result<u64> {
        if self.grown >= limit / 128 {
            let sql = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()";
            let size: i64 = self.db.query_row(sql, [], |row| row.get(0))?;
            self.size = size.cast_unsigned();
            self.grown = 0;
        }
        Ok(self.size)
    }

    /// Whether an entry stands in this file.
    pub(crate) fn holds(&self, entry: &Entry) -> rusqlite::Result<bool> {
        let sql = "SELECT 1 FROM entries e JOIN lanes l USING (lane) WHERE e.id = ?1 AND l.name = ?2";
        self.db.prepare_cached(sql)?.exists(params![entry.id.0.as_bytes(), entry.lane.as_str()])
    }

    /// Writes entries in one transaction, but for those that are there already (S-2). On an error nothing is written.
    ///
    /// Entries come with their number in the append; `keeps_bodies` says whether bodies are kept at all.
    pub(crate) fn append<'a>(
        &mut self,
        entries: impl Iterator<Item = (usize, &'a Entry)>,
        keeps_bodies: bool,
        written: &mut Written,
    ) -> Result<(), Failed> {
        written.clear();
        let Self { db, next_row, lanes, encoder, bodies, block, grown, .. } = self;
        let mut bodies = bodies.as_mut().filter(|_| keeps_bodies);
        if let Some(bodies) = &mut bodies {
            bodies.begin();
        }
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut row = *next_row;
        let put = (|| {
            let mut insert = insert_entry(&transaction)?;
            for (number, entry) in entries {
                let lane = lane_number(&transaction, lanes, &entry.lane)?;
                block.clear();
                encoder.encode(&entry.sends, block);
                let attempt = entry.attempt.as_ref().filter(|attempt| has_bodies(attempt));
                let place = attempt.and_then(|attempt| bodies.as_mut().map(|bodies| bodies.add(attempt)));
                // Bodies of an entry that is there already stay in the file, and are nobody's.
                if put_entry(&mut insert, row, lane, entry, (block, place))? == 0 {
                    continue;
                }
                *grown = grown.saturating_add(block.len() as u64);
                let answer = entry.attempt.as_ref().map(terms::answer_of);
                terms::of_entry(&entry.lane, answer, &entry.sends, &mut written.terms);
                written.rows.push((row, written.terms.len()));
                written.entries.push(number);
                written.held.add(entry.at.micros(), entry.sends.len() as u64, place.is_some());
                row += 1;
            }
            bodies.as_mut().map_or(Ok(()), |bodies| bodies.write()).map_err(Failed::Bodies)
        })();
        let done = match put {
            Ok(()) => transaction.commit().map_err(Failed::Sqlite),
            Err(error) => transaction.rollback().map_err(Failed::Sqlite).and(Err(error)),
        };
        if done.is_err() {
            // Lanes that this transaction named are not in the file.
            lanes.clear();
            written.clear();
            return done;
        }
        if let Some(bodies) = bodies {
            bodies.commit();
        }
        *next_row = row;
        self.recent.join(&written.held);
        self.held.join(&written.held);
        Ok(())
    }

    /// Writes the postings that are in no run as a run; `seal` says that nothing will be added to the file any more.
    pub(crate) fn write_run(&mut self, recent: &Recent, seal: bool) -> rusqlite::Result<()> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if recent.first_row() < self.next_row {
            put_run(&transaction, recent, self.next_row - 1, &self.recent, &recent.sort())?;
        }
        if seal {
            transaction.execute("UPDATE file SET sealed = 1", [])?;
        }
        transaction.commit()?;
        self.recent = Held::default();
        if !seal {
            return Ok(());
        }
        self.sealed = true;
        self.checkpoint()?;
        // Rows are on the disk now, and bodies should not come much later. An error costs bodies at a loss of power only.
        if let Some(bodies) = self.bodies.take() {
            let _best_effort = bodies.sync();
        }
        Ok(())
    }

    /// Puts the write-ahead log into the database.
    pub(crate) fn checkpoint(&self) -> rusqlite::Result<()> {
        self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }
}

fn insert_entry<'a>(db: &'a Transaction<'_>) -> rusqlite::Result<CachedStatement<'a>> {
    db.prepare_cached(
        "INSERT INTO entries (row, id, lane, at, plan, sends, tally, decision, reached, status, duration_us,
           request_bytes, answer_bytes, method, url, error_source, error, body_at, body_bytes, body_checksum, block)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)
         ON CONFLICT (id, lane) DO NOTHING",
    )
}

fn put_entry(
    insert: &mut CachedStatement<'_>,
    row: u32,
    lane: i64,
    entry: &Entry,
    (block, place): (&[u8], Option<Place>),
) -> rusqlite::Result<usize> {
    let attempt = entry.attempt.as_ref();
    let error = attempt.and_then(|attempt| attempt.error.as_ref());
    insert.execute(params![
        row,
        entry.id.0.as_bytes(),
        lane,
        entry.at.micros(),
        entry.plan.cast_signed(),
        i64::try_from(entry.sends.len()).unwrap_or(i64::MAX),
        row::encode_tally(&entry.sends),
        attempt.map(|attempt| attempt.decision.number()),
        attempt.map(|attempt| attempt.reached.number()),
        attempt.and_then(|attempt| attempt.status),
        attempt.map(|attempt| attempt.duration_us.cast_signed()),
        attempt.map(|attempt| i64::try_from(attempt.request_body.len()).unwrap_or(i64::MAX)),
        attempt.map(|attempt| attempt.answer_bytes.cast_signed()),
        attempt.map(|attempt| attempt.method.as_str()),
        attempt.map(|attempt| attempt.url.as_str()),
        error.map(|error| error.source_of.number()),
        error.map(|error| error.message.as_str()),
        place.map(|place| place.at.cast_signed()),
        place.map(|place| place.bytes),
        place.map(|place| place.checksum),
        block,
    ])
}

fn lane_number(db: &Transaction<'_>, lanes: &mut HashMap<LaneId, i64>, lane: &LaneId) -> rusqlite::Result<i64> {
    if let Some(number) = lanes.get(lane) {
        return Ok(*number);
    }
    let known = db
        .prepare_cached("SELECT lane FROM lanes WHERE name = ?1")?
        .query_row([lane.as_str()], |row| row.get(0))
        .optional()?;
    let number = match known {
        Some(number) => number,
        None => {
            db.prepare_cached("INSERT INTO lanes (name) VALUES (?1)")?.execute([lane.as_str()])?;
            db.last_insert_rowid()
        }
    };
    lanes.insert(lane.clone(), number);
    Ok(number)
}

fn put_run(db: &Transaction<'_>, recent: &Recent, last_row: u32, held: &Held, sorted: &Sorted) -> rusqlite::Result<()> {
    let Some(span) = held.span else { return Ok(()) };
    let first_page: i64 = db.query_row("SELECT coalesce(max(page), 0) + 1 FROM pages", [], |row| row.get(0))?;
    let mut put = db.prepare_cached("INSERT INTO pages (page, postings) VALUES (?1, ?2)")?;
    for (page, postings) in (first_page..).zip(&sorted.pages) {
        put.execute(params![page, postings])?;
    }
    db.execute(
        "INSERT INTO runs (first_row, last_row, min_at, max_at, disorder, sends, bodies, first_page, pages, fences)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            recent.first_row(),
            last_row,
            span.first,
            span.last,
            span.disorder,
            held.sends.cast_signed(),
            held.bodies.cast_signed(),
            first_page,
            i64::try_from(sorted.pages.len()).unwrap_or(i64::MAX),
            sorted.fences
        ],
    )?;
    Ok(())
}

/// What the rows hold that are in runs.
pub(crate) fn in_runs(db: &Connection) -> rusqlite::Result<Held> {
    let mut statement =
        db.prepare("SELECT first_row, last_row, sends, bodies, min_at, max_at, disorder FROM runs ORDER BY run")?;
    let runs = statement.query_map([], |row| {
        let (first, last): (u32, u32) = (row.get(0)?, row.get(1)?);
        Ok(Held {
            entries: u64::from(last.saturating_sub(first)) + 1,
            sends: row.get::<_, i64>(2)?.cast_unsigned(),
            bodies: row.get::<_, i64>(3)?.cast_unsigned(),
            span: Some(Span { first: row.get(4)?, last: row.get(5)?, disorder: row.get(6)? }),
        })
    })?;
    let mut held = Held::default();
    for run in runs {
        held.join(&run?);
    }
    Ok(held)
}

/// The postings of the rows that are in no run, and what they hold: bounded by how many postings are kept in memory at all.
pub(crate) fn rebuild(db: &Connection) -> rusqlite::Result<(Recent, Held)> {
    let first: u32 = db.query_row("SELECT coalesce(max(last_row), 0) + 1 FROM runs", [], |row| row.get(0))?;
    let mut recent = Recent::starting_at(first);
    let mut held = Held::default();
    let sql = format!(
        "SELECT {}, e.row FROM entries e JOIN lanes l USING (lane) WHERE e.row >= ?1 ORDER BY e.row",
        row::COLUMNS
    );
    let mut statement = db.prepare(&sql)?;
    let mut rows = statement.query([first])?;
    let mut found = Vec::new();
    while let Some(one) = rows.next()? {
        let meta = row::meta(one)?;
        let answer: Option<(Option<u16>, Decision)> = meta.attempt.map(|attempt| (attempt.status, attempt.decision));
        let sends = row::block(one)?;
        found.clear();
        terms::of_entry(&meta.lane, answer, &sends, &mut found);
        recent.push(one.get("row")?, &found);
        held.add(meta.at.micros(), sends.len() as u64, row::place(one)?.is_some());
    }
    Ok((recent, held))
}
