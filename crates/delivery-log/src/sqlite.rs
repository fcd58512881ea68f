//! The embedded log: files of SQLite, one thread that writes, one that reads.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anole_event::{AttemptId, Clock, Entry};
use anole_telemetry::Telemetry;
use tokio::sync::oneshot;

use crate::catalog::{Catalog, Known};
use crate::erase::{EraseJob, Hunt, rewritten};
use crate::error::is_damage;
use crate::folder::Folder;
use crate::histogram::{Histogram, HistogramQuery};
use crate::query::{EntryQuery, FoundEntry, FoundSend, Limits, LogStat, Page, SendQuery, WholeEntry};
use crate::queue::{Queue, queue};
use crate::reader::{Query, Reader};
use crate::ready::Makers;
use crate::search::{Pick, Sift};
use crate::sieve::{Entries, Sends};
use crate::statistics::{Statistics, StatisticsQuery};
use crate::writer::{Job, Writer};
use crate::{BoxFuture, DeliveryLog, LogErased, LogError, OpenError, Whose, intake, ledger, schema, segment};

/// Appends that may wait for the writer. Each is what a lane had to say at once; a lane that waits here stops its reading.
const APPENDS: usize = 64;
/// Questions that may wait for the reader.
const QUERIES: usize = 256;

/// Bytes of a file, unless the limit asks for smaller ones.
const FILE: u64 = 256 * 1024 * 1024;

/// Where the log is and how large it may become.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// The folder of the files `history-N.db`: the data folder.
    pub dir: PathBuf,
    /// At this many bytes a file is sealed and the next one begun.
    pub file_bytes: u64,
    /// So many bytes all files may have; the oldest is removed to keep to it, its bodies first (L-4).
    pub total_bytes: u64,
    /// So many of them may be bodies: what was sent and what came back. With 0 none are kept.
    pub body_bytes: u64,
    /// How long rows are kept. A file goes when its newest row is older.
    pub keep: Duration,
    /// How long bodies are kept.
    pub keep_bodies: Duration,
    /// How long statistics are kept.
    pub keep_statistics: Duration,
    /// How many postings of the look-up stay in memory, at 8 bytes each, before they are written as a sorted run. A send
    /// has about five. It is also what has to be read again when the log is opened.
    pub postings_in_memory: usize,
}

/// The delivery log in files of SQLite.
pub struct Sqlite {
    writer: Mutex<Option<Queue<Job>>>,
    reader: Mutex<Option<Queue<Query>>>,
    makers: Makers,
    read_only: bool,
    dir: PathBuf,
    catalog: Arc<Catalog>,
    /// One erasure at a time.
    erasing: tokio::sync::Mutex<()>,
}

// === impl LogOptions ===

impl LogOptions {
    /// The log of a data folder, with the defaults: 5 GiB in files of 256 MiB, of which 2 GiB bodies; rows for 30 days,
    /// bodies for 7, statistics for 90; a million postings in memory.
    #[must_use]
    pub fn in_folder(data_dir: &Path) -> Self {
        Self {
            dir: data_dir.to_owned(),
            file_bytes: FILE,
            total_bytes: 5 * 1024 * 1024 * 1024,
            body_bytes: 2 * 1024 * 1024 * 1024,
            keep: Duration::from_secs(30 * 86_400),
            keep_bodies: Duration::from_secs(7 * 86_400),
            keep_statistics: Duration::from_secs(90 * 86_400),
            postings_in_memory: 1_000_000,
        }
    }

    /// The same with these limits, and files so small that there are enough of them to let go of a part.
    #[must_use]
    pub fn limited(self, total_bytes: u64, body_bytes: u64) -> Self {
        let file_bytes = FILE.min(total_bytes / 16).max(64 * 1024);
        Self { total_bytes, body_bytes: body_bytes.min(total_bytes), file_bytes, ..self }
    }

    fn limits(&self) -> Limits {
        let Self { total_bytes, body_bytes, keep, keep_bodies, keep_statistics, .. } = *self;
        Limits { total_bytes, body_bytes, keep, keep_bodies, keep_statistics }
    }
}

// === impl Sqlite ===

