//! The journal of segments on the local disk.
//!
//! A position is the logical offset of a record in the whole log: the base of its segment and its place in the file. So
//! finding a position is arithmetic, and no index has to be kept, rebuilt or trusted. There is one partition.
//!
//! One thread writes (`commit`), another keeps house (`keeper`: indexes, retention, erasure), any number of readers read
//! (`reader`, `cursor`); they share a list of segments and the durable end (`log`). Nothing is ever changed in place behind the durable end.

mod commit;
mod cursor;
mod dropped;
mod erase;
mod format;
mod index;
mod keeper;
mod log;
mod lookup;
mod mark;
mod open;
mod queue;
mod reader;
mod repair;
mod retention;
mod segment;
#[cfg(test)]
mod tests;
mod verify;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anole_event::{Clock, Fingerprint, Position, Random, Record, Timestamp};
use anole_telemetry::{AppendFailed, JournalOpened, Telemetry};
use tokio::sync::watch;

use self::commit::{Active, Committer, Next, Settings};
use self::erase::{Erasing, Mask};
use self::format::{MAX_PAYLOAD, SLOT};
use self::keeper::{Chores, Keeper};
use self::log::{Log, lock};
use self::mark::EndMark;
use self::open::{Access, Found};
pub use self::open::{OpenCode, OpenError};
use self::queue::{Pending, Queue};
use self::reader::EmbeddedReader;
pub use self::repair::{Step, plan_repair};
pub use self::retention::OnFull;
use self::retention::Policy;
use self::segment::MAX_BASE;
pub use self::verify::{Finding, Flaw, Verified, verify};
use crate::disk::{self, File};
use crate::{
    AckLevel, Append, AppendCode, AppendError, Erase, EraseError, Found as Hits, Gap, Journal, ReadError, Reader, Stat,
    Which,
};

/// With less room than this the journal calls itself full, although a small event may still fit: the largest one that is
/// taken by default would not.
const LAST_ROOM: u64 = 64 * 1024;

/// How an embedded journal is kept.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// The folder of its segments. It is made when it is not there. Nobody else may write in it: whoever opens a data
    /// folder locks it first.
    pub dir: PathBuf,
    /// When appends are acknowledged. Default `fsync`.
    pub ack: AckLevel,
    /// How large a segment may grow, in bytes; one append alone may be larger. Default 64 MiB.
    pub segment_bytes: u64,
    /// How many bytes may wait to be written before appends are refused with `busy`. Default 64 MiB.
    pub queue_bytes: u64,
    /// About how many bytes a reader reads at once. Default 256 KiB.
    pub block_bytes: usize,
    /// How many bytes the journal may have before appends are refused with `full`. Default: any number. Set it by
    /// [`Self::limited`], so that segments are small enough for retention to keep to it.
    pub max_bytes: Option<u64>,
    /// What happens at `max_bytes`. Default: appends are refused.
    pub on_full: OnFull,
    /// How long events are kept that every lane is done with. Default 7 days.
    pub keep: Duration,
    /// How many bytes of the disk stay free at most; on small disks a twentieth of it. Default 1 GiB.
    pub reserve: u64,
    /// No record gets a position before this one. It is the greatest position that other stores know of (the progress of
    /// lanes): should this folder be younger than they are, what is appended next must not look as if it was done.
    pub not_before: Position,
}

/// The journal of segments on the local disk.
#[derive(Debug)]
pub struct Embedded {
    log: Arc<Log>,
    queue: Arc<Queue>,
    options: EmbeddedOptions,
    chores: Arc<Chores>,
    work: Mutex<Work>,
}

/// Who writes and keeps house.
#[derive(Debug, Default)]
enum Work {
    /// Nobody any more, or nobody ever: it is open for reading only.
    #[default]
    Nobody,
    /// Threads of their own.
    Threads([JoinHandle<()>; 2]),
    /// Whoever calls [`Embedded::step`].
    #[cfg(feature = "simulation")]
    Caller(Box<Committer>, Box<Keeper>),
}

// === impl EmbeddedOptions ===

impl EmbeddedOptions {
    /// The defaults for this folder.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            ack: AckLevel::Fsync,
            segment_bytes: 64 * 1024 * 1024,
            queue_bytes: 64 * 1024 * 1024,
            block_bytes: 256 * 1024,
            max_bytes: None,
            on_full: OnFull::Refuse,
            keep: Duration::from_secs(7 * 24 * 60 * 60),
            reserve: 1 << 30,
            not_before: Position::default(),
        }
    }

    /// With a limit for the size of the journal, in bytes, and segments of a sixteenth of it at most.
    #[must_use]
    pub fn limited(mut self, max_bytes: u64) -> Self {
        self.max_bytes = Some(max_bytes);
        self.segment_bytes = self.segment_bytes.min(max_bytes / 16).max(4096);
        self
    }
}

