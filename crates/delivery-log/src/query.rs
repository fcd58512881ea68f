//! What is asked of the log, and what it answers.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anole_event::{AttemptId, Decision, DeliveryError, Entry, LaneId, Reached, Reason, SendRecord, State, Timestamp};

/// A question for sends. Everything that is given must hold; nothing given asks for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendQuery {
    /// A value that is any of message id, anonymous id, user id, visitor code or look-up value: what a person types into
    /// a search field.
    pub any: Option<String>,
    /// The event's message id.
    pub message_id: Option<String>,
    /// The visitor code that was sent.
    pub visitor_code: Option<String>,
    /// The event's anonymous id.
    pub anonymous_id: Option<String>,
    /// The event's user id.
    pub user_id: Option<String>,
    /// A look-up value, such as an order id.
    pub lookup: Option<String>,
    /// The name under which `lookup` stands, such as `order_id`. Under whatever name when there is none; without effect
    /// alone.
    pub lookup_name: Option<String>,
    /// The event's name, or its type when it has none.
    pub event: Option<String>,
    /// The lane.
    pub lane: Option<LaneId>,
    /// Where it ended.
    pub state: Option<State>,
    /// Why it ended there.
    pub reason: Option<Reason>,
    /// Leaves out the tries after which it was tried again.
    pub ended: bool,
    /// The status of the answer.
    pub status: Option<u16>,
    /// Decided at this time or later.
    pub from: Option<Timestamp>,
    /// Decided before this time.
    pub until: Option<Timestamp>,
    /// Where the page before ended.
    pub after: Option<Cursor>,
    /// At most so many. The default is 50.
    pub limit: usize,
}

/// A question for entries. Everything that is given must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryQuery {
    /// The lane.
    pub lane: Option<LaneId>,
    /// The status of the answer.
    pub status: Option<u16>,
    /// What was decided.
    pub decision: Option<Decision>,
    /// One of its sends ended so.
    pub state: Option<State>,
    /// One of its sends ended for this reason.
    pub reason: Option<Reason>,
    /// One of its sends is of an event with this name, or of this type when it has none.
    pub event: Option<String>,
    /// One of its sends has this message id, anonymous id, user id, visitor code or look-up value.
    pub any: Option<String>,
    /// Whether there was a request: `Some(true)` leaves blocks of sends without one out.
    pub requested: Option<bool>,
    /// Decided at this time or later.
    pub from: Option<Timestamp>,
    /// Decided before this time.
    pub until: Option<Timestamp>,
    /// Where the page before ended.
    pub after: Option<Cursor>,
    /// At most so many. The default is 50.
    pub limit: usize,
}

/// A place in the log, from which a list goes on. Opaque; its text form is for addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    pub(crate) file: u32,
    pub(crate) row: u32,
    pub(crate) send: u32,
}

/// A text that is no cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a place in a list: take it from the page before")]
pub struct CursorError(String);

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What was found, newest first.
    pub items: Vec<T>,
    /// Where to go on. A page with few or no items may still have one: the search is bounded in work, so that a rare
    /// combination costs several short calls instead of a long one. `None` means that there is no more.
    pub next: Option<Cursor>,
}

/// What stands in an entry's row beside its sends and bodies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryMeta {
    /// Its id.
    pub id: AttemptId,
    /// When it was decided.
    pub at: Timestamp,
    /// The lane.
    pub lane: LaneId,
    /// The hash of the plan that mapped its sends.
    pub plan: u64,
    /// The request; `None` when the sends ended without one.
    pub attempt: Option<AttemptMeta>,
}

/// An attempt without what was sent and what came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptMeta {
    /// The address, secrets masked.
    pub url: String,
    /// The method.
    pub method: String,
    /// How far it came.
    pub reached: Reached,
    /// The answer's status.
    pub status: Option<u16>,
    /// From the first byte of work to the decision, in microseconds.
    pub duration_us: u64,
    /// How many bytes the request's body had.
    pub request_bytes: u64,
    /// How many bytes the answer's body had, as far as it was read.
    pub answer_bytes: u64,
    /// Why it failed, when it did.
    pub error: Option<DeliveryError>,
    /// What was decided.
    pub decision: Decision,
}

