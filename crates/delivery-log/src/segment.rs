//! One file `history-N.db` with its bodies, as its writer has it open.

use std::collections::HashMap;
use std::path::PathBuf;

use anole_event::{Decision, Timestamp};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::blocks::{self, BlocksWriter};
use crate::bodies::BodiesWriter;
use crate::catalog::Held;
use crate::folder::Folder;
use crate::ids::{self, Ids};
use crate::intake::{self, Image, Intake};
use crate::postings::{Recent, Sorted};
use crate::ready::Ready;
use crate::span::Span;
use crate::{row, schema, terms};

/// The open file.
pub(crate) struct Segment {
    pub(crate) number: u32,
    pub(crate) file: PathBuf,
    pub(crate) sealed: bool,
    db: Connection,
    pub(crate) next_row: u32,
    /// The first row that is not in the database: it is in the intake.
    in_db: u32,
    ids: Ids,
    lanes: HashMap<Box<str>, i64>,
    /// What the rows hold that are in no run, and all rows.
    recent: Held,
    pub(crate) held: Held,
    /// `None` when nothing is added to the file any more.
    bodies: Option<BodiesWriter>,
    blocks: Option<BlocksWriter>,
    intake: Option<Intake>,
    /// Bytes that were appended since the size was last asked for, and that size.
    grown: u64,
    size: u64,
}

/// The rows of an append and what they hold, to be told once they are committed.
#[derive(Default)]
pub(crate) struct Written {
    rows: u32,
    /// Which of the append's entries they are.
    entries: Vec<usize>,
    keys: Vec<ids::Key>,
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
    /// The file of bodies or the intake.
    Beside(std::io::Error),
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Self::Beside(error)
    }
}

impl From<rusqlite::Error> for Unfit {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Failed> for Unfit {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Sqlite(error) => Self::Sqlite(error),
            Failed::Beside(error) => Self::File(error),
        }
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
            Self::Beside(error) => {
                matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
            }
        }
    }
}

// === impl Written ===

impl Written {
    /// Which of the append's entries were not there before, in their order.
    pub(crate) fn entries(&self) -> &[usize] {
        &self.entries
    }

    fn clear(&mut self) {
        self.rows = 0;
        self.entries.clear();
        self.keys.clear();
        self.held = Held::default();
    }
}

// === impl Segment ===