// === impl Embedded ===

impl Embedded {
    /// Opens a folder for appending and reading. A torn tail is cut, and what is left is synced, before this returns.
    ///
    /// # Errors
    /// When the folder cannot be read or made, or holds a segment of a later version. Damage is no error: it is told, and
    /// readers meet it as gaps. Nor is a disk on which no segment can be begun: appends fail then, until one can.
    pub fn open(
        options: EmbeddedOptions,
        telemetry: Arc<Telemetry>,
        clock: Arc<dyn Clock>,
        random: Box<dyn Random>,
    ) -> Result<Arc<Self>, OpenError> {
        let (journal, committer, keeper) = Self::make(options, telemetry, clock, random)?;
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let committing = thread("anole-journal").spawn(move || committer.run()).map_err(OpenError::Thread)?;
        let keeping = thread("anole-keeper").spawn(move || keeper.run()).map_err(OpenError::Thread)?;
        *lock(&journal.work) = Work::Threads([committing, keeping]);
        Ok(Arc::new(journal))
    }

    /// As [`Embedded::open`], but without a thread: nothing is written but by [`Embedded::step`], so that a test on a
    /// simulated disk does the same at each run.
    ///
    /// # Errors
    /// As [`Embedded::open`].
    #[cfg(feature = "simulation")]
    pub fn open_stepped(
        options: EmbeddedOptions,
        telemetry: Arc<Telemetry>,
        clock: Arc<dyn Clock>,
        random: Box<dyn Random>,
    ) -> Result<Arc<Self>, OpenError> {
        let (journal, committer, keeper) = Self::make(options, telemetry, clock, random)?;
        *lock(&journal.work) = Work::Caller(Box::new(committer), Box::new(keeper));
        Ok(Arc::new(journal))
    }

    /// Does one round of what the journal's threads do: writes, syncs and answers one batch, or what is due when there is
    /// none. Does nothing to a journal that was not opened by [`Embedded::open_stepped`].
    #[cfg(feature = "simulation")]
    pub fn step(&self) {
        if let Work::Caller(committer, keeper) = &mut *lock(&self.work) {
            // Twice: the first may only end a segment because the keeper has asked for it.
            committer.turn(Some(Duration::ZERO));
            committer.turn(Some(Duration::ZERO));
            keeper.turn();
        }
    }

    fn make(
        options: EmbeddedOptions,
        telemetry: Arc<Telemetry>,
        clock: Arc<dyn Clock>,
        random: Box<dyn Random>,
    ) -> Result<(Self, Committer, Keeper), OpenError> {
        make_folder(&options).map_err(|source| OpenError::Io { path: options.dir.clone(), source })?;
        let found = open::find(&options.dir, Access::ReadWrite, &telemetry)?;
        let (tail, watched) = watch::channel(found.tail);
        let log = Arc::new(Log::new(options.dir.clone(), telemetry, &found, watched));
        let queue = Arc::new(Queue::new(options.queue_bytes));
        let next = next_after(&found, &options);
        let keeper = Keeper {
            log: Arc::clone(&log),
            queue: Arc::clone(&queue),
            chores: Arc::default(),
            policy: Policy {
                keep: options.keep,
                max_bytes: options.max_bytes,
                on_full: options.on_full,
                segment_bytes: options.segment_bytes,
            },
            reserve: options.reserve,
            clock: Arc::clone(&clock),
            indexed: BTreeSet::new(),
            unsynced: false,
        };
        keeper.look_at_space();
        let settings = Settings { ack: options.ack, segment_bytes: options.segment_bytes, clock, random };
        let mut committer = Committer::new(Arc::clone(&log), Arc::clone(&queue), tail, settings, next);
        committer.chores = Arc::clone(&keeper.chores);
        committer.mark = open_mark(&options, &committer);
        committer.active = resume(&found, &committer, &options);
        if committer.active.is_none() {
            committer.begin_or_say();
        }
        let stat = log.stat(options.ack);
        log.telemetry.emit(JournalOpened { dir: &log.dir, segments: stat.segments.len(), bytes: stat.bytes });
        let chores = Arc::clone(&keeper.chores);
        Ok((Self { log, queue, options, chores, work: Mutex::default() }, committer, keeper))
    }

