//! Signals of delivery.

use std::fmt::Display;
use std::time::Duration;

use anole_event::{LaneId, Reason, State};

use crate::{Names, Signal, Telemetry};

pub(crate) struct DeliveryMetrics {
    outcomes: prometheus::IntCounterVec,
    attempts: prometheus::IntCounterVec,
    attempt: prometheus::HistogramVec,
    lag_events: prometheus::IntGaugeVec,
    lag_seconds: prometheus::IntGaugeVec,
    inflight: prometheus::IntGaugeVec,
    paused: prometheus::IntGaugeVec,
    breaker: prometheus::IntGaugeVec,
    deferred: prometheus::IntGaugeVec,
    parked: prometheus::IntGaugeVec,
}

/// Sends ended.
#[derive(Debug)]
pub struct OutcomesSettled<'a> {
    /// The lane.
    pub lane: &'a LaneId,
    /// The state.
    pub state: State,
    /// Why.
    pub reason: Reason,
    /// How many.
    pub sends: u64,
}

/// An attempt was answered or failed.
#[derive(Debug)]
pub struct AttemptEnded<'a> {
    /// The lane.
    pub lane: &'a LaneId,
    /// The vendor's status.
    pub status: Option<u16>,
    /// How long it took.
    pub took: Duration,
    /// Why it failed, when it did.
    pub error: Option<&'a str>,
}

/// A lane stopped until its destination is mended.
#[derive(Debug)]
pub struct LanePaused<'a> {
    /// The lane.
    pub lane: &'a LaneId,
    /// Why, and what to do.
    pub hint: &'a str,
    /// Whether a person asked for it.
    pub asked: bool,
}

/// A paused lane goes on.
#[derive(Debug)]
pub struct LaneResumed<'a> {
    /// The lane.
    pub lane: &'a LaneId,
}

/// A lane is not at work any more, or not until it is started again.
#[derive(Debug)]
pub struct LaneStopped<'a> {
    /// The lane.
    pub lane: &'a LaneId,
}

/// The wall clock jumped by over five minutes.
#[derive(Debug)]
pub struct ClockJumped<'a> {
    /// The lane that saw it; all do.
    pub lane: &'a LaneId,
}

/// A lane could not read or record; it tries again.
#[derive(Debug)]
pub struct LaneReadFailed<'a, E> {
    /// The lane.
    pub lane: &'a LaneId,
    /// Why.
    pub error: E,
}

/// An endpoint's breaker opened or closed.
#[derive(Debug)]
pub struct BreakerMoved<'a> {
    /// The lane: each has breakers of its own.
    pub lane: &'a LaneId,
    /// The endpoint, without secrets.
    pub endpoint: &'a str,
    /// Whether it is open.
    pub open: bool,
}

/// A request went without the token that it should have had.
#[derive(Debug)]
pub struct TokenLeftOut<'a> {
    /// The lane.
    pub lane: &'a LaneId,
}

/// A lane ends, and with it a breaker that was open.
#[derive(Debug)]
pub struct BreakerGone<'a> {
    /// The lane.
    pub lane: &'a LaneId,
    /// The endpoint, without secrets.
    pub endpoint: &'a str,
}

/// What a lane has before it and in its hands.
#[derive(Debug)]
pub struct LaneCounts<'a> {
    /// The lane.
    pub lane: &'a LaneId,
    /// Events read but not finished.
    pub lag_events: u64,
    /// The age of the oldest unfinished event.
    pub lag: Duration,
    /// Requests under way.
    pub inflight: u64,
    /// Sends that are deferred.
    pub deferred: u64,
}

/// How many sends of a lane are parked.
#[derive(Debug)]
pub struct ParkedNow<'a> {
    /// The lane.
    pub lane: &'a LaneId,
    /// How many.
    pub sends: u64,
}

impl DeliveryMetrics {
    pub(crate) fn register(names: &Names<'_>) -> Self {
        Self {
            outcomes: names.counter(
                "anole_outcomes_total",
                "Transitions of sends into a state.",
                &["lane", "state", "reason"],
            ),
            attempts: names.counter("anole_attempts_total", "Requests to vendors.", &["lane", "status"]),
            attempt: names.seconds("anole_attempt_seconds", "How long requests to vendors took.", &["lane"]),
            lag_events: names.gauge("anole_lane_lag_events", "Events read but not finished.", &["lane"]),
            lag_seconds: names.gauge("anole_lane_lag_seconds", "Age of the oldest unfinished event.", &["lane"]),
            inflight: names.gauge("anole_lane_inflight", "Requests under way.", &["lane"]),
            paused: names.gauge("anole_lane_paused", "1 while the lane is paused.", &["lane"]),
            breaker: names.gauge("anole_endpoint_breaker", "1 while the breaker is open.", &["lane", "endpoint"]),
            deferred: names.gauge("anole_deferred", "Sends that wait for a time, as they fail alone.", &["lane"]),
            parked: names.gauge("anole_parked", "Sends that wait for a person.", &["lane"]),
        }
    }
}

