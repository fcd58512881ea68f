//! The one thread that writes: entries into the open file, postings into runs, and one file after the other.
//!
//! Appends that wait are written together, to the intake; from there the rows come into the database many at once (intake.rs),
//! or when a reader wants to see them. What follows from an append (a run, a new file, an old file less) is
//! done after its callers were answered, and an error in it does not fail them: the entries are written. It is told and
//! tried again after the next append.

use std::cmp::Ordering;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anole_event::{Clock, Timestamp};
use anole_telemetry::{HistoryDamaged, HistoryRotated, HistoryWriteFailed, Telemetry};
use tokio::sync::oneshot;

use crate::catalog::{Catalog, Known};
use crate::erase::EraseJob;
use crate::error::is_damage;
use crate::folder::Folder;
use crate::keeper::{Keeper, open_ledger};
use crate::ledger::{Ledger, Mark, Pending};
use crate::postings::{MOST_ROWS, Recent};
use crate::queue::{Jobs, Next};
use crate::ready::Ready;
use crate::segment::{Failed, Segment, Unfit, Written};
use crate::{LogError, LogOptions, OpenError, schema};

/// How long the thread waits for an append before it looks at ages and statistics.
const IDLE: Duration = Duration::from_secs(5);

/// How many appends are written together at most.
const GROUP: usize = 64;

/// An entry is looked for in the file before, too, until the open one has so many rows: an append that failed is tried
/// again within seconds, or never. Ids carry a time, but clocks jump.
const REMEMBERED: u32 = 10_000;

/// What the thread is asked.
pub(crate) enum Job {
    Append {
        entries: Vec<Ready>,
        reply: oneshot::Sender<Result<(), LogError>>,
    },
    /// What was appended before is to be readable.
    Settle {
        reply: oneshot::Sender<Result<(), LogError>>,
    },
    Close {
        reply: oneshot::Sender<Result<(), LogError>>,
    },
    /// A step of an erasure.
    Erase(EraseJob),
}

/// The thread's belongings.
pub(crate) struct Writer {
    pub(crate) keeper: Keeper,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) open: Segment,
    /// The file before, as long as it may hold an entry that is appended again.
    pub(crate) before: Option<Segment>,
    written: Written,
}

/// What ends a group of appends.
enum Last {
    Close(oneshot::Sender<Result<(), LogError>>),
    Erase(EraseJob),
}

type Waiting = (Vec<Ready>, oneshot::Sender<Result<(), LogError>>);

/// What is done together.
#[derive(Default)]
struct Group {
    appends: Vec<Waiting>,
    /// Who wants to read what was appended.
    settles: Vec<oneshot::Sender<Result<(), LogError>>>,
}

// === impl Writer ===

impl Writer {
    /// Opens the files: all are looked at, the last one is for writing, or a new one.
    pub(crate) fn open(
        options: &LogOptions,
        catalog: Arc<Catalog>,
        telemetry: Arc<Telemetry>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let folder = Folder::with_files_of(&options.dir, options.file_bytes);
        let broken = |error| LogError::file(folder.path(), error);
        folder.make().map_err(broken)?;
        folder.remove_all_unfinished().map_err(broken)?;
        let numbers = folder.numbers().map_err(broken)?;
        let mut known = Vec::new();
        let (mut before, mut last) = (None, None);
        let mut uncounted = Uncounted::open(&folder, &telemetry, &*clock)?;
        for number in &numbers {
            let (mut segment, recent) = match Segment::open(&folder, *number, clock.wall()) {
                Ok(opened) => opened,
                Err(unfit) => {
                    set_aside(&folder, *number, unfit, &telemetry, clock.wall())?;
                    continue;
                }
            };
            uncounted.count(&segment).map_err(|error| segment.wrong("opened", error))?;
            if segment.sealed {
                known.push(known_of(&folder, &segment));
                before = Some(segment);
            } else if numbers.last() == Some(number) {
                last = Some((segment, recent));
            } else {
                // Only the last file is ever left unsealed, but for what a person moved about.
                let done = segment.write_run(&recent, true);
                done.map_err(|failed| Failure::of(&segment, failed).into_error())?;
                known.push(known_of(&folder, &segment));
                before = Some(segment);
            }
        }
        let (open, recent) = match last {
            Some(last) => last,
            // The number of a file that was set aside is not used again.
            None => begin(&folder, numbers.last().map_or(1, |last| last + 1), clock.wall())?,
        };
        known.push(known_of(&folder, &open));
        let (ledger, pending) = uncounted.done(&folder, mark_of(&open), &telemetry, &*clock)?;
        {
            let mut files = catalog.write();
            files.known = known;
            files.open = Some(open.number);
            files.next_row = open.next_row;
            files.recent = recent;
            files.recent_span = open.recent().span;
            files.pending = pending;
        }
        let parts = (Arc::clone(&catalog), Arc::clone(&telemetry), Arc::clone(&clock));
        let mut keeper = Keeper::new(folder, options.clone(), parts, ledger);
        keeper.finish_drops();
        keeper.counted();
        keeper.write_statistics(mark_of(&open), true);
        keeper.look(true);
        Ok(Self { keeper, catalog, telemetry, clock, open, before, written: Written::default() })
    }

