//! What must hold: each acknowledged event in exactly one place, and in the end everything arrived or parked.

use std::collections::BTreeMap;

use anole_event::{LaneId, State};

use super::plan::{Event, Fate};
use super::stores::{Held, History, Journal, SendOf};

/// What arrived at the vendor: how often under each nonce.
pub(crate) type Arrived = BTreeMap<SendOf, BTreeMap<String, u64>>;

fn each(event: &Event) -> impl Iterator<Item = (u16, Fate)> + '_ {
    (0_u16..).zip(event.sends.iter().copied())
}

/// After a cut, before anything goes on. `held` is the state that is gone on with.
pub(crate) fn places(
    lanes: &[LaneId],
    journal: &Journal,
    history: &History,
    held: &Held,
    arrived: &Arrived,
) -> Result<(), String> {
    let ends = history.ends();
    for lane in lanes {
        for event in journal.acknowledged() {
            let is_behind = held.is_behind(lane, event.position);
            if !is_behind && event.position < journal.start {
                return Err(format!("{lane}: event {} is still to do, and the journal let it go", event.position));
            }
            for (ordinal, _) in each(event) {
                let send = (lane.clone(), event.position, ordinal);
                let is_parked = held.parked.contains(&send);
                if !is_behind {
                    if is_parked {
                        return Err(format!("{}: parked, and still to do", name(&send)));
                    }
                    continue;
                }
                behind(&send, ends.get(&send).copied(), is_parked, history, arrived)?;
            }
        }
    }
    Ok(())
}

/// A send of an event that is behind progress.
fn behind(
    send: &SendOf,
    end: Option<State>,
    is_parked: bool,
    history: &History,
    arrived: &Arrived,
) -> Result<(), String> {
    match end {
        None if !history.taken.contains(send) => {
            Err(format!("{}: behind progress, and history knows no end", name(send)))
        }
        // A later line may have been taken, so that the last one there is speaks of an earlier try.
        _ if history.taken.contains(send) => Ok(()),
        Some(State::Parked) if !is_parked => {
            Err(format!("{}: history says parked, progress is past it, and it is not parked", name(send)))
        }
        Some(State::Delivered) if !arrived.contains_key(send) => {
            Err(format!("{}: history says delivered, and it never arrived", name(send)))
        }
        Some(State::Delivered) if is_parked => Err(format!("{}: delivered and parked", name(send))),
        _ => Ok(()),
    }
}

/// When nothing is left to do.
pub(crate) fn at_the_end(lanes: &[LaneId], journal: &Journal, held: &Held, arrived: &Arrived) -> Result<(), String> {
    for lane in lanes {
        for event in journal.acknowledged() {
            if !held.is_behind(lane, event.position) {
                return Err(format!("{lane}: event {} was never finished", event.position));
            }
            for (ordinal, fate) in each(event) {
                let send = (lane.clone(), event.position, ordinal);
                let is_parked = held.parked.contains(&send);
                let nonces = arrived.get(&send).map_or(0, BTreeMap::len);
                let is_right = match fate {
                    Fate::Sent | Fate::Poison => is_parked || nonces > 0,
                    Fate::Filtered => !is_parked && nonces == 0,
                    Fate::Unmappable => is_parked && nonces == 0,
                };
                if !is_right {
                    return Err(format!("{}: lost ({fate:?}, parked {is_parked}, arrived {nonces})", name(&send)));
                }
                if nonces > 1 {
                    return Err(format!("{}: went out under {nonces} nonces", name(&send)));
                }
            }
        }
    }
    Ok(())
}

fn name((lane, position, ordinal): &SendOf) -> String {
    format!("{lane}: send {position}/{ordinal}")
}
