//! Writes what ended: history first, then state (S-2).
//!
//! A lane hands its settlements to a recorder in order and goes on; the recorder writes as many as wait in one append and
//! tells the lane up to which number the log is written. Commits of state go the same way. Both try again until they
//! succeed: outcomes are never skipped, so when the log cannot keep up the queues fill and delivery waits. An error that no
//! second try can mend (another process has opened the state) ends the recorder, and with it the lane.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anole_delivery_log::DeliveryLog;
use anole_event::{Attempt, Entry, LaneId, Reason, SendRecord, State as Ended, Timestamp};
use anole_state::{Deferred, LaneCommit, Parked, Progress, SendKey, State};
use anole_telemetry::{HistoryWriteFailed, OutcomesSettled, ParkedNow, StateWriteFailed, TapEvent, Telemetry};
use tokio::sync::{mpsc, watch};

use crate::lane::{Deferral, Moved, SetAside, Settlement};

/// Settlements or commits that wait.
const QUEUE: usize = 64;
/// How long a failed write waits before it is tried again.
const AFTER_ERROR: Duration = Duration::from_millis(500);

/// A lane's way into the stores.
pub(crate) struct Recorder {
    pub(crate) settlements: mpsc::Sender<Settlement>,
    pub(crate) commits: mpsc::Sender<Moved>,
    /// The number of the last settlement that is in the log.
    pub(crate) recorded: watch::Receiver<u64>,
    /// How many commits the state has taken.
    pub(crate) committed: watch::Receiver<u64>,
    /// Why the lane must stop, when more is parked than may be (S-4).
    pub(crate) full: watch::Receiver<Option<Arc<str>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// The stores of all lanes.
#[derive(Clone)]
pub struct Stores {
    /// The state.
    pub state: Arc<dyn State>,
    /// The delivery log.
    pub log: Arc<dyn DeliveryLog>,
    /// Where signals go.
    pub telemetry: Arc<Telemetry>,
    /// How many bytes of events all lanes together may park.
    pub max_parked_bytes: u64,
}

// === impl Recorder ===

impl Recorder {
    pub(crate) fn start(lane: LaneId, stores: Stores) -> Self {
        let (settlements, settled) = mpsc::channel(QUEUE);
        let (commits, moved) = mpsc::channel(QUEUE);
        let (tell, recorded) = watch::channel(0);
        let (count, committed) = watch::channel(0);
        let (stop, full) = watch::channel(None);
        let tasks = vec![
            tokio::spawn(record(lane.clone(), stores.clone(), settled, tell)),
            tokio::spawn(commit(lane, stores, moved, (count, stop))),
        ];
        Self { settlements, commits, recorded, committed, full, tasks }
    }

