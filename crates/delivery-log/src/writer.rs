//! The one thread that writes: entries into the open file, postings into runs, and one file after the other.
//!
//! Appends that wait are written in one transaction. What follows from an append (a run, a new file, an old file less) is
//! done after its callers were answered, and an error in it does not fail them: the entries are written. It is told and
//! tried again after the next append.

use std::path::PathBuf;
use std::sync::Arc;

use anole_event::{Clock, Entry, Timestamp};
use anole_telemetry::{HistoryDamaged, HistoryRotated, HistoryWriteFailed, Telemetry};
use tokio::sync::oneshot;

use crate::catalog::Catalog;
use crate::error::is_damage;
use crate::folder::Folder;
use crate::postings::{MOST_ROWS, Recent};
use crate::queue::Jobs;
use crate::segment::{Segment, Terms, Unfit};
use crate::{LogError, LogOptions, OpenError, schema};

/// How many appends share a transaction at most.
const GROUP: usize = 64;

/// An entry is looked for in the file before, too, until the open one has so many rows: an append that failed is tried
/// again within seconds, or never. Ids carry a time, but clocks jump.
const REMEMBERED: u32 = 10_000;

/// What the thread is asked.
pub(crate) enum Job {
    Append { entries: Arc<Vec<Entry>>, reply: oneshot::Sender<Result<(), LogError>> },
    Close { reply: oneshot::Sender<Result<(), LogError>> },
}

/// The thread's belongings.
pub(crate) struct Writer {
    folder: Folder,
    options: LogOptions,
    catalog: Arc<Catalog>,
    telemetry: Arc<Telemetry>,
    clock: Arc<dyn Clock>,
    open: Segment,
    /// The file before, as long as it may hold an entry that is appended again.
    before: Option<Segment>,
    terms: Terms,
}

type Waiting = (Arc<Vec<Entry>>, oneshot::Sender<Result<(), LogError>>);

// === impl Writer ===

impl Writer {
    /// Opens the files: all are looked at, the last one is for writing, or a new one.
    pub(crate) fn open(
        options: &LogOptions,
        catalog: Arc<Catalog>,
        telemetry: Arc<Telemetry>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let folder = Folder::at(&options.dir);
        let broken = |error| LogError::file(folder.path(), error);
        folder.make().map_err(broken)?;
        let numbers = folder.numbers().map_err(broken)?;
        let mut kept = Vec::new();
        let (mut before, mut last) = (None, None);
        for number in &numbers {
            let (mut segment, recent) = match Segment::open(&folder, *number, clock.wall()) {
                Ok(opened) => opened,
                Err(unfit) => {
                    set_aside(&folder, *number, unfit, &telemetry, clock.wall())?;
                    continue;
                }
            };
            if segment.is_sealed().map_err(|error| segment.wrong("opened", error))? {
                kept.push(*number);
                before = Some(segment);
            } else if numbers.last() == Some(number) {
                last = Some((segment, recent));
            } else {
                // Only the last file is ever left unsealed, but for what a person moved about.
                segment.write_run(&recent, true).map_err(|error| segment.wrong("written", error))?;
                kept.push(*number);
                before = Some(segment);
            }
        }
        let (open, recent) = match last {
            Some(last) => last,
            // The number of a file that was set aside is not used again.
            None => begin(&folder, numbers.last().map_or(1, |last| last + 1), clock.wall())?,
        };
        kept.push(open.number);
        {
            let mut files = catalog.write();
            files.numbers = kept;
            files.open = Some(open.number);
            files.next_row = open.next_row;
            files.recent = recent;
        }
        let options = options.clone();
        Ok(Self { folder, options, catalog, telemetry, clock, open, before, terms: Terms::default() })
    }

    pub(crate) fn run(mut self, jobs: &Jobs<Job>) {
        let mut closing = None;
        while closing.is_none() {
            let Some(job) = jobs.next() else { break };
            let mut group = Vec::new();
            closing = sort(job, &mut group);
            while closing.is_none() && group.len() < GROUP {
                let Some(job) = jobs.next_now() else { break };
                closing = sort(job, &mut group);
            }
            self.write(group);
        }
        let done = self.open.checkpoint().map_err(|error| self.open.wrong("written", error));
        if let Some(reply) = closing {
            // The file is closed before the answer: who asked may want to open or move it. Who asked may also have gone.
            drop(self);
            let _gone = reply.send(done);
        }
    }

    fn write(&mut self, group: Vec<Waiting>) {
        if group.is_empty() {
            return;
        }
        let mut done = self.append(&group);
        if let Err(Failed::Damaged(error)) = &done {
            let error = error.clone();
            done = self.replace_damaged(error).map_err(Failed::Other).and_then(|()| self.append(&group));
        }
        let done = done.map_err(|failed| match failed {
            Failed::Damaged(error) | Failed::Other(error) => error,
        });
        for (_, reply) in group {
            // Who asked may have gone.
            let _gone = reply.send(done.clone());
        }
        if let Err(error) = self.tidy() {
            self.telemetry.emit(HistoryWriteFailed { error });
        }
    }

