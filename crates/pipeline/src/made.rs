//! What a plan makes of an event.

use std::sync::Arc;
use std::time::Duration;

use anole_event::{Marks, Outcome};
use bytes::Bytes;
use smallvec::SmallVec;

use crate::Address;

/// What a lane's plan makes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Applied {
    /// All that there is to make of it; at least one.
    Made(SmallVec<[Made; 1]>),
}

/// One send, or where it ended before it became one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// To be sent.
    Send(Send),
    /// Ended without a request.
    Ended(Ended),
}

/// A send that ended without a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Which of the event's sends it is, or 0 when the event gave none.
    pub ordinal: u16,
    /// The rule; empty when none matched.
    pub rule: Arc<str>,
    /// The visitor code, when the send got so far.
    pub visitor_code: Option<Box<str>>,
    /// Which rung gave the visitor code.
    pub rung: Option<Arc<str>>,
    /// Where it ended, and why.
    pub outcome: Outcome,
}

/// A vendor event, ready to be put into a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// Which of the event's sends it is.
    pub ordinal: u16,
    /// The rule.
    pub rule: Arc<str>,
    /// Where it goes.
    pub address: Arc<Address>,
    /// The serialised item.
    pub item: Bytes,
    /// The nonce, when it has one.
    pub nonce: Option<Box<str>>,
    /// The visitor code, when it has one.
    pub visitor_code: Option<Box<str>>,
    /// Which rung gave the visitor code.
    pub rung: Option<Arc<str>>,
    /// Remarks.
    pub marks: Marks,
    /// What a person should know although it is sent: why the visitor code is a fallback.
    pub hint: Option<Arc<str>>,
    /// How long after `received_at` the vendor has no use for it any more.
    pub expires: Option<Duration>,
}