    /// Lets both queues run empty.
    pub(crate) async fn close(self) {
        drop((self.settlements, self.commits));
        for task in self.tasks {
            // A task that panicked has nothing left to write.
            let _ended = task.await;
        }
    }
}

async fn record(lane: LaneId, stores: Stores, mut settled: mpsc::Receiver<Settlement>, tell: watch::Sender<u64>) {
    while let Some(first) = settled.recv().await {
        let mut number = first.number;
        let mut entries = first.entries;
        while let Ok(more) = settled.try_recv() {
            number = more.number;
            entries.extend(more.entries);
        }
        let entries = Arc::new(entries);
        while let Err(error) = stores.log.append(Arc::clone(&entries)).await {
            stores.telemetry.emit(HistoryWriteFailed { error });
            tokio::time::sleep(AFTER_ERROR).await;
        }
        tell.send_replace(number);
        let mut counts: BTreeMap<(Ended, Reason), u64> = BTreeMap::new();
        for entry in entries.iter() {
            let status = entry.attempt.as_ref().and_then(|attempt| attempt.status);
            if let Some(attempt) = &entry.attempt {
                stores.telemetry.tap().tell(|| asked(entry, attempt));
            }
            for send in &entry.sends {
                if let Some(outcome) = &send.outcome {
                    *counts.entry((outcome.state, outcome.reason)).or_default() += 1;
                    stores.telemetry.tap().tell(|| heard(entry.at, &lane, send, status));
                }
            }
        }
        for ((state, reason), sends) in counts {
            stores.telemetry.emit(OutcomesSettled { lane: &lane, state, reason, sends });
        }
    }
}

async fn commit(
    lane: LaneId,
    stores: Stores,
    mut moved: mpsc::Receiver<Moved>,
    (count, stop): (watch::Sender<u64>, watch::Sender<Option<Arc<str>>>),
) {
    while let Some(first) = moved.recv().await {
        let mut taken = 1;
        let mut unparked = first.unparked;
        let mut undeferred = first.undeferred;
        let mut parked: Vec<Parked> = first.parked.iter().map(to_row).collect();
        let mut deferred: Vec<Deferred> = first.deferred.iter().filter_map(to_deferred).collect();
        let mut progress = first.progress;
        while let Ok(more) = moved.try_recv() {
            taken += 1;
            parked.extend(more.parked.iter().map(to_row));
            unparked.extend(more.unparked);
            // The state takes rows away first: what both came and went since is not to stay.
            deferred.retain(|row| !more.undeferred.contains(&key_of(row)));
            undeferred.extend(more.undeferred);
            deferred.extend(more.deferred.iter().filter_map(to_deferred));
            progress = more.progress;
        }
        let (parks, unparks) = (!parked.is_empty(), !unparked.is_empty());
        let commit = LaneCommit {
            lane: lane.clone(),
            progress: vec![Progress { watermark: progress.watermark, finished: progress.finished }],
            parked,
            deferred,
            unparked,
            undeferred,
        };
        while let Err(error) = stores.state.commit(vec![commit.clone()]).await {
            let is_transient = error.is_transient();
            stores.telemetry.emit(StateWriteFailed { error });
            if !is_transient {
                return;
            }
            tokio::time::sleep(AFTER_ERROR).await;
        }
        count.send_modify(|count| *count += taken);
        if parks || unparks {
            let bytes = tell_parked(&stores, &lane).await;
            if parks && bytes >= stores.max_parked_bytes {
                let limit = stores.max_parked_bytes;
                let hint = format!(
                    "the parked events have {bytes} bytes, delivery.max_parked_bytes is {limit}: nothing parked is dropped, \
                     so mend what parks them, or raise the limit, and resume the lane"
                );
                stop.send_replace(Some(hint.into()));
            }
        }
    }
}

/// Sets the gauge of parked sends from what the state holds; gives back the bytes of all lanes together.
pub(crate) async fn tell_parked(stores: &Stores, lane: &LaneId) -> u64 {
    // A state that cannot be asked has told why; the next park asks again.
    let counts = stores.state.parked_counts().await.unwrap_or_default();
    let sends = counts.iter().filter(|count| count.lane == *lane).map(|count| count.count).sum();
    stores.telemetry.emit(ParkedNow { lane, sends });
    counts.iter().map(|count| count.bytes).sum()
}

fn to_row(park: &SetAside) -> Parked {
    let subject = &park.subject;
    Parked {
        position: subject.position,
        ordinal: park.ordinal,
        rule: park.rule.to_string(),
        event: subject.event.to_string(),
        message_id: subject.message_id.to_string(),
        received_at: subject.received_at,
        parked_at: park.at,
        reason: park.reason,
        detail: park.detail.clone(),
        plan: park.plan,
        attempt: park.attempt,
        record: subject.record.bytes().clone(),
    }
}

/// Nothing for what waits for a person.
fn to_deferred(aside: &SetAside) -> Option<Deferred> {
    let Deferral { due_at, times } = aside.deferral?;
    let subject = &aside.subject;
    Some(Deferred {
        position: subject.position,
        ordinal: aside.ordinal,
        rule: aside.rule.to_string(),
        event: subject.event.to_string(),
        message_id: subject.message_id.to_string(),
        received_at: subject.received_at,
        deferred_at: aside.at,
        due_at,
        tries: times,
        reason: aside.reason,
        detail: aside.detail.clone(),
        plan: aside.plan,
        attempt: aside.attempt,
        record: subject.record.bytes().clone(),
    })
}

const fn key_of(row: &Deferred) -> SendKey {
    SendKey { position: row.position, ordinal: row.ordinal }
}

fn asked(entry: &Entry, attempt: &Attempt) -> TapEvent {
    TapEvent::Attempt {
        at: entry.at,
        lane: entry.lane.clone(),
        id: entry.id,
        sends: entry.sends.len(),
        status: attempt.status,
        took_ms: attempt.duration_us as f64 / 1000.0,
        decision: attempt.decision,
        error: attempt.error.as_ref().map(|error| Arc::from(error.message.as_str())),
    }
}

fn heard(at: Timestamp, lane: &LaneId, send: &SendRecord, status: Option<u16>) -> TapEvent {
    let (state, reason, detail) = match &send.outcome {
        Some(outcome) => (outcome.state, outcome.reason, outcome.detail.as_deref().map(Arc::from)),
        None => (Ended::Deferred, Reason::FailsAlone, None),
    };
    TapEvent::Outcome {
        at,
        lane: lane.clone(),
        event: Arc::from(&*send.event),
        message_id: Arc::from(&*send.message_id),
        state,
        reason,
        detail,
        status,
        marks: send.marks.names().collect(),
    }
}
