//! Answers of the delivery log, as the API and the command line show them.

use std::time::Duration;

use anole_delivery_log::{
    Bodies, Dropped, FoundEntry, FoundSend, Histogram, Limits, LogStat, Measured, Spread, Statistics, WholeEntry,
};
use anole_event::{LaneId, Reason, SendRecord, State, Timestamp};
use serde::Serialize;

/// A part of a list.
#[derive(Debug, Serialize)]
pub struct Listed<T> {
    /// What was found, newest first.
    pub items: Vec<T>,
    /// What `after` must be for the next part; absent at the end.
    pub next: Option<String>,
}

/// Where a send ended, or a try after which it was tried again.
#[derive(Debug, Serialize)]
pub struct EventRow {
    /// When that was decided.
    pub at: Timestamp,
    /// The event's message id.
    pub message_id: String,
    /// The event's name, or its type.
    pub event: String,
    /// The lane.
    pub lane: LaneId,
    /// Where it ended; `waiting` when it was to be tried again.
    pub state: &'static str,
    /// Why.
    pub reason: Option<Reason>,
    /// What a person should read.
    pub detail: Option<String>,
    /// The status of the answer.
    pub status: Option<u16>,
    /// The attempt, for `anole deliveries show`; absent when there was no request.
    pub attempt: Option<String>,
    /// Which of the event's sends.
    pub ordinal: u16,
    /// The rule that made it.
    pub rule: String,
    /// The visitor code.
    pub visitor_code: Option<String>,
    /// The anonymous id.
    pub anonymous_id: Option<String>,
    /// The user id.
    pub user_id: Option<String>,
    /// Look-up values by name.
    pub lookups: Vec<(String, String)>,
    /// Remarks.
    pub marks: Vec<&'static str>,
    /// When the event came in.
    pub received_at: Timestamp,
}