    /// Opens a folder for reading only: nothing in it is changed, and appends fail. It shows what was there at this
    /// moment; a daemon may be writing in the folder.
    ///
    /// # Errors
    /// When the folder cannot be read, or holds a segment of a later version.
    pub fn open_read_only(dir: impl AsRef<Path>, telemetry: Arc<Telemetry>) -> Result<Arc<Self>, OpenError> {
        let options = EmbeddedOptions::new(dir.as_ref());
        let found = open::find(&options.dir, Access::ReadOnly, &telemetry)?;
        let (_, watched) = watch::channel(found.tail);
        let log = Arc::new(Log::new(options.dir.clone(), telemetry, &found, watched));
        let queue = Arc::new(Queue::new(0));
        queue.close();
        let chores = Arc::new(Chores::default());
        chores.close();
        Ok(Arc::new(Self { log, queue, options, chores, work: Mutex::default() }))
    }

    /// Takes no more appends, writes and answers those that wait, and returns when everything is on the disk. Readers
    /// come to an end. Dropping the journal does the same.
    pub fn close(&self) {
        self.queue.close();
        match std::mem::take(&mut *lock(&self.work)) {
            Work::Nobody => {}
            // A panic of a thread was told when it happened; whoever waited has got `closed`.
            Work::Threads([committing, keeping]) => {
                let _ended = committing.join();
                self.chores.close();
                let _ended = keeping.join();
            }
            #[cfg(feature = "simulation")]
            Work::Caller(mut committer, mut keeper) => {
                while committer.turn(Some(Duration::ZERO)) {}
                committer.end();
                keeper.end();
            }
        }
    }

    fn check(&self, records: &[Record]) -> Result<(), AppendError> {
        let bytes: u64 = records.iter().map(Pending::cost_of).sum();
        let waiting = self.queue.cost();
        let held = self.log.bytes() + waiting;
        if let Some(limit) = self.options.max_bytes
            && held + bytes > limit
        {
            return Err(AppendError::Full { bytes: held, limit });
        }
        let room = self.log.room().saturating_sub(waiting);
        if bytes > room {
            return Err(AppendError::NoRoom { room });
        }
        match records.iter().map(|record| record.bytes().len()).find(|length| length + SLOT > MAX_PAYLOAD) {
            Some(length) => {
                let detail = format!("a record has {length} bytes, the format holds {}", MAX_PAYLOAD - SLOT);
                Err(AppendError::Failed { code: AppendCode::TooLarge, detail: detail.into() })
            }
            None => Ok(()),
        }
    }
}

impl Journal for Embedded {
    fn ack(&self) -> AckLevel {
        self.options.ack
    }

    fn append(&self, records: Vec<Record>) -> Append {
        if records.is_empty() {
            return Append::ready(Ok(Vec::new()));
        }
        if let Err(error) = self.check(&records) {
            return Append::ready(Err(error));
        }
        let (reply, append) = Append::pending();
        if let Err((error, reply)) = self.queue.push(Pending::new(records, reply)) {
            reply.send(Err(error));
        }
        append
    }

    fn reader(&self, from: Position) -> Box<dyn Reader> {
        // A position of another partition is none of ours: there is nothing of it to read but what comes.
        let from = if from.partition == 0 { from.offset } else { u64::MAX };
        Box::new(EmbeddedReader::new(Arc::clone(&self.log), from, self.options.block_bytes))
    }

    fn starts(&self) -> Vec<Position> {
        vec![Position::at(self.log.start())]
    }

    fn ends(&self) -> Vec<Position> {
        vec![Position::at(self.log.tail().end)]
    }

    fn stat(&self) -> Stat {
        self.log.stat(self.options.ack)
    }

    fn ready(&self) -> Result<(), AppendError> {
        if self.queue.is_closed() {
            return Err(AppendError::Closed);
        }
        let bytes = self.log.bytes() + self.queue.cost();
        if let Some(limit) = self.options.max_bytes
            && bytes + LAST_ROOM > limit
        {
            return Err(AppendError::Full { bytes, limit });
        }
        let room = self.log.room();
        if room < LAST_ROOM {
            return Err(AppendError::NoRoom { room });
        }
        self.log.failing().map_or(Ok(()), Err)
    }

