//! What the delivery log keeps: one entry per request, or per block of sends that ended without one.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::outcome::codes;
use crate::{LaneId, Marks, Outcome, Position, Timestamp};

/// How much of a vendor's answer is kept: 8 KiB.
pub const MAX_ANSWER_BODY: usize = 8 * 1024;

/// The id of an entry of the delivery log: a UUIDv7, so that ids sort by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptId(pub uuid::Uuid);

codes! {
    /// How far a request came. It tells "not sent" from "sent, but no answer came".
    Reached {
        /// No connection was made.
        Nothing = 1 "nothing",
        /// Connected, the request not wholly written.
        Connected = 2 "connected",
        /// The request was written, no answer came.
        Written = 3 "written",
        /// The answer's head came, its body did not end.
        Head = 4 "head",
        /// The whole answer came.
        Body = 5 "body",
    }
}

codes! {
    /// What was decided on an answer.
    Decision {
        /// All sends of the batch are delivered.
        Delivered = 1 "delivered",
        /// Try the same batch again later.
        Retry = 2 "retry",
        /// Halve the batch to find the send that is refused.
        Split = 3 "split",
        /// Set the single refused send aside for a person.
        Park = 4 "park",
        /// Stop the lane until the destination is mended; the sends stay in the lane.
        Pause = 5 "pause",
        /// Get a new token and try again.
        RefreshAuth = 6 "refresh_auth",
    }
}

codes! {
    /// Whose fault a failed attempt is.
    ErrorSource {
        /// Our own: a bug, a bad blueprint, a full disk.
        Ours = 1 "ours",
        /// The network between us: refused, reset, timed out, no such name.
        Network = 2 "network",
        /// The vendor's answer.
        Vendor = 3 "vendor",
    }
}

/// Why an attempt failed, in the form an operator reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DeliveryError {
    /// Whose fault it is.
    pub source_of: ErrorSource,
    /// What happened, without secrets.
    pub message: String,
}

/// One try at a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
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
    /// The body that was sent, uncompressed.
    pub request_body: Bytes,
    /// The answer's headers, in order.
    pub answer_headers: Vec<(String, String)>,
    /// The first [`MAX_ANSWER_BODY`] bytes of the answer.
    pub answer_body: Bytes,
    /// How many bytes the answer's body had, as far as it was read.
    pub answer_bytes: u64,
    /// Why it failed, when it did.
    pub error: Option<DeliveryError>,
    /// What was decided.
    pub decision: Decision,
}

/// A value by which people ask for an event: `order_id` and what else the pipeline's `lookup:` names.
pub type Lookup = (Arc<str>, Box<str>);

/// One send within an [`Entry`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendRecord {
    /// The message id of the event.
    pub message_id: Box<str>,
    /// The canonical event name, or the type for events without one.
    pub event: Box<str>,
    /// The anonymous id of the event.
    pub anonymous_id: Option<Box<str>>,
    /// The user id of the event.
    pub user_id: Option<Box<str>>,
    /// The values by which people ask for it.
    pub lookups: Vec<Lookup>,
    /// Where the event stands in the journal.
    pub position: Position,
    /// When the event came in.
    pub received_at: Timestamp,
    /// Which of the event's sends this is; 0 for the first, and for an event that gave none.
    pub ordinal: u16,
    /// The rule that made it, empty when none did.
    pub rule: Arc<str>,
    /// The visitor code that was sent.
    pub visitor_code: Option<Box<str>>,
    /// Which rung gave the visitor code: the path it came from.
    pub rung: Option<Arc<str>>,
    /// The nonce that was sent.
    pub nonce: Option<Box<str>>,
    /// Remarks.
    pub marks: Marks,
    /// Where it ended; `None` while it will be tried again.
    pub outcome: Option<Outcome>,
}

/// One row of the delivery log: the sends of one request, or a block of sends that ended without a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: AttemptId,
    /// When it was decided.
    pub at: Timestamp,
    /// The lane.
    pub lane: LaneId,
    /// The hash of the plan that mapped its sends.
    pub plan: u64,
    /// The request; `None` when the sends ended without one.
    pub attempt: Option<Attempt>,
    /// The sends, in the order of the request.
    pub sends: Vec<SendRecord>,
}

// === impl AttemptId ===

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for AttemptId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

// === impl Attempt ===

impl Attempt {
    /// Whether the vendor may have taken the request although we have no answer that says so.
    #[must_use]
    pub fn may_have_arrived(&self) -> bool {
        self.status.is_none() && self.reached >= Reached::Written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_an_answer_may_have_arrived_only_once_it_was_written() {
        let mut attempt = Attempt {
            url: String::new(),
            method: "POST".into(),
            reached: Reached::Connected,
            status: None,
            duration_us: 0,
            request_body: Bytes::new(),
            answer_headers: Vec::new(),
            answer_body: Bytes::new(),
            answer_bytes: 0,
            error: None,
            decision: Decision::Retry,
        };
        assert!(!attempt.may_have_arrived());
        attempt.reached = Reached::Written;
        assert!(attempt.may_have_arrived());
        attempt.status = Some(500);
        assert!(!attempt.may_have_arrived());
    }
}
