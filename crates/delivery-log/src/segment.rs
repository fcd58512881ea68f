//! One file `history-N.db`, as its writer has it open.

use std::collections::HashMap;
use std::path::PathBuf;

use anole_event::{Attempt, Decision, Entry, LaneId, Timestamp};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::block::Encoder;
use crate::codec::Packer;
use crate::folder::Folder;
use crate::postings::{Recent, Sorted};
use crate::{row, schema, terms};

/// The open file.
pub(crate) struct Segment {
    pub(crate) number: u32,
    pub(crate) file: PathBuf,
    db: Connection,
    pub(crate) next_row: u32,
    lanes: HashMap<LaneId, i64>,
    /// The times of the rows that are in no run.
    span: Option<(i64, i64)>,
    encoder: Encoder,
    packer: Packer,
    scratch: Scratch,
    /// Bytes that were appended since the size was last asked for, and that size.
    grown: u64,
    size: u64,
}

/// Buffers that are kept from entry to entry.
#[derive(Default)]
struct Scratch {
    block: Vec<u8>,
    request: Vec<u8>,
    plain: Vec<u8>,
}

/// The terms of rows that were written, to be posted once they are committed.
#[derive(Default)]
pub(crate) struct Terms {
    rows: Vec<(u32, usize)>,
    terms: Vec<u64>,
}

/// Why a file could not be opened.
pub(crate) enum Unfit {
    Newer(u32),
    Sqlite(rusqlite::Error),
    File(std::io::Error),
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

// === impl Terms ===

impl Terms {
    pub(crate) fn post(&self, recent: &mut Recent) {
        let mut start = 0;
        for (row, end) in &self.rows {
            recent.push(*row, &self.terms[start..*end]);
            start = *end;
        }
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.terms.clear();
    }
}

// === impl Segment ===

impl Segment {
    /// Opens a file, or makes it; gives the postings of those of its rows that are in no run.
    pub(crate) fn open(folder: &Folder, number: u32, now: Timestamp) -> Result<(Self, Recent), Unfit> {
        folder.make_private(number)?;
        let file = folder.file(number);
        let mut db = schema::open_writer(&file)?;
        match schema::format_of(&db)? {
            0 => schema::make(&mut db, now.micros())?,
            schema::FORMAT => {}
            newer => return Err(Unfit::Newer(newer)),
        }
        db.set_prepared_statement_cache_capacity(16);
        let last_row: u32 = db.query_row("SELECT coalesce(max(row), 0) FROM entries", [], |row| row.get(0))?;
        let (recent, span) = rebuild(&db)?;
        let segment = Self {
            number,
            file,
            next_row: last_row + 1,
            lanes: HashMap::new(),
            span,
            encoder: Encoder::new()?,
            packer: Packer::for_bodies()?,
            scratch: Scratch::default(),
            grown: u64::MAX,
            size: 0,
            db,
        };
        Ok((segment, recent))
    }

    pub(crate) fn is_sealed(&self) -> rusqlite::Result<bool> {
        self.db.query_row("SELECT sealed FROM file", [], |row| row.get(0))
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
    pub(crate) fn append<'a>(
        &mut self,
        entries: impl Iterator<Item = &'a Entry>,
        posted: &mut Terms,
    ) -> rusqlite::Result<()> {
        posted.clear();
        let Self { db, next_row, lanes, span, encoder, packer, scratch, grown, .. } = self;
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut row = *next_row;
        let mut times = *span;
        let written = (|| {
            let mut insert = insert_entry(&transaction)?;
            for entry in entries {
                let lane = lane_number(&transaction, lanes, &entry.lane)?;
                scratch.block.clear();
                scratch.request.clear();
                encoder.encode(&entry.sends, &mut scratch.block);
                if put_entry(&mut insert, row, lane, entry, &scratch.block)? == 0 {
                    continue;
                }
                if let Some(attempt) = &entry.attempt {
                    put_bodies(&transaction, row, attempt, packer, scratch)?;
                }
                *grown = grown.saturating_add((scratch.block.len() + scratch.request.len()) as u64);
                let answer = entry.attempt.as_ref().map(terms::answer_of);
                terms::of_entry(&entry.lane, answer, &entry.sends, &mut posted.terms);
                posted.rows.push((row, posted.terms.len()));
                let at = entry.at.micros();
                times = Some(times.map_or((at, at), |(first, last): (i64, i64)| (first.min(at), last.max(at))));
                row += 1;
            }
            Ok(())
        })();
        let done = match written {
            Ok(()) => transaction.commit(),
            Err(error) => transaction.rollback().and(Err(error)),
        };
        if done.is_err() {
            // Lanes that this transaction named are not in the file.
            lanes.clear();
            posted.clear();
            return done;
        }
        *next_row = row;
        *span = times;
        Ok(())
    }