impl Segment {
    /// Opens a file, or makes it; gives the postings of those of its rows that are in no run.
    pub(crate) fn open(folder: &Folder, number: u32, now: Timestamp) -> Result<(Self, Recent), Unfit> {
        let file = folder.file(number);
        Folder::make_private(&file)?;
        let mut db = schema::open_writer(&file, folder.page_bytes())?;
        match schema::format_of(&db)? {
            0 => schema::make(&mut db, now.micros())?,
            schema::FORMAT => {}
            schema::OLDEST..schema::FORMAT => {}
            newer if newer > schema::FORMAT => return Err(Unfit::Newer(newer)),
            _ => return Err(Unfit::Unreleased),
        }
        db.set_prepared_statement_cache_capacity(16);
        let sealed: bool = db.query_row("SELECT sealed FROM file", [], |row| row.get(0))?;
        let mut lanes = HashMap::new();
        let mut blocks = None;
        if !sealed {
            schema::raise(&db)?;
            let beside = blocks.insert(BlocksWriter::open(&file)?);
            blocks::teach(&db, blocks::look(&file))?;
            blocks::trim(&db)?;
            // What a process before has left on its way.
            let frames = intake::read(&file)?;
            let images = intake::images(&frames, schema::next_row(&db)?);
            put_rows(&mut db, beside, &mut lanes, &images)?;
        } else if schema::format_of(&db)? <= schema::WITHIN {
            // An erasure did not come to their end.
            folder.remove_blocks(number)?;
            blocks::teach(&db, None)?;
        } else {
            blocks::teach(&db, blocks::look(&file))?;
        }
        let next_row = schema::next_row(&db)?;
        let (postings, recent) = rebuild(&db)?;
        let mut held = in_runs(&db)?;
        held.join(&recent);
        let segment = Self {
            number,
            sealed,
            next_row,
            in_db: next_row,
            ids: Ids::above(schema::highest_id(&db)?),
            lanes,
            recent,
            held,
            bodies: if sealed { None } else { Some(BodiesWriter::open(&folder.bodies(number))?) },
            blocks,
            intake: if sealed { None } else { Some(Intake::open(&file)?) },
            grown: u64::MAX,
            size: 0,
            file,
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

    /// Bytes of the database, its blocks and of what is on its way there, without the write-ahead log. SQLite is asked once in a while: it costs as much as writing a
    /// send does, and a file may be a percent larger than it should.
    pub(crate) fn size(&mut self, limit: u64) -> rusqlite::Result<u64> {
        if self.grown >= limit / 128 {
            let sql = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()";
            let size: i64 = self.db.query_row(sql, [], |row| row.get(0))?;
            self.size = size.cast_unsigned();
            self.grown = 0;
        }
        let on_the_way = self.intake.as_ref().map_or(0, |intake| intake.frames().len() as u64);
        let blocks = self.blocks.as_ref().map_or(0, BlocksWriter::len);
        Ok(self.size.saturating_add(on_the_way).saturating_add(blocks))
    }

    /// Whether an entry stands in this file, which must be settled.
    pub(crate) fn holds(&self, entry: &Ready) -> rusqlite::Result<bool> {
        holds(&self.db, entry)
    }

    /// Writes entries, all or none, but for those that are there already (S-2). They are in the log then, and come into the
    /// database later ([`settle`](Self::settle)). On an error nothing is written.
    ///
    /// Entries come with their number in the append.
    pub(crate) fn append<'a>(
        &mut self,
        entries: impl Iterator<Item = (usize, &'a Ready)>,
        written: &mut Written,
    ) -> Result<(), Failed> {
        written.clear();
        if self.intake.as_ref().is_some_and(Intake::is_large) {
            self.settle()?;
        }
        let done = self.put_on_the_way(entries, written);
        if done.is_err() {
            self.ids.forget(&written.keys);
            written.clear();
            return done;
        }
        let rows = written.rows;
        if let Some(bodies) = &mut self.bodies {
            bodies.commit();
        }
        if let Some(intake) = &mut self.intake {
            intake.commit(rows);
        }
        self.next_row += rows;
        self.recent.join(&written.held);
        self.held.join(&written.held);
        Ok(())
    }

    /// Writes bodies and the frame of an append.
    fn put_on_the_way<'a>(
        &mut self,
        entries: impl Iterator<Item = (usize, &'a Ready)>,
        written: &mut Written,
    ) -> Result<(), Failed> {
        let Self { db, next_row, ids, bodies, intake, grown, .. } = self;
        // A sealed file is not written to: the writer has begun the next one.
        let intake = intake.as_mut().ok_or_else(|| std::io::Error::from(std::io::ErrorKind::ReadOnlyFilesystem))?;
        intake.begin();
        if let Some(bodies) = bodies {
            bodies.begin();
        }
        let mut row = *next_row;
        for (number, entry) in entries {
            let key = ids::key(entry);
            if ids.holds(key).map_or_else(|| holds(db, entry), Ok)? {
                continue;
            }
            ids.add(key);
            written.keys.push(key);
            let place = entry.bodies.as_ref().zip(bodies.as_mut()).map(|(packed, bodies)| bodies.add(packed));
            intake.add(row, entry, place);
            *grown = grown.saturating_add(entry.block.len() as u64);
            written.rows += 1;
            written.entries.push(number);
            written.held.add(entry.at.micros(), entry.sends, place.is_some());
            row += 1;
        }
        if written.rows == 0 {
            return Ok(());
        }
        // Bodies first: a row that is there has them.
        bodies.as_ref().map_or(Ok(()), BodiesWriter::write)?;
        intake.write()?;
        Ok(())
    }

    /// Whether there are rows that are not in the database.
    pub(crate) fn is_settled(&self) -> bool {
        self.intake.as_ref().is_none_or(Intake::is_empty)
    }

    /// The first row that is not in the database.
    pub(crate) const fn in_db(&self) -> u32 {
        self.in_db
    }

    /// Puts the rows that are on their way into the database.
    pub(crate) fn settle(&mut self) -> Result<(), Failed> {
        let Self { db, lanes, intake: Some(intake), blocks: Some(blocks), .. } = self else { return Ok(()) };
        if intake.is_empty() {
            return Ok(());
        }
        let images = intake::images(intake.frames(), self.in_db);
        // These bytes were made here and never left the memory: should one not be read, an error keeps what is in the file.
        if images.len() != (self.next_row - self.in_db) as usize {
            return Err(rusqlite::Error::QueryReturnedNoRows.into());
        }
        put_rows(db, blocks, lanes, &images)?;
        intake.rewind();
        self.in_db = self.next_row;
        self.ids.prune();
        Ok(())
    }

    /// Writes the postings that are in no run as a run; `seal` says that nothing will be added to the file any more.
    pub(crate) fn write_run(&mut self, recent: &Recent, seal: bool) -> Result<(), Failed> {
        self.settle()?;
        // Rows of a run are not looked after again when the file is opened.
        self.blocks.as_ref().map_or(Ok(()), BlocksWriter::sync)?;
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
        self.blocks = None;
        // What it holds is in the database, and is passed over should it stay.
        if let Some(intake) = self.intake.take() {
            let _best_effort = intake.remove();
        }
        Ok(())
    }

    /// Puts the write-ahead log into the database.
    pub(crate) fn checkpoint(&self) -> rusqlite::Result<()> {
        self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }
}

/// Whether an entry stands in the database.
fn holds(db: &Connection, entry: &Ready) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM entries e JOIN lanes l USING (lane) WHERE e.id = ?1 AND l.name = ?2";
    db.prepare_cached(sql)?.exists(params![entry.id.0.as_bytes(), entry.lane.as_str()])
}

/// Adds rows in one transaction.
fn put_rows(
    db: &mut Connection,
    blocks: &mut BlocksWriter,
    lanes: &mut HashMap<Box<str>, i64>,
    images: &[Image<'_>],
) -> Result<(), Failed> {
    if images.is_empty() {
        return Ok(());
    }
    let places = blocks.write(images.iter().map(|image| image.block))?;
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let put = (|| {
        let mut insert = transaction.prepare_cached(&row::insert_into("entries"))?;
        for (image, place) in images.iter().zip(&places) {
            row::put(&mut insert, image, place, lane_number(&transaction, lanes, image.lane)?)?;
        }
        Ok(())
    })();
    let done = match put {
        Ok(()) => transaction.commit(),
        Err(error) => transaction.rollback().and(Err(error)),
    };
    match done {
        Ok(()) => blocks.commit(),
        // Lanes that this transaction named are not in the file.
        Err(_) => lanes.clear(),
    }
    Ok(done?)
}

fn lane_number(db: &Transaction<'_>, lanes: &mut HashMap<Box<str>, i64>, lane: &str) -> rusqlite::Result<i64> {
    if let Some(number) = lanes.get(lane) {
        return Ok(*number);
    }
    let known =
        db.prepare_cached("SELECT lane FROM lanes WHERE name = ?1")?.query_row([lane], |row| row.get(0)).optional()?;
    let number = match known {
        Some(number) => number,
        None => {
            db.prepare_cached("INSERT INTO lanes (name) VALUES (?1)")?.execute([lane])?;
            db.last_insert_rowid()
        }
    };
    lanes.insert(lane.into(), number);
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
