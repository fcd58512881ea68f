//! The whole story of one event: received, mapped, each send with each of its attempts, and where it is now.

use std::collections::BTreeMap;

use anole_delivery::LaneStatus;
use anole_delivery_log::{FoundSend, SendQuery};
use anole_event::{Head, LaneId, Outcome, Position, Reason, Record, State, Timestamp};
use anole_state::{LaneRow, LaneStatus as Registered, ParkedFilter, Progress};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::find::{LookError, Looks};

/// What became of one event.
#[derive(Debug, Serialize)]
pub struct Story {
    /// The message id.
    pub message_id: String,
    /// In words: where it is, and what to do if it is stuck.
    pub summary: String,
    /// The pipeline.
    pub pipeline: String,
    /// The canonical name, or the type.
    pub event: String,
    /// The protocol it came by.
    pub protocol: Option<String>,
    /// The name under which it came in.
    pub source_name: Option<String>,
    /// When it came in.
    pub received_at: Timestamp,
    /// Where it stands in the journal.
    pub position: String,
    /// The event as the journal keeps it; absent when the journal has let go of it.
    pub body: Option<Box<RawValue>>,
    /// What each lane made of it.
    pub lanes: Vec<LaneStory>,
    /// The record itself, for whoever maps it again.
    #[serde(skip)]
    pub(crate) record: Option<Record>,
}

/// What one lane made of an event.
#[derive(Debug, Serialize)]
pub struct LaneStory {
    /// The lane.
    pub lane: LaneId,
    /// What it waits for, when nothing has ended yet and something will.
    pub waiting: Option<String>,
    /// Why there is nothing to tell, when nothing will.
    pub silent: Option<String>,
    /// Its sends.
    pub sends: Vec<SendStory>,
}

/// One send.
#[derive(Debug, Serialize)]
pub struct SendStory {
    /// Which of the event's sends.
    pub ordinal: u16,
    /// The rule that made it.
    pub rule: String,
    /// Where it ended; `waiting` while it will be tried again.
    pub state: String,
    /// Why.
    pub reason: Option<String>,
    /// What a person should read.
    pub detail: Option<String>,
    /// When that was.
    pub at: Timestamp,
    /// Remarks.
    pub marks: Vec<&'static str>,
    /// The visitor code.
    pub visitor_code: Option<String>,
    /// The path that gave it.
    pub rung: Option<String>,
    /// The nonce.
    pub nonce: Option<String>,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptStory>,
    /// Where it ended each time, oldest first: a send that was parked and replayed has ended twice. Empty while it waits
    /// for the first time.
    pub ends: Vec<EndStory>,
}

/// Where a send ended, once.
#[derive(Debug, Serialize)]
pub struct EndStory {
    /// When that was decided.
    pub at: Timestamp,
    /// Where.
    pub state: &'static str,
    /// Why.
    pub reason: Reason,
    /// What a person should read.
    pub detail: Option<String>,
    /// Remarks.
    pub marks: Vec<&'static str>,
    /// The attempt that ended it; absent when there was no request.
    pub attempt: Option<String>,
    /// The hash of the plan that mapped it.
    pub plan: String,
}

/// One try at a request that carried the send.
#[derive(Debug, Serialize)]
pub struct AttemptStory {
    /// Its id, for `anole deliveries show`.
    pub id: String,
    /// When it was decided.
    pub at: Timestamp,
    /// The address.
    pub url: String,
    /// The answer's status.
    pub status: Option<u16>,
    /// What was decided.
    pub decision: &'static str,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
    /// Why it failed, when it did.
    pub error: Option<String>,
}

