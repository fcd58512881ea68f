//! What the log lets go of, and when (L-4); and the statistics that stay (L-5).
//!
//! Two limits of size and two of age, for all of the log and for its bodies. Bodies go file by file, oldest first, when they
//! are more or older than they may be. When all of it is too much, the oldest file goes: first its bodies, and if that is not
//! enough, its rows. So of any time the bodies go before the rows, and the bodies of last week are not given up for the rows of last
//! year, as they would be if all bodies went before any row. The open file always stays; it is sealed early enough that this
//! costs little.
//!
//! A full disk is answered the same way: history is expendable, so the log makes room for what it has to write, and for
//! the journal, before delivery waits for a person.
//!
//! Ages are told by the wall clock; after it has jumped nothing expires for ten minutes, in which it may be set right.

use std::sync::Arc;
use std::time::Duration;

use anole_event::{Clock, Mono, Now, Timestamp};
use anole_telemetry::{HistoryDamaged, HistoryDropped, HistorySize, HistoryWriteFailed, Telemetry};

use crate::catalog::{Catalog, Held, Known};
use crate::error::is_damage;
use crate::folder::{self, Folder};
use crate::ledger::{self, Going, Ledger, Mark};
use crate::query::Dropped;
use crate::{LogError, LogOptions, OpenError};

/// Statistics are written this long after the first that wait: a crash costs reading this much of the log again.
const STATISTICS_EVERY: Duration = Duration::from_secs(15);
/// How often sizes and ages are looked at without a reason.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// A wall clock that moves this much against the monotonic one has jumped.
const JUMP: Duration = Duration::from_secs(300);
/// For how long nothing expires then.
const AFTER_JUMP: Duration = Duration::from_secs(600);
/// The open file is sealed when its oldest row has this part of the shortest age, so that it can go in time.
const PARTS: i64 = 8;
/// A file is not sealed for its age before it has a minute, in microseconds.
const LEAST_AGE: i64 = 60_000_000;

/// Lets go of what is too much or too old, and keeps the statistics.
pub(crate) struct Keeper {
    pub(crate) folder: Folder,
    pub(crate) options: LogOptions,
    catalog: Arc<Catalog>,
    telemetry: Arc<Telemetry>,
    clock: Arc<dyn Clock>,
    ledger: Ledger,
    statistics_due: Option<Mono>,
    look_due: Mono,
    /// When both clocks were looked at last.
    looked: Now,
    /// Nothing expires before.
    expires_from: Mono,
    /// What went and could not be counted yet: the disk was full.
    uncounted: Vec<(Going, Dropped)>,
}

/// Opens the ledger; a damaged one is set aside. `mark` is from where on rows are counted when there is none yet.
pub(crate) fn open_ledger(
    folder: &Folder,
    mark: Mark,
    telemetry: &Telemetry,
    clock: &dyn Clock,
) -> Result<Ledger, OpenError> {
    let file = folder.statistics();
    let broken = |error| LogError::file(&file, error);
    for damaged_before in [false, true] {
        Folder::make_private(&file).map_err(broken)?;
        match Ledger::open(&file, mark) {
            Ok(Ok(ledger)) => return Ok(ledger),
            Ok(Err(found)) => return Err(OpenError::Newer { file, found, known: ledger::FORMAT }),
            Err(error) if is_damage(&error) && !damaged_before => {
                let set_aside = folder::move_away(&file, clock.wall()).map_err(broken)?;
                telemetry.emit(HistoryDamaged { set_aside: &set_aside, error });
            }
            Err(error) => return Err(LogError::database("opened", &file, error).into()),
        }
    }
    Err(broken(std::io::ErrorKind::AlreadyExists.into()).into())
}

// === impl Keeper ===

impl Keeper {
    pub(crate) fn new(
        folder: Folder,
        options: LogOptions,
        (catalog, telemetry, clock): (Arc<Catalog>, Arc<Telemetry>, Arc<dyn Clock>),
        ledger: Ledger,
    ) -> Self {
        let looked = clock.now();
        Self {
            folder,
            options,
            catalog,
            telemetry,
            clock,
            ledger,
            statistics_due: None,
            look_due: looked.mono,
            looked,
            expires_from: Mono::default(),
            uncounted: Vec::new(),
        }
    }

    /// Removes what a process before had written down to be removed.
    pub(crate) fn finish_drops(&self) {
        let going = self.told(self.ledger.going()).unwrap_or_default();
        going.into_iter().for_each(|going| self.remove(going));
    }

