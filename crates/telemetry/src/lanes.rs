//! Signals of the registry of lanes: orphans, and what holds the journal back.

use std::fmt::Display;
use std::time::Duration;

use anole_event::{LaneId, Reason, State, Timestamp};

use crate::{Names, OutcomesSettled, Signal, Telemetry};

pub(crate) struct LanesMetrics {
    orphaned: prometheus::IntGaugeVec,
    undelivered: prometheus::IntGaugeVec,
    retention_failed: prometheus::IntCounterVec,
}

/// No pipeline has the lane any more.
#[derive(Debug)]
pub struct LaneOrphaned<'a> {
    /// The lane.
    pub lane: &'a LaneId,
}

/// A pipeline has the lane again.
#[derive(Debug)]
pub struct LaneReturned<'a> {
    /// The lane.
    pub lane: &'a LaneId,
}

/// An orphan, as it stands.
#[derive(Debug)]
pub struct OrphanSeen<'a> {
    /// The lane.
    pub lane: &'a LaneId,
    /// How many events of its pipeline it has not delivered.
    pub undelivered: u64,
    /// Whether it holds them in the journal.
    pub holds: bool,
}

/// An orphan holds the journal no longer.
#[derive(Debug)]
pub struct OrphanLetGo<'a, U> {
    /// The lane.
    pub lane: &'a LaneId,
    /// Since when no pipeline has it.
    pub since: Timestamp,
    /// How long it held.
    pub keep: Duration,
    /// What it has not delivered, in words.
    pub undelivered: U,
}

/// A person gave up an orphan.
#[derive(Debug)]
pub struct LaneReleased<'a> {
    /// The lane.
    pub lane: &'a LaneId,
    /// How many events of its pipeline it had not delivered, at least.
    pub undelivered: u64,
}

/// A lane has another name.
#[derive(Debug)]
pub struct LaneRenamed<'a> {
    /// Its name before.
    pub from: &'a LaneId,
    /// Its name now.
    pub to: &'a LaneId,
    /// Whether a lane of that name was at work and took it over.
    pub taken_over: bool,
}

/// A person wants parked sends of a lane sent again.
#[derive(Debug)]
pub struct ReplayBegun<'a> {
    /// The lane.
    pub lane: &'a LaneId,
    /// How many sends.
    pub sends: u64,
}

/// A replay is over.
#[derive(Debug)]
pub struct ReplayEnded<'a> {
    /// The lane.
    pub lane: &'a LaneId,
    /// How many sends were delivered.
    pub delivered: u64,
    /// How many ended in another way.
    pub others: u64,
    /// Why it stopped before its end, when it did.
    pub stopped: Option<&'a str>,
}

/// It could not be said what the journal may let go; everything is kept until it can.
#[derive(Debug)]
pub struct RetentionFailed<E> {
    /// Why.
    pub error: E,
}

impl LanesMetrics {
    pub(crate) fn register(names: &Names<'_>) -> Self {
        Self {
            orphaned: names.gauge(
                "anole_lane_orphaned",
                "1 for a lane that no pipeline has and that holds the journal, 0 once it holds nothing.",
                &["lane"],
            ),
            undelivered: names.gauge(
                "anole_orphan_undelivered_events",
                "Events that an orphaned lane has not delivered.",
                &["lane"],
            ),
            retention_failed: names.counter(
                "anole_retention_errors_total",
                "Times it could not be said what the journal may let go.",
                &[],
            ),
        }
    }

    fn forget(&self, lane: &LaneId) {
        for gauge in [&self.orphaned, &self.undelivered] {
            // There is none for a lane that never was an orphan.
            let _none = gauge.remove_label_values(&[lane.as_str()]);
        }
    }
}

impl Signal for LaneOrphaned<'_> {
    fn emit(self, _: &Telemetry) {
        tracing::warn!(
            lane = %self.lane,
            "no pipeline has the lane any more; what it has not delivered is kept for a while: `anole lanes list` says more"
        );
    }
}

impl Signal for LaneReturned<'_> {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.lanes.forget(self.lane);
        tracing::info!(lane = %self.lane, "a pipeline has the lane again; it goes on where it was");
    }
}

impl Signal for OrphanSeen<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let lane = [self.lane.as_str()];
        let undelivered = i64::try_from(self.undelivered).unwrap_or(i64::MAX);
        telemetry.lanes.orphaned.with_label_values(&lane).set(i64::from(self.holds));
        telemetry.lanes.undelivered.with_label_values(&lane).set(undelivered);
    }
}

impl<U: Display> Signal for OrphanLetGo<'_, U> {
    fn emit(self, _: &Telemetry) {
        tracing::warn!(
            lane = %self.lane,
            since = %self.since,
            keep_seconds = self.keep.as_secs(),
            undelivered = %self.undelivered,
            "the orphaned lane holds the journal no longer; its undelivered events go with the oldest segments"
        );
    }
}

impl Signal for LaneReleased<'_> {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.lanes.forget(self.lane);
        let (state, reason) = (State::Discarded, Reason::Requested);
        telemetry.emit(OutcomesSettled { lane: self.lane, state, reason, sends: self.undelivered });
        tracing::info!(lane = %self.lane, undelivered = self.undelivered, "a person released the orphaned lane");
    }
}

impl Signal for LaneRenamed<'_> {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.lanes.forget(self.from);
        if self.taken_over {
            tracing::info!(from = %self.from, to = %self.to, "the lane has taken over what the orphan had not delivered");
        } else {
            tracing::info!(from = %self.from, to = %self.to, "the lane has another name");
        }
    }
}

impl Signal for ReplayBegun<'_> {
    fn emit(self, _: &Telemetry) {
        tracing::info!(lane = %self.lane, sends = self.sends, "parked sends are sent again");
    }
}

impl Signal for ReplayEnded<'_> {
    fn emit(self, _: &Telemetry) {
        let Self { lane, delivered, others, stopped } = self;
        match stopped {
            Some(why) => tracing::warn!(%lane, delivered, others, why, "the replay has stopped before its end"),
            None => tracing::info!(%lane, delivered, others, "the replay is over"),
        }
    }
}

impl<E: Display> Signal for RetentionFailed<E> {
    fn emit(self, telemetry: &Telemetry) {
        const NONE: [&str; 0] = [];
        telemetry.lanes.retention_failed.with_label_values(&NONE).inc();
        if let Some(left_out) = telemetry.allows("retention_failed") {
            tracing::error!(error = %self.error, left_out, "the lanes' progress cannot be read; the journal keeps everything");
        }
    }
}