/// Every event with this message id: one, unless several pipelines took it or a duplicate came after the window.
///
/// # Errors
/// When a store cannot be read.
pub async fn stories(looks: &Looks, message_id: &str, lanes: &[LaneStatus]) -> Result<Vec<Story>, LookError> {
    let mut events: BTreeMap<Position, Vec<FoundSend>> = BTreeMap::new();
    let mut query = SendQuery { message_id: Some(message_id.to_owned()), limit: 500, ..SendQuery::default() };
    loop {
        let page = looks.log.sends(query.clone()).await?;
        for found in page.items {
            events.entry(found.send.position).or_default().push(found);
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    let mut records: BTreeMap<Position, Record> = looks.in_journal(message_id, lanes).await?.into_iter().collect();
    let filter = ParkedFilter { message_id: Some(message_id.to_owned()), ..ParkedFilter::default() };
    for row in looks.state.parked(filter).await? {
        records.entry(row.parked.position).or_insert_with(|| Record::from_bytes(row.parked.record));
    }
    for position in records.keys() {
        events.entry(*position).or_default();
    }
    let registry = looks.state.lanes().await?;
    let mut stories = Vec::with_capacity(events.len());
    for (position, found) in events {
        let record = match records.remove(&position) {
            Some(record) => Some(record),
            None => looks.record(position).await?,
        };
        let pipeline = pipeline_of(record.as_ref(), &found);
        let mut told = Vec::new();
        for row in registry.iter().filter(|row| row.lane.pipeline() == pipeline) {
            let progress = looks.state.progress(row.lane.clone()).await?;
            let status = lanes.iter().find(|status| status.lane == row.lane);
            told.push(lane_story(row, &progress, status, position, &found));
        }
        told.extend(released(&registry, &found));
        stories.push(story(message_id, position, pipeline, record.as_ref(), &found, told));
    }
    Ok(stories)
}

fn pipeline_of(record: Option<&Record>, found: &[FoundSend]) -> String {
    let of_record = record.and_then(|record| record.head().ok()).map(|head| head.pipeline.to_owned());
    of_record.or_else(|| found.first().map(|found| found.entry.lane.pipeline().to_owned())).unwrap_or_default()
}

fn story(
    message_id: &str,
    position: Position,
    pipeline: String,
    record: Option<&Record>,
    found: &[FoundSend],
    lanes: Vec<LaneStory>,
) -> Story {
    let head: Option<Head<'_>> = record.and_then(|record| record.head().ok());
    let name = |head: &Head<'_>| if head.name.is_empty() { head.event_type.to_string() } else { head.name.to_owned() };
    let body = record.and_then(|record| record.body().ok()).and_then(|body| serde_json::from_slice(&body).ok());
    Story {
        message_id: message_id.to_owned(),
        summary: summary(&lanes),
        pipeline,
        event: head
            .as_ref()
            .map(name)
            .or_else(|| found.first().map(|found| found.send.event.to_string()))
            .unwrap_or_default(),
        protocol: head.as_ref().map(|head| head.protocol.to_owned()),
        source_name: head.as_ref().map(|head| head.source_name.to_owned()).filter(|name| !name.is_empty()),
        received_at: head
            .as_ref()
            .map(|head| head.received_at)
            .or_else(|| found.first().map(|found| found.send.received_at))
            .unwrap_or_default(),
        position: position.to_string(),
        body,
        lanes,
        record: record.cloned(),
    }
}

fn lane_story(
    row: &LaneRow,
    progress: &[Progress],
    status: Option<&LaneStatus>,
    position: Position,
    found: &[FoundSend],
) -> LaneStory {
    let mut by_send: BTreeMap<u16, Vec<&FoundSend>> = BTreeMap::new();
    for found in found.iter().filter(|found| found.entry.lane == row.lane) {
        by_send.entry(found.send.ordinal).or_default().push(found);
    }
    let sends: Vec<_> = by_send.into_values().filter_map(|found| send_story(&found)).collect();
    let (waiting, silent) = match sends.is_empty().then(|| nothing_ended(row, progress, status, position)) {
        None => (None, None),
        Some(Ok(waiting)) => (Some(waiting), None),
        Some(Err(silent)) => (None, Some(silent.to_owned())),
    };
    LaneStory { lane: row.lane.clone(), waiting, silent, sends }
}

/// What lanes made of the event that are not in the registry any more: they were released.
fn released(registry: &[LaneRow], found: &[FoundSend]) -> Vec<LaneStory> {
    let mut lanes: BTreeMap<&LaneId, BTreeMap<u16, Vec<&FoundSend>>> = BTreeMap::new();
    for found in found.iter().filter(|found| registry.iter().all(|row| row.lane != found.entry.lane)) {
        lanes.entry(&found.entry.lane).or_default().entry(found.send.ordinal).or_default().push(found);
    }
    let told = lanes.into_iter().map(|(lane, sends)| LaneStory {
        lane: lane.clone(),
        waiting: None,
        silent: None,
        sends: sends.into_values().filter_map(|found| send_story(&found)).collect(),
    });
    told.collect()
}

/// What an event waits for of which a lane has nothing to tell; the error when it does not wait.
fn nothing_ended(
    row: &LaneRow,
    progress: &[Progress],
    status: Option<&LaneStatus>,
    position: Position,
) -> Result<String, &'static str> {
    let begun = row.start.iter().find(|start| start.partition == position.partition);
    if begun.is_some_and(|start| position < *start) {
        return Err("the lane began after this event");
    }
    let at = progress.iter().find(|progress| progress.watermark.partition == position.partition);
    let is_passed = at.is_some_and(|progress| {
        position < progress.watermark || progress.finished.iter().any(|range| range.contains(&position.offset))
    });
    if is_passed {
        return Err("the lane has finished it, and the delivery log has let go of it");
    }
    Ok(match status {
        _ if matches!(row.status, Registered::Orphaned { .. }) => {
            "no pipeline has the lane any more: release it, rename it, or give it back to its pipeline".to_owned()
        }
        Some(LaneStatus { paused: Some(hint), .. }) => format!("the lane is paused: {hint}"),
        Some(status) if status.open > 0 => format!(
            "the lane works on {} events, {} requests under way, {} waiting for another try",
            status.open, status.inflight, status.retrying
        ),
        Some(_) => "the lane has not come to it yet".to_owned(),
        None => "it is in the journal, and no daemon runs".to_owned(),
    })
}

/// A send from its rows, newest first.
fn send_story(found: &[&FoundSend]) -> Option<SendStory> {
    let ended = found.iter().position(|found| found.send.outcome.is_some());
    let newest = found.get(ended.unwrap_or(0))?;
    let outcome: Option<&Outcome> = newest.send.outcome.as_ref();
    let attempts: Vec<_> = found.iter().rev().filter_map(|found| attempt_story(found)).collect();
    let ends: Vec<_> = found.iter().rev().filter_map(|found| end_story(found)).collect();
    // Tries behind the last end: it is being sent again.
    let since = found.iter().take(ended.unwrap_or(found.len())).filter(|found| found.entry.attempt.is_some()).count();
    let tried = (since > 0).then(|| {
        let error = attempts.last().and_then(|last| last.error.as_deref()).unwrap_or("no success");
        let times = if since == 1 { "once".to_owned() } else { format!("{since} times") };
        format!("tried {times}, last: {error}; it will be tried again")
    });
    let detail = match outcome {
        None => tried,
        Some(outcome) => match (outcome.detail.clone(), tried) {
            (Some(detail), Some(tried)) => Some(format!("{detail}; since then {tried}")),
            (None, Some(tried)) => Some(format!("since then {tried}")),
            (detail, None) => detail,
        },
    };
    Some(SendStory {
        ordinal: newest.send.ordinal,
        rule: newest.send.rule.to_string(),
        state: outcome.map_or("waiting", |outcome| outcome.state.as_str()).to_owned(),
        reason: outcome.map(|outcome| outcome.reason.to_string()),
        detail,
        at: newest.entry.at,
        marks: newest.send.marks.names().collect(),
        visitor_code: newest.send.visitor_code.as_deref().map(str::to_owned),
        rung: newest.send.rung.as_deref().map(str::to_owned),
        nonce: newest.send.nonce.as_deref().map(str::to_owned),
        attempts,
        ends,
    })
}

fn end_story(found: &FoundSend) -> Option<EndStory> {
    let outcome = found.send.outcome.as_ref()?;
    Some(EndStory {
        at: found.entry.at,
        state: outcome.state.as_str(),
        reason: outcome.reason,
        detail: outcome.detail.clone(),
        marks: found.send.marks.names().collect(),
        attempt: found.entry.attempt.as_ref().map(|_| found.entry.id.to_string()),
        plan: format!("{:016x}", found.entry.plan),
    })
}

fn attempt_story(found: &FoundSend) -> Option<AttemptStory> {
    let attempt = found.entry.attempt.as_ref()?;
    Some(AttemptStory {
        id: found.entry.id.to_string(),
        at: found.entry.at,
        url: attempt.url.clone(),
        status: attempt.status,
        decision: attempt.decision.as_str(),
        took_ms: attempt.duration_us as f64 / 1000.0,
        error: attempt.error.as_ref().map(|error| error.message.clone()),
    })
}

fn summary(lanes: &[LaneStory]) -> String {
    if lanes.is_empty() {
        return "accepted; its pipeline has no destination".to_owned();
    }
    let words: Vec<_> = lanes
        .iter()
        .map(|lane| {
            let states: Vec<_> = lane.sends.iter().map(words_of).collect();
            let what = match (&lane.waiting, &lane.silent) {
                (Some(waiting), _) => format!("waiting: {waiting}"),
                (None, Some(silent)) => silent.clone(),
                (None, None) => states.join(", "),
            };
            format!("{}: {what}", lane.lane)
        })
        .collect();
    words.join("; ")
}

fn words_of(send: &SendStory) -> String {
    let is_plain = send.state == State::Delivered.as_str() && send.marks.is_empty();
    match (&send.detail, &send.reason) {
        _ if is_plain => send.state.clone(),
        (Some(detail), _) => format!("{} ({detail})", send.state),
        (None, Some(reason)) => format!("{} ({reason})", send.state),
        (None, None) => send.state.clone(),
    }
}
