//! Signals of ingest.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use anole_event::Reason;
use prometheus::core::Collector;

use crate::{Names, Signal, Telemetry};

pub(crate) struct IngestMetrics {
    received: prometheus::IntCounterVec,
    refused: prometheus::IntCounterVec,
    robots: prometheus::IntCounterVec,
    requests_refused: prometheus::IntCounterVec,
    ack: prometheus::HistogramVec,
    window_events: prometheus::IntGaugeVec,
    window_seconds: prometheus::IntGaugeVec,
    lookups_failed: prometheus::IntCounterVec,
}

/// Events were taken into the journal.
#[derive(Debug)]
pub struct EventsReceived<'a> {
    /// The pipeline.
    pub pipeline: &'a str,
    /// The protocol they came by.
    pub protocol: &'a str,
    /// How many.
    pub events: u64,
}

/// Events of an accepted request were refused or were there already.
#[derive(Debug)]
pub struct EventsRefused<'a> {
    /// The pipeline.
    pub pipeline: &'a str,
    /// Why.
    pub reason: Reason,
    /// How many.
    pub events: u64,
}

/// A robot sent events.
#[derive(Debug)]
pub struct RobotsSeen<'a> {
    /// The pipeline.
    pub pipeline: &'a str,
    /// Whether they were dropped; if not, they were marked.
    pub dropped: bool,
    /// How many.
    pub events: u64,
}

/// A whole request was refused.
#[derive(Debug)]
pub struct RequestRefused<'a> {
    /// The status that was answered.
    pub status: u16,
    /// The code of the answer.
    pub code: &'a str,
}

/// A request was answered with success.
#[derive(Debug)]
pub struct Acknowledged<'a> {
    /// The level of safety: `fsync`, `write` or `memory`.
    pub ack: &'a str,
    /// From the body's end to the answer.
    pub took: Duration,
}

/// How long the window of de-duplication is in truth.
#[derive(Debug)]
pub struct DedupWindow {
    /// How many events are in it.
    pub events: usize,
    /// How long ago the oldest of them came.
    pub length: Duration,
}

/// The identity map could not be asked; the events were taken without what it knows.
#[derive(Debug)]
pub struct IdentityLookupFailed<E> {
    /// Why.
    pub error: E,
}

/// What came in since the start, of one pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// The pipeline.
    pub pipeline: String,
    /// Events taken into the journal.
    pub accepted: u64,
    /// Events that were there already.
    pub duplicates: u64,
    /// Events that were refused.
    pub refused: u64,
}

impl IngestMetrics {
    /// What came in since the start, by pipeline.
    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        let mut all: BTreeMap<String, Arrived> = BTreeMap::new();
        for (counters, is_received) in [(&self.received, true), (&self.refused, false)] {
            let families = counters.collect();
            for metric in families.iter().flat_map(prometheus::proto::MetricFamily::get_metric) {
                let label = |name: &str| {
                    let found = metric.get_label().iter().find(|label| label.name() == name);
                    found.map(prometheus::proto::LabelPair::value)
                };
                let Some(pipeline) = label("pipeline") else { continue };
                let count = metric.get_counter().get_value() as u64;
                let none = || Arrived { pipeline: pipeline.to_owned(), accepted: 0, duplicates: 0, refused: 0 };
                let arrived = all.entry(pipeline.to_owned()).or_insert_with(none);
                match label("reason") {
                    _ if is_received => arrived.accepted += count,
                    Some(reason) if reason == Reason::SeenBefore.as_str() => arrived.duplicates += count,
                    _ => arrived.refused += count,
                }
            }
        }
        all.into_values().collect()
    }

    pub(crate) fn register(names: &Names<'_>) -> Self {
        Self {
            received: names.counter(
                "anole_events_received_total",
                "Events taken into the journal.",
                &["pipeline", "protocol"],
            ),
            refused: names.counter(
                "anole_events_refused_total",
                "Events that did not enter the journal, by reason.",
                &["pipeline", "reason"],
            ),
            robots: names.counter(
                "anole_robots_events_total",
                "Events of robots, by what was done with them: dropped or flagged.",
                &["pipeline", "done"],
            ),
            requests_refused: names.counter(
                "anole_requests_refused_total",
                "Requests answered with an error.",
                &["status", "code"],
            ),
            ack: names.seconds(
                "anole_ack_seconds",
                "Time from the end of a request's body to its accepted answer.",
                &["ack"],
            ),
            window_events: names.gauge(
                "anole_dedup_events",
                "Events that would be recognised if they came again.",
                &[],
            ),
            window_seconds: names.gauge("anole_dedup_seconds", "Age of the oldest of them, in seconds.", &[]),
            lookups_failed: names.counter(
                "anole_identity_lookups_failed_total",
                "Requests whose events were taken without what the identity map knows.",
                &[],
            ),
        }
    }
}

impl Signal for EventsReceived<'_> {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.ingest.received.with_label_values(&[self.pipeline, self.protocol]).inc_by(self.events);
    }
}

impl Signal for EventsRefused<'_> {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.ingest.refused.with_label_values(&[self.pipeline, self.reason.as_str()]).inc_by(self.events);
    }
}

impl Signal for RobotsSeen<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let done = if self.dropped { "dropped" } else { "flagged" };
        telemetry.ingest.robots.with_label_values(&[self.pipeline, done]).inc_by(self.events);
    }
}

impl Signal for RequestRefused<'_> {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.ingest.requests_refused.with_label_values(&[&self.status.to_string(), self.code]).inc();
    }
}

impl Signal for Acknowledged<'_> {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.ingest.ack.with_label_values(&[self.ack]).observe(self.took.as_secs_f64());
    }
}

impl Signal for DedupWindow {
    fn emit(self, telemetry: &Telemetry) {
        let none: [&str; 0] = [];
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        telemetry.ingest.window_events.with_label_values(&none).set(gauge(self.events as u64));
        telemetry.ingest.window_seconds.with_label_values(&none).set(gauge(self.length.as_secs()));
    }
}

impl<E: Display> Signal for IdentityLookupFailed<E> {
    fn emit(self, telemetry: &Telemetry) {
        let none: [&str; 0] = [];
        telemetry.ingest.lookups_failed.with_label_values(&none).inc();
        if let Some(left_out) = telemetry.allows("identity_lookup_failed") {
            tracing::warn!(error = %self.error, left_out, "the identity map could not be asked");
        }
    }
}