impl Sqlite {
    /// Opens the log for work, makes it when there is none.
    ///
    /// A damaged file is set aside, said and left out. This blocks: it is meant for the start of the process.
    ///
    /// # Errors
    /// [`OpenError::Newer`] when a newer anole wrote one of the files; otherwise when files or SQLite fail.
    pub fn open(
        options: &LogOptions,
        telemetry: Arc<Telemetry>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, OpenError> {
        let catalog = Arc::new(Catalog::default());
        let writer = Writer::open(options, Arc::clone(&catalog), Arc::clone(&telemetry), Arc::clone(&clock))?;
        let (appends, jobs) = queue(APPENDS);
        spawn("history-writer", &options.dir, move || writer.run(&jobs))?;
        Self::start(options, catalog, telemetry, clock, Some(appends))
    }

    /// Opens the log for a look while no daemon runs. Nothing is made, removed or set aside; appends give
    /// [`LogError::ReadOnly`].
    ///
    /// # Errors
    /// [`OpenError::Missing`], [`OpenError::Newer`], or when files or SQLite fail.
    pub fn open_read_only(
        options: &LogOptions,
        telemetry: Arc<Telemetry>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, OpenError> {
        let folder = Folder::at(&options.dir);
        let numbers = folder.numbers().unwrap_or_default();
        let Some(last) = numbers.last().copied() else {
            return Err(OpenError::Missing { dir: options.dir.clone() });
        };
        let catalog = Arc::new(Catalog::default());
        let mark = schema::open_reader(&folder.statistics()).and_then(|db| ledger::mark(&db)).ok();
        for number in &numbers {
            let file = folder.file(*number);
            let wrong = |error| LogError::database("opened", &file, error);
            let Ok(db) = schema::open_reader(&file) else { continue };
            // A damaged file is left out when it is looked into.
            let found = schema::format_of(&db).unwrap_or(schema::FORMAT);
            if found > schema::FORMAT {
                return Err(OpenError::Newer { file, found, known: schema::FORMAT });
            }
            if found < schema::OLDEST {
                continue;
            }
            if *number == last {
                intake::show(&db, &file).map_err(wrong)?;
            }
            let mut files = catalog.write();
            // Damage shows again when it is looked into, and is told then.
            let mut held = segment::in_runs(&db).unwrap_or_default();
            if *number == last {
                let (recent, tail) = segment::rebuild(&db).map_err(wrong)?;
                files.next_row = schema::next_row(&db).map_err(wrong)?;
                files.open = Some(last);
                files.recent = recent;
                files.recent_span = tail.span;
                held.join(&tail);
            }
            let has_bodies = folder.bodies(*number).exists();
            files.known.push(Known { number: *number, held, has_bodies, rewritten: 0 });
            // Rows that a daemon has not counted before it ended.
            let behind = match mark.map(|mark| (number.cmp(&mark.file), mark.row)) {
                Some((Ordering::Equal, row)) => row,
                Some((Ordering::Greater, _)) => 0,
                Some((Ordering::Less, _)) | None => continue,
            };
            files.pending.count_rows(&db, behind).map_err(wrong)?;
        }
        Self::start(options, catalog, telemetry, clock, None)
    }

    fn start(
        options: &LogOptions,
        catalog: Arc<Catalog>,
        telemetry: Arc<Telemetry>,
        clock: Arc<dyn Clock>,
        writer: Option<Queue<Job>>,
    ) -> Result<Arc<Self>, OpenError> {
        let reader = Reader {
            folder: Folder::at(&options.dir),
            catalog: Arc::clone(&catalog),
            telemetry,
            clock,
            owner: writer.is_some(),
            // Who only looks has not always read the settings that the daemon goes by.
            limits: if writer.is_some() { options.limits() } else { Limits::default() },
            files: std::collections::HashMap::new(),
            ledger: None,
        };
        let (queries, jobs) = queue(QUERIES);
        spawn("history-reader", &options.dir, move || reader.run(&jobs))?;
        Ok(Arc::new(Self {
            read_only: writer.is_none(),
            makers: Makers::new(options.body_bytes > 0),
            writer: Mutex::new(writer),
            reader: Mutex::new(Some(queries)),
            dir: options.dir.clone(),
            catalog,
            erasing: tokio::sync::Mutex::default(),
        }))
    }

    fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Reader) -> Result<T, LogError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, LogError>> {
        Box::pin(async move {
            self.settle().await?;
            let queue = self.reader.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let (reply, answer) = oneshot::channel();
            let query: Query = Box::new(move |reader| {
                // Who asked may have gone.
                let _gone = reply.send(question(reader));
            });
            queue.ok_or(LogError::Closed)?.put(query).await.map_err(|_| LogError::Closed)?;
            answer.await.map_err(|_| LogError::Closed)?
        })
    }

    /// Has what was appended before put where the reader finds it.
    async fn settle(&self) -> Result<(), LogError> {
        if !self.catalog.read().unsettled {
            return Ok(());
        }
        let queue = self.writer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (reply, answer) = oneshot::channel();
        queue.ok_or(LogError::Closed)?.put(Job::Settle { reply }).await.map_err(|_| LogError::Closed)?;
        answer.await.map_err(|_| LogError::Closed)?
    }

    async fn write(&self, entries: Arc<Vec<Entry>>) -> Result<(), LogError> {
        let queue = self.jobs()?;
        if entries.is_empty() {
            return Ok(());
        }
        let ready = self.makers.make(&entries).await.map_err(|error| LogError::file(&self.dir, error))?;
        // Here, where their memory is: who has given them may have kept none.
        drop(entries);
        let (reply, answer) = oneshot::channel();
        queue.put(Job::Append { entries: ready, reply }).await.map_err(|_| LogError::Closed)?;
        answer.await.map_err(|_| LogError::Closed)?
    }

    fn jobs(&self) -> Result<Queue<Job>, LogError> {
        let queue = self.writer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        queue.ok_or(if self.read_only { LogError::ReadOnly } else { LogError::Closed })
    }

    /// Finds somebody's sends, a part at a time, so that others are answered in between.
    async fn hunt(&self, whose: &Whose) -> Result<Hunt, LogError> {
        let mut hunt = Hunt::default();
        loop {
            let (mut part, whose) = (std::mem::take(&mut hunt), whose.clone());
            let looked = self.ask(move |reader| part.go_on(reader, &whose).map(|all| (part, all))).await?;
            let is_done;
            (hunt, is_done) = looked;
            if is_done {
                return Ok(hunt);
            }
        }
    }

    async fn erase_job<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, LogError>>) -> EraseJob,
    ) -> Result<T, LogError> {
        let (reply, answer) = oneshot::channel();
        self.jobs()?.put(Job::Erase(job(reply))).await.map_err(|_| LogError::Closed)?;
        answer.await.map_err(|_| LogError::Closed)?
    }

    async fn erase_all(&self, whose: Whose) -> Result<LogErased, LogError> {
        let _one_at_a_time = self.erasing.lock().await;
        self.jobs()?;
        let hunt = self.hunt(&whose).await?;
        if hunt.is_in_open(&self.catalog) {
            self.erase_job(|reply| EraseJob::Seal { reply }).await?;
        }
        let folder = Folder::at(&self.dir);
        let mut erased = LogErased::default();
        for (number, rows) in hunt.rows {
            let done = match rewritten(&folder, number, rows, &whose).await {
                // What cannot be read is for a person to remove; the other files go on.
                Err(LogError::Database { error, .. }) if is_damage(&error) => {
                    self.ask(move |reader| reader.set_aside(number, &error)).await?;
                    continue;
                }
                done => done?,
            };
            let Some(done) = done else { continue };
            // A file that went meanwhile took them along.
            self.erase_job(|reply| EraseJob::Swap { number, reply }).await?;
            erased.add(&done);
        }
        Ok(erased)
    }

    async fn end(&self) -> Result<(), LogError> {
        let closed = self
            .ask(|reader| {
                reader.close();
                Ok(())
            })
            .await;
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let (reply, answer) = oneshot::channel();
            writer.put(Job::Close { reply }).await.map_err(|_| LogError::Closed)?;
            answer.await.map_err(|_| LogError::Closed)??;
        }
        match closed {
            Err(LogError::Closed) => Ok(()),
            other => other,
        }
    }
}

