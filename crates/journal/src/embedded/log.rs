//! What committer and readers share: the list of segments, how far the journal is durable, and what was said of damage.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anole_event::Position;
use anole_telemetry::{JournalDamaged, Telemetry};
use tokio::sync::watch;

use super::format::HEADER;
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
    /// What delivery no longer needs: everything before it. Retention, which comes later, goes by it.
    keep_from: AtomicU64,
    /// Where damage begins that was said already: several readers meet the same.
    said: Mutex<BTreeSet<u64>>,
    /// Why nothing can be appended just now.
    failing: Mutex<Option<AppendError>>,
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

    /// How many bytes it has.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Counts bytes that were added, and gives the new sum.
    pub(crate) fn grow(&self, bytes: u64) -> u64 {
        self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    /// Begins a new segment, which takes the place of `replaced` when that one never held a record.
    pub(crate) fn push(&self, segment: Arc<Segment>, replaced: Option<u64>) {
        let mut segments = lock(&self.segments);
        segments.retain(|segment| Some(segment.base) != replaced);
        segments.push(segment);
        if replaced.is_none() {
            self.grow(HEADER);
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
