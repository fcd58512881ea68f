//! The committer: one thread that writes what waits, syncs it, and only then answers.
//!
//! One round: take what waits (up to 4 MiB), put it into groups in one buffer, write the buffer with one call, sync with
//! one call, move the durable end, answer everybody.
//!
//! **When something fails** (J-7). After an error of fsync Linux forgets the pages that it could not write and calls the
//! next fsync a success, so asking again proves nothing; after an error of write nobody knows how much of it is in the
//! file. Both are final for the segment:
//!
//! 1. Everything in the round fails. Nothing of it was visible to readers, for the durable end has not moved.
//! 2. The file is cut at its last good end. That may fail too, and nothing depends on it.
//! 3. A new segment is begun. Its header says where the old one ends (`previous_end`), and it is on the disk before
//!    anything is acknowledged in it; what the old file holds behind that end is never read again. Its base lies behind
//!    everything that may have been written, so that no position ever stands for two records.
//!
//! Should the machine stop between 1 and 3, a group that failed may be found whole at the next start and be kept. That is
//! the lot of every append that was cut off: whoever made it was not told that it is safe, will make it again, and
//! de-duplication knows both by their message id.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anole_event::{Clock, Mono, Position, Random};
use anole_telemetry::{AppendFailed, GroupSynced, SegmentRolled};
use tokio::sync::watch;

use super::format::{GroupWriter, HEAD, HEADER, Header, MAX_PAYLOAD, SLOT};
use super::index::Entry;
use super::keeper::Chores;
use super::log::{Log, Tail, lock};
use super::mark::EndMark;
use super::queue::{Pending, Queue, Taken};
use super::segment::Segment;
use crate::disk::{self, File};
use crate::{AckLevel, AppendCode, AppendError, AppendReply};

/// What one round writes at most, unless one append alone is larger. More would only make the others wait.
const ROUND_BYTES: u64 = 4 * 1024 * 1024;
/// A group is ended when it has this many bytes of records: what damage costs, and what a reader reads at once.
const GROUP_BYTES: usize = 256 * 1024;
/// How much space is reserved at a time. A whole segment would be taken from a small disk, and from memory where the folder
/// lies in memory, by a journal that holds three events.
const RESERVE: u64 = 4 * 1024 * 1024;
/// How long data may be with the operating system only, at level `write`.
const SYNC_EVERY: Duration = Duration::from_millis(100);
/// How long after a segment could not be begun it is tried again, when no append comes to try it earlier.
const BEGIN_EVERY: Duration = Duration::from_secs(1);

/// The writing side of the journal.
#[derive(Debug)]
pub(crate) struct Committer {
    pub(crate) log: Arc<Log>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) tail: watch::Sender<Tail>,
    pub(crate) settings: Settings,
    /// The segment that is appended to. None where it failed and no new one could be begun yet.
    pub(crate) active: Option<Active>,
    /// How the next segment begins.
    pub(crate) next: Next,
    /// What the keeper is told: that a segment was ended.
    pub(crate) chores: Arc<Chores>,
    /// What is to be known of the records of one round.
    entries: Vec<Entry>,
    /// Where it is noted how far the journal is acknowledged.
    pub(crate) mark: Option<EndMark>,
    buffer: Vec<u8>,
    /// Since when data waits to be synced, at level `write`.
    unsynced: Option<Mono>,
}

/// What the committer is given.
pub(crate) struct Settings {
    pub(crate) ack: AckLevel,
    pub(crate) segment_bytes: u64,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Box<dyn Random>,
}

/// The segment that is appended to.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) segment: Arc<Segment>,
    pub(crate) file: File,
    /// How far it is good.
    pub(crate) tail: Tail,
    /// Up to which length of the file space was asked for.
    pub(crate) reserved: u64,
}

