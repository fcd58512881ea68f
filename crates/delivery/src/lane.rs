//! What goes into a lane's machine and what comes out of it.
//!
//! A lane is a state machine without I/O: [`crate::Machine::step`] takes the time and one [`Input`] and answers with
//! [`Command`]s. It reads no clock, opens no socket and writes no file; its chance comes from a generator in its state. So
//! days of a vendor's bad behaviour are played in milliseconds, exactly, by seed.

use std::sync::Arc;
use std::time::Duration;

use anole_event::{
    AttemptId, DeliveryError, Entry, LaneId, Lookup, Mono, OrderKey, Position, Reached, Reason, Record, Timestamp,
    code_enum,
};
use anole_pipeline::{Address, EndpointKey, LanePlan, Made};
use anole_state::{ParkedId, SendKey};
use bytes::Bytes;

use crate::window::{WindowLimits, WindowProgress};

/// The hint of a lane that a person stopped.
pub const ASKED: &str = "a person paused the lane";

code_enum! {
    /// The stable codes of why a lane is paused.
    pub enum PauseCode {
        /// A person stopped it.
        Asked "paused_by_person",
        /// What is parked has no room any more.
        ParkedFull "paused_parked_full",
        /// The vendor's answer means misconfiguration.
        Answer "paused_by_answer",
        /// The vendor refuses everything.
        Refusals "paused_by_refusals",
    }
}

/// Which endpoints have asked for silence, and until when.
pub type Silences = Vec<(EndpointKey, Mono)>;

/// The number of a request under way. Never given twice within a run.
pub type RequestId = u64;

/// How a lane works. The defaults are those of the manual.
#[derive(Clone, Copy, Debug)]
pub struct LaneOptions {
    /// What may be read and unfinished.
    pub window: WindowLimits,
    /// Requests under way to one endpoint, or batches that wait there for another try. Default 8.
    pub inflight: usize,
    /// Requests under way in all. Default 32.
    pub inflight_in_all: usize,
    /// How often a paused lane asks whether it may go on. Default one minute.
    pub probe_every: Duration,
    /// How long outcomes without a request are gathered before they are recorded. Default 200 ms.
    pub quiet_wait: Duration,
}

/// An event as a lane keeps it until all its sends have ended.
#[derive(Debug)]
pub struct Subject {
    /// Where it stands.
    pub position: Position,
    /// The whole record: what a parked send keeps.
    pub record: Record,
    /// The message id.
    pub message_id: Box<str>,
    /// The canonical name, or the type for events without one.
    pub event: Box<str>,
    /// The visitor.
    pub anonymous_id: Option<Box<str>>,
    /// The user.
    pub user_id: Option<Box<str>>,
    /// The values by which people ask for it.
    pub lookups: Vec<Lookup>,
    /// When it came in.
    pub received_at: Timestamp,
    /// Whose it is.
    pub order_key: OrderKey,
}

/// An event that the plan was applied to.
#[derive(Debug)]
pub struct Offer {
    /// The event.
    pub subject: Arc<Subject>,
    /// Where reading goes on behind it.
    pub next: Position,
    /// What the plan made of it.
    pub made: Vec<Made>,
    /// The plan.
    pub plan: Arc<LanePlan>,
}

/// What a person wants sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Again {
    /// A send that is parked.
    Parked(ParkedId),
    /// A send that is deferred, and due.
    Deferred(SendKey),
    /// An event that stands here in the journal, and that the lane has finished.
    Read(Position),
}

/// What a person wants sent again, mapped by the plan in force.
#[derive(Debug)]
pub struct Replayed {
    /// What it is.
    pub of: Again,
    /// Which of the event's sends a parked row is.
    pub ordinal: u16,
    /// The event.
    pub subject: Arc<Subject>,
    /// What the plan makes of it now; at least one.
    pub made: Vec<Made>,
    /// The plan.
    pub plan: Arc<LanePlan>,
}

/// How a request ended, as the driver saw it.
#[derive(Clone, Debug)]
pub struct Answered {
    /// How far it came.
    pub reached: Reached,
    /// The status, when an answer's head came.
    pub status: Option<u16>,
    /// How long it took.
    pub took: Duration,
    /// The body that was sent.
    pub request_body: Bytes,
    /// The answer's headers.
    pub headers: Vec<(String, String)>,
    /// The first 8 KiB of the answer's body.
    pub body: Bytes,
    /// The bytes of the answer's body, as far as they were read.
    pub body_bytes: u64,
    /// Why there is no whole answer.
    pub error: Option<DeliveryError>,
    /// Whether we did not even ask, as the request may not go where the blueprint says. That is for a person to mend.
    pub blocked: bool,
    /// Whether it went without the token that it should have had, as none could be had.
    pub without_token: bool,
}

/// What a machine is told.
#[derive(Debug)]
pub enum Input {
    /// An event that concerns the lane.
    Offer(Offer),
    /// Nothing up to here concerns the lane.
    Advance(Position),
    /// Something is to be sent again.
    Replay(Replayed),
    /// A deferred send that was asked for is not there any more.
    Gone(SendKey),
    /// A deferred send that was asked for cannot be read now: it is asked for again.
    Later(SendKey),
    /// A request ended.
    Answer(RequestId, Box<Answered>),
    /// The delivery log has the settlements up to this number (S-2).
    Recorded(u64),
    /// A timer that was asked for, or any other moment: time has passed.
    Tick,
    /// The lane must stop until a person resumes it; the hint says why. [`ASKED`] when a person asked for it.
    Pause(Arc<str>),
    /// A person lets it go on.
    Resume,
    /// The daemon ends: start nothing more.
    Drain,
}

