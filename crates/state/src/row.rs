//! What the state holds, row by row.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use anole_event::{AttemptId, LaneId, Position, Reason, Timestamp};
use bytes::Bytes;

/// How far a lane is in one partition (S-1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The next position to read: everything before it is finished.
    pub watermark: Position,
    /// Finished offsets above the watermark, as ranges `[from, to)`, increasing and not touching each other.
    pub finished: Vec<Range<u64>>,
}

/// Whether a lane is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneStatus {
    /// A pipeline has it.
    Active,
    /// No pipeline has it any more; it holds retention for at most the journal's `keep`.
    Orphaned {
        /// Since when.
        since: Timestamp,
    },
}

/// A lane as the registry knows it (S-5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneRow {
    /// The lane.
    pub lane: LaneId,
    /// Whether it is in use.
    pub status: LaneStatus,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// Where it started, one for each partition.
    pub start: Vec<Position>,
    /// Since when a person has it paused.
    pub paused_since: Option<Timestamp>,
}

/// Which send of a lane: the event's position, and which of the event's sends it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SendKey {
    /// Where the event stands in the journal.
    pub position: Position,
    /// Which of the event's sends.
    pub ordinal: u16,
}

/// What one lane has to say in one transaction (S-2). Anything may be left empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneCommit {
    /// The lane.
    pub lane: LaneId,
    /// Its progress in the partitions where it moved.
    pub progress: Vec<Progress>,
    /// Sends to park. One that is parked already is replaced and keeps its id.
    pub parked: Vec<Parked>,
    /// Sends to defer. One that is deferred already is replaced.
    pub deferred: Vec<Deferred>,
    /// Parked sends that were replayed to an end, or discarded. Unknown ids are passed over.
    pub unparked: Vec<ParkedId>,
    /// Deferred sends that came to an end. Unknown ones are passed over.
    pub undeferred: Vec<SendKey>,
}

/// A send that waits for a person (S-4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Where its event stood in the journal, which may have let go of it since.
    pub position: Position,
    /// Which of the event's sends.
    pub ordinal: u16,
    /// The rule that made it; empty when mapping did not come that far.
    pub rule: String,
    /// The event's name, or its type when it has none.
    pub event: String,
    /// The event's message id.
    pub message_id: String,
    /// When the event came in.
    pub received_at: Timestamp,
    /// When it was parked.
    pub parked_at: Timestamp,
    /// Why.
    pub reason: Reason,
    /// What a person should read.
    pub detail: Option<String>,
    /// The hash of the plan that mapped it.
    pub plan: u64,
    /// The attempt whose answer parked it.
    pub attempt: Option<AttemptId>,
    /// The whole record, head and body. Never the payload.
    pub record: Bytes,
}

/// A send that was set aside and will be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deferred {
    /// Where its event stands in the journal, which may have let go of it since.
    pub position: Position,
    /// Which of the event's sends.
    pub ordinal: u16,
    /// The rule that made it.
    pub rule: String,
    /// The event's name, or its type when it has none.
    pub event: String,
    /// The event's message id.
    pub message_id: String,
    /// When the event came in.
    pub received_at: Timestamp,
    /// When it was deferred.
    pub deferred_at: Timestamp,
    /// When it is to be tried again.
    pub due_at: Timestamp,
    /// How often it was tried.
    pub tries: u32,
    /// Why.
    pub reason: Reason,
    /// What a person should read.
    pub detail: Option<String>,
    /// The hash of the plan that mapped it.
    pub plan: u64,
    /// Its last attempt.
    pub attempt: Option<AttemptId>,
    /// The whole record, head and body. Never the payload.
    pub record: Bytes,
}

/// The id of a parked send: a number that is never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParkedId(pub u64);

/// A parked send as it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedRow {
    /// Its id.
    pub id: ParkedId,
    /// Its lane.
    pub lane: LaneId,
    /// The send.
    pub parked: Parked,
}

/// Which parked sends are asked for. Everything that is given must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedFilter {
    /// This one.
    pub id: Option<ParkedId>,
    /// Of this lane.
    pub lane: Option<LaneId>,
    /// For this reason.
    pub reason: Option<Reason>,
    /// Of events with this name.
    pub event: Option<String>,
    /// Of the event with this message id.
    pub message_id: Option<String>,
    /// Parked at this time or later.
    pub from: Option<Timestamp>,
    /// Parked before this time.
    pub until: Option<Timestamp>,
    /// Older than this one: the last of the page before.
    pub before: Option<ParkedId>,
    /// Newer than this one.
    pub after: Option<ParkedId>,
    /// The oldest first, instead of the newest.
    pub oldest_first: bool,
    /// At most so many. The default is 100.
    pub limit: usize,
}