    pub(crate) fn run(mut self, jobs: &Jobs<Job>) {
        let mut closing = None;
        while closing.is_none() {
            let (mut group, mut last) = (Group::default(), None);
            match jobs.next_within(IDLE) {
                Next::Job(job) => last = sort(job, &mut group),
                Next::Idle => self.told(Self::settle),
                Next::Gone => break,
            }
            while last.is_none() && group.appends.len() < GROUP {
                let Some(job) = jobs.next_now() else { break };
                last = sort(job, &mut group);
            }
            self.write(group);
            match last {
                Some(Last::Close(reply)) => closing = Some(reply),
                Some(Last::Erase(job)) => self.erase(job),
                None => {}
            }
        }
        let settled = self.settle();
        self.keeper.write_statistics(mark_of(&self.open), true);
        self.keeper.close();
        let checkpointed = self.open.checkpoint().map_err(|error| self.open.wrong("written", error));
        let done = settled.and(checkpointed);
        if let Some(reply) = closing {
            // The file is closed before the answer: who asked may want to open or move it. Who asked may also have gone.
            drop(self);
            let _gone = reply.send(done);
        }
    }

    fn write(&mut self, group: Group) {
        let Group { appends, settles } = group;
        if !appends.is_empty() {
            let done = self.insist(|writer| writer.append(&appends));
            for (_, reply) in appends {
                // Who asked may have gone.
                let _gone = reply.send(done.clone());
            }
        }
        if !settles.is_empty() {
            let done = self.settle();
            for reply in settles {
                let _gone = reply.send(done.clone());
            }
        }
        self.told(Self::tidy);
    }

    /// Tells an error of what nobody waits for; it is done again later.
    fn told(&mut self, work: impl FnOnce(&mut Self) -> Result<(), LogError>) {
        if let Err(error) = work(self) {
            self.telemetry.emit(HistoryWriteFailed { error });
        }
    }

    /// Writes, and when the file is damaged or the disk full, changes that and writes again.
    fn insist(&mut self, write: impl Fn(&mut Self) -> Result<(), Failure>) -> Result<(), LogError> {
        let mut done = write(self);
        if let Err(Failure::Damaged(error)) = &done {
            let error = error.clone();
            done = self.replace_damaged(error).map_err(Failure::Other).and_then(|()| write(self));
        }
        // History is expendable: the oldest goes for the newest.
        while let Err(Failure::Full(_)) = &done
            && self.keeper.make_way()
        {
            done = write(self);
        }
        done.map_err(Failure::into_error)
    }

    /// Puts the rows that are on their way where a reader finds them.
    fn settle(&mut self) -> Result<(), LogError> {
        self.insist(|writer| {
            let done = writer.open.settle().map_err(|failed| Failure::of(&writer.open, failed));
            writer.publish();
            done
        })
    }

    /// Says which rows a reader finds.
    fn publish(&self) {
        let mut files = self.catalog.write();
        files.next_row = self.open.in_db();
        files.unsettled = !self.open.is_settled();
    }

