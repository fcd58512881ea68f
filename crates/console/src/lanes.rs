//! Lanes, as the API and the command line show them: those at work, those that stand still, and orphans with what they hold.

use std::sync::Arc;
use std::time::Duration;

use anole_delivery::{EndpointStatus, LaneStatus, PauseCode, backlog, registry};
use anole_event::{LaneId, Position, Timestamp};
use anole_journal::Stat;
use anole_state::{BackedUpLane, LaneStatus as Registered};
use serde::{Deserialize, Serialize};

use crate::find::{LookError, Looks};

/// How much of a lane's backlog is read to say how much it is: a list is asked for often.
const COUNTED: u64 = 64 << 20;

/// A lane. What only a running daemon knows is absent where none was asked.
#[derive(Debug, Serialize)]
pub struct LaneShown {
    /// The lane.
    pub lane: LaneId,
    /// `runs`, `paused`, `orphaned`, or `stopped` when nobody is at work for it.
    pub state: &'static str,
    /// Events read and not finished.
    pub open_events: Option<usize>,
    /// When the oldest of them came in.
    pub oldest_received_at: Option<Timestamp>,
    /// Requests under way.
    pub inflight: Option<usize>,
    /// Batches that wait for another try.
    pub retrying: Option<usize>,
    /// Why it is paused, when it is.
    pub paused: Option<Arc<str>>,
    /// The same as a code: `anole explain CODE`.
    pub pause_code: Option<&'static str>,
    /// How the endpoints do that it calls, as far as it has called them.
    pub endpoints: Vec<EndpointShown>,
    /// The position before which everything is finished.
    pub watermark: String,
    /// Stretches above it that are finished too.
    pub finished_ranges: usize,
    /// Sends that wait for a person.
    pub parked: u64,
    /// Sends that wait for a time, as they fail whenever they are sent.
    pub deferred: u64,
    /// What it has not delivered, of an orphan what came in while a pipeline had it. Of lanes at work it is not counted.
    pub undelivered: Option<BacklogShown>,
    /// What it holds, when no pipeline has it any more.
    pub orphan: Option<OrphanShown>,
}

/// What a lane knows of an endpoint.
#[derive(Debug, Serialize)]
pub struct EndpointShown {
    /// Its origin, and the account.
    pub endpoint: String,
    /// Whether the breaker is open: the endpoint fails, and gets one probe a minute or more often.
    pub breaker_open: bool,
    /// How many requests a second it gets at most, since it has refused more by 429; null when nothing is known of a limit.
    pub requests_per_second: Option<f64>,
    /// For how many seconds more it has asked for silence by `Retry-After`.
    pub silent_seconds: u64,
    /// Batches that wait for it.
    pub waiting_batches: usize,
}

/// Events that a lane has not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BacklogShown {
    /// How many.
    pub events: u64,
    /// Whether that is all; counting ends at some 64 MiB.
    pub complete: bool,
}

/// What an orphan holds.
#[derive(Debug, Serialize)]
pub struct OrphanShown {
    /// Since when no pipeline has it.
    pub since: Timestamp,
    /// Whether it still holds the journal.
    pub holds: bool,
    /// Until when it does, or did.
    pub holds_until: Timestamp,
    /// The bytes of the journal's segments from its progress on: what it holds if nobody else does.
    pub held_bytes: u64,
}

// === impl Looks ===

impl Looks {
    /// All lanes that the state knows, by name. `at_work` is what the daemon says of its lanes; `None` when none runs.
    /// `keep` is how long an orphan holds the journal.
    ///
    /// # Errors
    /// When a store cannot be read.
    pub async fn lanes(
        &self,
        at_work: Option<&[LaneStatus]>,
        keep: Duration,
        now: Timestamp,
    ) -> Result<Vec<LaneShown>, LookError> {
        let parked = self.state.parked_counts().await?;
        let deferred = self.state.deferred_counts().await?;
        let stat = self.journal.stat();
        let mut shown = Vec::new();
        for lane in registry(&*self.state).await? {
            let status = at_work.and_then(|all| all.iter().find(|status| status.lane == lane.row.lane));
            let mut row = match status {
                Some(status) => working(status),
                None => resting(&lane),
            };
            row.deferred = deferred.iter().filter(|count| count.lane == lane.row.lane).map(|count| count.count).sum();
            row.parked = parked.iter().filter(|count| count.lane == lane.row.lane).map(|count| count.count).sum();
            if let Registered::Orphaned { since } = lane.row.status {
                row.orphan = Some(orphan(&lane, since, keep, now, &stat));
            }
            // Without a daemon nothing else says how far behind a lane is.
            if row.orphan.is_some() || at_work.is_none() {
                row.undelivered = Some(self.undelivered(lane).await?);
            }
            shown.push(row);
        }
        Ok(shown)
    }

