//! Deferred sends on their way back from the state to the machine.

use std::sync::Arc;
use std::time::Duration;

use anole_event::{Clock, LaneId, OrderKey, Record};
use anole_state::{DeferredFilter, DeferredRow, Parked, SendKey, State};
use anole_telemetry::{LaneReadFailed, Telemetry};

use crate::deferring::{LAST, MOST};
use crate::lane::{Again, Deferred, Input, Replayed};
use crate::plans::Plans;
use crate::remake::Remade;

/// How long is waited before a state that cannot be read is read again.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// What the state has deferred of a lane, for a machine that begins. Waits until it can be read: a lane must not deliver past
/// sends that it does not know of.
pub(crate) async fn known(lane: &LaneId, state: &dyn State, clock: &dyn Clock, telemetry: &Telemetry) -> Vec<Deferred> {
    // As many as a lane defers, and those of one that it has taken over.
    let filter = DeferredFilter { lane: Some(lane.clone()), limit: 2 * MOST, ..DeferredFilter::default() };
    loop {
        match state.deferred(filter.clone()).await {
            Ok(rows) => {
                let now = clock.now();
                let known = |row: DeferredRow| Deferred {
                    key: SendKey { position: row.deferred.position, ordinal: row.deferred.ordinal },
                    order_key: order_key(&row),
                    times: row.deferred.tries,
                    // A wall clock that was set back must not make it wait for longer than it ever does.
                    due: now.mono.after(row.deferred.due_at.since(now.wall).min(LAST)),
                };
                return rows.into_iter().map(known).collect();
            }
            Err(error) => {
                telemetry.emit(LaneReadFailed { lane, error });
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
}

fn order_key(row: &DeferredRow) -> OrderKey {
    let record = Record::from_bytes(row.deferred.record.clone());
    record.head().map_or(OrderKey(row.deferred.position.offset), |head| head.order_key)
}

/// A send that is due, as the plan in force makes it.
pub(crate) async fn input(lane: &LaneId, key: SendKey, plans: &Plans, state: &dyn State) -> Input {
    let filter = DeferredFilter { lane: Some(lane.clone()), key: Some(key), ..DeferredFilter::default() };
    // A state that fails is told by whoever writes to it.
    let Ok(rows) = state.deferred(filter).await else { return Input::Later(key) };
    let row = rows.into_iter().next();
    let (Some(row), Some(plan), Some(pipeline)) = (row, plans.lane(lane), plans.pipeline(lane.pipeline())) else {
        return Input::Gone(key);
    };
    let row = as_parked(row);
    let Remade { subject, made } = Remade::of(&row, pipeline, plan);
    let (of, plan) = (Again::Deferred(key), Arc::clone(plan));
    Input::Replay(Replayed { of, ordinal: row.ordinal, subject, made, plan })
}

/// Both kinds of rows hold the same of an event.
fn as_parked(row: DeferredRow) -> Parked {
    let row = row.deferred;
    Parked {
        position: row.position,
        ordinal: row.ordinal,
        rule: row.rule,
        event: row.event,
        message_id: row.message_id,
        received_at: row.received_at,
        parked_at: row.deferred_at,
        reason: row.reason,
        detail: row.detail,
        plan: row.plan,
        attempt: row.attempt,
        record: row.record,
    }
}