    fn append(&mut self, group: &[Waiting]) -> Result<(), Failure> {
        let Self { open, before, written, catalog, keeper, .. } = self;
        before.take_if(|_| open.next_row > REMEMBERED);
        let first_row = open.next_row;
        let all = || group.iter().flat_map(|(entries, _)| entries.iter());
        let mut known = Vec::new();
        if let Some(looked_at) = before {
            for entry in all() {
                match looked_at.holds(entry) {
                    Ok(true) => known.push((entry.id, &entry.lane)),
                    Ok(false) => {}
                    // A file that cannot be read any more must not stop what is written to the next one.
                    Err(_) => {
                        *before = None;
                        break;
                    }
                }
            }
        }
        let entries = all().enumerate().filter(|(_, entry)| !known.contains(&(entry.id, &entry.lane)));
        open.append(entries, written).map_err(|failed| Failure::of(open, failed))?;
        let mut files = catalog.write();
        files.recent_span = open.recent().span;
        files.next_row = open.in_db();
        files.unsettled = !open.is_settled();
        if let Some(known) = files.known.last_mut() {
            known.held = open.held;
        }
        let mut new = written.entries().iter().copied().peekable();
        let new = all().enumerate().filter(|(number, _)| new.next_if_eq(number).is_some());
        for (row, (_, entry)) in (first_row..).zip(new) {
            files.recent.push(row, &entry.terms);
            files.pending.count(entry);
        }
        drop(files);
        keeper.counted();
        Ok(())
    }

    /// What follows from an append: a run when the postings in memory are many, a new file when this one is large or old,
    /// files and bodies less, statistics.
    fn tidy(&mut self) -> Result<(), LogError> {
        let (postings, rows) = {
            let files = self.catalog.read();
            (files.recent.len(), self.open.next_row - files.recent.first_row())
        };
        if postings >= self.keeper.options.postings_in_memory || rows >= MOST_ROWS / 2 {
            self.write_run(false)?;
        }
        let size = self.open.size(self.keeper.options.file_bytes);
        let size = size.map_err(|error| self.open.wrong("read", error))?;
        let is_full = self.keeper.is_large(size, self.open.body_bytes()) || self.keeper.is_old(&self.open.held);
        if is_full && self.open.next_row > 1 {
            self.rotate()?;
        }
        self.keeper.write_statistics(mark_of(&self.open), false);
        self.keeper.look(false);
        let Self { before, catalog, .. } = self;
        before.take_if(|before| !catalog.read().knows(before.number));
        Ok(())
    }

    fn write_run(&mut self, seal: bool) -> Result<(), LogError> {
        let Self { open, catalog, .. } = self;
        // This thread alone changes the postings, so a reader's lock is enough while they are sorted and written.
        let written = open.write_run(&catalog.read().recent, seal);
        written.map_err(|failed| Failure::of(open, failed).into_error())?;
        self.publish();
        let Self { open, catalog, .. } = self;
        let mut files = catalog.write();
        files.recent.restart(open.next_row);
        files.recent_span = None;
        Ok(())
    }

    pub(crate) fn rotate(&mut self) -> Result<(), LogError> {
        self.write_run(true)?;
        self.begin_next()?;
        self.telemetry.emit(HistoryRotated { file: &self.open.file });
        // What is dropped must have been counted.
        self.keeper.write_statistics(mark_of(&self.open), true);
        self.keeper.look(true);
        Ok(())
    }

    /// Begins the next file; the one that was open becomes the one before.
    fn begin_next(&mut self) -> Result<(), LogError> {
        let (open, recent) = begin(&self.keeper.folder, self.open.number + 1, self.clock.wall())?;
        {
            let mut files = self.catalog.write();
            files.known.push(known_of(&self.keeper.folder, &open));
            files.open = Some(open.number);
            files.next_row = open.next_row;
            files.unsettled = false;
            files.recent = recent;
            files.recent_span = None;
        }
        self.before = Some(std::mem::replace(&mut self.open, open));
        Ok(())
    }

    fn replace_damaged(&mut self, error: LogError) -> Result<(), LogError> {
        let number = self.open.number;
        self.catalog.forget(number);
        self.begin_next()?;
        // The connection to the damaged file goes before the file does.
        self.before = None;
        let folder = &self.keeper.folder;
        let aside = folder.set_aside(number, self.clock.wall());
        let set_aside = aside.map_err(|error| LogError::file(&folder.file(number), error))?;
        self.telemetry.emit(HistoryDamaged { set_aside: &set_aside, error });
        Ok(())
    }
}

/// The rows that a process before has appended and not counted, when the log is opened.
struct Uncounted {
    /// The ledger, and up to where it counts; `None` when there is none yet, and then nothing is counted that is there.
    ledger: Option<(Ledger, Mark)>,
    pending: Pending,
}

// === impl Uncounted ===

impl Uncounted {
    fn open(folder: &Folder, telemetry: &Telemetry, clock: &dyn Clock) -> Result<Self, OpenError> {
        let pending = Pending::default();
        if !folder.statistics().exists() {
            return Ok(Self { ledger: None, pending });
        }
        let nowhere = Mark { file: u32::MAX, row: u32::MAX };
        let ledger = open_ledger(folder, nowhere, telemetry, clock)?;
        let mark = ledger.mark().map_err(|error| LogError::database("opened", &ledger.file, error))?;
        Ok(Self { ledger: Some((ledger, mark)), pending })
    }

