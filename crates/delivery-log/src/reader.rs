//! The one thread that answers questions, with a connection to each file it has looked into.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anole_event::{AttemptId, Clock, Entry, Timestamp};
use anole_telemetry::{HistoryDamaged, HistoryWriteFailed, Telemetry};
use rusqlite::{Connection, OptionalExtension};

use crate::catalog::Catalog;
use crate::error::is_damage;
use crate::folder::Folder;
use crate::query::Cursor;
use crate::queue::Jobs;
use crate::search::{Pick, Run, Search, Sift, Tail, runs_before};
use crate::{LogError, LogStat, row, schema};

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
    pub(crate) files: HashMap<u32, Opened>,
}

/// A file that was looked into.
pub(crate) struct Opened {
    db: Connection,
    runs: Vec<Run>,
    /// The first row that `runs` does not reach to.
    until: u32,
}

/// A file at the moment of a question.
struct Seen {
    number: u32,
    tail: Tail,
}

// === impl Reader ===

impl Reader {
    pub(crate) fn run(mut self, jobs: &Jobs<Query>) {
        while let Some(query) = jobs.next() {
            query(&mut self);
        }
    }

    /// Lets go of every connection.
    pub(crate) fn close(&mut self) {
        self.files.clear();
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

    pub(crate) fn entry(&mut self, id: AttemptId) -> Result<Option<Entry>, LogError> {
        let numbers = self.catalog.read().numbers.clone();
        for number in numbers.into_iter().rev() {
            if let Some(Some(entry)) = self.with(number, |opened| entry(&opened.db, id))? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    pub(crate) fn stat(&mut self) -> Result<LogStat, LogError> {
        let numbers = self.catalog.read().numbers.clone();
        let mut stat = LogStat::default();
        for number in numbers {
            let said = self.with(number, |opened| {
                let sql = "SELECT (SELECT at FROM entries ORDER BY row LIMIT 1),
                             (SELECT at FROM entries ORDER BY row DESC LIMIT 1), (SELECT coalesce(max(row), 0) FROM entries)";
                opened.db.query_row(sql, [], |row| {
                    let time = |column| row.get::<_, Option<i64>>(column).map(|at| at.map(Timestamp::from_micros));
                    Ok((time(0)?, time(1)?, row.get::<_, u32>(2)?))
                })
            })?;
            let Some((oldest, newest, entries)) = said else { continue };
            stat.files += 1;
            stat.bytes += self.folder.size(number);
            stat.entries += u64::from(entries);
            stat.oldest = stat.oldest.or(oldest);
            stat.newest = newest.or(stat.newest);
        }
        Ok(stat)
    }

    /// The files, newest first, as they are at this moment, and what of them is in no run.
    ///
    /// The postings in memory are looked through before any run is read: a row that moves from the one to the other in
    /// between is then seen twice, not never, and `first_row` keeps it from being given twice.
    fn seen(&self, pick: &Pick) -> Vec<Seen> {
        let files = self.catalog.read();
        let reached = |number: &u32| pick.after.is_none_or(|after| *number <= after.file);
        let numbers = files.numbers.iter().rev().copied().filter(reached);
        let seen = numbers.map(|number| {
            let tail = if files.open == Some(number) {
                let rows = pick.terms.iter().map(|term| files.recent.rows(*term)).collect();
                Tail { first_row: files.recent.first_row(), next_row: files.next_row, rows }
            } else {
                Tail { first_row: u32::MAX, next_row: u32::MAX, rows: Vec::new() }
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
        {
            let catalog = self.catalog.read();
            self.files.retain(|known, _| catalog.numbers.contains(known));
            if !catalog.numbers.contains(&number) {
                return Ok(None);
            }
        }
        let opened = match self.files.entry(number) {
            std::collections::hash_map::Entry::Occupied(known) => Ok(known.into_mut()),
            std::collections::hash_map::Entry::Vacant(new) => schema::open_reader(&file).map(|db| {
                db.set_prepared_statement_cache_capacity(16);
                new.insert(Opened { db, runs: Vec::new(), until: 0 })
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

fn entry(db: &Connection, id: AttemptId) -> rusqlite::Result<Option<Entry>> {
    let bodies = db
        .prepare_cached("SELECT request, answer FROM bodies WHERE row = (SELECT row FROM entries WHERE id = ?1)")?
        .query_row([id.0.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let sql = format!("SELECT {} FROM entries e JOIN lanes l USING (lane) WHERE e.id = ?1", row::COLUMNS);
    db.prepare_cached(&sql)?.query_row([id.0.as_bytes()], |row| row::entry(row, bodies)).optional()
}
