//! Events that a person wants sent again and that are not parked: found in the journal, by what stands in the heads of their records.
//!
//! The times at which segments were begun bound what is read; within it every head is looked at, at about a gigabyte a second. So a
//! choice by a message id alone reads all that is kept, and one of more than 4 GiB is refused: give a time with it.
//!
//! How they ended is asked of the delivery log, if it matters.
//!
//! Only events that a lane has finished are chosen for it. Those that it has not are on their way, and sent anyway.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anole_event::{Fingerprint, Head, Kind, LaneId, Position, Reason, Record, State, Timestamp};
use anole_journal::{Journal, Read};
use anole_pipeline::PipelinePlan;
use anole_state::{Parked, Progress};

use crate::delivery::Delivery;
use crate::ended;
use crate::ranges::covers;
use crate::replay::{ReplayError, ReplayStatus, What};

/// The most bytes of records that are read to find events.
const MOST: u64 = 4 << 30;
/// By how much the time at which a segment was begun may be wrong about what stands in it.
const SLACK: Duration = Duration::from_secs(60);

/// Which events; all that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// For this lane; for all that pipelines have without one.
    pub lane: Option<LaneId>,
    /// With this name, or type when they have none.
    pub event: Option<String>,
    /// With this message id.
    pub message_id: Option<String>,
    /// That came in at this time or later.
    pub from: Option<Timestamp>,
    /// That came in before this time.
    pub until: Option<Timestamp>,
    /// Of which a send ended last in this state, as the delivery log knows.
    pub state: Option<State>,
    /// The same for this reason.
    pub reason: Option<Reason>,
}

/// Events of the journal that were chosen for a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenEvents {
    /// The lane.
    pub lane: LaneId,
    /// How many of each name.
    pub events: BTreeMap<Arc<str>, u64>,
    /// Where they stand.
    positions: Vec<Position>,
    /// The name of each.
    names: Vec<Arc<str>>,
}

// === impl Choice ===

impl Choice {
    fn names(&self, head: &Head<'_>) -> bool {
        head.kind == Kind::Event
            && self.event.as_ref().is_none_or(|event| event == name_of(head))
            && self.from.is_none_or(|from| head.received_at >= from)
            && self.until.is_none_or(|until| head.received_at < until)
            && self.message_id.as_ref().is_none_or(|id| head.fingerprint == Fingerprint::of(head.pipeline, id))
    }

    /// From where to where there may be such events.
    fn bounds(&self, journal: &dyn Journal) -> Vec<(Position, Position)> {
        let stat = journal.stat();
        let pairs = stat.starts.iter().zip(&stat.ends).map(|(start, end)| {
            let of = |segment: &&anole_journal::SegmentStat| segment.base.partition == start.partition;
            let begun = |slack: Timestamp, behind: bool| {
                let fits = move |created: Timestamp| if behind { created > slack } else { created <= slack };
                let mut found = stat.segments.iter().filter(of).filter(move |it| it.created.is_some_and(fits));
                if behind { found.next() } else { found.next_back() }.map(|segment| segment.base)
            };
            let first = self.from.and_then(|from| begun(before(from), false)).unwrap_or(*start);
            let last = self.until.and_then(|until| begun(until.after(SLACK), true)).unwrap_or(*end);
            (first, last)
        });
        pairs.collect()
    }

    /// Finds them. Blocking.
    fn find(&self, journal: &dyn Journal, lanes: &[(LaneId, Vec<Progress>)]) -> Result<Vec<ChosenEvents>, ReplayError> {
        let mut chosen: Vec<_> = lanes.iter().map(|(lane, _)| ChosenEvents::of(lane)).collect();
        let mut seen = 0;
        for (from, to) in self.bounds(journal) {
            let mut reader = journal.reader(from);
            while reader.position() < to
                && let Some(read) = reader.try_next().map_err(|error| ReplayError::Journal(error.to_string()))?
            {
                let Read::Block(block) = read else { continue };
                for (position, record) in &block.records {
                    seen += record.bytes().len() as u64;
                    let Some(head) = record.head().ok().filter(|head| self.names(head)) else { continue };
                    for ((lane, progress), chosen) in lanes.iter().zip(&mut chosen) {
                        if lane.pipeline() == head.pipeline && is_finished(progress, *position) {
                            chosen.take(*position, name_of(&head));
                        }
                    }
                }
                if seen > MOST {
                    return Err(ReplayError::TooMuch(format!("{} GiB", MOST >> 30)));
                }
            }
        }
        chosen.retain(|chosen| !chosen.positions.is_empty());
        Ok(chosen)
    }
}

// === impl ChosenEvents ===

