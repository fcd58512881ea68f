//! What committer and readers share: the list of segments, how far the journal is durable, and what was said of damage.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anole_event::Position;
use anole_telemetry::{JournalDamaged, Telemetry};
use tokio::sync::watch;

use super::dropped::Dropped;
use super::erase::Mask;
use super::format::HEADER;
use super::index::{About, Entry};
use super::open::Found;
use super::segment::Segment;
use crate::{AckLevel, AppendError, SegmentStat, Stat};

/// How far the journal is durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tail {
    /// The position behind the last durable group.
    pub(crate) end: u64,
    /// How many records were accepted up to there, in all the life of the journal.
    pub(crate) running: u64,
}

/// The shared part of an open journal.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) dir: PathBuf,
    pub(crate) telemetry: Arc<Telemetry>,
    /// Oldest first.
    segments: Mutex<Vec<Arc<Segment>>>,
    /// The last state is kept after the committer has gone.
    tail: watch::Receiver<Tail>,
    /// How many bytes the segments have. Not the distance from start to end: positions may be left out between segments.
    bytes: AtomicU64,
    /// What delivery no longer needs: everything before it. Retention goes by it.
    keep_from: AtomicU64,
    /// How many bytes the indexes have.
    pub(crate) index_bytes: AtomicU64,
    /// How many bytes may still be written before the free space of the disk falls below what is to stay free.
    room: AtomicU64,
    /// What is known of the records of segments that have no index, oldest first. The last one is appended to.
    fresh: Mutex<VecDeque<Fresh>>,
    /// Indexes whose segments are gone, by base, and where they were. They count what went.
    pub(crate) orphans: Mutex<BTreeMap<u64, About>>,
    /// What was dropped for want of room and not passed by every lane yet.
    pub(crate) dropped: Mutex<Dropped>,
    /// Segments without records whose place another one has taken, and that could not be removed yet.
    pub(crate) replaced: Mutex<Vec<Arc<Segment>>>,
    /// What is being erased: it is hidden before it is gone.
    masks: Mutex<Vec<Arc<Mask>>>,
    /// Whether there are any: spares readers the lock.
    masked: AtomicBool,
    /// Where damage begins that was said already: several readers meet the same.
    said: Mutex<BTreeSet<u64>>,
    /// Why nothing can be appended just now.
    failing: Mutex<Option<AppendError>>,
}

/// What is known of the records of a segment that has no index yet.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) segment: Arc<Segment>,
    pub(crate) entries: Vec<Entry>,
}

/// Where a position lies.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// Before everything that is kept; the first segment.
    Before(Arc<Segment>),
    /// In this segment.
    In {
        /// The segment.
        segment: Arc<Segment>,
        /// The position behind its last accepted group.
        limit: u64,
        /// How many records were accepted up to there, where that is known.
        running: Option<u64>,
        /// The segment behind it.
        next: Option<Arc<Segment>>,
    },
    /// There is no segment.
    Nowhere,
}

// === impl Fresh ===

impl Fresh {
    fn of(segment: &Arc<Segment>, entries: Vec<Entry>) -> Self {
        Self { segment: Arc::clone(segment), entries }
    }
}

// === impl Log ===

impl Log {
    /// The log of a folder, whose end `tail` tells.
    pub(crate) fn new(dir: PathBuf, telemetry: Arc<Telemetry>, found: &Found, tail: watch::Receiver<Tail>) -> Self {
        let log = Self {
            dir,
            telemetry,
            segments: Mutex::new(found.segments.clone()),
            tail,
            bytes: AtomicU64::new(0),
            keep_from: AtomicU64::new(0),
            index_bytes: AtomicU64::new(found.indexes.iter().map(About::bytes).sum()),
            room: AtomicU64::new(u64::MAX),
            fresh: Mutex::new(
                found.segments.last().map(|last| Fresh::of(last, found.entries.clone())).into_iter().collect(),
            ),
            orphans: Mutex::new(found.orphans()),
            dropped: Mutex::new(found.dropped.clone()),
            replaced: Mutex::new(found.replaced.clone()),
            masks: Mutex::default(),
            masked: AtomicBool::new(false),
            said: Mutex::new(found.said.iter().copied().collect()),
            failing: Mutex::default(),
        };
        log.grow(log.stat(AckLevel::Memory).bytes);
        log
    }