/// How the next segment begins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Next {
    /// The position of its first byte.
    pub(crate) base: u64,
    /// Where the one before it ends.
    pub(crate) previous_end: u64,
    /// How many records were accepted up to there.
    pub(crate) running: u64,
    /// A segment without records whose place it takes.
    pub(crate) replaces: Option<Arc<Segment>>,
}

type Answers = Vec<(AppendReply, Vec<Position>)>;

// === impl Next ===

impl Next {
    /// What follows a segment that is good up to `tail`, when positions up to `base` may have been written.
    pub(crate) fn after(segment: &Arc<Segment>, tail: Tail, base: u64) -> Self {
        let empty = tail.end <= segment.first();
        Self {
            base: base.max(tail.end),
            previous_end: if empty { segment.previous_end } else { tail.end },
            running: tail.running,
            replaces: empty.then(|| Arc::clone(segment)),
        }
    }
}

// === impl Active ===

impl Active {
    /// Asks for space for what is to be written, and some ahead, within the segment's size.
    fn reserve(&mut self, length: u64, segment_bytes: u64) {
        let needed = self.tail.end - self.segment.base + length;
        if needed > self.reserved {
            self.reserved = needed.max(segment_bytes.min(needed + RESERVE));
            self.file.reserve(self.reserved);
        }
    }
}

// === impl Committer ===

impl Committer {
    /// A committer that has not begun.
    pub(crate) fn new(
        log: Arc<Log>,
        queue: Arc<Queue>,
        tail: watch::Sender<Tail>,
        settings: Settings,
        next: Next,
    ) -> Self {
        Self {
            log,
            queue,
            tail,
            settings,
            active: None,
            next,
            chores: Arc::default(),
            entries: Vec::new(),
            mark: None,
            buffer: Vec::new(),
            unsynced: None,
        }
    }