/// What a machine asks for.
#[derive(Debug)]
pub enum Command {
    /// Make this request and tell how it ended.
    Send(Outgoing),
    /// Write this to the delivery log, in order, and then say `Recorded`.
    Record(Settlement),
    /// The state may take this now: what it says is in the delivery log.
    Commit(Moved),
    /// A deferred send is due: give it by `Replay` when the state has it, or say `Gone`.
    Undefer(SendKey),
    /// The lane stopped; the hint says what to do.
    Paused(Arc<str>),
    /// The lane goes on.
    Resumed,
    /// An endpoint's breaker opened, or closed.
    Breaker {
        /// Whose.
        endpoint: EndpointKey,
        /// Whether it is open now.
        open: bool,
    },
    /// The endpoint refused the token: get a new one.
    RefreshAuth(Arc<Address>),
    /// The wall clock jumped: nothing expires for a while.
    ClockJumped,
    /// Nothing is under way any more and everything that ended is recorded: the driver may stop.
    Drained,
}

/// A request to be made.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Its number.
    pub request: RequestId,
    /// Where it goes.
    pub address: Arc<Address>,
    /// The plan, which knows how to authenticate.
    pub plan: Arc<LanePlan>,
    /// The assembled body.
    pub body: Bytes,
    /// How many sends travel in it.
    pub sends: usize,
}

/// Ended attempts and outcomes, to be written before progress may pass them.
#[derive(Debug)]
pub struct Settlement {
    /// Rising; `Recorded` names the last one written.
    pub number: u64,
    /// The rows.
    pub entries: Vec<Entry>,
}

/// What a commit of state holds.
#[derive(Debug)]
pub struct Moved {
    /// How far the lane is.
    pub progress: WindowProgress,
    /// Sends that now wait for a person.
    pub parked: Vec<SetAside>,
    /// Parked sends that were replayed to another end.
    pub unparked: Vec<ParkedId>,
    /// Sends that now wait for their time. One that is deferred again takes the place of its row.
    pub deferred: Vec<SetAside>,
    /// Deferred sends that came to another end.
    pub undeferred: Vec<SendKey>,
}

/// A send that is set aside, for a person or until a time. The payload is not kept: it is mapped anew.
#[derive(Debug)]
pub struct SetAside {
    /// The event.
    pub subject: Arc<Subject>,
    /// Which of the event's sends.
    pub ordinal: u16,
    /// The rule that made it.
    pub rule: Arc<str>,
    /// Why.
    pub reason: Reason,
    /// What a person should read.
    pub detail: Option<String>,
    /// When it was set aside.
    pub at: Timestamp,
    /// The plan that mapped it.
    pub plan: u64,
    /// The attempt after which it was set aside.
    pub attempt: Option<AttemptId>,
    /// What was replayed, when it was a replay.
    pub replayed: Option<Again>,
    /// When it is tried again; nothing when it waits for a person.
    pub deferral: Option<Deferral>,
}

/// For how long a send is set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deferral {
    /// When it is tried again.
    pub due_at: Timestamp,
    /// How often it was deferred.
    pub times: u32,
}

/// A deferred send that the state has, as a lane is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deferred {
    /// Which send.
    pub key: SendKey,
    /// Whose it is: later sends of it may overtake this one.
    pub order_key: OrderKey,
    /// How often it was deferred.
    pub times: u32,
    /// When it is due.
    pub due: Mono,
}

/// A lane at a glance.
#[derive(Clone, Debug)]
pub struct LaneStatus {
    /// The lane.
    pub lane: LaneId,
    /// Events read and not finished.
    pub open: usize,
    /// When the oldest of them came in.
    pub oldest: Option<Timestamp>,
    /// Requests under way.
    pub inflight: usize,
    /// Batches that wait for another try.
    pub retrying: usize,
    /// Sends that are set aside until a time, as they fail whenever they are sent.
    pub deferred: usize,
    /// Why it is paused, when it is.
    pub paused: Option<Arc<str>>,
    /// The same as a code.
    pub pause: Option<PauseCode>,
    /// How its endpoints do.
    pub endpoints: Vec<EndpointStatus>,
    /// How far it is.
    pub progress: WindowProgress,
}

/// What a lane knows of an endpoint that it calls.
#[derive(Clone, Debug)]
pub struct EndpointStatus {
    /// Which one.
    pub endpoint: EndpointKey,
    /// Whether its breaker is open: it fails, and gets nothing but probes.
    pub open: bool,
    /// How many requests a second it gets at most, when it has refused more by 429.
    pub rate: Option<f64>,
    /// For how long it has asked for silence.
    pub silent: Duration,
    /// Batches that wait for it.
    pub waiting: usize,
}

// === impl LaneOptions ===

impl Default for LaneOptions {
    fn default() -> Self {
        Self {
            window: WindowLimits::default(),
            inflight: 8,
            inflight_in_all: 32,
            probe_every: Duration::from_secs(60),
            quiet_wait: Duration::from_millis(200),
        }
    }
}
