//! Typed signals that both log and count.
//!
//! Nothing in anole logs or counts in place: code emits a [`Signal`], which is a plain struct that says what happened;
//! its `emit` writes the log line and moves the metrics. So the names of metrics and the wording of log lines stand in
//! this crate only, one file per part of the house. The live tail's [`Tap`] hangs here too.
//!
//! Log messages are lower case without a full stop, with structured fields; never a body, never a secret.

mod delivery;
mod forget;
mod history;
mod http;
mod ingest;
mod journal;
mod lanes;
mod log;
mod process;
mod state;
mod tap;

use std::sync::Arc;

use anole_event::Clock;
use prometheus::{Encoder, Registry, TextEncoder};

pub use delivery::{
    AttemptEnded, BreakerGone, BreakerMoved, ClockJumped, LaneCounts, LanePaused, LaneReadFailed, LaneResumed,
    LaneStopped, OutcomesSettled, ParkedNow, TokenLeftOut,
};
pub use forget::{ForgettingFailed, Forgotten};
pub use history::{HistoryDamaged, HistoryDropped, HistoryRotated, HistorySize, HistoryWriteFailed};
pub use http::{
    AcceptFailed, CertificateInForce, CertificateRefused, CertificatesReloaded, ConnectionClosed, ConnectionCut,
    ConnectionOpened, ConnectionsAtCap, CutReason, ListenerOpened,
};
pub use ingest::{
    Acknowledged, Arrived, DedupWindow, EventsReceived, EventsRefused, IdentityLookupFailed, RequestRefused, RobotsSeen,
};
pub use journal::{
    AppendFailed, GroupSynced, HousekeepingFailed, JournalDamaged, JournalOpened, SegmentRemoved, SegmentRolled,
    TailCut,
};
pub use lanes::{
    LaneOrphaned, LaneReleased, LaneRenamed, LaneReturned, OrphanLetGo, OrphanSeen, ReplayBegun, ReplayEnded,
    RetentionFailed,
};
pub use log::{LogFormat, init_logging};
pub use process::{ConfigRefused, ConfigReloaded, LaneStuck, Said, Shutdown, Started};
pub use state::{IdentitiesNotKept, StateBackedUp, StateBackupDamaged, StateErased, StateRestored, StateWriteFailed};
pub use tap::{Tap, TapEvent, TapReader};

/// Something that happened, told once to the log and to the metrics.
pub trait Signal {
    /// Logs and counts.
    fn emit(self, telemetry: &Telemetry);
}

/// The metrics, the log's thinning and the tap. One per process, or one per test.
pub struct Telemetry {
    registry: Registry,
    thin: log::Thin,
    pub(crate) http: http::HttpMetrics,
    pub(crate) ingest: ingest::IngestMetrics,
    pub(crate) journal: journal::JournalMetrics,
    pub(crate) state: state::StateMetrics,
    pub(crate) history: history::HistoryMetrics,
    pub(crate) delivery: delivery::DeliveryMetrics,
    pub(crate) lanes: lanes::LanesMetrics,
    pub(crate) process: process::ProcessMetrics,
    tap: Tap,
}

// === impl Telemetry ===

impl Telemetry {
    /// Telemetry with a registry of its own, in which every metric of anole stands.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let registry = Registry::new();
        let names = Names(&registry);
        Arc::new(Self {
            http: http::HttpMetrics::register(&names),
            ingest: ingest::IngestMetrics::register(&names),
            journal: journal::JournalMetrics::register(&names),
            state: state::StateMetrics::register(&names),
            history: history::HistoryMetrics::register(&names),
            delivery: delivery::DeliveryMetrics::register(&names),
            lanes: lanes::LanesMetrics::register(&names),
            process: process::ProcessMetrics::register(&names),
            thin: log::Thin::new(clock),
            tap: Tap::default(),
            registry,
        })
    }

    /// Tells the log and the metrics what happened.
    pub fn emit(&self, signal: impl Signal) {
        signal.emit(self);
    }

    /// Every metric in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        // Encoding into memory fails only on a metric without samples, which `gather` has left out.
        if TextEncoder::new().encode(&self.registry.gather(), &mut text).is_err() {
            text.clear();
        }
        String::from_utf8(text).unwrap_or_default()
    }

    /// What came in since the start, by pipeline.
    #[must_use]
    pub fn arrived(&self) -> Vec<Arrived> {
        self.ingest.arrived()
    }

    /// The live tail's tap.
    #[must_use]
    pub const fn tap(&self) -> &Tap {
        &self.tap
    }

    /// Whether a line of this key should be written now; repeated lines are thinned to one in ten seconds, and the next
    /// one that is written says how many were left out.
    pub(crate) fn allows(&self, key: &'static str) -> Option<u64> {
        self.thin.allows(key)
    }
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

/// Makes metrics and puts them into the registry. A name that is taken or malformed is a bug that the crate's own test
/// finds; at run time such a metric would merely not be scraped.
pub(crate) struct Names<'a>(&'a Registry);

impl Names<'_> {
    pub(crate) fn counter(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::IntCounterVec {
        self.add(prometheus::IntCounterVec::new(prometheus::Opts::new(name, help), labels))
    }

    pub(crate) fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::IntGaugeVec {
        self.add(prometheus::IntGaugeVec::new(prometheus::Opts::new(name, help), labels))
    }

    pub(crate) fn seconds(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::HistogramVec {
        let buckets = vec![
            0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
        ];
        self.add(prometheus::HistogramVec::new(prometheus::HistogramOpts::new(name, help).buckets(buckets), labels))
    }

    #[expect(clippy::expect_used, reason = "metric names are constants of this crate; its test builds them all")]
    fn add<M: prometheus::core::Collector + Clone + 'static>(&self, made: prometheus::Result<M>) -> M {
        let metric = made.expect("the name and labels of a metric are valid");
        self.0.register(Box::new(metric.clone())).expect("no two metrics share a name");
        metric
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_in_is_told_by_pipeline() {
        let telemetry = Telemetry::new(Arc::new(anole_event::ManualClock::default()));
        telemetry.emit(EventsReceived { pipeline: "shop", protocol: "segment", events: 3 });
        telemetry.emit(EventsReceived { pipeline: "shop", protocol: "ga4", events: 2 });
        telemetry.emit(EventsRefused { pipeline: "shop", reason: anole_event::Reason::SeenBefore, events: 4 });
        telemetry.emit(EventsRefused { pipeline: "shop", reason: anole_event::Reason::InvalidEvent, events: 1 });
        let expected = Arrived { pipeline: "shop".to_owned(), accepted: 5, duplicates: 4, refused: 1 };
        assert_eq!(telemetry.arrived(), [expected]);
    }

    #[test]
    fn a_signal_is_seen_in_the_rendered_metrics() {
        let telemetry = Telemetry::new(Arc::new(anole_event::ManualClock::default()));
        telemetry.emit(EventsReceived { pipeline: "shop", protocol: "segment", events: 3 });
        let text = telemetry.render();
        assert!(text.contains("anole_events_received_total{pipeline=\"shop\",protocol=\"segment\"} 3"), "{text}");
    }
}
