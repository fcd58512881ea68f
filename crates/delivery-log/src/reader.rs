//! The one thread that answers questions, with a connection to each file it has looked into.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anole_event::{AttemptId, Clock, Timestamp};
use anole_telemetry::{HistoryDamaged, HistoryWriteFailed, Telemetry};
use rusqlite::{Connection, OptionalExtension};

use crate::bodies::{self, Pieces, Place};
use crate::catalog::{Catalog, Held, Known};
use crate::error::is_damage;
use crate::folder::Folder;
use crate::histogram::{Counter, Histogram, HistogramQuery, Sample};
use crate::query::{Bodies, Cursor, Limits, WholeEntry};
use crate::queue::{Jobs, Next};
use crate::search::{Pick, Run, Search, Sift, Tail, runs_before};
use crate::statistics::{Statistics, StatisticsQuery};
use crate::{LogError, LogStat, intake, ledger, row, schema};

/// How long the thread waits for a question before it closes what is not needed any more.
const IDLE: Duration = Duration::from_secs(5);

/// A question. It answers by a channel of its own.
pub(crate) type Query = Box<dyn FnOnce(&mut Reader) + Send>;

/// The thread's belongings.
pub(crate) struct Reader {
    pub(crate) folder: Folder,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Damaged files are moved away only by the daemon, which owns them.
    pub(crate) owner: bool,
    pub(crate) limits: Limits,
    pub(crate) files: HashMap<u32, Opened>,
    pub(crate) ledger: Option<Connection>,
}

/// A file that was looked into.
pub(crate) struct Opened {
    db: Connection,
    runs: Vec<Run>,
    /// The first row that `runs` does not reach to.
    until: u32,
    /// How often the file had been written anew when it was opened.
    rewritten: u32,
}

/// A file at the moment of a question.
struct Seen {
    number: u32,
    tail: Tail,
}

// === impl Reader ===

impl Reader {
    pub(crate) fn run(mut self, jobs: &Jobs<Query>) {
        loop {
            match jobs.next_within(IDLE) {
                Next::Job(query) => query(&mut self),
                // A file that was removed takes its room until nobody has it open.
                Next::Idle => self.let_go(),
                Next::Gone => return,
            }
        }
    }

    /// Closes files that are not there any more, or were written anew.
    fn let_go(&mut self) {
        let catalog = self.catalog.read();
        self.files.retain(|known, opened| catalog.rewritten(*known) == Some(opened.rewritten));
    }

    /// Lets go of every connection.
    pub(crate) fn close(&mut self) {
        self.files.clear();
        self.ledger = None;
    }

    /// Gives rows to the sieve until it is full; the place where the next page begins, when there may be one.
    pub(crate) fn search(&mut self, pick: &Pick, sift: &mut dyn Sift) -> Result<Option<Cursor>, LogError> {
        let seen = self.seen(pick);
        let mut search = Search::new(pick, sift);
        for Seen { number, tail } in seen {
            let found = self.with(number, |opened| {
                opened.learn_runs(tail.first_row)?;
                search.file(&opened.db, number, &tail, &opened.runs)
            })?;
            if let Some(Some(next)) = found {
                return Ok(Some(next));
            }
        }
        Ok(None)
    }

    pub(crate) fn entry(&mut self, id: AttemptId) -> Result<Option<WholeEntry>, LogError> {
        let numbers: Vec<u32> = self.catalog.read().known.iter().map(|known| known.number).collect();
        for number in numbers.into_iter().rev() {
            let Some(Some((mut whole, place))) = self.with(number, |opened| entry(&opened.db, id))? else { continue };
            if let (Some(place), Some(attempt)) = (place, &mut whole.entry.attempt)
                && let Some(pieces) = self.pieces(number, place)?
            {
                attempt.request_body = pieces.request;
                attempt.answer_headers = pieces.headers;
                attempt.answer_body = pieces.answer;
                whole.bodies = Bodies::Kept;
            }
            return Ok(Some(whole));
        }
        Ok(None)
    }