    fn trim(&self, keep_from: &[Position]) {
        for position in keep_from.iter().filter(|position| position.partition == 0) {
            self.log.trim(position.offset);
            self.chores.nudge();
        }
    }

    fn erase(&self, which: Which) -> Erase {
        let (reply, erase) = Erase::pending();
        let mask = Arc::new(Mask::new(which, self.log.tail().end));
        self.log.hide(&mask);
        if let Err(refused) = self.chores.erase(Erasing::new(mask, reply)) {
            self.log.unhide(&refused.mask);
            refused.reply.send(Err(EraseError::Closed));
        }
        erase
    }

    fn find(&self, fingerprint: Fingerprint, from: Position, most: u64) -> Result<Hits, ReadError> {
        // The indexes answer, so there is nothing to be bounded.
        let _bounded_otherwise = most;
        let from = if from.partition == 0 { from.offset } else { u64::MAX };
        let next = Position::at(self.log.tail().end);
        Ok(Hits { records: self.log.find(fingerprint, from)?, next })
    }

    fn recent(
        &self,
        since: Timestamp,
        most: usize,
        tell: &mut dyn FnMut(Fingerprint, Timestamp),
    ) -> Result<(), ReadError> {
        self.log.recent(since, most, tell)
    }

    fn lost(&self, gap: &Gap, pipeline: &str) -> Option<u64> {
        self.log.lost(gap, pipeline)
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.close();
    }
}

fn make_folder(options: &EmbeddedOptions) -> std::io::Result<()> {
    let dir = &options.dir;
    disk::create_dir(dir)?;
    if options.ack == AckLevel::Memory {
        return Ok(());
    }
    // The folder's own entry: without it all segments may be gone after a loss of power.
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    disk::sync_dir(parent)?;
    disk::sync_dir(dir)
}

/// The end mark. Without it the journal works all the same, and only knows less after damage.
fn open_mark(options: &EmbeddedOptions, committer: &Committer) -> Option<EndMark> {
    if options.ack == AckLevel::Memory {
        return None;
    }
    let opened = EndMark::open(&options.dir);
    opened
        .inspect_err(|error| {
            committer.log.telemetry.emit(AppendFailed { code: AppendCode::MarkFailed.as_str(), error });
        })
        .ok()
}

/// How the next segment begins, should the last one not be gone on with.
fn next_after(found: &Found, options: &EmbeddedOptions) -> Next {
    let not_before = options.not_before.offset.max(found.behind).min(MAX_BASE);
    if let Some(mark) = found.acknowledged {
        // What is missing lies between the end that was found and the end that this header tells: readers count it.
        // The mark itself may be older than what was acknowledged, so the base lies far ahead of it too.
        let base = not_before.max(far_ahead(mark.end));
        return Next { base, previous_end: mark.end, running: mark.running, replaces: None };
    }
    let Some(last) = found.segments.last() else { return Next { base: not_before, ..Next::default() } };
    // What was acknowledged unsynced may be gone after a loss of power, and lanes may have come further than what is left.
    // Their positions are not given again: the new base lies more than 4 GiB ahead, and no 100 ms hold as much.
    let unsynced = last.ack != Some(AckLevel::Fsync);
    let base = if unsynced { far_ahead(found.tail.end) } else { found.tail.end };
    Next::after(last, found.tail, base.max(not_before))
}

/// More than 4 GiB ahead of a position.
const fn far_ahead(position: u64) -> u64 {
    ((position >> 32) + 2) << 32
}

/// Cuts and syncs the last segment, and goes on with it where that is safe.
fn resume(found: &Found, committer: &Committer, options: &EmbeddedOptions) -> Option<Active> {
    let last = found.segments.last()?;
    let tail = found.tail;
    let settled = File::write(&last.path).and_then(|file| {
        file.set_len(tail.end - last.base)?;
        if options.ack != AckLevel::Memory {
            file.sync_all()?;
        }
        Ok(file)
    });
    let file = match settled {
        Ok(file) => file,
        Err(error) => {
            committer.log.telemetry.emit(AppendFailed { code: AppendCode::SyncFailed.as_str(), error });
            return None;
        }
    };
    let same = last.ack == Some(AckLevel::Fsync) && options.ack == AckLevel::Fsync;
    let ahead = options.not_before.offset.max(found.behind).min(MAX_BASE) > tail.end;
    if !same || ahead || found.acknowledged.is_some() {
        return None;
    }
    Some(Active { segment: Arc::clone(last), file, tail, reserved: tail.end - last.base })
}
