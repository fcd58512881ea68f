//! From an append under way to its end, whatever becomes of the request that began it.
//!
//! A client that goes away drops its request's future, but not the append: the records are on their way to the disk. Were
//! the end of the append then nobody's concern, repetitions would wait for ever, or the events would be forgotten and
//! taken a second time. So the end is always waited for: by the request, or, when that is dropped, by a task of its own.

use std::sync::Arc;

use anole_event::{Clock, Mono, Timestamp};
use anole_journal::{Append, AppendError};
use anole_telemetry::{DedupWindow, EventsReceived, TapEvent, Telemetry};
use tokio::runtime::Handle;

use crate::dedup::{Dedup, Flight};

/// What the end of an append is told to.
pub(crate) struct Landing {
    pub(crate) dedup: Arc<Dedup>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The fingerprints that were booked on the flight.
    pub(crate) fingerprints: Vec<u128>,
    pub(crate) flight: Arc<Flight>,
    pub(crate) pipeline: Arc<str>,
    pub(crate) protocol: &'static str,
    pub(crate) received_at: Timestamp,
    /// How many events it has.
    pub(crate) events: u64,
    /// Name and message id of each, where somebody listens to the tap.
    pub(crate) heard: Vec<(Arc<str>, Arc<str>)>,
    pub(crate) over: bool,
}

/// An append whose end will be told.
pub(crate) struct Appending {
    append: Option<Append>,
    landing: Option<Landing>,
}

// === impl Landing ===

impl Landing {
    fn land(mut self, safe: bool) {
        self.over = true;
        let now = self.clock.now();
        self.dedup.land(&self.fingerprints, &self.flight, safe, now);
        if !safe {
            return;
        }
        self.telemetry.emit(EventsReceived { pipeline: &self.pipeline, protocol: self.protocol, events: self.events });
        if self.dedup.is_due(now.mono) {
            let length = self.dedup.length(now);
            self.telemetry.emit(DedupWindow { events: length.events, length: length.length });
        }
        for (event, message_id) in self.heard.drain(..) {
            let (at, pipeline) = (self.received_at, Arc::clone(&self.pipeline));
            self.telemetry.tap().tell(|| TapEvent::Accepted { at, pipeline, event, message_id });
        }
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        // Only when the runtime itself ends under it: who waits is told that it is not known to be safe.
        if !self.over {
            self.dedup.land(&self.fingerprints, &self.flight, false, self.clock.now());
        }
    }
}

// === impl Appending ===

impl Appending {
    pub(crate) const fn new(append: Append, landing: Landing) -> Self {
        Self { append: Some(append), landing: Some(landing) }
    }

    /// Waits for the end and tells it. May be dropped: then it is told all the same.
    ///
    /// # Errors
    /// As the append.
    pub(crate) async fn end(mut self) -> Result<(), AppendError> {
        let result = match self.append.as_mut() {
            Some(append) => append.await,
            None => return Err(AppendError::Closed),
        };
        self.append = None;
        if let Some(landing) = self.landing.take() {
            landing.land(result.is_ok());
        }
        result.map(|_positions| ())
    }
}

impl Drop for Appending {
    fn drop(&mut self) {
        let (Some(append), Some(landing)) = (self.append.take(), self.landing.take()) else { return };
        if let Ok(runtime) = Handle::try_current() {
            let _detached = runtime.spawn(async move { landing.land(append.await.is_ok()) });
        }
    }
}

/// When something that need not be told each time is due again.
#[derive(Debug, Default)]
pub(crate) struct Due(std::sync::atomic::AtomicU64);

// === impl Due ===

impl Due {
    /// Whether a second has passed since this last said so.
    pub(crate) fn now(&self, mono: Mono) -> bool {
        use std::sync::atomic::Ordering::Relaxed;
        let second = mono.micros() / 1_000_000 + 1;
        let last = self.0.load(Relaxed);
        second > last && self.0.compare_exchange(last, second, Relaxed, Relaxed).is_ok()
    }
}
