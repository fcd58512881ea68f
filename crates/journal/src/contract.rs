//! What a journal is, whoever keeps it.
//!
//! Everything accepted goes through a [`Journal`] before it is answered, and everything delivered is read from it. The
//! embedded one (`Embedded`) keeps segments on the local disk; others may keep a topic or a table. What holds for all of
//! them, and what the conformance suite therefore asks of each:
//!
//! - **J-1** An append gives its positions only when its records are as durable as [`Journal::ack`] says. `fsync`: the
//!   data and the entry in the directory are on the disk (for a remote journal: on the disks of a quorum). `write`: the
//!   operating system has them, and they reach the disk within about 100 ms. `memory`: nothing is promised; for tests. An
//!   append that fails may be in the journal all the same; nothing may be concluded from an error but that it is not
//!   known to be safe.
//! - **J-2** A position is a partition and an opaque number that grows; numbers are not dense, and nothing may be concluded
//!   from the difference of two. No position is ever given twice, also not after a crash or damage. The partition of a
//!   record follows from its order key and nothing else, so records of one order key stay in order; a change of the number
//!   of partitions needs a drained journal. Within a partition a reader yields records in the order in which they were
//!   appended, or a [`Gap`] that says from where to where nothing can be read. It never yields a record whose append has
//!   not completed.
//! - **J-3** After any crash every acknowledged record can be read, and no record can be read that differs from what was
//!   appended. (A record that was *not* acknowledged may be there after a restart: whoever appended it was cut off and
//!   cannot know. De-duplication by message id makes that harmless.)
//! - **J-5**, first half: [`Journal::trim`] takes nothing at or behind the positions that it is given.
//! - **J-6**, second half: a reader holds one block in memory, however far behind it is.
//! - **J-8**, where [`Journal::erase`] is supported: what was named is yielded as `erased` at equal positions, nothing else
//!   changes, and it is so after the next opening.
//!
//! What is the embedded one's own, because it is about files:
//!
//! - **J-4** A torn tail is cut at the last whole group, and the cut is synced, before anything is appended. Damage in the
//!   middle costs the damaged group, and the gap says how many records that was. Files that are gone are counted too, the
//!   last one by the end mark.
//! - **J-5**, second half: whole segments go, oldest first, only behind what [`Journal::trim`] was told and when they are
//!   older than `keep`. A full journal refuses, or drops its oldest segment and says what that cost.
//! - **J-6**, first half: opening takes time in proportion to the number of segments, not of records.
//! - **J-7** An error of fsync is final for its segment: what waited fails, a new segment is begun, and nothing is
//!   acknowledged on a maybe.
//! - **J-8** Erasure hides at once, then writes segments anew beside themselves; a crash leaves one or the other.
//!
//! **For who writes another journal.** A Kafka topic gives (partition, offset) as it is, `acks=all` as J-1, its own
//! retention as J-5 (with `trim` ignored), compaction or nothing as J-8 ([`EraseError::Unsupported`]), and a gap where an
//! offset is older than its start. A PostgreSQL table gives a sequence per partition; its numbers must become visible in
//! order, so an append takes the partition's lock, or a reader would pass over a number whose transaction ends later
//! (J-2). Fencing is not the journal's: two writers may append; who *delivers* is fenced by the epoch of the state.
//!
//! The suite is `conformance`; its functions carry the ids of what they check.

mod append;
mod erase;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use anole_event::{Fingerprint, Kind, Partition, Position, Record, Timestamp, code_enum};
use bytes::Bytes;

pub use self::append::{Append, AppendCode, AppendError, AppendReply};
pub use self::erase::{Erase, EraseError, EraseReply, Erased, Which};

/// When an append is acknowledged (J-1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AckLevel {
    /// When it is on the disk.
    #[default]
    Fsync,
    /// When the operating system has it. A crash of the process loses nothing, a loss of power about 100 ms.
    Write,
    /// At once. For tests.
    Memory,
}

