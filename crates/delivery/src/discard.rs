//! Giving up parked sends because a person asked for it.
//!
//! The delivery log has the outcome `discarded`, `requested` before the state lets go of the rows, as with every end. A crash in
//! between leaves rows parked that the log calls discarded; discarding them again is all that it takes.

use std::collections::BTreeMap;
use std::sync::Arc;

use anole_delivery_log::DeliveryLog;
use anole_event::{
    AttemptId, Entry, LaneId, Marks, Outcome, Reason, Record, Seeded, SendRecord, State as Ended, Timestamp, uuid_v7,
};
use anole_pipeline::{PipelinePlan, Values};
use anole_state::{LaneCommit, Parked, ParkedFilter, ParkedId, ParkedRow, State};
use anole_telemetry::OutcomesSettled;

use crate::delivery::Delivery;
use crate::recorder::tell_parked;
use crate::replay::ReplayError;

/// Rows that are given up at once.
const PAGE: usize = 256;

/// Where parked sends are given up.
pub struct Discarding<'a> {
    /// Has the rows.
    pub state: &'a dyn State,
    /// Is told first.
    pub log: &'a dyn DeliveryLog,
    /// Knows by which ids a pipeline's events are looked up; `None` leaves them out.
    pub pipeline: &'a (dyn Fn(&str) -> Option<Arc<PipelinePlan>> + Send + Sync),
}

// === impl Discarding ===

impl Discarding<'_> {
    /// Gives up all that a filter finds. Gives back how many sends of each lane that were, also when it fails midway.
    ///
    /// # Errors
    /// When a store cannot be written.
    pub async fn discard(
        &self,
        filter: &ParkedFilter,
        now: Timestamp,
        gone: &mut BTreeMap<LaneId, u64>,
    ) -> Result<(), ReplayError> {
        let mut filter = ParkedFilter { oldest_first: true, limit: PAGE, ..filter.clone() };
        let mut random = Seeded::from_entropy();
        loop {
            let rows = self.state.parked(filter.clone()).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            filter.after = Some(last.id);
            let mut by_lane: BTreeMap<LaneId, (Vec<ParkedId>, Vec<SendRecord>)> = BTreeMap::new();
            for ParkedRow { id, lane, parked } in rows {
                let plan = (self.pipeline)(lane.pipeline());
                let (ids, sends) = by_lane.entry(lane).or_default();
                ids.push(id);
                sends.push(given_up(parked, plan.as_deref()));
            }
            let mut entries = Vec::new();
            for (lane, (_, sends)) in &mut by_lane {
                let id = AttemptId(uuid_v7(now, &mut random));
                let sends = std::mem::take(sends);
                entries.push(Entry { id, at: now, lane: lane.clone(), plan: 0, attempt: None, sends });
            }
            self.log.append(Arc::new(entries)).await.map_err(|error| ReplayError::Log(error.to_string()))?;
            let commits = by_lane
                .iter()
                .map(|(lane, (ids, _))| LaneCommit { unparked: ids.clone(), ..LaneCommit::new(lane.clone()) });
            self.state.commit(commits.collect()).await?;
            for (lane, (ids, _)) in by_lane {
                *gone.entry(lane).or_default() += ids.len() as u64;
            }
        }
    }
}

// === impl Delivery ===

impl Delivery {
    /// Gives up all parked sends that a filter finds. Gives back how many of each lane.
    ///
    /// # Errors
    /// When one of the lanes is replaying, or a store cannot be written; what was given up by then stays so.
    pub async fn discard(&self, filter: &ParkedFilter) -> Result<BTreeMap<LaneId, u64>, ReplayError> {
        let _one_at_a_time = self.changing.lock().await;
        for group in self.parked_groups(filter).await? {
            self.refuse_if_under_way(&group.lane)?;
        }
        let stores = &self.yard.ground.stores;
        let plans = self.yard.tail.plans();
        let pipeline = move |name: &str| plans.pipeline(name).map(Arc::clone);
        let discarding = Discarding { state: &*stores.state, log: &*stores.log, pipeline: &pipeline };
        let mut gone = BTreeMap::new();
        let done = discarding.discard(filter, self.yard.ground.clock.wall(), &mut gone).await;
        for (lane, sends) in &gone {
            let (state, reason) = (Ended::Discarded, Reason::Requested);
            stores.telemetry.emit(OutcomesSettled { lane, state, reason, sends: *sends });
            tell_parked(stores, lane).await;
        }
        done.map(|()| gone)
    }
}

fn given_up(parked: Parked, plan: Option<&PipelinePlan>) -> SendRecord {
    let body = Record::from_bytes(parked.record).body().ok();
    let values = plan.zip(body).and_then(|(plan, body)| plan.read(body).ok());
    SendRecord {
        message_id: parked.message_id.into(),
        event: parked.event.into(),
        anonymous_id: values.as_ref().and_then(Values::anonymous_id).map(Into::into),
        user_id: values.as_ref().and_then(Values::user_id).map(Into::into),
        lookups: values.as_ref().zip(plan).map(|(values, plan)| values.lookups(plan)).unwrap_or_default(),
        position: parked.position,
        received_at: parked.received_at,
        ordinal: parked.ordinal,
        rule: parked.rule.into(),
        visitor_code: None,
        rung: None,
        nonce: None,
        marks: Marks::NONE,
        outcome: Some(Outcome::new(Ended::Discarded, Reason::Requested).with_detail("a person gave it up")),
    }
}
