//! Signals of ingest.

use std::time::Duration;

use anole_event::Reason;

use crate::{Names, Signal, Telemetry};

pub(crate) struct IngestMetrics {
    received: prometheus::IntCounterVec,
    refused: prometheus::IntCounterVec,
    requests_refused: prometheus::IntCounterVec,
    ack: prometheus::HistogramVec,
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

impl IngestMetrics {
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