    /// The bodies that stand in a place; `None` when they are gone.
    fn pieces(&self, number: u32, place: Place) -> Result<Option<Pieces>, LogError> {
        let path = self.folder.bodies(number);
        let pieces = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => Err(error),
            Ok(file) => bodies::read(&file, place),
        };
        pieces.map_err(|error| LogError::file(&path, error))
    }

    pub(crate) fn histogram(&mut self, query: HistogramQuery) -> Result<Histogram, LogError> {
        let held = self.held();
        let (first, last) = (held.span.map(|span| span.first), held.span.map(|span| span.last));
        let Some(mut counter) = Counter::of(query, first, last) else {
            return Ok(Histogram { every: 1, ..Histogram::default() });
        };
        let mut sample = Sample::of(&counter, held.entries, held.sends);
        for Seen { number, tail } in self.seen(counter.pick()) {
            self.with(number, |opened| {
                opened.learn_runs(tail.first_row)?;
                sample.file(counter.pick(), &opened.db, number, &tail, &opened.runs)
            })?;
        }
        for (number, rows) in sample.by_file() {
            self.with(number, |opened| counter.count(&opened.db, rows))?;
        }
        Ok(counter.done(sample.every()))
    }

    pub(crate) fn statistics(&mut self, query: &StatisticsQuery) -> Result<Statistics, LogError> {
        let Self { folder, catalog, ledger, .. } = self;
        let file = folder.statistics();
        let answer = |db: &mut Connection| {
            // What the transaction reads is as it was at its first look, and that is taken while nothing is written.
            let transaction = db.transaction()?;
            let files = catalog.read();
            ledger::mark(&transaction)?;
            let pending = files.pending.clone();
            drop(files);
            ledger::measured(&transaction, query, &pending)
        };
        let answered = match ledger {
            Some(db) => answer(db),
            None => schema::open_reader(&file).and_then(|mut db| {
                let answered = answer(&mut db);
                *ledger = Some(db);
                answered
            }),
        };
        answered.map_err(|error| {
            // It may have been set aside, and there be a new one.
            self.ledger = None;
            LogError::database("read", &file, error)
        })
    }

    /// What all files hold.
    fn held(&self) -> Held {
        let mut held = Held::default();
        self.catalog.read().known.iter().for_each(|known| held.join(&known.held));
        held
    }

    pub(crate) fn stat(&mut self) -> Result<LogStat, LogError> {
        let known = self.catalog.read().known.clone();
        let held = self.held();
        let file = self.folder.statistics();
        let about = match schema::open_reader(&file).and_then(|db| ledger::about(&db)) {
            Ok(about) => about,
            // A look at files that were put together by hand.
            Err(_) if !file.exists() => Default::default(),
            Err(error) => return Err(LogError::database("read", &file, error)),
        };
        let time = Timestamp::from_micros;
        let with_bodies = known.iter().find(|known| known.has_bodies && known.held.bodies > 0);
        let body_bytes: u64 = known.iter().map(|known| self.folder.body_size(known.number)).sum();
        let row_bytes: u64 = known.iter().map(|known| self.folder.size(known.number)).sum();
        Ok(LogStat {
            files: known.len() as u64,
            bytes: row_bytes + body_bytes,
            body_bytes,
            entries: held.entries,
            sends: held.sends,
            oldest: held.span.map(|span| time(span.first)),
            newest: held.span.map(|span| time(span.last)),
            oldest_body: with_bodies.and_then(|known| known.held.span).map(|span| time(span.first)),
            dropped: about.0,
            oldest_statistics: about.1,
            limits: self.limits,
        })
    }

    /// The files, newest first, as they are at this moment, and what of them is in no run.
    ///
    /// The postings in memory are looked through before any run is read: a row that moves from the one to the other in
    /// between is then seen twice, not never, and `first_row` keeps it from being given twice.
    fn seen(&self, pick: &Pick) -> Vec<Seen> {
        let files = self.catalog.read();
        let reached = |number: &u32| pick.after.is_none_or(|after| *number <= after.file);
        let in_time = |known: &&Known| match known.held.span {
            Some(span) => {
                pick.from.is_none_or(|from| span.last >= from.micros())
                    && pick.until.is_none_or(|until| span.first < until.micros())
            }
            None => true,
        };
        let numbers = files.known.iter().rev().filter(in_time).map(|known| known.number).filter(reached);
        let seen = numbers.map(|number| {
            let tail = if files.open == Some(number) {
                let rows = pick.terms.iter().map(|term| files.recent.rows(*term)).collect();
                let (first_row, next_row) = (files.recent.first_row(), files.next_row);
                Tail { first_row, next_row, span: files.recent_span, rows }
            } else {
                Tail { first_row: u32::MAX, next_row: u32::MAX, span: None, rows: Vec::new() }
            };
            Seen { number, tail }
        });
        seen.collect()
    }

    /// Looks into a file. `None` when it is gone, or was found damaged and set aside: the other files still answer.
    fn with<T>(
        &mut self,
        number: u32,
        look: impl FnOnce(&mut Opened) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, LogError> {
        let file = self.folder.file(number);
        let owner = self.owner;
        self.let_go();
        let Some(rewritten) = self.catalog.read().rewritten(number) else { return Ok(None) };
        let opened = match self.files.entry(number) {
            std::collections::hash_map::Entry::Occupied(known) => Ok(known.into_mut()),
            std::collections::hash_map::Entry::Vacant(new) => schema::open_reader(&file).and_then(|db| {
                db.set_prepared_statement_cache_capacity(16);
                // The daemon puts what is on its way into the database before it looks.
                if !owner {
                    intake::show(&db, &file)?;
                }
                Ok(new.insert(Opened { db, runs: Vec::new(), until: 0, rewritten }))
            }),
        };
        match opened.and_then(look) {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_damage(&error) => {
                self.leave_out(number, &file, error)?;
                Ok(None)
            }
            // It was removed while we looked: by the limit on space, or by a person.
            Err(_) if !file.exists() => Ok(None),
            Err(error) => Err(LogError::database("read", &file, error)),
        }
    }

    fn leave_out(&mut self, number: u32, file: &Path, error: rusqlite::Error) -> Result<(), LogError> {
        self.files.remove(&number);
        if !self.owner {
            self.catalog.forget(number);
            self.telemetry.emit(HistoryDamaged { set_aside: file, error });
            return Ok(());
        }
        if self.catalog.read().open == Some(number) {
            // The writer has it open and will find the damage itself when it concerns what it writes.
            return Err(LogError::database("read", file, error));
        }
        self.set_aside(number, &error)
    }

    /// Moves a damaged file away, that nothing is added to any more.
    pub(crate) fn set_aside(&mut self, number: u32, error: &rusqlite::Error) -> Result<(), LogError> {
        self.files.remove(&number);
        self.catalog.forget(number);
        match self.folder.set_aside(number, self.clock.wall()) {
            Ok(set_aside) => self.telemetry.emit(HistoryDamaged { set_aside: &set_aside, error }),
            Err(error) => self.telemetry.emit(HistoryWriteFailed { error }),
        }
        Ok(())
    }
}

// === impl Opened ===

impl Opened {
    /// Reads the runs up to a row, when they were not read yet.
    fn learn_runs(&mut self, until: u32) -> rusqlite::Result<()> {
        if until > self.until {
            self.runs = runs_before(&self.db, until)?;
            self.until = until;
        }
        Ok(())
    }
}

fn entry(db: &Connection, id: AttemptId) -> rusqlite::Result<Option<(WholeEntry, Option<Place>)>> {
    let sql = format!("SELECT {} FROM entries e JOIN lanes l USING (lane) WHERE e.id = ?1", row::COLUMNS);
    let found = |row: &rusqlite::Row<'_>| Ok((row::entry(row)?, row::place(row)?));
    db.prepare_cached(&sql)?.query_row([id.0.as_bytes()], found).optional()
}