    /// Writes the postings that are in no run as a run; `seal` says that nothing will be added to the file any more.
    pub(crate) fn write_run(&mut self, recent: &Recent, seal: bool) -> rusqlite::Result<()> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if let Some(span) = self.span
            && recent.first_row() < self.next_row
        {
            put_run(&transaction, recent, self.next_row - 1, span, &recent.sort())?;
        }
        if seal {
            transaction.execute("UPDATE file SET sealed = 1", [])?;
        }
        transaction.commit()?;
        self.span = None;
        if seal { self.checkpoint() } else { Ok(()) }
    }

    /// Puts the write-ahead log into the database.
    pub(crate) fn checkpoint(&self) -> rusqlite::Result<()> {
        self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }
}

fn insert_entry<'a>(db: &'a Transaction<'_>) -> rusqlite::Result<CachedStatement<'a>> {
    db.prepare_cached(
        "INSERT INTO entries (row, id, lane, at, plan, sends, tally, decision, reached, status, duration_us,
           request_bytes, answer_bytes, method, url, error_source, error, block)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)
         ON CONFLICT (id, lane) DO NOTHING",
    )
}

fn put_entry(
    insert: &mut CachedStatement<'_>,
    row: u32,
    lane: i64,
    entry: &Entry,
    block: &[u8],
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
        block,
    ])
}

fn put_bodies(
    db: &Transaction<'_>,
    row: u32,
    attempt: &Attempt,
    packer: &mut Packer,
    scratch: &mut Scratch,
) -> rusqlite::Result<()> {
    if attempt.request_body.is_empty() && attempt.answer_headers.is_empty() && attempt.answer_body.is_empty() {
        return Ok(());
    }
    packer.pack(&mut scratch.request, &attempt.request_body);
    let answer = row::encode_answer(attempt, packer, &mut scratch.plain);
    db.prepare_cached("INSERT INTO bodies (row, request, answer) VALUES (?1, ?2, ?3)")?.execute(params![
        row,
        scratch.request,
        answer
    ])?;
    Ok(())
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

fn put_run(
    db: &Transaction<'_>,
    recent: &Recent,
    last_row: u32,
    span: (i64, i64),
    sorted: &Sorted,
) -> rusqlite::Result<()> {
    let first_page: i64 = db.query_row("SELECT coalesce(max(page), 0) + 1 FROM pages", [], |row| row.get(0))?;
    let mut put = db.prepare_cached("INSERT INTO pages (page, postings) VALUES (?1, ?2)")?;
    for (page, postings) in (first_page..).zip(&sorted.pages) {
        put.execute(params![page, postings])?;
    }
    db.execute(
        "INSERT INTO runs (first_row, last_row, min_at, max_at, first_page, pages, fences)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            recent.first_row(),
            last_row,
            span.0,
            span.1,
            first_page,
            i64::try_from(sorted.pages.len()).unwrap_or(i64::MAX),
            sorted.fences
        ],
    )?;
    Ok(())
}

/// The postings and the times of the rows that are in no run: bounded by how many postings are kept in memory at all.
pub(crate) fn rebuild(db: &Connection) -> rusqlite::Result<(Recent, Option<(i64, i64)>)> {
    let first: u32 = db.query_row("SELECT coalesce(max(last_row), 0) + 1 FROM runs", [], |row| row.get(0))?;
    let mut recent = Recent::starting_at(first);
    let mut span: Option<(i64, i64)> = None;
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
        found.clear();
        terms::of_entry(&meta.lane, answer, &row::block(one)?, &mut found);
        recent.push(one.get("row")?, &found);
        let at = meta.at.micros();
        span = Some(span.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
    }
    Ok((recent, span))
}