    /// How far it is durable now.
    pub(crate) fn tail(&self) -> Tail {
        *self.tail.borrow()
    }

    /// Something that tells when it is durable further.
    pub(crate) fn watch(&self) -> watch::Receiver<Tail> {
        self.tail.clone()
    }

    /// The first position that is kept.
    pub(crate) fn start(&self) -> u64 {
        lock(&self.segments).first().map_or_else(|| self.tail().end, |segment| segment.base)
    }

    /// How many bytes it has, with its indexes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed) + self.index_bytes.load(Ordering::Relaxed)
    }

    /// How many bytes may still be written before too little of the disk is free.
    pub(crate) fn room(&self) -> u64 {
        self.room.load(Ordering::Relaxed)
    }

    /// Notes how many bytes may still be written.
    pub(crate) fn set_room(&self, room: u64) {
        self.room.store(room, Ordering::Relaxed);
    }

    /// Counts bytes that were added, and gives the new sum.
    pub(crate) fn grow(&self, bytes: u64) -> u64 {
        // Only an estimate between two looks at the disk, so that a burst does not fill it: what is lost in a race is
        // made good by the next look.
        self.set_room(self.room().saturating_sub(bytes));
        self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    /// Begins a new segment, which takes the place of `replaced` when that one never held a record.
    pub(crate) fn push(&self, segment: Arc<Segment>, replaced: Option<u64>) {
        let mut segments = lock(&self.segments);
        segments.retain(|segment| Some(segment.base) != replaced);
        let mut fresh = lock(&self.fresh);
        fresh.retain(|fresh| Some(fresh.segment.base) != replaced);
        fresh.push_back(Fresh::of(&segment, Vec::new()));
        // What is known to be missing before it counts as if it were there, as at the next start.
        let missing = segment.previous_end.saturating_sub(self.tail().end);
        segments.push(segment);
        if replaced.is_none() {
            self.grow(HEADER + missing);
        }
    }

    /// Where a position lies, given how far the journal is durable.
    pub(crate) fn locate(&self, position: u64, tail: Tail) -> Place {
        let segments = lock(&self.segments);
        let behind = segments.partition_point(|segment| segment.base <= position);
        let next = segments.get(behind).map(Arc::clone);
        let Some(segment) = behind.checked_sub(1).and_then(|at| segments.get(at)).map(Arc::clone) else {
            return next.map_or(Place::Nowhere, Place::Before);
        };
        let (limit, running) = next.as_ref().map_or((tail.end, Some(tail.running)), |n| (n.previous_end, n.running));
        Place::In { segment, limit, running, next }
    }

    /// Says once that what begins at `from` cannot be read.
    pub(crate) fn say_damage(&self, segment: &Segment, from: u64, what: &str, records: Option<u64>) {
        if lock(&self.said).insert(from) {
            let records = records.unwrap_or(0);
            self.telemetry.emit(JournalDamaged { file: &segment.path, what, records });
        }
    }

    /// Notes why nothing can be appended, or that it can again.
    pub(crate) fn set_failing(&self, error: Option<AppendError>) {
        *lock(&self.failing) = error;
    }

    /// Why nothing can be appended just now.
    pub(crate) fn failing(&self) -> Option<AppendError> {
        lock(&self.failing).clone()
    }

    /// Notes what delivery no longer needs.
    pub(crate) fn trim(&self, keep_from: u64) {
        self.keep_from.fetch_max(keep_from, Ordering::Relaxed);
    }

    /// Before which position nothing is needed any more.
    pub(crate) fn keep_from(&self) -> u64 {
        self.keep_from.load(Ordering::Relaxed)
    }

    /// Adds what is known of records that were appended to the last segment.
    pub(crate) fn note(&self, entries: &mut Vec<Entry>) {
        if let Some(fresh) = lock(&self.fresh).back_mut() {
            fresh.entries.append(entries);
        }
    }

    /// Hands what is known of a segment without an index to `act`; `None` when there is no such segment.
    pub(crate) fn with_fresh<T>(&self, base: u64, act: impl FnOnce(&[Entry]) -> T) -> Option<T> {
        lock(&self.fresh).iter().find(|fresh| fresh.segment.base == base).map(|fresh| act(&fresh.entries))
    }

    /// The oldest segment that is not appended to any more and has no index, with what is known of its records.
    pub(crate) fn oldest_fresh(&self) -> Option<(Arc<Segment>, Vec<Entry>)> {
        let fresh = lock(&self.fresh);
        fresh.front().filter(|_| fresh.len() > 1).map(|oldest| (Arc::clone(&oldest.segment), oldest.entries.clone()))
    }

    /// Forgets what was known of a segment: it has an index now, or none can be written.
    pub(crate) fn forget_fresh(&self, base: u64) {
        lock(&self.fresh).retain(|fresh| fresh.segment.base != base);
    }

    /// The segments, oldest first, each with the position behind its last accepted group.
    pub(crate) fn segments(&self) -> Vec<(Arc<Segment>, u64)> {
        let tail = self.tail();
        let segments = lock(&self.segments).clone();
        let ends: Vec<_> = segments.iter().skip(1).map(|next| next.previous_end).chain([tail.end]).collect();
        segments.into_iter().zip(ends).collect()
    }

    /// Takes the oldest segment out of the list, unless it is the last one. Readers that come to it find a gap.
    pub(crate) fn remove_oldest(&self) -> Option<Arc<Segment>> {
        let mut segments = lock(&self.segments);
        if segments.len() < 2 {
            return None;
        }
        let oldest = segments.remove(0);
        let bytes = segments.first().map_or(0, |next| next.previous_end.saturating_sub(oldest.base));
        drop(segments);
        self.forget_fresh(oldest.base);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        Some(oldest)
    }

    /// Puts the oldest segment back: it could not be removed.
    pub(crate) fn put_back(&self, segment: Arc<Segment>) {
        let mut segments = lock(&self.segments);
        let end = segments.first().map_or(segment.base, |next| next.previous_end);
        self.bytes.fetch_add(end.saturating_sub(segment.base), Ordering::Relaxed);
        segments.insert(0, segment);
    }

    /// Puts a segment that was rewritten in the place of its old self, so that readers open the new file.
    pub(crate) fn replace(&self, segment: Segment) {
        if let Some(old) = lock(&self.segments).iter_mut().find(|old| old.base == segment.base) {
            *old = Arc::new(segment);
        }
    }

    /// Hides what a mask covers from every reader that reads from now on.
    pub(crate) fn hide(&self, mask: &Arc<Mask>) {
        lock(&self.masks).push(Arc::clone(mask));
        self.masked.store(true, Ordering::Release);
    }

    /// What a mask covered is gone.
    pub(crate) fn unhide(&self, mask: &Arc<Mask>) {
        let mut masks = lock(&self.masks);
        masks.retain(|other| !Arc::ptr_eq(other, mask));
        self.masked.store(!masks.is_empty(), Ordering::Release);
    }

    /// What is hidden now.
    pub(crate) fn masks(&self) -> Vec<Arc<Mask>> {
        if self.masked.load(Ordering::Acquire) { lock(&self.masks).clone() } else { Vec::new() }
    }

    /// How large it is.
    pub(crate) fn stat(&self, ack: AckLevel) -> Stat {
        let tail = self.tail();
        let segments = lock(&self.segments).clone();
        let start = segments.first().map_or(tail.end, |segment| segment.base);
        let ends = segments.iter().skip(1).map(|next| (next.previous_end, next.running));
        let ends = ends.chain([(tail.end, Some(tail.running))]);
        let rows = segments.iter().zip(ends).map(|(segment, (end, running))| SegmentStat {
            file: segment.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            base: Position::at(segment.base),
            bytes: end.saturating_sub(segment.base),
            records: running.zip(segment.running).map(|(after, before)| after.saturating_sub(before)),
            created: segment.created,
        });
        let rows: Vec<_> = rows.collect();
        Stat {
            ack,
            starts: vec![Position::at(start)],
            ends: vec![Position::at(tail.end)],
            bytes: rows.iter().map(|row| row.bytes).sum(),
            records: rows.iter().map(|row| row.records).sum(),
            segments: rows,
        }
    }
}

/// A lock that a panic elsewhere does not spoil: what these locks guard is whole between any two statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