impl std::fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sqlite").field("dir", &self.dir).field("read_only", &self.read_only).finish_non_exhaustive()
    }
}

impl DeliveryLog for Sqlite {
    fn append(&self, entries: Arc<Vec<Entry>>) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(self.write(entries))
    }

    fn sends(&self, query: SendQuery) -> BoxFuture<'_, Result<Page<FoundSend>, LogError>> {
        self.ask(move |reader| {
            let (pick, mut sieve) = Sends::of(query);
            let next = search(reader, &pick, &mut sieve)?;
            Ok(Page { items: sieve.found, next })
        })
    }

    fn entries(&self, query: EntryQuery) -> BoxFuture<'_, Result<Page<FoundEntry>, LogError>> {
        self.ask(move |reader| {
            let (pick, mut sieve) = Entries::of(query);
            let next = search(reader, &pick, &mut sieve)?;
            Ok(Page { items: sieve.found, next })
        })
    }

    fn entry(&self, id: AttemptId) -> BoxFuture<'_, Result<Option<WholeEntry>, LogError>> {
        self.ask(move |reader| reader.entry(id))
    }

    fn histogram(&self, query: HistogramQuery) -> BoxFuture<'_, Result<Histogram, LogError>> {
        self.ask(move |reader| reader.histogram(query))
    }

    fn statistics(&self, query: StatisticsQuery) -> BoxFuture<'_, Result<Statistics, LogError>> {
        self.ask(move |reader| reader.statistics(&query))
    }

    fn stat(&self) -> BoxFuture<'_, Result<LogStat, LogError>> {
        self.ask(Reader::stat)
    }

    fn erasable(&self, whose: Whose) -> BoxFuture<'_, Result<LogErased, LogError>> {
        Box::pin(async move { Ok(self.hunt(&whose).await?.counted) })
    }

    fn erase(&self, whose: Whose) -> BoxFuture<'_, Result<LogErased, LogError>> {
        Box::pin(self.erase_all(whose))
    }

    fn close(&self) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(self.end())
    }
}

fn search(reader: &mut Reader, pick: &Pick, sift: &mut dyn Sift) -> Result<Option<crate::Cursor>, LogError> {
    reader.search(pick, sift)
}

fn spawn(name: &str, dir: &Path, run: impl FnOnce() + Send + 'static) -> Result<(), OpenError> {
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    started.map(|_| ()).map_err(|error| LogError::file(dir, error).into())
}