    /// Writes until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        while self.turn(None) {}
        self.end();
    }

    /// Does what there is to do, and waits for something: as long as it takes, or as long as is said. False when the
    /// queue is closed and empty.
    pub(crate) fn turn(&mut self, at_most: Option<Duration>) -> bool {
        let age = |since| self.settings.clock.mono().since(since);
        let wait = match (&self.active, self.unsynced) {
            (None, _) => Some(BEGIN_EVERY),
            (_, Some(since)) => Some(SYNC_EVERY.saturating_sub(age(since))),
            _ => None,
        };
        match self.queue.take(ROUND_BYTES, at_most.or(wait)) {
            Taken::Batch(batch) => {
                self.round(batch);
                self.sync_when_due();
            }
            Taken::Roll => self.roll_if_used(),
            Taken::Idle if self.active.is_none() => self.begin_or_say(),
            Taken::Idle => self.sync_when_due(),
            Taken::Closed => return false,
        }
        true
    }

    /// Ends the segment for good.
    pub(crate) fn end(&mut self) {
        if let Some(active) = self.active.take() {
            self.seal(&active);
        }
    }

    /// Writes, syncs and answers one batch.
    fn round(&mut self, batch: Vec<Pending>) {
        self.make_room(&batch);
        let Some(active) = &mut self.active else {
            let error = self.log.failing().unwrap_or(AppendError::Closed);
            return refuse(batch.into_iter().map(|pending| pending.reply), &error);
        };
        let started = self.settings.clock.mono();
        self.buffer.clear();
        let mut writer =
            GroupWriter::new(&mut self.buffer, active.tail.end, active.segment.file_id, active.tail.running);
        self.entries.clear();
        let answers = put(batch, &mut writer, active.segment.base, &mut self.entries);
        let tail = Tail { running: writer.running(), end: active.tail.end + self.buffer.len() as u64 };
        active.reserve(self.buffer.len() as u64, self.settings.segment_bytes);
        let place = active.tail.end - active.segment.base;
        let written = active.file.write_all_at(&self.buffer, place).map_err(|error| (AppendCode::WriteFailed, error));
        let synced = written.and_then(|()| match self.settings.ack {
            AckLevel::Fsync => active.file.sync_data().map_err(|error| (AppendCode::SyncFailed, error)),
            AckLevel::Write | AckLevel::Memory => Ok(()),
        });
        if let Err((code, error)) = synced {
            let error = self.fail(code, &error, tail.end);
            return refuse(answers.into_iter().map(|(reply, _)| reply), &error);
        }
        let records = tail.running - active.tail.running;
        active.tail = tail;
        if self.settings.ack == AckLevel::Write {
            self.unsynced.get_or_insert(started);
        }
        // What was added counts, and readers see it, before anybody has his answer: he may rely on both.
        let bytes = self.buffer.len() as u64;
        let journal_bytes = self.log.grow(bytes);
        self.log.note(&mut self.entries);
        if let Some(mark) = &mut self.mark {
            // It only helps to count what damage takes later on: an append does not fail with it.
            let _only_a_help = mark.set(tail);
        }
        self.tail.send_replace(tail);
        for (reply, positions) in answers {
            reply.send(Ok(positions));
        }
        let took = self.settings.clock.mono().since(started);
        self.log.telemetry.emit(GroupSynced { records, bytes, took, journal_bytes });
        self.buffer.shrink_to(2 * ROUND_BYTES as usize);
    }

    /// Sees to it that there is a segment with room for the batch, if that can be had.
    fn make_room(&mut self, batch: &[Pending]) {
        if let Some(active) = &self.active {
            let most = batch.iter().flat_map(|pending| &pending.records).map(|it| it.bytes().len() + SLOT + HEAD);
            let end = active.tail.end + most.sum::<usize>() as u64;
            let holds_some = active.tail.end > active.segment.first();
            if end > active.segment.base + self.settings.segment_bytes && holds_some {
                self.roll();
            }
        }
        if self.active.is_none() {
            self.begin_or_say();
        }
    }

    /// Ends the segment.
    fn roll(&mut self) {
        if let Some(active) = self.active.take() {
            self.seal(&active);
            self.next = Next::after(&active.segment, active.tail, active.tail.end);
        }
    }

    /// Ends the segment when it holds records, or has failed, and begins the next one.
    fn roll_if_used(&mut self) {
        if self.active.as_ref().is_none_or(|active| active.tail.end > active.segment.first()) {
            self.roll();
            self.begin_or_say();
        }
    }

    /// Gives back the space that a segment did not need, and syncs it.
    fn seal(&mut self, active: &Active) {
        let mut sealed = active.file.set_len(active.tail.end - active.segment.base);
        if self.settings.ack != AckLevel::Memory {
            sealed = sealed.and_then(|()| active.file.sync_all());
        }
        self.unsynced = None;
        if let Err(error) = sealed {
            // At level `fsync` everything in it is on the disk already; at `write` the last 100 ms may not be.
            self.log.telemetry.emit(AppendFailed { code: AppendCode::SyncFailed.as_str(), error });
        }
    }

    fn sync_when_due(&mut self) {
        let now = self.settings.clock.mono();
        if self.unsynced.is_some_and(|since| now.since(since) >= SYNC_EVERY) {
            self.sync();
        }
    }

    /// Syncs what was acknowledged at level `write`.
    fn sync(&mut self) {
        if self.unsynced.take().is_some()
            && let Some(active) = &self.active
            && let Err(error) = active.file.sync_data()
        {
            let end = active.tail.end;
            self.fail(AppendCode::SyncFailed, &error, end);
        }
    }

    /// Gives a segment up, and begins the next one if that can be had.
    fn fail(&mut self, code: AppendCode, error: &io::Error, written: u64) -> AppendError {
        let error = self.say(code, error);
        if let Some(active) = self.active.take() {
            // Best effort: see the head of this file.
            let _cut = active.file.set_len(active.tail.end - active.segment.base);
            if code == AppendCode::WriteFailed && self.unsynced.is_some() {
                // What was acknowledged at level `write` was written well, and nobody else would sync it.
                let _synced = active.file.sync_data();
            }
            self.next = Next::after(&active.segment, active.tail, written);
        }
        self.unsynced = None;
        self.begin_or_say();
        error
    }

    fn say(&self, code: AppendCode, error: &io::Error) -> AppendError {
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let code = if full { AppendCode::DiskFull } else { code };
        self.log.telemetry.emit(AppendFailed { code: code.as_str(), error });
        AppendError::Failed { code, detail: error.to_string().into() }
    }

    /// Begins the next segment; where that fails, notes why.
    pub(crate) fn begin_or_say(&mut self) {
        let failing = self.begin().err().map(|error| self.say(AppendCode::SegmentFailed, &error));
        self.log.set_failing(failing);
    }

    /// Begins the next segment. It gets its name when its header is on the disk, and its name is on the disk before
    /// anything is acknowledged in it.
    fn begin(&mut self) -> io::Result<()> {
        let header = Header {
            ack: self.settings.ack,
            base: self.next.base,
            file_id: self.settings.random.next(),
            running: self.next.running,
            previous_end: self.next.previous_end,
            created: self.settings.clock.wall(),
        };
        let path = Segment::path_in(&self.log.dir, header.base);
        let unfinished = disk::unfinished(&path);
        let file = self.write_header(&header, &unfinished).inspect_err(|_| {
            // An unfinished file does no harm, and the next start removes it.
            let _left = disk::remove(&unfinished);
        })?;
        disk::rename(&unfinished, &path)?;
        if self.settings.ack != AckLevel::Memory {
            disk::sync_dir(&self.log.dir)?;
        }
        let segment = Arc::new(Segment::new(&header, path));
        let tail = Tail { end: segment.first(), running: header.running };
        let replaced = self.next.replaces.take();
        self.log.push(Arc::clone(&segment), replaced.as_ref().map(|replaced| replaced.base));
        if let Some(replaced) = replaced {
            // It holds no record, and the header of the new one passes over it. Should it stay behind, the keeper removes it
            // before it removes that one.
            if disk::remove(&replaced.path).is_err() {
                lock(&self.log.replaced).push(replaced);
            }
        }
        self.log.telemetry.emit(SegmentRolled { file: &segment.path });
        self.active = Some(Active { segment, file, tail, reserved: HEADER });
        self.tail.send_replace(tail);
        self.chores.nudge();
        Ok(())
    }

    fn write_header(&self, header: &Header, path: &std::path::Path) -> io::Result<File> {
        let file = File::create(path)?;
        file.write_all_at(&header.encode(), 0)?;
        if self.settings.ack != AckLevel::Memory {
            file.sync_all()?;
        }
        Ok(file)
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("ack", &self.ack).finish_non_exhaustive()
    }
}

/// Puts a batch into groups. What was appended together shares a group where it fits.
fn put(batch: Vec<Pending>, writer: &mut GroupWriter<'_>, base: u64, entries: &mut Vec<Entry>) -> Answers {
    let mut answers = Vec::with_capacity(batch.len());
    for Pending { records, reply, .. } in batch {
        let size: usize = records.iter().map(|record| record.bytes().len() + SLOT).sum();
        if writer.payload() + size > GROUP_BYTES {
            writer.close();
        }
        let mut place = |record: &anole_event::Record| {
            if writer.payload() + record.bytes().len() + SLOT > MAX_PAYLOAD {
                writer.close();
            }
            let position = writer.push(record.bytes());
            entries.push(Entry::of(record.bytes(), position.offset - base));
            position
        };
        answers.push((reply, records.iter().map(&mut place).collect()));
    }
    writer.close();
    answers
}

fn refuse(replies: impl Iterator<Item = AppendReply>, error: &AppendError) {
    for reply in replies {
        reply.send(Err(error.clone()));
    }
}