/// An attempt in a list.
#[derive(Debug, Serialize)]
pub struct AttemptRow {
    /// Its id.
    pub id: String,
    /// When it was decided.
    pub at: Timestamp,
    /// The lane.
    pub lane: LaneId,
    /// The address.
    pub url: String,
    /// The status.
    pub status: Option<u16>,
    /// How far it came.
    pub reached: &'static str,
    /// What was decided.
    pub decision: &'static str,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
    /// How many sends it carried.
    pub sends: u32,
    /// How many of them ended in which state; `waiting` are those that were to be tried again.
    pub states: Vec<(&'static str, u32)>,
    /// Why it failed, when it did.
    pub error: Option<String>,
}

/// Counts over time.
#[derive(Debug, Serialize)]
pub struct HistogramShown {
    /// The width of a bucket.
    pub width_seconds: u64,
    /// Of how many rows one was looked at: 1 when the counts are exact, else they are estimates.
    pub every: u32,
    /// Buckets without a gap, oldest first.
    pub buckets: Vec<BucketShown>,
}

/// One of them.
#[derive(Debug, Serialize)]
pub struct BucketShown {
    /// Its beginning.
    pub at: Timestamp,
    /// Sends by state; `waiting` are tries after which it was tried again.
    pub counts: Vec<(&'static str, u64)>,
}

/// Statistics over time.
#[derive(Debug, Serialize)]
pub struct StatisticsShown {
    /// How much time a row stands for.
    pub step_seconds: u64,
    /// By time and lane, oldest first. Where nothing happened there is none.
    pub rows: Vec<MeasuredShown>,
}

/// One lane in one step.
#[derive(Debug, Serialize)]
pub struct MeasuredShown {
    /// When it begins.
    pub at: Timestamp,
    /// The lane.
    pub lane: LaneId,
    /// Sends by where they ended and why.
    pub sends: Vec<EndsShown>,
    /// Attempts by the status of the answer; null for no answer.
    pub attempts: Vec<(Option<u16>, u64)>,
    /// How long attempts took.
    pub took_ms: SpreadShown,
    /// How long delivered sends were under way from the arrival of their event.
    pub delay_ms: SpreadShown,
}

/// How many sends ended in one state for one reason.
#[derive(Debug, Serialize)]
pub struct EndsShown {
    /// The state; `waiting` once for each try after which it was tried again.
    pub state: &'static str,
    /// Why.
    pub reason: Option<Reason>,
    /// How many.
    pub count: u64,
}

/// Lengths of time, within an eighth.
#[derive(Debug, Serialize)]
pub struct SpreadShown {
    /// How many there were.
    pub count: u64,
    /// Half of them took no longer.
    pub p50: Option<f64>,
    /// Nine of ten took no longer.
    pub p90: Option<f64>,
    /// All but one in a hundred took no longer.
    pub p99: Option<f64>,
    /// The longest.
    pub max: Option<f64>,
}

/// How large the delivery log is, how far back it goes, what it has let go of.
#[derive(Debug, Serialize)]
pub struct HistoryShown {
    /// Bytes on disk.
    pub bytes: u64,
    /// How many of them are bodies.
    pub body_bytes: u64,
    /// Files of rows.
    pub files: u64,
    /// Attempts, and blocks of sends without one.
    pub entries: u64,
    /// Sends in them.
    pub sends: u64,
    /// The oldest entry.
    pub oldest: Option<Timestamp>,
    /// The newest entry.
    pub newest: Option<Timestamp>,
    /// The oldest entry whose bodies are kept.
    pub oldest_body: Option<Timestamp>,
    /// The oldest hour of which there are statistics.
    pub oldest_statistics: Option<Timestamp>,
    /// What was dropped by age or to make room, since the folder was first used.
    pub dropped: DroppedShown,
    /// What the settings say; absent when no daemon runs.
    pub limits: Option<LimitsShown>,
}

/// What was dropped.
#[derive(Debug, Serialize)]
pub struct DroppedShown {
    /// Files of rows.
    pub files: u64,
    /// Attempts, and blocks of sends without one.
    pub entries: u64,
    /// Sends in them.
    pub sends: u64,
    /// Attempts that lost their bodies, before their rows or with them.
    pub bodies: u64,
    /// Bytes that became free.
    pub bytes: u64,
    /// Rows up to this time are not all there.
    pub rows_until: Option<Timestamp>,
    /// Bodies up to this time are not all there.
    pub bodies_until: Option<Timestamp>,
}

/// The settings of `history`.
#[derive(Debug, Serialize)]
pub struct LimitsShown {
    /// `history.max_bytes`.
    pub max_bytes: u64,
    /// `history.max_body_bytes`.
    pub max_body_bytes: u64,
    /// `history.keep`.
    pub keep_seconds: u64,
    /// `history.keep_bodies`.
    pub keep_bodies_seconds: u64,
    /// `history.keep_statistics`.
    pub keep_statistics_seconds: u64,
}

/// The name of a state; `waiting` where there is none yet.
fn name(state: Option<State>) -> &'static str {
    state.map_or("waiting", State::as_str)
}

pub(super) fn event_row(found: FoundSend) -> EventRow {
    let FoundSend { entry, send, .. } = found;
    let outcome = send.outcome;
    EventRow {
        at: entry.at,
        message_id: send.message_id.into(),
        event: send.event.into(),
        lane: entry.lane.clone(),
        state: name(outcome.as_ref().map(|outcome| outcome.state)),
        reason: outcome.as_ref().map(|outcome| outcome.reason),
        detail: outcome.and_then(|outcome| outcome.detail),
        status: entry.attempt.as_ref().and_then(|attempt| attempt.status),
        attempt: entry.attempt.as_ref().map(|_| entry.id.to_string()),
        ordinal: send.ordinal,
        rule: send.rule.to_string(),
        visitor_code: send.visitor_code.map(Into::into),
        anonymous_id: send.anonymous_id.map(Into::into),
        user_id: send.user_id.map(Into::into),
        lookups: send.lookups.into_iter().map(|(name, value)| (name.to_string(), value.into())).collect(),
        marks: send.marks.names().collect(),
        received_at: send.received_at,
    }
}

pub(super) fn attempt_row(found: FoundEntry) -> Option<AttemptRow> {
    let attempt = found.entry.attempt?;
    Some(AttemptRow {
        id: found.entry.id.to_string(),
        at: found.entry.at,
        lane: found.entry.lane,
        url: attempt.url,
        status: attempt.status,
        reached: attempt.reached.as_str(),
        decision: attempt.decision.as_str(),
        took_ms: attempt.duration_us as f64 / 1000.0,
        sends: found.sends,
        states: found.tally.into_iter().map(|(state, count)| (name(state), count)).collect(),
        error: attempt.error.map(|error| error.message),
    })
}

pub(super) fn histogram_shown(histogram: Histogram) -> HistogramShown {
    let counts = |counts: Vec<(Option<State>, u64)>| counts.into_iter().map(|(state, n)| (name(state), n)).collect();
    let buckets = histogram.buckets.into_iter();
    HistogramShown {
        width_seconds: histogram.width.as_secs(),
        every: histogram.every,
        buckets: buckets.map(|bucket| BucketShown { at: bucket.at, counts: counts(bucket.counts) }).collect(),
    }
}

pub(super) fn statistics_shown(statistics: Statistics) -> StatisticsShown {
    let shown = |measured: Measured| MeasuredShown {
        at: measured.at,
        lane: measured.lane,
        sends: measured
            .sums
            .sends
            .into_iter()
            .map(|(ended, count)| EndsShown {
                state: name(ended.map(|(state, _)| state)),
                reason: ended.map(|(_, reason)| reason),
                count,
            })
            .collect(),
        attempts: measured.sums.attempts,
        took_ms: spread_shown(&measured.sums.took),
        delay_ms: spread_shown(&measured.sums.delay),
    };
    StatisticsShown { step_seconds: statistics.step.as_secs(), rows: statistics.rows.into_iter().map(shown).collect() }
}

fn spread_shown(spread: &Spread) -> SpreadShown {
    let millis = |part: f64| spread.quantile(part).map(|time: Duration| time.as_micros() as f64 / 1000.0);
    SpreadShown { count: spread.total(), p50: millis(0.5), p90: millis(0.9), p99: millis(0.99), max: millis(1.0) }
}

pub(super) fn history_shown(stat: &LogStat) -> HistoryShown {
    let Dropped { files, entries, sends, bodies, bytes, rows_until, bodies_until } = stat.dropped;
    let limits = |limits: Limits| LimitsShown {
        max_bytes: limits.total_bytes,
        max_body_bytes: limits.body_bytes,
        keep_seconds: limits.keep.as_secs(),
        keep_bodies_seconds: limits.keep_bodies.as_secs(),
        keep_statistics_seconds: limits.keep_statistics.as_secs(),
    };
    HistoryShown {
        bytes: stat.bytes,
        body_bytes: stat.body_bytes,
        files: stat.files,
        entries: stat.entries,
        sends: stat.sends,
        oldest: stat.oldest,
        newest: stat.newest,
        oldest_body: stat.oldest_body,
        oldest_statistics: stat.oldest_statistics,
        dropped: DroppedShown { files, entries, sends, bodies, bytes, rows_until, bodies_until },
        limits: (stat.limits != Limits::default()).then(|| limits(stat.limits)),
    }
}

/// A whole attempt as JSON. Bodies that are not kept any more are null, and `bodies` says `gone`.
pub(super) fn whole(whole: &WholeEntry) -> serde_json::Value {
    let entry = &whole.entry;
    let kept = whole.bodies != Bodies::Gone;
    let attempt = entry.attempt.as_ref().map(|attempt| {
        serde_json::json!({
            "method": attempt.method,
            "url": attempt.url,
            "request_body": kept.then(|| String::from_utf8_lossy(&attempt.request_body)),
            "request_bytes": whole.request_bytes,
            "reached": attempt.reached.as_str(),
            "status": attempt.status,
            "answer_headers": kept.then_some(&attempt.answer_headers),
            "answer_body": kept.then(|| String::from_utf8_lossy(&attempt.answer_body)),
            "answer_bytes": attempt.answer_bytes,
            "took_ms": attempt.duration_us as f64 / 1000.0,
            "error": attempt.error.as_ref().map(|error| &error.message),
            "error_source": attempt.error.as_ref().map(|error| error.source_of.as_str()),
            "decision": attempt.decision.as_str(),
            "bodies": match whole.bodies {
                Bodies::None => "none",
                Bodies::Kept => "kept",
                Bodies::Gone => "gone",
            },
        })
    });
    serde_json::json!({
        "id": entry.id.to_string(),
        "at": entry.at,
        "lane": entry.lane,
        "plan": format!("{:016x}", entry.plan),
        "attempt": attempt,
        "sends": entry.sends.iter().map(send).collect::<Vec<_>>(),
    })
}

fn send(send: &SendRecord) -> serde_json::Value {
    serde_json::json!({
        "message_id": send.message_id,
        "event": send.event,
        "ordinal": send.ordinal,
        "rule": send.rule,
        "visitor_code": send.visitor_code,
        "rung": send.rung,
        "nonce": send.nonce,
        "marks": send.marks.names().collect::<Vec<_>>(),
        "state": name(send.outcome.as_ref().map(|outcome| outcome.state)),
        "reason": send.outcome.as_ref().map(|outcome| outcome.reason.as_str()),
        "detail": send.outcome.as_ref().and_then(|outcome| outcome.detail.as_deref()),
    })
}