    /// Tells an error; what was to be done is tried again later.
    fn told<T>(&self, done: rusqlite::Result<T>) -> Option<T> {
        let told = done.map_err(|error| LogError::database("written", &self.ledger.file, error));
        told.map_err(|error| self.telemetry.emit(HistoryWriteFailed { error })).ok()
    }

    // === Statistics ===

    /// Something was counted.
    pub(crate) fn counted(&mut self) {
        self.statistics_due.get_or_insert_with(|| self.clock.mono().after(STATISTICS_EVERY));
    }

    /// Writes the sums that wait, when it is time or must be now. `mark` is the last row that they count.
    pub(crate) fn write_statistics(&mut self, mark: Mark, now: bool) {
        if !self.statistics_due.is_some_and(|due| now || due <= self.clock.mono()) {
            return;
        }
        let Self { ledger, catalog, .. } = self;
        // A copy, as a reader must not wait for the disk; and a reader must see what is pending either there or in the file.
        let pending = catalog.read().pending.clone();
        let done = ledger.write(&pending, mark, |transaction| {
            let mut files = catalog.write();
            transaction.commit()?;
            files.pending.clear();
            Ok(())
        });
        match done {
            Ok(()) => self.statistics_due = None,
            Err(error) => self.statistics_failed(error, mark),
        }
    }

    fn statistics_failed(&mut self, error: rusqlite::Error, mark: Mark) {
        self.statistics_due = Some(self.clock.mono().after(STATISTICS_EVERY));
        if is_damage(&error) {
            let file = self.ledger.file.clone();
            let aside =
                folder::move_away(&file, self.clock.wall()).map_err(|error| LogError::file(&file, error).into());
            let opened = aside.and_then(|set_aside| {
                self.telemetry.emit(HistoryDamaged { set_aside: &set_aside, error });
                open_ledger(&self.folder, mark, &self.telemetry, &*self.clock)
            });
            match opened {
                Ok(ledger) => self.ledger = ledger,
                Err(error) => self.telemetry.emit(HistoryWriteFailed { error }),
            }
        } else {
            self.told::<()>(Err(error));
        }
    }

    pub(crate) fn close(&mut self) {
        self.count_drops();
        self.told(self.ledger.checkpoint());
    }

    // === Letting go ===

    /// Whether the open file should be sealed because of its age.
    pub(crate) fn is_old(&self, open: &Held) -> bool {
        let shortest = self.options.keep.min(self.options.keep_bodies).as_micros();
        let part = (i64::try_from(shortest).unwrap_or(i64::MAX) / PARTS).max(LEAST_AGE);
        let oldest = open.span.map_or(i64::MAX, |span| span.first);
        self.may_expire() && self.clock.wall().micros().saturating_sub(oldest) > part
    }

    /// Whether the open file has as many bytes as a file may have.
    pub(crate) fn is_large(&self, rows: u64, bodies: u64) -> bool {
        rows.saturating_add(bodies) >= self.options.file_bytes || (bodies > 0 && bodies >= self.options.body_bytes / 4)
    }

    fn may_expire(&self) -> bool {
        self.clock.mono() >= self.expires_from
    }

    /// Looks at sizes and ages when it is time or there is a reason to.
    pub(crate) fn look(&mut self, now: bool) {
        let at = self.clock.now();
        if !now && at.mono < self.look_due {
            return;
        }
        self.look_due = at.mono.after(LOOK_EVERY);
        let moved = at.mono.since(self.looked.mono).as_micros();
        let wall = i128::from(at.wall.micros()) - i128::from(self.looked.wall.micros());
        if wall.abs_diff(i128::try_from(moved).unwrap_or(i128::MAX)) > JUMP.as_micros() {
            self.expires_from = at.mono.after(AFTER_JUMP);
        }
        self.looked = at;
        if self.may_expire() {
            self.expire(at.wall);
        }
        self.count_drops();
        let (rows, bodies) = self.shrink();
        self.telemetry.emit(HistorySize { rows, bodies });
    }

    /// What is too old goes.
    fn expire(&mut self, now: Timestamp) {
        for known in self.sealed() {
            let Some(span) = known.held.span else { continue };
            let age = now.micros().saturating_sub(span.last);
            let is_over = |limit: Duration| age > i64::try_from(limit.as_micros()).unwrap_or(i64::MAX);
            if is_over(self.options.keep) {
                self.drop(&known, true, "age");
            } else if known.has_bodies && is_over(self.options.keep_bodies) {
                self.drop(&known, false, "age");
            }
        }
        let kept = i64::try_from(self.options.keep_statistics.as_micros()).unwrap_or(i64::MAX);
        let before = Timestamp::from_micros(now.micros().saturating_sub(kept));
        self.told(self.ledger.expire(before));
    }