/// How much is parked of a lane for a reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedCount {
    /// The lane.
    pub lane: LaneId,
    /// The reason.
    pub reason: Reason,
    /// How many sends.
    pub count: u64,
    /// How many bytes their records have.
    pub bytes: u64,
}

/// What a filter finds of a lane, a reason and an event name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedGroup {
    /// The lane.
    pub lane: LaneId,
    /// The reason.
    pub reason: Reason,
    /// The event's name.
    pub event: String,
    /// How many sends.
    pub count: u64,
    /// How many bytes their records have.
    pub bytes: u64,
    /// The newest of them.
    pub newest: ParkedId,
}

/// Parked sends that have lane, reason and event name in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedProblem {
    /// The lane.
    pub lane: LaneId,
    /// The reason.
    pub reason: Reason,
    /// The event's name.
    pub event: String,
    /// How many sends.
    pub count: u64,
    /// How many bytes their records have.
    pub bytes: u64,
    /// When the one that was parked first was parked.
    pub first_at: Timestamp,
    /// When the one that was parked last was parked.
    pub last_at: Timestamp,
    /// The newest of them, as an example.
    pub example: ParkedId,
    /// What a person should read, of the newest.
    pub detail: Option<String>,
}

/// A deferred send as it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeferredRow {
    /// Its lane.
    pub lane: LaneId,
    /// The send.
    pub deferred: Deferred,
}

/// Which deferred sends are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeferredFilter {
    /// Of this lane.
    pub lane: Option<LaneId>,
    /// Of the event with this message id.
    pub message_id: Option<String>,
    /// Due at this time or before.
    pub due_by: Option<Timestamp>,
    /// This send.
    pub key: Option<SendKey>,
    /// At most so many. The default is 100.
    pub limit: usize,
}

/// How much is deferred of a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeferredCount {
    /// The lane.
    pub lane: LaneId,
    /// How many sends.
    pub count: u64,
    /// How many bytes their records have.
    pub bytes: u64,
    /// When the first of them is due.
    pub next_due: Timestamp,
}

/// Whose identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum IdentityOf {
    /// The visitor with this anonymous id.
    Anonymous(Box<str>),
    /// The user with this id.
    User(Box<str>),
}

/// By what the identity map keeps a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdentityKey {
    /// The pipeline; pipelines share nothing.
    pub pipeline: Arc<str>,
    /// What is remembered, as the blueprint's `remember:` names it: `kameleoon_visitor_code`.
    pub name: Arc<str>,
    /// Whose it is.
    pub id: IdentityOf,
}

/// Something to remember.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Of what and whom.
    pub key: IdentityKey,
    /// The value.
    pub value: Box<str>,
    /// When the event that said so came in: the newest wins.
    pub received_at: Timestamp,
}

/// What a backup holds of the lanes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackedUp {
    /// When it was made.
    pub at: Timestamp,
    /// Its lanes.
    pub lanes: Vec<BackedUpLane>,
}

/// A lane as a backup has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackedUpLane {
    /// The lane.
    pub row: LaneRow,
    /// Its progress, one for each partition.
    pub progress: Vec<Progress>,
}

// === impl LaneCommit ===

impl LaneCommit {
    /// A commit that says nothing yet.
    #[must_use]
    pub const fn new(lane: LaneId) -> Self {
        Self {
            lane,
            progress: Vec::new(),
            parked: Vec::new(),
            deferred: Vec::new(),
            unparked: Vec::new(),
            undeferred: Vec::new(),
        }
    }
}

// === impl ParkedFilter ===

impl Default for ParkedFilter {
    fn default() -> Self {
        Self {
            id: None,
            lane: None,
            reason: None,
            event: None,
            message_id: None,
            from: None,
            until: None,
            before: None,
            after: None,
            oldest_first: false,
            limit: 100,
        }
    }
}

// === impl DeferredFilter ===

impl Default for DeferredFilter {
    fn default() -> Self {
        Self { lane: None, message_id: None, due_by: None, key: None, limit: 100 }
    }
}

// === impl ParkedId ===

impl fmt::Display for ParkedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ParkedId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

// === impl Parked ===

impl Parked {
    /// Which send it is.
    #[must_use]
    pub const fn key(&self) -> SendKey {
        SendKey { position: self.position, ordinal: self.ordinal }
    }
}

// === impl Deferred ===

impl Deferred {
    /// Which send it is.
    #[must_use]
    pub const fn key(&self) -> SendKey {
        SendKey { position: self.position, ordinal: self.ordinal }
    }
}