impl ChosenEvents {
    fn of(lane: &LaneId) -> Self {
        Self { lane: lane.clone(), events: BTreeMap::new(), positions: Vec::new(), names: Vec::new() }
    }

    fn take(&mut self, position: Position, name: &str) {
        self.positions.push(position);
        let known = self.events.get_key_value(name).map(|(name, _)| Arc::clone(name));
        let name = known.unwrap_or_else(|| name.into());
        self.names.push(Arc::clone(&name));
        *self.events.entry(name).or_default() += 1;
    }

    /// Lets go of all others.
    fn only(&mut self, is_meant: impl Fn(&Position) -> bool) {
        let all = std::mem::take(&mut self.positions).into_iter().zip(std::mem::take(&mut self.names));
        self.events.clear();
        for (position, name) in all.filter(|(position, _)| is_meant(position)) {
            self.take(position, &name);
        }
    }
}

// === impl Delivery ===

impl Delivery {
    /// Which events of the journal a choice finds, by lane.
    ///
    /// # Errors
    /// When the choice has neither message id nor time, or asks for too much, or a store cannot be read.
    pub async fn chosen(&self, choice: &Choice) -> Result<Vec<ChosenEvents>, ReplayError> {
        if choice.message_id.is_none() && choice.from.is_none() {
            return Err(ReplayError::Unbounded);
        }
        let mut lanes = Vec::new();
        for lane in self.yard.tail.plans().lanes() {
            if choice.lane.as_ref().is_none_or(|wanted| *wanted == lane) {
                let progress = self.yard.ground.stores.state.progress(lane.clone()).await?;
                lanes.push((lane, progress));
            }
        }
        if let (Some(wanted), true) = (&choice.lane, lanes.is_empty()) {
            return Err(ReplayError::NoLane(wanted.clone()));
        }
        let (journal, choice) = (self.yard.ground.journal.clone(), choice.clone());
        let asks = choice.clone();
        let found = tokio::task::spawn_blocking(move || choice.find(&*journal, &lanes)).await;
        let mut found = found.map_err(|error| ReplayError::Journal(error.to_string()))??;
        if asks.state.is_none() && asks.reason.is_none() {
            return Ok(found);
        }
        for chosen in &mut found {
            let ended = ended::find(&*self.yard.ground.stores.log, &chosen.lane, &asks).await;
            let ended = ended.map_err(|error| ReplayError::Log(error.to_string()))?;
            chosen.only(|position| ended.contains(position));
        }
        found.retain(|chosen| !chosen.positions.is_empty());
        Ok(found)
    }

    /// Begins to send again what a choice finds in the journal: whole events, by the plans in force. Gives back the replays that
    /// began.
    ///
    /// # Errors
    /// As [`chosen`](Self::chosen), and when one of the lanes is replaying already; none begins then.
    pub async fn replay_events(
        &self,
        choice: &Choice,
        max_age: Option<Duration>,
    ) -> Result<Vec<ReplayStatus>, ReplayError> {
        let chosen = self.chosen(choice).await?;
        let _one_at_a_time = self.changing.lock().await;
        for chosen in &chosen {
            self.refuse_if_under_way(&chosen.lane)?;
        }
        let mut begun = Vec::new();
        for ChosenEvents { lane, positions, .. } in chosen {
            let events = positions.len() as u64;
            begun.push(self.begin(lane, What::Events(positions), events, max_age).await);
        }
        Ok(begun)
    }
}

/// An event as a row that was parked before it was mapped: all its sends are made.
pub(crate) fn as_row(at: Position, record: &Record, pipeline: &PipelinePlan) -> Option<Parked> {
    let head = record.head().ok()?;
    let values = pipeline.read(record.body().ok()?).ok()?;
    Some(Parked {
        position: at,
        ordinal: 0,
        rule: String::new(),
        event: name_of(&head).to_owned(),
        message_id: values.message_id().into_owned(),
        received_at: head.received_at,
        parked_at: head.received_at,
        reason: Reason::Requested,
        detail: None,
        plan: 0,
        attempt: None,
        record: record.bytes().clone(),
    })
}

fn before(time: Timestamp) -> Timestamp {
    Timestamp::from_micros(time.micros() - i64::try_from(SLACK.as_micros()).unwrap_or(0))
}

fn name_of<'a>(head: &Head<'a>) -> &'a str {
    if head.name.is_empty() { head.event_type.as_str() } else { head.name }
}

fn is_finished(progress: &[Progress], position: Position) -> bool {
    progress
        .iter()
        .filter(|progress| progress.watermark.partition == position.partition)
        .any(|progress| position < progress.watermark || covers(&progress.finished, position.offset))
}