    /// What is too much goes; gives the bytes that are left, of rows and of bodies. What the open file may still become has
    /// room within the limits.
    fn shrink(&mut self) -> (u64, u64) {
        loop {
            let (files, open) = {
                let files = self.catalog.read();
                (files.known.clone(), files.open)
            };
            let sizes = files.iter().map(|known| {
                let bodies = if known.has_bodies { self.folder.body_size(known.number) } else { 0 };
                (known.number, self.folder.size(known.number), bodies)
            });
            let (mut rows, mut bodies, mut of_open) = (0, 0, (0, 0));
            for (number, row_bytes, body_bytes) in sizes {
                rows += row_bytes;
                bodies += body_bytes;
                if open == Some(number) {
                    of_open = (row_bytes + body_bytes, body_bytes);
                }
            }
            let file = self.options.file_bytes;
            let room = |limit: u64, has: u64| limit.saturating_sub(file.min(limit / 4).saturating_sub(has));
            let sealed = self.sealed();
            let with_bodies = sealed.iter().find(|known| known.has_bodies && known.held.bodies > 0);
            let (known, whole) = match (with_bodies, sealed.first()) {
                (Some(known), _) if bodies > room(self.options.body_bytes, of_open.1) => (*known, false),
                (_, Some(oldest)) if rows + bodies > room(self.options.total_bytes, of_open.0) => {
                    (*oldest, !(oldest.has_bodies && oldest.held.bodies > 0))
                }
                _ => return (rows, bodies),
            };
            self.drop(&known, whole, "space");
        }
    }

    /// The disk is full: lets go of the oldest bodies, or of the oldest files when there are none; whether it did. It is an
    /// eighth of them, so that others have room too: state and journal, and SQLite to read.
    pub(crate) fn make_way(&mut self) -> bool {
        let sealed = self.sealed();
        let mut going: Vec<_> = sealed.iter().filter(|known| known.has_bodies && known.held.bodies > 0).collect();
        let whole = going.is_empty();
        if whole {
            going.extend(&sealed);
        }
        going.truncate(going.len().div_ceil(8));
        going.iter().for_each(|known| self.drop(known, whole, "disk"));
        !going.is_empty()
    }

    /// The files that nothing is added to any more, oldest first.
    fn sealed(&self) -> Vec<Known> {
        let files = self.catalog.read();
        files.known.iter().filter(|known| files.open != Some(known.number)).copied().collect()
    }

    fn drop(&mut self, known: &Known, rows: bool, why: &'static str) {
        let Known { number, held, has_bodies, .. } = *known;
        let until = held.span.map(|span| Timestamp::from_micros(span.last));
        let lost = Dropped {
            files: u64::from(rows),
            entries: if rows { held.entries } else { 0 },
            sends: if rows { held.sends } else { 0 },
            bodies: if has_bodies { held.bodies } else { 0 },
            bytes: self.folder.body_size(number) + if rows { self.folder.size(number) } else { 0 },
            rows_until: until.filter(|_| rows),
            bodies_until: until.filter(|_| has_bodies),
        };
        let going = Going { number, rows };
        self.uncounted.push((going, lost));
        self.count_drops();
        if rows {
            self.catalog.forget(number);
        } else {
            self.catalog.forget_bodies(number);
        }
        self.remove(going);
        // When the disk was full there is room now.
        self.count_drops();
        let Dropped { files, entries, sends, bodies, bytes, .. } = lost;
        self.telemetry.emit(HistoryDropped { why, number, files, entries, sends, bodies, bytes });
    }

    /// Writes down what goes. What cannot be written goes all the same, as the disk may be full because of it, and is counted as soon as
    /// that can be done.
    fn count_drops(&mut self) {
        for (going, lost) in std::mem::take(&mut self.uncounted) {
            let counted = self.ledger.begin_drop(going, &lost);
            if self.told(counted).is_none() {
                self.uncounted.push((going, lost));
            }
        }
    }

    fn remove(&self, going: Going) {
        let Going { number, rows } = going;
        let removed = if rows { self.folder.remove(number) } else { self.folder.remove_bodies(number) };
        match removed {
            Ok(()) => {
                self.told(self.ledger.end_drop(going));
            }
            // It is tried again at the next opening.
            Err(error) => self.telemetry.emit(HistoryWriteFailed { error }),
        }
    }
}