/// The durable log of accepted events. See the head of this file for what it promises.
pub trait Journal: Send + Sync + 'static {
    /// When appends are acknowledged (J-1).
    fn ack(&self) -> AckLevel;

    /// Hands records over, in this order, and returns at once; the returned future gives one position per record when
    /// they are as durable as [`Self::ack`] says (J-1). The partition follows from the order key in each record's head.
    ///
    /// All records of one call share one group where they fit, so that a request is either there or not. Dropping the
    /// future does not take the records back.
    fn append(&self, records: Vec<Record>) -> Append;

    /// A reader of `from`'s partition that yields what stands at `from` and after it.
    ///
    /// Before the first kept position it yields a [`Gap`] with [`GapReason::Trimmed`] first; who wants the oldest that is
    /// kept asks [`Self::starts`]. After the end it begins at the end: a journal that has lost its newest records (a loss
    /// of power at level `write`, a folder put back from a copy) must not make a lane wait until it is as long as it was.
    /// [`Reader::position`] says where it begins.
    fn reader(&self, from: Position) -> Box<dyn Reader>;

    /// The first kept position of each partition.
    fn starts(&self) -> Vec<Position>;

    /// The position after the last durable record of each partition: where a new lane starts.
    fn ends(&self) -> Vec<Position>;

    /// How large it is.
    fn stat(&self) -> Stat;

    /// Whether an append would be taken just now, as far as can be known without one: what readiness goes by.
    ///
    /// # Errors
    /// What an append would fail with.
    fn ready(&self) -> Result<(), AppendError> {
        Ok(())
    }

    /// Tells the journal that nothing before these positions, one per partition, is needed any more (J-5). The journal
    /// decides when it goes.
    fn trim(&self, keep_from: &[Position]);

    /// Erases the records that were acknowledged before this call and that the predicate names, by their head and body
    /// (J-8). Readers yield `erased` records in their place from the moment this returns; the future ends when nothing of
    /// them is left in the journal's files. Dropping it does not take the erasure back.
    ///
    /// # Errors
    /// [`EraseError::Unsupported`] of a journal that cannot, or when a file cannot be written anew: what was asked for is
    /// then erased in part, and to be asked for again.
    fn erase(&self, which: Which) -> Erase {
        let (reply, erase) = Erase::pending();
        drop(which);
        reply.send(Err(EraseError::Unsupported));
        erase
    }

    /// Hands over message id and time of arrival of what came at `since` or later, oldest first: what refills the window of
    /// de-duplication. Times may be rounded down to the second. Where more than `most` came, the older ones may be left
    /// out. Blocking.
    ///
    /// # Errors
    /// When the files cannot be read.
    fn recent(
        &self,
        since: Timestamp,
        most: usize,
        tell: &mut dyn FnMut(Fingerprint, Timestamp),
    ) -> Result<(), ReadError> {
        let _leaves_out_none = most;
        for start in self.starts() {
            let mut reader = self.reader(start);
            while let Some(read) = reader.try_next()? {
                let Read::Block(block) = read else { continue };
                let heads = block.records.iter().filter_map(|(_, record)| record.head().ok());
                let recent = heads.filter(|head| head.kind == Kind::Event && head.received_at >= since);
                recent.for_each(|head| tell(head.fingerprint, head.received_at));
            }
        }
        Ok(())
    }

    /// How many records of this pipeline stood in a gap that a reader yielded; `None` when only the gap's own number, which
    /// is that of all pipelines, is known. Blocking.
    fn lost(&self, gap: &Gap, pipeline: &str) -> Option<u64> {
        let _unknown = (gap, pipeline);
        None
    }

    /// The record at exactly this position; `None` when none can be read there. Blocking.
    ///
    /// # Errors
    /// When the files cannot be read.
    fn read_one(&self, position: Position) -> Result<Option<Record>, ReadError> {
        match self.reader(position).try_next()? {
            Some(Read::Block(block)) => Ok(block.records.into_iter().find(|(at, _)| *at == position).map(|(_, it)| it)),
            Some(Read::Gap(_)) | None => Ok(None),
        }
    }

    /// The records with this fingerprint from `from` on, within about `most` bytes of records. Blocking.
    ///
    /// This reads everything on the way: it is for events that are waiting to be delivered, which stand between a lane's
    /// progress and the end. Delivered ones are found by the delivery log.
    ///
    /// # Errors
    /// When the files cannot be read.
    fn find(&self, fingerprint: Fingerprint, from: Position, most: u64) -> Result<Found, ReadError> {
        let mut reader = self.reader(from);
        let (mut records, mut seen) = (Vec::new(), 0);
        while seen < most
            && let Some(read) = reader.try_next()?
        {
            let Read::Block(block) = read else { continue };
            for (position, record) in block.records {
                seen += record.bytes().len() as u64;
                if record.head().is_ok_and(|head| head.fingerprint == fingerprint) {
                    // A copy, so that one small record does not keep a whole block in memory.
                    records.push((position, Record::from_bytes(Bytes::copy_from_slice(record.bytes()))));
                }
            }
        }
        Ok(Found { records, next: reader.position() })
    }
}