    fn append(&mut self, group: &[Waiting]) -> Result<(), Failed> {
        let Self { open, before, terms, catalog, .. } = self;
        before.take_if(|_| open.next_row > REMEMBERED);
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
        let entries = all().filter(|entry| !known.contains(&(entry.id, &entry.lane)));
        open.append(entries, terms).map_err(|error| Failed::of(open, error))?;
        let mut files = catalog.write();
        terms.post(&mut files.recent);
        files.next_row = open.next_row;
        Ok(())
    }

    /// What follows from an append: a run when the postings in memory are many, a new file when this one is large.
    fn tidy(&mut self) -> Result<(), LogError> {
        let (postings, rows) = {
            let files = self.catalog.read();
            (files.recent.len(), files.next_row - files.recent.first_row())
        };
        if postings >= self.options.postings_in_memory || rows >= MOST_ROWS / 2 {
            self.write_run(false)?;
        }
        let limit = self.options.file_bytes;
        let size = self.open.size(limit).map_err(|error| self.open.wrong("read", error))?;
        if size >= limit && self.open.next_row > 1 { self.rotate() } else { Ok(()) }
    }

    fn write_run(&mut self, seal: bool) -> Result<(), LogError> {
        let Self { open, catalog, .. } = self;
        // This thread alone changes the postings, so a reader's lock is enough while they are sorted and written.
        let written = open.write_run(&catalog.read().recent, seal);
        written.map_err(|error| open.wrong("written", error))?;
        catalog.write().recent = Recent::starting_at(open.next_row);
        Ok(())
    }

    fn rotate(&mut self) -> Result<(), LogError> {
        self.write_run(true)?;
        let removed = self.make_room();
        self.begin_next()?;
        self.telemetry.emit(HistoryRotated { file: &self.open.file, removed });
        Ok(())
    }

    /// Begins the next file; the one that was open becomes the one before.
    fn begin_next(&mut self) -> Result<(), LogError> {
        let (open, recent) = begin(&self.folder, self.open.number + 1, self.clock.wall())?;
        {
            let mut files = self.catalog.write();
            files.numbers.push(open.number);
            files.open = Some(open.number);
            files.next_row = open.next_row;
            files.recent = recent;
        }
        self.before = Some(std::mem::replace(&mut self.open, open));
        Ok(())
    }

    /// Removes whole files, oldest first, until the next one has room; gives how many.
    fn make_room(&mut self) -> usize {
        let mut removed = 0;
        loop {
            let numbers = self.catalog.read().numbers.clone();
            let total: u64 = numbers.iter().map(|number| self.folder.size(*number)).sum();
            let fits = total.saturating_add(self.options.file_bytes) <= self.options.total_bytes;
            let Some(oldest) = numbers.first().copied().filter(|oldest| !fits && *oldest != self.open.number) else {
                return removed;
            };
            self.catalog.forget(oldest);
            self.before.take_if(|before| before.number == oldest);
            if let Err(error) = self.folder.remove(oldest) {
                self.telemetry.emit(HistoryWriteFailed { error });
            }
            removed += 1;
        }
    }

    fn replace_damaged(&mut self, error: LogError) -> Result<(), LogError> {
        let number = self.open.number;
        self.catalog.forget(number);
        self.begin_next()?;
        // The connection to the damaged file goes before the file does.
        self.before = None;
        let aside = self.folder.set_aside(number, self.clock.wall());
        let set_aside = aside.map_err(|error| LogError::file(&self.folder.file(number), error))?;
        self.telemetry.emit(HistoryDamaged { set_aside: &set_aside, error });
        Ok(())
    }
}

enum Failed {
    Damaged(LogError),
    Other(LogError),
}

impl Failed {
    fn of(segment: &Segment, error: rusqlite::Error) -> Self {
        let damaged = is_damage(&error);
        let error = segment.wrong("written", error);
        if damaged { Self::Damaged(error) } else { Self::Other(error) }
    }
}

impl Segment {
    fn wrong(&self, doing: &'static str, error: rusqlite::Error) -> LogError {
        LogError::database(doing, &self.file, error)
    }
}

/// Adds an append to the group; a close ends it.
fn sort(job: Job, group: &mut Vec<Waiting>) -> Option<oneshot::Sender<Result<(), LogError>>> {
    match job {
        Job::Append { entries, reply } => {
            group.push((entries, reply));
            None
        }
        Job::Close { reply } => Some(reply),
    }
}

fn begin(folder: &Folder, number: u32, now: Timestamp) -> Result<(Segment, Recent), LogError> {
    let file = folder.file(number);
    Segment::open(folder, number, now).map_err(|unfit| match unfit {
        Unfit::Sqlite(error) => LogError::database("opened", &file, error),
        Unfit::File(error) => LogError::file(&file, error),
        Unfit::Newer(_) => LogError::file(&file, std::io::ErrorKind::AlreadyExists.into()),
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
    match unfit {
        Unfit::Newer(found) => Err(OpenError::Newer { file, found, known: schema::FORMAT }),
        Unfit::File(error) => Err(LogError::file(&file, error).into()),
        Unfit::Sqlite(error) if is_damage(&error) => {
            let set_aside = folder.set_aside(number, now).map_err(|error| LogError::file(&file, error))?;
            telemetry.emit(HistoryDamaged { set_aside: &set_aside, error });
            Ok(())
        }
        Unfit::Sqlite(error) => Err(LogError::database("opened", &file, error).into()),
    }
}