    fn count(&mut self, segment: &Segment) -> rusqlite::Result<()> {
        let Some((_, mark)) = &self.ledger else { return Ok(()) };
        match segment.number.cmp(&mark.file) {
            Ordering::Less => Ok(()),
            Ordering::Equal => self.pending.count_rows(segment.db(), mark.row),
            Ordering::Greater => self.pending.count_rows(segment.db(), 0),
        }
    }

    fn done(
        self,
        folder: &Folder,
        mark: Mark,
        telemetry: &Telemetry,
        clock: &dyn Clock,
    ) -> Result<(Ledger, Pending), OpenError> {
        match self.ledger {
            Some((ledger, _)) => Ok((ledger, self.pending)),
            None => Ok((open_ledger(folder, mark, telemetry, clock)?, self.pending)),
        }
    }
}

enum Failure {
    Damaged(LogError),
    Full(LogError),
    Other(LogError),
}

// === impl Failure ===

impl Failure {
    fn of(segment: &Segment, failed: Failed) -> Self {
        let is_full = failed.is_full();
        let (error, is_damaged) = match failed {
            Failed::Sqlite(error) => {
                let is_damaged = is_damage(&error);
                (segment.wrong("written", error), is_damaged)
            }
            Failed::Beside(error) => (LogError::file(&segment.file, error), false),
        };
        match (is_full, is_damaged) {
            (true, _) => Self::Full(error),
            (false, true) => Self::Damaged(error),
            (false, false) => Self::Other(error),
        }
    }

    fn into_error(self) -> LogError {
        match self {
            Self::Damaged(error) | Self::Full(error) | Self::Other(error) => error,
        }
    }
}

impl Segment {
    fn wrong(&self, doing: &'static str, error: rusqlite::Error) -> LogError {
        LogError::database(doing, &self.file, error)
    }
}

fn known_of(folder: &Folder, segment: &Segment) -> Known {
    let has_bodies = folder.bodies(segment.number).exists();
    Known { number: segment.number, held: segment.held, has_bodies, rewritten: 0 }
}

/// The last row of a file.
fn mark_of(segment: &Segment) -> Mark {
    Mark { file: segment.number, row: segment.next_row - 1 }
}

/// Adds an append to the group; a close or a step of an erasure ends it.
fn sort(job: Job, group: &mut Group) -> Option<Last> {
    match job {
        Job::Append { entries, reply } => {
            group.appends.push((entries, reply));
            None
        }
        Job::Settle { reply } => {
            group.settles.push(reply);
            None
        }
        Job::Close { reply } => Some(Last::Close(reply)),
        Job::Erase(job) => Some(Last::Erase(job)),
    }
}

fn begin(folder: &Folder, number: u32, now: Timestamp) -> Result<(Segment, Recent), LogError> {
    let file = folder.file(number);
    Segment::open(folder, number, now).map_err(|unfit| match unfit {
        Unfit::Sqlite(error) => LogError::database("opened", &file, error),
        Unfit::File(error) => LogError::file(&file, error),
        Unfit::Newer(_) | Unfit::Unreleased => LogError::file(&file, std::io::ErrorKind::AlreadyExists.into()),
    })
}

/// Decides on a file that cannot be opened: a damaged one is moved away, anything else is for a person.
fn set_aside(
    folder: &Folder,
    number: u32,
    unfit: Unfit,
    telemetry: &Telemetry,
    now: Timestamp,
) -> Result<(), OpenError> {
    let file: PathBuf = folder.file(number);
    let away = || folder.set_aside(number, now).map_err(|error| LogError::file(&file, error));
    match unfit {
        Unfit::Newer(found) => Err(OpenError::Newer { file, found, known: schema::FORMAT }),
        Unfit::File(error) => Err(LogError::file(&file, error).into()),
        Unfit::Unreleased => {
            let error = "it has a format that was never released";
            telemetry.emit(HistoryDamaged { set_aside: &away()?, error });
            Ok(())
        }
        Unfit::Sqlite(error) if is_damage(&error) => {
            telemetry.emit(HistoryDamaged { set_aside: &away()?, error });
            Ok(())
        }
        Unfit::Sqlite(error) => Err(LogError::database("opened", &file, error).into()),
    }
}