/// A send that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundSend {
    /// Its entry. Shared between the sends of one entry.
    pub entry: Arc<EntryMeta>,
    /// Which of the entry's sends it is, from 0.
    pub index: u32,
    /// The send.
    pub send: SendRecord,
}

/// An entry that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundEntry {
    /// What stands in its row.
    pub entry: EntryMeta,
    /// How many sends it has.
    pub sends: u32,
    /// How many of them ended in which state; `None` stands for those that will be tried again.
    pub tally: Vec<(Option<State>, u32)>,
}

/// A whole entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeEntry {
    /// The entry. Without its bodies, `request_body`, `answer_headers` and `answer_body` are empty.
    pub entry: Entry,
    /// What became of what was sent and what came back.
    pub bodies: Bodies,
    /// How many bytes the request's body had, also when it is not kept any more; 0 without a request.
    pub request_bytes: u64,
}

/// What became of an attempt's bodies: what was sent, and head and body of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bodies {
    /// There were none.
    None,
    /// They are there.
    Kept,
    /// They were dropped: by age or to make room (L-4), or a loss of power took them.
    Gone,
}

/// How large the log is, how far back it goes, and what it has let go of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogStat {
    /// How many files of rows.
    pub files: u64,
    /// How many bytes all of it has on disk: rows, look-ups, write-ahead logs, bodies.
    pub bytes: u64,
    /// How many of these bytes are bodies.
    pub body_bytes: u64,
    /// How many entries.
    pub entries: u64,
    /// How many sends they hold.
    pub sends: u64,
    /// The time of the oldest entry.
    pub oldest: Option<Timestamp>,
    /// The time of the newest entry.
    pub newest: Option<Timestamp>,
    /// The time of the oldest entry whose bodies are kept.
    pub oldest_body: Option<Timestamp>,
    /// The oldest minute of which there are statistics.
    pub oldest_statistics: Option<Timestamp>,
    /// What was dropped since the folder was first used.
    pub dropped: Dropped,
    /// What the settings say; zeros where the log is read without them.
    pub limits: Limits,
}

/// What the log has let go of, by age and to make room (L-4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Files of rows.
    pub files: u64,
    /// Entries: attempts, and blocks of sends that ended without one.
    pub entries: u64,
    /// The sends in them.
    pub sends: u64,
    /// Attempts that lost their bodies, before their rows or with them.
    pub bodies: u64,
    /// Bytes on disk that this made free.
    pub bytes: u64,
    /// The newest time of what was dropped whole: at this time and before, what is listed may not be all there was.
    pub rows_until: Option<Timestamp>,
    /// The same of bodies.
    pub bodies_until: Option<Timestamp>,
}

/// How much of what is kept, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// So many bytes all files may have together.
    pub total_bytes: u64,
    /// So many of them may be bodies.
    pub body_bytes: u64,
    /// How long rows are kept.
    pub keep: Duration,
    /// How long bodies are kept.
    pub keep_bodies: Duration,
    /// How long statistics are kept.
    pub keep_statistics: Duration,
}

// === impl SendQuery ===

impl Default for SendQuery {
    fn default() -> Self {
        Self {
            any: None,
            message_id: None,
            visitor_code: None,
            anonymous_id: None,
            user_id: None,
            lookup: None,
            lookup_name: None,
            event: None,
            lane: None,
            state: None,
            reason: None,
            ended: false,
            status: None,
            from: None,
            until: None,
            after: None,
            limit: 50,
        }
    }
}

// === impl EntryQuery ===

impl Default for EntryQuery {
    fn default() -> Self {
        Self {
            lane: None,
            status: None,
            decision: None,
            state: None,
            reason: None,
            event: None,
            any: None,
            requested: None,
            from: None,
            until: None,
            after: None,
            limit: 50,
        }
    }
}

// === impl Cursor ===

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.file, self.row, self.send)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, '-').map(str::parse);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(Ok(file)), Some(Ok(row)), Some(Ok(send))) => Ok(Self { file, row, send }),
            _ => Err(CursorError(text.to_owned())),
        }
    }
}