/// What a search has found, and how far it came.
#[derive(Clone, Debug)]
pub struct Found {
    /// The records, oldest first.
    pub records: Vec<(Position, Record)>,
    /// Where to search on. The search is complete when this is not before [`Journal::ends`].
    pub next: Position,
}

/// Reads one partition of a journal in order.
pub trait Reader: Send {
    /// The next block or gap. At the tail it waits for more. Cancel-safe: a call that was dropped loses nothing.
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Result<Read, ReadError>> + Send + '_>>;

    /// The same without waiting: `None` at the durable tail. It may block on the disk, so it is for offline scans.
    ///
    /// # Errors
    /// When the files cannot be read.
    fn try_next(&mut self) -> Result<Option<Read>, ReadError>;

    /// Where the next block or gap begins.
    fn position(&self) -> Position;
}

/// What a reader yields.
#[derive(Clone, Debug)]
pub enum Read {
    /// Records.
    Block(Block),
    /// A stretch that cannot be read.
    Gap(Gap),
}

/// Records that follow each other in one partition. They share one piece of memory, so keeping one keeps all.
#[derive(Clone, Debug)]
pub struct Block {
    /// The partition.
    pub partition: Partition,
    /// The records, in the order in which they were appended, each with its position.
    pub records: Vec<(Position, Record)>,
    /// Where to read on.
    pub next: Position,
}

/// A stretch of a partition that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Its first position.
    pub from: Position,
    /// Where to read on.
    pub to: Position,
    /// How many records stood in it; `None` when that is not known.
    pub records: Option<u64>,
    /// Why.
    pub reason: GapReason,
}

code_enum! {
    /// Why a stretch cannot be read.
    pub enum GapReason {
        /// Bytes are not what was written.
        Damaged "damaged",
        /// A file, or the end of one, is not there.
        Missing "missing",
        /// It was dropped because it was old, or to make room.
        Trimmed "trimmed",
    }
}

/// Why a reader cannot read on. Reading may be tried again: the reader stays where it is.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// A file could not be opened or read.
    #[error("cannot read {file}: {source}")]
    Io {
        /// The file.
        file: Arc<str>,
        /// What the operating system said.
        source: Arc<std::io::Error>,
    },
    /// The journal was closed, and everything in it has been read.
    #[error("the journal is closed")]
    Closed,
}

/// How large a journal is.
#[derive(Clone, Debug)]
pub struct Stat {
    /// When appends are acknowledged.
    pub ack: AckLevel,
    /// The first kept position of each partition.
    pub starts: Vec<Position>,
    /// The position after the last durable record of each partition.
    pub ends: Vec<Position>,
    /// How many bytes it has.
    pub bytes: u64,
    /// How many records it has, as far as that is known.
    pub records: Option<u64>,
    /// Its segments, oldest first. Empty for journals that have none.
    pub segments: Vec<SegmentStat>,
}

/// How large one segment is.
#[derive(Clone, Debug)]
pub struct SegmentStat {
    /// Its file name.
    pub file: String,
    /// Its first position.
    pub base: Position,
    /// How many bytes it has.
    pub bytes: u64,
    /// How many records it has, as far as that is known.
    pub records: Option<u64>,
    /// When it was begun, as far as that is known.
    pub created: Option<Timestamp>,
}

// === impl AckLevel ===

impl AckLevel {
    /// The name in answers, configuration and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fsync => "fsync",
            Self::Write => "write",
            Self::Memory => "memory",
        }
    }

    /// The level of a name.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Fsync, Self::Write, Self::Memory].into_iter().find(|level| level.as_str() == code)
    }
}

impl fmt::Display for AckLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
