//! What is asked of the log, and what it answers.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use anole_event::{AttemptId, Decision, DeliveryError, LaneId, Reached, Reason, SendRecord, State, Timestamp};

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
    /// A look-up value, such as an order id, under whatever name.
    pub lookup: Option<String>,
    /// The event's name, or its type when it has none.
    pub event: Option<String>,
    /// The lane.
    pub lane: Option<LaneId>,
    /// Where it ended.
    pub state: Option<State>,
    /// Why it ended there.
    pub reason: Option<Reason>,
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

/// How large the log is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogStat {
    /// How many files.
    pub files: u64,
    /// How many bytes they have on disk, write-ahead logs included.
    pub bytes: u64,
    /// How many entries.
    pub entries: u64,
    /// The time of the oldest entry.
    pub oldest: Option<Timestamp>,
    /// The time of the newest entry.
    pub newest: Option<Timestamp>,
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
            event: None,
            lane: None,
            state: None,
            reason: None,
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