impl Signal for OutcomesSettled<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let labels = [self.lane.as_str(), self.state.as_str(), self.reason.as_str()];
        telemetry.delivery.outcomes.with_label_values(&labels).inc_by(self.sends);
    }
}

impl Signal for AttemptEnded<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let lane = self.lane.as_str();
        let status = self.status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        telemetry.delivery.attempts.with_label_values(&[lane, &status]).inc();
        telemetry.delivery.attempt.with_label_values(&[lane]).observe(self.took.as_secs_f64());
        if let Some(error) = self.error
            && let Some(left_out) = telemetry.allows("attempt_failed")
        {
            tracing::warn!(lane, status, error, left_out, "a request to the vendor failed");
        }
    }
}

impl Signal for LanePaused<'_> {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.delivery.paused.with_label_values(&[self.lane.as_str()]).set(1);
        if self.asked {
            tracing::info!(lane = %self.lane, hint = self.hint, "the lane is paused; its events stay in the journal");
        } else {
            tracing::error!(lane = %self.lane, hint = self.hint, "the lane is paused; its events stay in the journal");
        }
    }
}

impl Signal for LaneResumed<'_> {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.delivery.paused.with_label_values(&[self.lane.as_str()]).set(0);
        tracing::info!(lane = %self.lane, "the lane goes on");
    }
}

impl Signal for LaneStopped<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let metrics = &telemetry.delivery;
        let gauges = [&metrics.lag_events, &metrics.lag_seconds, &metrics.inflight, &metrics.deferred, &metrics.paused];
        for gauge in gauges {
            // A lane that was never paused has no such gauge. One that stayed would tell of a lane that is not there.
            let _none = gauge.remove_label_values(&[self.lane.as_str()]);
        }
    }
}

impl Signal for ClockJumped<'_> {
    fn emit(self, telemetry: &Telemetry) {
        if let Some(left_out) = telemetry.allows("clock_jumped") {
            tracing::warn!(lane = %self.lane, left_out, "the wall clock jumped; nothing expires for ten minutes");
        }
    }
}

impl<E: Display> Signal for LaneReadFailed<'_, E> {
    fn emit(self, telemetry: &Telemetry) {
        if let Some(left_out) = telemetry.allows("lane_read_failed") {
            tracing::error!(lane = %self.lane, error = %self.error, left_out, "the lane is held up; it tries again");
        }
    }
}

impl Signal for BreakerMoved<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let lane = self.lane.as_str();
        telemetry.delivery.breaker.with_label_values(&[lane, self.endpoint]).set(i64::from(self.open));
        if self.open {
            tracing::warn!(
                lane,
                endpoint = self.endpoint,
                "the breaker is open: the endpoint fails and is left alone for a while"
            );
        } else {
            tracing::info!(lane, endpoint = self.endpoint, "the breaker is closed: the endpoint answers again");
        }
    }
}

impl Signal for TokenLeftOut<'_> {
    fn emit(self, telemetry: &Telemetry) {
        if let Some(left_out) = telemetry.allows("token_left_out") {
            let lane = self.lane.as_str();
            tracing::warn!(
                lane,
                left_out,
                "a request was sent without its token, as none could be had or was accepted: check client_id and client_secret"
            );
        }
    }
}

impl Signal for BreakerGone<'_> {
    fn emit(self, telemetry: &Telemetry) {
        // There is none when it never opened.
        let _absent = telemetry.delivery.breaker.remove_label_values(&[self.lane.as_str(), self.endpoint]);
    }
}

impl Signal for LaneCounts<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let lane = [self.lane.as_str()];
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        telemetry.delivery.lag_events.with_label_values(&lane).set(number(self.lag_events));
        telemetry.delivery.lag_seconds.with_label_values(&lane).set(number(self.lag.as_secs()));
        telemetry.delivery.inflight.with_label_values(&lane).set(number(self.inflight));
        telemetry.delivery.deferred.with_label_values(&lane).set(number(self.deferred));
    }
}

impl Signal for ParkedNow<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let sends = i64::try_from(self.sends).unwrap_or(i64::MAX);
        telemetry.delivery.parked.with_label_values(&[self.lane.as_str()]).set(sends);
    }
}