    async fn undelivered(&self, lane: BackedUpLane) -> Result<BacklogShown, LookError> {
        let journal = Arc::clone(&self.journal);
        let counted = tokio::task::spawn_blocking(move || backlog(&*journal, &lane, COUNTED))
            .await
            .map_err(|_| LookError::Stopped)??;
        Ok(BacklogShown { events: counted.events, complete: counted.complete })
    }
}

impl From<&EndpointStatus> for EndpointShown {
    fn from(status: &EndpointStatus) -> Self {
        Self {
            endpoint: status.endpoint.to_string(),
            breaker_open: status.open,
            requests_per_second: status.rate.map(|rate| (rate * 100.0).round() / 100.0),
            silent_seconds: status.silent.as_secs(),
            waiting_batches: status.waiting,
        }
    }
}

fn working(status: &LaneStatus) -> LaneShown {
    LaneShown {
        lane: status.lane.clone(),
        state: if status.paused.is_some() { "paused" } else { "runs" },
        open_events: Some(status.open),
        oldest_received_at: status.oldest,
        inflight: Some(status.inflight),
        retrying: Some(status.retrying),
        paused: status.paused.clone(),
        pause_code: status.pause.map(PauseCode::as_str),
        endpoints: status.endpoints.iter().map(EndpointShown::from).collect(),
        watermark: status.progress.watermark.to_string(),
        finished_ranges: status.progress.finished.len(),
        parked: 0,
        deferred: 0,
        undelivered: None,
        orphan: None,
    }
}

fn resting(lane: &BackedUpLane) -> LaneShown {
    let is_orphan = matches!(lane.row.status, Registered::Orphaned { .. });
    let paused = lane.row.paused_since.map(|since| format!("a person paused the lane at {since}").into());
    LaneShown {
        lane: lane.row.lane.clone(),
        state: if is_orphan { "orphaned" } else { "stopped" },
        open_events: None,
        oldest_received_at: None,
        inflight: None,
        retrying: None,
        paused,
        pause_code: lane.row.paused_since.map(|_| PauseCode::Asked.as_str()),
        endpoints: Vec::new(),
        watermark: watermark(lane).to_string(),
        finished_ranges: lane.progress.iter().map(|progress| progress.finished.len()).sum(),
        parked: 0,
        deferred: 0,
        undelivered: None,
        orphan: None,
    }
}

fn watermark(lane: &BackedUpLane) -> Position {
    lane.progress.first().map(|progress| progress.watermark).unwrap_or_default()
}

fn orphan(lane: &BackedUpLane, since: Timestamp, keep: Duration, now: Timestamp, stat: &Stat) -> OrphanShown {
    let holds_until = since.after(keep);
    OrphanShown { since, holds: now < holds_until, holds_until, held_bytes: held_bytes(stat, watermark(lane)) }
}

/// The bytes of the segments from the one on in which a position lies.
pub(crate) fn held_bytes(stat: &Stat, from: Position) -> u64 {
    let before = stat.segments.partition_point(|segment| segment.base <= from).saturating_sub(1);
    let ended = stat.ends.iter().any(|end| end.partition == from.partition && *end <= from);
    if ended { 0 } else { stat.segments.iter().skip(before).map(|segment| segment.bytes).sum() }
}

#[cfg(test)]
mod tests {
    use anole_journal::{AckLevel, SegmentStat};

    use super::*;

    #[test]
    fn a_position_holds_its_segment_and_all_behind_it() {
        let segment = |base: u64, bytes: u64| SegmentStat {
            file: String::new(),
            base: Position::at(base),
            bytes,
            records: None,
            created: None,
        };
        let stat = Stat {
            ack: AckLevel::Fsync,
            starts: vec![Position::at(100)],
            ends: vec![Position::at(340)],
            bytes: 240,
            records: None,
            segments: vec![segment(100, 100), segment(200, 100), segment(300, 40)],
        };
        for (at, held) in [(0, 240), (100, 240), (199, 240), (200, 140), (339, 40), (340, 0), (900, 0)] {
            assert_eq!(held_bytes(&stat, Position::at(at)), held, "{at}");
        }
    }
}
