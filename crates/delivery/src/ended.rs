//! Which events ended so, as the delivery log knows: what a person means by "replay what was filtered yesterday".
//!
//! The last end of each send counts. A send that was refused, replayed and delivered since is not one that was refused.

use std::collections::HashSet;

use anole_delivery_log::{DeliveryLog, LogError, SendQuery};
use anole_event::{LaneId, Outcome, Position};

use crate::chosen::Choice;

/// Sends that are read at once.
const PAGE: usize = 1_000;

/// The events of a lane one of whose sends ended last as the choice says.
pub(crate) async fn find(log: &dyn DeliveryLog, lane: &LaneId, choice: &Choice) -> Result<HashSet<Position>, LogError> {
    let mut query = SendQuery {
        lane: Some(lane.clone()),
        event: choice.event.clone(),
        message_id: choice.message_id.clone(),
        // What came in since then ended later still.
        from: choice.from,
        limit: PAGE,
        ..SendQuery::default()
    };
    let (mut seen, mut found) = (HashSet::new(), HashSet::new());
    loop {
        let page = log.sends(query.clone()).await?;
        for row in page.items {
            let Some(outcome) = &row.send.outcome else { continue };
            // Newest first: what is seen again is an earlier end.
            if seen.insert((row.send.position, row.send.ordinal)) && is_meant(choice, outcome) {
                found.insert(row.send.position);
            }
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(found),
        }
    }
}

fn is_meant(choice: &Choice, outcome: &Outcome) -> bool {
    choice.state.is_none_or(|state| state == outcome.state)
        && choice.reason.is_none_or(|reason| reason == outcome.reason)
}
