//! The words everything else is said in.
//!
//! This crate is pure: no I/O, no clock of its own, no randomness of its own. It owns the canonical [`Event`], the ids
//! ([`OrderKey`], [`Fingerprint`], [`LaneId`], [`Position`]), the binary [`Head`] that stands before each record of the
//! journal, the named ends of a send ([`State`], [`Reason`], [`Outcome`]), the history [`Entry`] with its [`Attempt`],
//! and the traits through which time and chance come in ([`Clock`], [`Random`]).

mod attempt;
mod clock;
mod code;
mod event;
mod key;
mod lane;
mod outcome;
mod position;
mod record;
mod timestamp;

pub use attempt::{
    Attempt, AttemptId, Decision, DeliveryError, Entry, ErrorSource, Lookup, MAX_ANSWER_BODY, Reached, SendRecord,
};
pub use clock::{Clock, ManualClock, Mono, Now, Random, Seeded, SystemClock, uuid_v7};
pub use event::{Event, EventType, write_json_str};
pub use key::{Fingerprint, OrderKey, lookup_fingerprint};
pub use lane::LaneId;
pub use outcome::{Marks, Outcome, Reason, State};
pub use position::{Partition, Position};
pub use record::{Head, HeadError, Kind, Record};
pub use timestamp::{Timestamp, TimestampError};
