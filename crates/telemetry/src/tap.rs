//! The live tail's tap: a bounded broadcast of what happens to events.
//!
//! Nothing is built for it while nobody listens. A listener that falls behind by more than the bound loses what it
//! missed and is told how much; the way of an event is never slowed.

use std::sync::Arc;

use anole_event::{AttemptId, Decision, LaneId, Reason, State, Timestamp};
use serde::Serialize;
use tokio::sync::broadcast;

/// What listeners may fall behind by, in events.
const BEHIND: usize = 4096;

/// Something that happened to one event.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum TapEvent {
    /// It is in the journal.
    Accepted {
        /// When it came in.
        at: Timestamp,
        /// The pipeline.
        pipeline: Arc<str>,
        /// The canonical name, or the type.
        event: Arc<str>,
        /// The message id.
        message_id: Arc<str>,
    },
    /// It was seen before, and not taken again.
    Duplicate {
        /// When it came in.
        at: Timestamp,
        /// The pipeline.
        pipeline: Arc<str>,
        /// The canonical name, or the type.
        event: Arc<str>,
        /// The message id.
        message_id: Arc<str>,
    },
    /// An event, or a request with whatever was in it, was refused.
    Rejected {
        /// When it came in.
        at: Timestamp,
        /// The pipeline, where the request came so far as to name one.
        pipeline: Option<Arc<str>>,
        /// The message id, where it could be read.
        message_id: Option<Arc<str>>,
        /// The closed code, as in the answer.
        code: &'static str,
        /// Which rule was broken.
        reason: Option<&'static str>,
        /// What a person should read.
        message: Arc<str>,
    },
    /// A request to a vendor was answered, or failed.
    Attempt {
        /// When it was decided.
        at: Timestamp,
        /// The lane.
        lane: LaneId,
        /// Its id in the delivery log.
        id: AttemptId,
        /// How many sends it carried.
        sends: usize,
        /// The vendor's status.
        status: Option<u16>,
        /// How long it took, in milliseconds.
        took_ms: f64,
        /// What was decided.
        decision: Decision,
        /// Why it failed, when it did.
        error: Option<Arc<str>>,
    },
    /// One of its sends ended.
    Outcome {
        /// When.
        at: Timestamp,
        /// The lane.
        lane: LaneId,
        /// The canonical name, or the type.
        event: Arc<str>,
        /// The message id.
        message_id: Arc<str>,
        /// The state.
        state: State,
        /// Why.
        reason: Reason,
        /// What a person should read.
        detail: Option<Arc<str>>,
        /// The vendor's status, when a request was made.
        status: Option<u16>,
        /// The remarks.
        marks: Vec<&'static str>,
    },
}

/// Where events for listeners go in.
#[derive(Debug)]
pub struct Tap(broadcast::Sender<Arc<TapEvent>>);

/// One listener.
#[derive(Debug)]
pub struct TapReader(broadcast::Receiver<Arc<TapEvent>>);

// === impl Tap ===

impl Default for Tap {
    fn default() -> Self {
        Self(broadcast::channel(BEHIND).0)
    }
}

impl Tap {
    /// Tells the listeners, building the event only when there is one.
    pub fn tell(&self, event: impl FnOnce() -> TapEvent) {
        if self.0.receiver_count() > 0 {
            // An error means that the last listener left in between.
            let _told = self.0.send(Arc::new(event()));
        }
    }

    /// Whether anybody listens.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.0.receiver_count() > 0
    }

    /// A listener for what happens from now on.
    #[must_use]
    pub fn listen(&self) -> TapReader {
        TapReader(self.0.subscribe())
    }
}

// === impl TapReader ===

impl TapReader {
    /// The next event, or the number of events that this listener was too slow for; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Arc<TapEvent>, u64>> {
        match self.0.recv().await {
            Ok(event) => Some(Ok(event)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Err(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    /// The next event, or the number of events that this listener was too slow for, when there is one by now.
    pub fn try_next(&mut self) -> Option<Result<Arc<TapEvent>, u64>> {
        match self.0.try_recv() {
            Ok(event) => Some(Ok(event)),
            Err(broadcast::error::TryRecvError::Lagged(missed)) => Some(Err(missed)),
            Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed) => None,
        }
    }
}
